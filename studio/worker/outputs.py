"""Where the worker keeps outputs on disk; known to the command line too, which looks in without a worker."""

from __future__ import annotations

from pathlib import Path

from studio.cache.disk import DiskTier

LIMIT_BYTES = 20 << 30


def disk_tier(cache_dir: Path) -> DiskTier:
    """The stored outputs under a cache folder; nothing is made before something is written."""
    return DiskTier(cache_dir / "outputs", LIMIT_BYTES)
