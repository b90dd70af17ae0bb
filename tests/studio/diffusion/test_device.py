from __future__ import annotations

import sys

import pytest

from studio.diffusion import device
from studio.diffusion.device import choose, devices
from studio.errors import StudioError

INTEL = "processor\t: 0\nmodel name\t: Some Chip\nflags\t\t: fpu avx512f {flag} sse\n\nprocessor\t: 1\n"


def test_cpu_with_bfloat16_in_hardware_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for flag in ("avx512_bf16", "amx_bf16"):
        monkeypatch.setattr(device, "_cpu_text", lambda flag=flag: INTEL.format(flag=flag))
        place = choose("cpu")
        assert (place.dtype, place.name) == ("bfloat16", "Some Chip")
        assert place.numerics == "cpu/bfloat16/sdpa"
        assert "bfloat16" in place.sentence


def test_cpu_without_it_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_cpu_text", lambda: INTEL.format(flag="avx512_fp16"))
    assert choose("cpu").dtype == "float32"
    monkeypatch.setattr(device, "_cpu_text", lambda: "")
    assert choose("cpu").dtype == "float32"


def test_auto_is_the_first_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_cuda", lambda: ())
    monkeypatch.setattr(device, "_has_mps", lambda: False)
    assert devices() == ("auto", "cpu")
    assert choose("auto") == choose("cpu")
    monkeypatch.setattr(device, "_has_mps", lambda: True)
    assert choose("auto").device == "mps"
    assert choose("auto").dtype == "float16"
    monkeypatch.setattr(device, "_cuda", lambda: ("cuda:0", "cuda:1"))
    assert devices() == ("auto", "cuda:0", "cuda:1", "mps", "cpu")


def test_device_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(StudioError, match="no device “tpu”"):
        choose("tpu")


def test_build_for_cpus_needs_no_torch_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "version", lambda name: "2.13.0+cpu")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "cpu" in devices()


def test_build_for_cards_without_a_driver_needs_no_torch_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "version", lambda name: "2.13.0")
    monkeypatch.setattr(device, "_DRIVERS", ("/nowhere",))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert devices() == ("auto", "cpu")
