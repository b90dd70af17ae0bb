"""Can a window open here? Asked before Qt is loaded, since Qt ends the process where it cannot."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}
"""Shared library → package of Debian and Ubuntu that brings it."""
WINDOWLESS = ("offscreen", "minimal", "vnc")
LDD_TIMEOUT_S = 10


def missing_libraries() -> list[str]:
    """System libraries that Qt's window needs and this machine lacks; empty elsewhere than on Linux."""
    plugin = _plugin()
    if plugin is None or _loads(plugin):
        return []
    listed = _unresolved(plugin)
    return listed or [_first_missing(plugin)]


def library_sentence(missing: list[str]) -> str:
    """Which libraries are missing and how to install them, in one sentence."""
    what = "the system library" if len(missing) == 1 else "the system libraries"
    known = sorted({PACKAGES[name] for name in missing if name in PACKAGES})
    install = (
        f"; install with: sudo apt install {' '.join(known)}" if known else "; install them and try again"
    )
    return f"The window cannot open because Qt misses {what} {', '.join(missing)}{install}"


def display_sentence() -> str:
    """Why no window can be shown here, in one sentence; empty if one can, as far as can be told."""
    if not sys.platform.startswith("linux") or _chosen().startswith(WINDOWLESS):
        return ""
    if os.environ.get("WAYLAND_DISPLAY"):
        return ""
    if not os.environ.get("DISPLAY"):
        return "There is no display here."
    return "" if _answers() else f"The display {os.environ['DISPLAY']} does not answer."


def _chosen() -> str:
    return os.environ.get("QT_QPA_PLATFORM", "")


def _qt() -> Path | None:
    spec = find_spec("PySide6")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) / "Qt" if places else None


def _plugin() -> Path | None:
    """The part of Qt that opens windows, which needs most of the system's libraries."""
    if not sys.platform.startswith("linux"):
        return None
    name = "libqoffscreen.so" if _chosen().startswith(WINDOWLESS) else "libqxcb.so"
    folder = _qt()
    plugin = folder / "plugins" / "platforms" / name if folder else None
    return plugin if plugin and plugin.is_file() else None


def _loads(library: Path) -> bool:
    try:
        ctypes.CDLL(str(library))
    except OSError:
        return False
    return True


def _first_missing(library: Path) -> str:
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error).partition(":")[0]
    return ""


def _unresolved(library: Path) -> list[str]:
    """All that the dynamic linker does not find, where `ldd` is there to ask."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return []
    try:
        told = subprocess.run(
            [ldd, str(library)], capture_output=True, text=True, timeout=LDD_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return []
    lines = (line.split("=>") for line in told.stdout.splitlines())
    return sorted({parts[0].strip() for parts in lines if len(parts) == 2 and "not found" in parts[1]})


def _answers() -> bool:
    """True if the X server takes a connection."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return False
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    try:
        return xcb.xcb_connection_has_error(connection) == 0
    finally:
        xcb.xcb_disconnect(connection)
