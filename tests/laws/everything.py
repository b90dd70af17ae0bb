"""Every node there is: the built-in ones and those of the sample package."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from studio.registry import Registry, discover

SAMPLE = Path(__file__).parent.parent / "data" / "acme"


@functools.cache
def registry() -> Registry:
    """What a worker with the sample package installed would find."""
    sys.path.insert(0, str(SAMPLE))
    try:
        return discover()
    finally:
        sys.path.remove(str(SAMPLE))


NODES = sorted(registry().nodes)
