"""How much memory this process uses and this machine has; free of torch."""

from __future__ import annotations

import os
from pathlib import Path


def machine_bytes() -> int:
    """Memory of the machine; 0 where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0


def process_bytes() -> int:
    """Resident memory of this process; on systems without /proc the most it ever was; 0 on Windows."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
