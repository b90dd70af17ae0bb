"""Upscale networks, told from the header of their file: which one, how large, how many times it enlarges."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from studio.models.header import Header, TensorPlace

_WRAPPERS = ("params_ema.", "params-ema.", "params.", "state_dict.", "model_state_dict.", "module.", "netG.")
_DOUBLINGS, _SCALE = 4, 16
_PART = r"\.(weight|bias)$"
# What the three ways to write the same network down have in common, and how each calls it.
_RRDB_KEYS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:conv_first|model\.0)" + _PART), "conv_first.{0}"),
    (
        re.compile(
            r"(?:body|RRDB_trunk|model\.1\.sub)\.(\d+)\.(?:rdb|RDB)([123])\.conv([1-5])(?:\.0)?" + _PART
        ),
        "body.{0}.rdb{1}.conv{2}.{3}",
    ),
    (
        re.compile(r"(?:body|RRDB_trunk|model\.1\.sub)\.(\d+)\.(?:rdb|RDB)([123])\.conv1x1(?:\.0)?\.weight$"),
        "body.{0}.rdb{1}.conv1x1.weight",
    ),
    (re.compile(r"(?:conv_body|trunk_conv|model\.1\.sub\.\d+)" + _PART), "conv_body.{0}"),
    (re.compile(r"(?:conv_up|upconv)(\d)" + _PART), "conv_up.{0}.{1}"),
    (re.compile(r"(?:conv_hr|HRconv)" + _PART), "conv_hr.{0}"),
    (re.compile(r"conv_last" + _PART), "conv_last.{0}"),
)
_OLD_TAIL = re.compile(r"model\.(\d+)" + _PART)
_SRVGG_KEY = re.compile(r"body\.(\d+)" + _PART)
# A tensor that no other network has, and what the network is called.
_OTHERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"layers\.0\.residual_group\.overlap_attn\."), "HAT"),
    (re.compile(r"layers\.0\.residual_group\.blocks\.0\.attn\.logit_scale$"), "Swin2SR"),
    (re.compile(r"layers\.0\.residual_group\.blocks\.0\.norm1\."), "SwinIR"),
    (re.compile(r"layers\.0\.blocks\.0\.ffn\.fc1\."), "DAT"),
    (re.compile(r"layers\.0\.residual_group\.layers\.0\."), "ATD"),
    (re.compile(r"residual_layer\.0\.residual_layer\."), "OmniSR"),
    (re.compile(r"block_1\.c1_r\.sk\."), "SPAN"),
    (re.compile(r"feats\.1\.(lk|channe_mixer)\."), "RealPLKSR"),
    (re.compile(r"(unet1|unet2)\.conv1\.conv\."), "RealCUGAN"),
    (re.compile(r"m_body\.0\.trans_block\."), "SCUNet"),
)


@dataclass(frozen=True, slots=True)
class UpscalerPlan:
    """An upscale network as its file describes it.

    Attributes:
        kind: ``rrdb`` (ESRGAN, Real-ESRGAN), ``srvgg`` (the compact ones), ``other`` (of another library).
        title: What people call the network.
        scale: Times wider and higher its result is; 0 where the header does not tell.
        channels: Of the pictures it takes and gives.
        features: Channels inside.
        growth: Channels that each layer of a dense block adds (``rrdb``).
        blocks: Residual blocks (``rrdb``) or inner layers (``srvgg``).
        doublings: Times the size is doubled at the end (``rrdb``).
        unshuffle: Side of the square of pixels that is folded into channels first; 1 = none.
        skips: The dense blocks have 1×1 short cuts (ESRGAN+).
        names: The network's name of a weight → the file's.
    """

    kind: Literal["rrdb", "srvgg", "other"]
    title: str
    scale: int = 0
    channels: int = 3
    features: int = 0
    growth: int = 0
    blocks: int = 0
    doublings: int = 0
    unshuffle: int = 1
    skips: bool = False
    names: Mapping[str, str] = field(default_factory=dict[str, str])


def plan_of(header: Header) -> UpscalerPlan | None:
    """Read which upscale network a file holds from keys and shapes alone; None if it holds none.

    The keys may be those of the first ESRGAN (``model.1.sub.0.RDB1.conv1.0``), of its later code
    (``RRDB_trunk.0.RDB1.conv1``) or of BasicSR (``body.0.rdb1.conv1``), bare or under ``params_ema``.
    """
    tensors = _unwrapped(header.tensors)
    return _rrdb(tensors) or _srvgg(tensors) or _other(tensors)


def _unwrapped(tensors: Mapping[str, TensorPlace]) -> dict[str, tuple[str, TensorPlace]]:
    """Bare key → (key in the file, place), of the averaged weights where there are two sets."""
    for prefix in _WRAPPERS:
        found = {
            key.removeprefix(prefix): (key, place) for key, place in tensors.items() if key.startswith(prefix)
        }
        if found:
            return found
    return {key: (key, place) for key, place in tensors.items()}


def _rrdb(tensors: Mapping[str, tuple[str, TensorPlace]]) -> UpscalerPlan | None:
    names = _rrdb_names(tensors)
    if names is None:
        return None
    shape = {name: tensors[bare][1].shape for name, bare in names.items()}
    wanted = ("conv_first.weight", "conv_body.weight", "conv_hr.weight", "conv_last.weight")
    dense = "body.0.rdb1.conv1.weight"
    if any(len(shape.get(name, ())) != 4 for name in (*wanted, dense)):
        return None
    features, taken = shape["conv_first.weight"][:2]
    channels = shape["conv_last.weight"][0]
    unshuffle = math.isqrt(taken // channels) if channels else 0
    doublings = _count(names, r"conv_up\.(\d+)\.")
    blocks = _count(names, r"body\.(\d+)\.")
    if doublings is None or doublings > _DOUBLINGS or not blocks:
        return None
    if taken != channels * unshuffle**2 or not unshuffle or 2**doublings % unshuffle:
        return None
    return UpscalerPlan(
        "rrdb",
        "ESRGAN",
        2**doublings // unshuffle,
        channels,
        features,
        shape[dense][0],
        blocks,
        doublings,
        unshuffle,
        any(".conv1x1." in name for name in names),
        {name: tensors[bare][0] for name, bare in names.items()},
    )


def _rrdb_names(tensors: Mapping[str, object]) -> dict[str, str] | None:
    """The network's name of each weight → its key; None where a key has no place in it."""
    tail = sorted(
        {int(match[1]) for key in tensors if (match := _OLD_TAIL.match(key)) and match[1] not in "01"}
    )
    names: dict[str, str] = {}
    for key in tensors:
        old = _OLD_TAIL.match(key)
        if old and int(old[1]) > 1:
            name = f"{_tail_name(tail, int(old[1]))}.{old[2]}"
        else:
            name = next(_named(key), "")
        if not name or name in names:
            return None
        names[name] = key
    return names


