"""Networks built from a part of a model file or folder, whatever its layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from studio.diffusion import kl
from studio.diffusion.api import Loader
from studio.diffusion.files import layouts, loading
from studio.diffusion.files.stored import Stored
from studio.diffusion.text import clip, tokenizer
from studio.errors import NodeError
from studio.models import configs, parts
from studio.models.folders import settings
from studio.models.gguf_header import is_gguf, read_gguf
from studio.models.header import read_header
from studio.models.kinds import Kind

Tensors = dict[str, torch.Tensor]
_LAYERS_OF_H = 24


def tensors_at(path: Path, kind: Kind, part: str) -> tuple[Tensors, dict[str, Any] | None]:
    """All tensors of a part, and its configuration where it has one: that is, in a folder.

    They are mapped, but for those that a file holds packed or scaled.

    Raises:
        NodeError: A folder has no weights for it.
        FileError: A file is cut short or no safetensors file.
    """
    if path.is_file():
        return dict(Stored([path], kind.parts[part])), None
    folder = path / kind.parts[part]
    return loading.mapped(loading.files_of(folder)), dict(loading.config(folder / "config.json"))


def unet_network(
    tensors: Mapping[str, torch.Tensor],
    config: Mapping[str, Any] | None,
    family: str,
    loader: Loader,
    name: str,
) -> tuple[Any, Mapping[str, torch.Tensor]]:
    """Build a UNet with its weights, and return it with the tensors it was given.

    Args:
        tensors: Under the names of UNet2DConditionModel.
        config: Its arguments; None to read them from the tensors' shapes.
        family: Registered name.
        loader: Where it goes.
        name: Of the file or folder it comes from, for sentences.
    """
    library = loading.imported("diffusers.models.unets.unet_2d_condition", loader.check)
    if config is None:
        config = configs.unet({key: tuple(tensor.shape) for key, tensor in tensors.items()}, family)
    network = loading.hollow(library.UNet2DConditionModel, config)
    return network, loading.give(network, tensors, loader.place, loader.check, name)


def vae_at(path: Path, kind: Kind, loader: Loader, scale: tuple[float, float]) -> kl.Kl | kl.Tiny:
    """Build the autoencoder of a file or folder.

    Args:
        path: Where it lies.
        kind: What that is.
        loader: Where it goes.
        scale: Factor and shift of its latents, where no configuration tells them.
    """
    given, config = tensors_at(path, kind, "vae")
    if kind.type == "tiny_vae" or (config or {}).get("_class_name") == "AutoencoderTiny":
        return tiny_at(path, kind, loader)
    if config is not None:
        scale = float(config.get("scaling_factor") or scale[0]), float(config.get("shift_factor") or 0.0)
    return kl.build(layouts.kl(given, loader.check), config, scale, loader, path.name)


def clip_at(path: Path, kind: Kind, part: str, loader: Loader) -> clip.Clip:
    """Build a CLIP text encoder of a file or folder.

    Args:
        path: Where it lies.
        kind: What that is.
        part: ``clip_l``, ``clip_g`` or ``clip_h``.
        loader: Where it goes.
    """
    given, config = tensors_at(path, kind, part)
    original = (
        parts.clip_layout({key: tuple(tensor.shape) for key, tensor in given.items()}, "") == "original"
    )
    tensors = layouts.clip(given)
    if config is None:
        config = configs.clip({key: tuple(tensor.shape) for key, tensor in tensors.items()}, part)
    layers = int(config["num_hidden_layers"])
    trimmed = 1 if part == "clip_h" and not original and layers < _LAYERS_OF_H else 0
    words = _tokenizer(path, kind, part, int(config.get("max_position_embeddings", 77)))
    known = int(config["vocab_size"])
    if known <= words.end:
        raise NodeError(
            f"The text encoder in {path.name} knows {known:,} tokens, its vocabulary has {words.end + 1:,}.",
            "Choose another text encoder, or the folder with the vocabulary that belongs to it.",
        )
    return clip.build(tensors, config, part, words, loader, path.name, trimmed)


def _tokenizer(path: Path, kind: Kind, part: str, window: int) -> tokenizer.ClipTokenizer:
    """The tokenizer of a folder where there is one beside the text encoder, else the one all CLIPs share."""
    folder = path / kind.parts[part].replace("text_encoder", "tokenizer")
    if path.is_dir() and kind.parts[part] != "." and (folder / "vocab.json").exists():
        return tokenizer.clip_in(folder, window=window)
    return tokenizer.clip(window=window, pad=None if part == "clip_l" else 0)


def tiny_at(path: Path, kind: Kind, loader: Loader, encoder: Path | None = None) -> kl.Tiny:
    """Build a tiny autoencoder of a file or folder.

    Args:
        path: Where it lies; of one in two files, the decoder.
        kind: What that is.
        loader: Where it goes.
        encoder: The other file; None to decode only.
    """
    if kind.type == "tiny_vae" and kind.layout == "original":
        return kl.build_tiny(layouts.tiny(_half(encoder), _half(path)), None, loader, path.name)
    given, config = tensors_at(path, kind, "vae")
    return kl.build_tiny(given, config, loader, path.name)


def _half(path: Path | None) -> Tensors:
    if path is None:
        return {}
    tensors = loading.mapped([path])
    for prefix in ("taesd_encoder.", "taesd_decoder."):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def metadata_and_marks(path: Path) -> tuple[Mapping[str, str], frozenset[str]]:
    """What a file's author wrote, and the names of tensors that stand outside of all networks."""
    if not path.is_file():
        return {}, frozenset()
    header = read_gguf(path).header if is_gguf(path) else read_header(path)
    return header.metadata, frozenset(name for name in header.tensors if "." not in name)


def scheduler_at(path: Path) -> Mapping[str, Any] | None:
    """Configuration of a folder's scheduler, if it has one."""
    return settings(path / "scheduler/scheduler_config.json") if path.is_dir() else None


def downscale_at(path: Path, kind: Kind, usual: int) -> int:
    """Picture pixels per latent pixel along a side, by the autoencoder that stands in a folder."""
    vae = kind.parts.get("vae")
    found = settings(path / vae / "config.json") if vae and path.is_dir() else None
    levels = (found or {}).get("block_out_channels")
    if not isinstance(levels, list):
        return usual
    if not levels:
        raise NodeError(f"The configuration of the VAE in {path} names no levels.", "Download it again.")
    return 2 ** (len(levels) - 1)  # pyright: ignore[reportUnknownArgumentType]
