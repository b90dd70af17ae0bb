"""Every node there is: the built-in ones, those of the sample package, and those of the tutorial."""

from __future__ import annotations

import atexit
import functools
import sys
import tempfile
from pathlib import Path

from studio.registry import Registry, discover
from tests.tutorial import write_package

SAMPLE = Path(__file__).parent.parent / "data" / "acme"


@functools.cache
def registry() -> Registry:
    """What a worker with both packages installed would find."""
    tutorial = tempfile.TemporaryDirectory(prefix="latent-studio-tutorial-")
    atexit.register(tutorial.cleanup)
    write_package(Path(tutorial.name))
    places = [str(SAMPLE), tutorial.name]
    sys.path[:0] = places
    try:
        return discover()
    finally:
        for place in places:
            sys.path.remove(place)


NODES = sorted(registry().nodes)