def _tail_name(tail: list[int], number: int) -> str:
    """What comes last in the old list of layers: the doublings, then two convolutions."""
    from_end = len(tail) - tail.index(number)
    return {1: "conv_last", 2: "conv_hr"}.get(from_end, f"conv_up.{tail.index(number)}")


def _named(key: str) -> Iterator[str]:
    for pattern, name in _RRDB_KEYS:
        match = pattern.match(key)
        if match and name.startswith("conv_up"):
            yield name.format(int(match[1]) - 1, match[2])
        elif match:
            yield name.format(*match.groups())


def _srvgg(tensors: Mapping[str, tuple[str, TensorPlace]]) -> UpscalerPlan | None:
    shape = {key: place.shape for key, (_, place) in tensors.items()}
    layers = _count(tensors, r"body\.(\d+)\.")
    if not layers or layers < 3 or not all(_SRVGG_KEY.match(key) for key in tensors):
        return None
    first, last = shape.get("body.0.weight", ()), shape.get(f"body.{layers - 1}.weight", ())
    if len(first) != 4 or len(last) != 4 or len(shape.get("body.1.weight", (0, 0))) != 1:
        return None
    features, channels = first[:2]
    scale = math.isqrt(last[0] // channels) if channels else 0
    if layers % 2 == 0 or not 1 <= scale <= _SCALE or last[0] != channels * scale**2:
        return None
    names = {key: whole for key, (whole, _) in tensors.items()}
    return UpscalerPlan(
        "srvgg", "compact ESRGAN", scale, channels, features, blocks=layers // 2 - 1, names=names
    )


def _other(tensors: Mapping[str, object]) -> UpscalerPlan | None:
    for pattern, title in _OTHERS:
        if any(pattern.match(key) for key in tensors):
            return UpscalerPlan("other", title)
    return None


def _count(keys: Mapping[str, object], pattern: str) -> int | None:
    """How many numbered parts there are; None where one between is missing, so that a number costs a key."""
    numbers = {int(match[1]) for key in keys if (match := re.match(pattern, key)) and len(match[1]) < 7}
    return len(numbers) if numbers == set(range(len(numbers))) else None
