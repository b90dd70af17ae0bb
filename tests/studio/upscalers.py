"""Small upscale networks of random weights, under every name their keys go by."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import save_file

Weights = dict[str, torch.Tensor]


def rrdb(*, doublings: int = 2, unshuffle: int = 1, skips: bool = False, blocks: int = 2) -> Weights:
    """An ESRGAN of 8 channels under BasicSR's keys."""
    width, growth = 8, 4
    random = torch.Generator().manual_seed(5)
    weights: Weights = {}

    def conv(name: str, taken: int, given: int) -> None:
        weights[f"{name}.weight"] = torch.randn(given, taken, 3, 3, generator=random) * 0.1
        weights[f"{name}.bias"] = torch.randn(given, generator=random) * 0.1

    conv("conv_first", 3 * unshuffle**2, width)
    for block in range(blocks):
        for part in (1, 2, 3):
            at = f"body.{block}.rdb{part}"
            for layer in range(4):
                conv(f"{at}.conv{layer + 1}", width + layer * growth, growth)
            conv(f"{at}.conv5", width + 4 * growth, width)
            if skips:
                weights[f"{at}.conv1x1.weight"] = torch.randn(growth, width, 1, 1, generator=random) * 0.1
    conv("conv_body", width, width)
    for up in range(doublings):
        conv(f"conv_up{up + 1}", width, width)
    conv("conv_hr", width, width)
    conv("conv_last", width, 3)
    weights["conv_last.bias"] += 0.5
    return weights


def srvgg(*, scale: int = 4, layers: int = 2) -> Weights:
    """A compact network of 8 channels."""
    width = 8
    random = torch.Generator().manual_seed(6)
    weights: Weights = {}
    sides = [(3, width), *[(width, width)] * layers, (width, 3 * scale**2)]
    for index, (taken, given) in enumerate(sides):
        weights[f"body.{index * 2}.weight"] = torch.randn(given, taken, 3, 3, generator=random) * 0.1
        weights[f"body.{index * 2}.bias"] = torch.randn(given, generator=random) * 0.1
        if index <= layers:
            weights[f"body.{index * 2 + 1}.weight"] = torch.rand(width, generator=random)
    return weights


def first_keys(weights: Weights) -> Weights:
    """The same weights under the keys of the first ESRGAN: a numbered list of layers."""
    blocks = 1 + max(int(match[1]) for key in weights if (match := re.match(r"body\.(\d+)", key)))
    doublings = len([key for key in weights if re.match(r"conv_up\d\.weight", key)])
    tail = {f"conv_up{up + 1}": 3 + 3 * up for up in range(doublings)}
    tail |= {"conv_hr": 2 + 3 * doublings, "conv_last": 4 + 3 * doublings}
    renamed: Weights = {}
    for key, tensor in weights.items():
        at, _, kind = key.rpartition(".")
        if at in tail:
            renamed[f"model.{tail[at]}.{kind}"] = tensor
        elif at in ("conv_first", "conv_body"):
            renamed[f"model.0.{kind}" if at == "conv_first" else f"model.1.sub.{blocks}.{kind}"] = tensor
        else:
            _, block, part, conv = at.split(".")
            end = "" if conv == "conv1x1" else ".0"
            renamed[f"model.1.sub.{block}.{part.upper()}.{conv}{end}.{kind}"] = tensor
    return renamed


def second_keys(weights: Weights) -> Weights:
    """The same weights under the keys of ESRGAN's later code."""
    renames = [("body.", "RRDB_trunk."), ("rdb", "RDB"), ("conv_body", "trunk_conv"), ("conv_up", "upconv")]
    renames.append(("conv_hr", "HRconv"))
    renamed: Weights = {}
    for key, tensor in weights.items():
        for new, old in renames:
            key = re.sub(rf"(^|\.){re.escape(new)}", rf"\g<1>{old}", key)
        renamed[key] = tensor
    return renamed


def saved(path: Path, weights: Weights) -> Path:
    save_file({key: tensor.contiguous() for key, tensor in weights.items()}, path)
    return path
