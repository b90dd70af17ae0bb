"""Which device computes, and in which number format. Torch is imported only where the answer needs it."""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from studio.errors import StudioError

_DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


@dataclass(frozen=True, slots=True)
class Place:
    """A device and the number format networks run in there.

    Attributes:
        device: As torch calls it: ``cpu``, ``cuda:0``, ``mps``.
        dtype: As torch calls it: ``float32``, ``float16``, ``bfloat16``.
        name: The device as people know it.
        sentence: Which was chosen, and why.
    """

    device: str
    dtype: str
    name: str
    sentence: str

    @property
    def numerics(self) -> str:
        """What enters the keys of nodes that use weights: bits repeat within equal numerics only.

        On a processor they repeat for the same number of threads; another one (OMP_NUM_THREADS) rounds sums
        otherwise, far below what can be seen, and is not told apart.
        """
        return f"{self.device.partition(':')[0]}/{self.dtype}/sdpa"


def devices() -> tuple[str, ...]:
    """Names that `choose` takes, ``auto`` and ``cpu`` included."""
    found = ["auto", *_cuda()]
    if _has_mps():
        found.append("mps")
    return (*found, "cpu")


def choose(device: str = "auto") -> Place:
    """Choose a device and number format by what is there.

    Args:
        device: ``auto``, or a name that `devices` gives.

    Raises:
        StudioError: That device is not there.
    """
    there = devices()
    if device not in there:
        raise StudioError(
            f"There is no device “{device}” here.", f"Choose one of {', '.join(there)}.", socket="device"
        )
    # Best first, “auto” before all.
    chosen = next(name for name in there if name != "auto") if device == "auto" else device
    if chosen.startswith("cuda"):
        return _cuda_place(chosen)
    if chosen == "mps":
        name = platform.processor() or "Apple GPU"
        return Place("mps", "float16", name, f"Computing on {name} in float16.")
    name = _cpu_name()
    if _cpu_has_bf16():
        return Place("cpu", "bfloat16", name, f"Computing on {name} in bfloat16, which it has in hardware.")
    return Place("cpu", "float32", name, f"Computing on {name} in float32: it has no bfloat16 in hardware.")


def _cuda() -> tuple[str, ...]:
    if not _may_have_cuda():
        return ()
    import torch

    return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))


def _may_have_cuda() -> bool:
    """Whether asking torch is worth the seconds its import takes; keys of a cached workflow need no torch."""
    try:
        if version("torch").endswith("+cpu"):
            return False
    except PackageNotFoundError:
        return False
    return sys.platform != "linux" or any(Path(driver).exists() for driver in _DRIVERS)


def _has_mps() -> bool:
    if sys.platform != "darwin":
        return False
    import torch

    return torch.backends.mps.is_available()


def _cuda_place(device: str) -> Place:
    import torch

    name = torch.cuda.get_device_name(device)
    # Emulated bfloat16 of older cards counts as supported, but is slower than their float16.
    fast = torch.cuda.get_device_capability(device) >= (8, 0)
    dtype = "bfloat16" if fast else "float16"
    return Place(device, dtype, name, f"Computing on {name} in {dtype}.")


@lru_cache
def _cpu_text() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return ""


def _cpu_has_bf16() -> bool:
    flags = re.search(r"^flags\s*:(.*)$", _cpu_text(), re.MULTILINE)
    return bool(flags and {"avx512_bf16", "amx_bf16"} & set(flags[1].split()))


def _cpu_name() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _cpu_text(), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine() or "the processor"
