"""Small transformers of SD3 and Flux, and single files of them under the names of first implementations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import torch

from studio.models import transformer_keys as keys
from tests.parity import tiny_transformers as tiny
from tests.studio.diffusion import checkpoints

Tensors = dict[str, torch.Tensor]
WIDTH = 64
TEXT_WIDTH = tiny.TEXT_WIDTH


def swapped(tensor: torch.Tensor) -> torch.Tensor:
    return torch.cat(tensor.chunk(2)[::-1])


def original_sd3(network: Any) -> Tensors:
    """Its tensors as the first implementation names them."""
    given: Tensors = dict(network.state_dict())
    found = _tops(given, 0)
    found["pos_embed"] = given.pop("pos_embed.pos_embed")
    layers = len(network.transformer_blocks)
    last = f"transformer_blocks.{layers - 1}.norm1_context.linear."
    for end in ("weight", "bias"):
        given[last + end] = swapped(given[last + end])
    for index in range(layers):
        ours, theirs = f"transformer_blocks.{index}.", f"joint_blocks.{index}."
        _move(given, found, keys._SD3_BLOCK, ours, theirs)
        _fuse(given, found, keys._SD3_FUSED, ours, theirs)
    assert not given, sorted(given)
    return found


def original_flux(network: Any) -> Tensors:
    """Its tensors as the first implementation names them."""
    given: Tensors = dict(network.state_dict())
    found = _tops(given, 1)
    for index in range(len(network.transformer_blocks)):
        ours, theirs = f"transformer_blocks.{index}.", f"double_blocks.{index}."
        _move(given, found, keys._FLUX_DOUBLE, ours, theirs)
        _fuse(given, found, keys._FLUX_DOUBLE_FUSED, ours, theirs)
        _scales(given, found, keys._FLUX_DOUBLE_NORMS, ours, theirs)
    for index in range(len(network.single_transformer_blocks)):
        ours, theirs = f"single_transformer_blocks.{index}.", f"single_blocks.{index}."
        _move(given, found, keys._FLUX_SINGLE, ours, theirs)
        _fuse(given, found, keys._FLUX_SINGLE_FUSED, ours, theirs)
        _scales(given, found, keys._FLUX_SINGLE_NORMS, ours, theirs)
    assert not given, sorted(given)
    return found


def _tops(given: Tensors, side: int) -> Tensors:
    found: Tensors = {}
    for end in ("weight", "bias"):
        found[f"final_layer.adaLN_modulation.1.{end}"] = swapped(given.pop(f"norm_out.linear.{end}"))
        for ours, both in keys._EMBEDDERS.items():
            if f"{ours}.{end}" in given:
                found[f"{both[side]}.{end}"] = given.pop(f"{ours}.{end}")
    return found


def _move(given: Tensors, found: Tensors, table: Any, ours: str, theirs: str) -> None:
    for name, key in table.items():
        for end in ("weight", "bias"):
            if f"{ours}{name}.{end}" in given:
                found[f"{theirs}{key}.{end}"] = given.pop(f"{ours}{name}.{end}")


def _fuse(given: Tensors, found: Tensors, table: Any, ours: str, theirs: str) -> None:
    for key, names in table.items():
        for end in ("weight", "bias"):
            if f"{ours}{names[0]}.{end}" in given:
                found[f"{theirs}{key}.{end}"] = torch.cat(
                    [given.pop(f"{ours}{name}.{end}") for name in names]
                )


def _scales(given: Tensors, found: Tensors, table: Any, ours: str, theirs: str) -> None:
    for name, key in table.items():
        found[f"{theirs}{key}.scale"] = given.pop(f"{ours}{name}.weight")


class Files:
    """The networks of a family, and the files that hold them.

    Attributes:
        transformer: Of diffusers.
        place: Folder; the vocabulary of T5 lies in it.
        clip_l: Path of that text encoder alone; so with the others.
    """

    def __init__(self, place: Path, transformer: Any, original: Tensors, *, has_g: bool) -> None:
        self.place, self.transformer, self.original = place, transformer, original
        (place / "spiece.model").write_bytes(tiny.vocabulary())
        self.l = checkpoints.clip(WIDTH, layers=3, projected=has_g)
        self.g = checkpoints.clip(WIDTH, layers=3, projected=True, act="gelu") if has_g else None
        self.t5 = tiny.t5(2 * WIDTH + 16)
        self.vae = checkpoints.vae(latent_channels=16)

    def texts(self) -> list[tuple[str, Tensors]]:
        t5 = dict(self.t5.state_dict())
        t5.pop("encoder.embed_tokens.weight")
        found = [("text_encoders.clip_l.transformer.", checkpoints.plain_clip(self.l))]
        if self.g is not None:
            found.append(("text_encoders.clip_g.transformer.", checkpoints.plain_clip(self.g)))
        return [*found, ("text_encoders.t5xxl.transformer.", t5)]

    def whole(self) -> Path:
        """All in one file."""
        parts = [("model.diffusion_model.", self.original), *self.texts()]
        parts.append(("first_stage_model.", checkpoints.original_vae(self.vae)))
        return checkpoints.save(self.place / "whole.safetensors", *parts)

    def apart(self) -> list[Path]:
        """The transformer, and each text encoder, in a file of its own."""
        paths = [checkpoints.save(self.place / "transformer.safetensors", ("", self.original))]
        names = ["clip_l", "clip_g", "t5xxl"] if self.g is not None else ["clip_l", "t5xxl"]
        for name, (prefix, tensors) in zip(names, self.texts(), strict=True):
            # So small, CLIP-G is not told from CLIP-L by its width.
            kept = prefix if name == "clip_g" else ""
            paths.append(checkpoints.save(self.place / f"{name}.safetensors", (kept, tensors)))
        return paths


def sd3(place: Path, **settings: Any) -> Files:
    """Stable Diffusion 3.5 medium, unless told otherwise."""
    given = {"joint_attention_dim": 2 * WIDTH + 16, "pooled_projection_dim": 2 * WIDTH, **settings}
    network = checkpoints.shuffled(tiny.sd3_transformer(**given))
    return Files(place, network, original_sd3(network), has_g=True)


def flux(place: Path, **settings: Any) -> Files:
    """Flux.1 dev, unless told otherwise."""
    given = {"joint_attention_dim": 2 * WIDTH + 16, "pooled_projection_dim": WIDTH, **settings}
    network = checkpoints.shuffled(tiny.flux_transformer(**given))
    return Files(place, network, original_flux(network), has_g=False)


def packed(path: Path, tensors: Tensors, arch: str, kind: gguf.GGMLQuantizationType) -> Path:
    """A GGUF file, its matrices packed where their rows fill blocks."""
    writer = gguf.GGUFWriter(path, arch)
    block = gguf.GGML_QUANT_SIZES[kind][0]
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and tensor.shape[1] % block == 0:
            writer.add_tensor(name, gguf.quants.quantize(tensor.float().numpy(), kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
