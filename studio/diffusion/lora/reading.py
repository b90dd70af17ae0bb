"""Files of adapters: which tensors belong to one layer, and what part each plays, in every dialect."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open

from studio.errors import FileError
from studio.models.header import Header, read_header

PARTS: tuple[tuple[str, str], ...] = (
    # LoRA: kohya, diffusers, PEFT, and diffusers before PEFT.
    (r"\.lora_up\.bias|\.lora_B(?:\.[^.]+)?\.bias", "bias"),
    (r"(?:\.lora_down|[._]lora(?:_linear_layer)?\.down)\.weight|\.lora_A(?:\.[^.]+)??(?:\.weight)?", "down"),
    (r"(?:\.lora_up|[._]lora(?:_linear_layer)?\.up)\.weight|\.lora_B(?:\.[^.]+)??(?:\.weight)?", "up"),
    (r"\.lora_mid\.weight", "mid"),
    (r"\.alpha", "alpha"),
    # DoRA: of each output or each input; PEFT's is always of each output.
    (r"\.dora_scale", "magnitude"),
    (r"\.lora_magnitude_vector(?:\.[^.]+)??(?:\.weight)?", "magnitude_out"),
    # LoHa and LoKr, of LyCORIS and PEFT alike.
    (r"\.(hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2))(?:\.[^.]+)?", ""),
    # OFT and BOFT, and PEFT's OFT.
    (r"\.(oft_blocks|rescale)", ""),
    (r"\.oft_R(?:\.[^.]+)??(?:\.weight)?", "oft_r"),
    # GLoRA.
    (r"\.([ab][12])\.weight", ""),
    # Whole differences, of norms too.
    (r"\.diff|\.w_norm", "diff"),
    (r"\.diff_b|\.b_norm", "bias"),
)
"""How names of tensors end, and the part each ending stands for; without one, the group's text."""

_ENDINGS = [(re.compile(f"(?:{ending})$"), part) for ending, part in PARTS]
_OLD_NAMES = (
    # Attention processors of diffusers before PEFT; text encoders call the same layers otherwise.
    (re.compile(r"\.processor\.to_(q|k|v)$"), r".to_\1"),
    (re.compile(r"\.processor\.to_out$"), ".to_out.0"),
    (re.compile(r"\.self_attn\.to_(q|k|v)$"), r".self_attn.\1_proj"),
    (re.compile(r"\.self_attn\.to_out$"), ".self_attn.out_proj"),
)
_LOOK_BYTES = 64 * 2**20
_LARGEST_BYTES = 16 * 2**30


@dataclass(frozen=True, eq=False)
class Adapters:
    """What a file holds.

    Attributes:
        layers: Layer, as the file calls it → its tensors by part, float32 on the CPU.
        unknown: Names of tensors that are of no kind known here.
        file: Name of the file.
    """

    layers: Mapping[str, Mapping[str, torch.Tensor]]
    unknown: tuple[str, ...]
    file: str


def split(name: str) -> tuple[str, str] | None:
    """Layer and part that a tensor's name stands for; None for a name of no known kind."""
    for ending, part in _ENDINGS:
        found = ending.search(name)
        if found is not None and found.start():
            layer = name[: found.start()]
            for old, new in _OLD_NAMES:
                layer = old.sub(new, layer)
            return layer, part or cast("str", found[1])
    return None


def read(path: Path, check: Callable[[], None]) -> Adapters:
    """Read all adapters of a file.

    Args:
        path: A safetensors file.
        check: Called every 64 MB; may raise.

    Raises:
        FileError: It is missing, cut short, no such file, larger than an adapter is, or holds none.
    """
    header = read_header(path)
    if header.size > _LARGEST_BYTES:
        raise FileError(f"{path.name} is larger than any LoRA.", "Choose a LoRA, not a checkpoint.")
    try:
        layers, unknown, said = _taken(path, header, check)
    except SafetensorError as error:
        raise FileError(f"{path.name} cannot be read: {error}.", "Download it again.") from error
    if not layers:
        raise FileError(f"{path.name} holds no LoRA.", "Choose a LoRA file.")
    _give_alphas(layers, said)
    return Adapters(layers, tuple(unknown), path.name)


def _taken(
    path: Path, header: Header, check: Callable[[], None]
) -> tuple[dict[str, dict[str, torch.Tensor]], list[str], Mapping[str, str]]:
    """Layers, names of no known kind, and what the author wrote beside them."""
    layers: dict[str, dict[str, torch.Tensor]] = {}
    unknown: list[str] = []
    since = 0
    with cast("Any", safe_open)(path, framework="pt") as file:
        for name in header.tensors:
            found = split(name)
            if found is None:
                unknown.append(name)
                continue
            layer, part = found
            # A copy: what is kept of the file in memory must not change with the file.
            tensor = file.get_tensor(name).to(torch.float32, copy=True)
            if part == "magnitude_out":
                part, tensor = "magnitude", tensor.flatten()
            layers.setdefault(layer, {})[part] = tensor
            since += tensor.nbytes
            if since >= _LOOK_BYTES:
                check()
                since = 0
        return layers, unknown, file.metadata() or {}


def _give_alphas(layers: dict[str, dict[str, torch.Tensor]], said: Mapping[str, str]) -> None:
    """Give layers the alpha that diffusers writes beside them: one for each network, with exceptions."""
    try:
        found = json.loads(said.get("lora_adapter_metadata", "{}"))
    except (ValueError, RecursionError):
        return
    if not isinstance(found, dict):
        return
    facts = cast("dict[str, Any]", found)
    for name, layer in layers.items():
        network = name.partition(".")[0]
        if "alpha" in layer or "down" not in layer or f"{network}.r" not in facts:
            continue
        alpha: Any = facts.get(f"{network}.lora_alpha")
        exceptions: Any = facts.get(f"{network}.alpha_pattern")
        inner = name.partition(".")[2]
        if isinstance(exceptions, dict):
            alpha = next(
                (value for key, value in cast("dict[str, Any]", exceptions).items() if _meant(key, inner)),
                alpha,
            )
        if isinstance(alpha, (int, float)):
            if facts.get(f"{network}.use_rslora"):
                alpha *= len(layer["down"]) ** 0.5
            layer["alpha"] = torch.tensor(float(alpha))


def _meant(key: str, layer: str) -> bool:
    return layer == key or layer.endswith(f".{key}")
