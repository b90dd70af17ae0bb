"""Folders of models, as people and other tools keep them: their layout is recognised, nothing is moved."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from studio import paths

SUFFIXES = frozenset((".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin"))
PICKLED = frozenset((".ckpt", ".pt", ".pth", ".bin"))
_MAX_FILES = 200_000
_MAX_BYTES = 1 << 20
_NONE: Mapping[str, Any] = {}

# Where a tool keeps its models below its own folder, and the folder that gives it away.
_LAYOUTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("ComfyUI", "models/checkpoints", ("models",)),
    (
        "A1111",
        "models/Stable-diffusion",
        ("models", "embeddings", "extensions/sd-webui-controlnet/models"),
    ),
    ("SwarmUI", "Models/Stable-Diffusion", ("Models",)),
    ("Fooocus", "models/prompt_expansion", ("models",)),
    ("InvokeAI", "invokeai.yaml", ("models", "autoimport")),
    ("SD.Next", "models/Diffusers", ("models",)),
)
# What a folder's name says of the files in it, where they do not say it themselves.
_ROLES: Mapping[str, str] = {
    "checkpoints": "checkpoint",
    "stable-diffusion": "checkpoint",
    "main": "checkpoint",
    "unet": "denoiser",
    "diffusion_models": "denoiser",
    "clip": "text_encoder",
    "text_encoder": "text_encoder",
    "text_encoders": "text_encoder",
    "clip_vision": "clip_vision",
    "vae": "vae",
    "vae_approx": "tiny_vae",
    "vae-approx": "tiny_vae",
    "lora": "lora",
    "loras": "lora",
    "lycoris": "lora",
    "embedding": "embedding",
    "embeddings": "embedding",
    "textual_inversion": "embedding",
    "controlnet": "controlnet",
    "t2i_adapter": "t2i_adapter",
    "ipadapter": "ip_adapter",
    "ip_adapter": "ip_adapter",
    "style_models": "style",
    "esrgan": "upscaler",
    "realesrgan": "upscaler",
    "upscale_models": "upscaler",
}


@dataclass(frozen=True, slots=True)
class Library:
    """A folder a person named, and where in it the models lie.

    Attributes:
        root: The folder.
        tool: Whose layout it has; empty for a plain folder.
        folders: To be looked through, all the way down.
    """

    root: Path
    tool: str
    folders: tuple[Path, ...]


def own() -> Path:
    """The folder of models that is always there for the taking."""
    return paths.data_dir() / "models"


def library(root: Path) -> Library:
    """Recognise the layout of a folder: another tool's, a cache of the hub, or plain."""
    for tool, mark, folders in _LAYOUTS:
        for base in (root, root.parent) if root.name.lower() == "models" else (root,):
            if (base / mark).exists():
                found = [base / folder for folder in folders if (base / folder).is_dir()]
                if tool == "ComfyUI":
                    found += _extra(base / "extra_model_paths.yaml")
                return Library(root, tool, tuple(dict.fromkeys(found)))
    hub = root / "hub" if (root / "hub").is_dir() else root
    if any(child.name.startswith("models--") for child in _children(hub)):
        return Library(root, "Hugging Face", tuple(_snapshots(hub)))
    return Library(root, "", (root,))


def role(path: Path, root: Path) -> str:
    """What the folders above a file say it is; empty where they say nothing."""
    names = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else path.parts[:-1]
    return next((_ROLES[name.lower()] for name in reversed(names) if name.lower() in _ROLES), "")


def models(library: Library, check: Callable[[], None]) -> Iterator[Path]:
    """Every model file of a library, and every folder of a pipeline as one, in the order of their names.

    Links are followed, no folder is entered twice, hidden ones are left alone. `check` is called for every
    folder and may raise.
    """
    entered: set[str] = set()
    count = 0
    for folder in library.folders:
        for place, folders, names in os.walk(folder, followlinks=True):
            check()
            real = os.path.realpath(place)
            if real in entered:
                folders.clear()
                continue
            entered.add(real)
            if "model_index.json" in names:
                folders.clear()
                yield Path(place)
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.startswith(".") or Path(name).suffix.lower() not in SUFFIXES:
                    continue
                count += 1
                if count > _MAX_FILES:
                    return
                yield Path(place, name)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _snapshots(hub: Path) -> Iterator[Path]:
    """The newest snapshot of each model in a cache of the hub."""
    for model in _children(hub):
        if not model.name.startswith("models--"):
            continue
        snapshots = [path for path in _children(model / "snapshots") if path.is_dir()]
        if snapshots:
            yield max(snapshots, key=lambda path: path.stat().st_mtime)


def _extra(path: Path) -> list[Path]:
    """Folders that ComfyUI's extra_model_paths.yaml adds; a file that cannot be read adds none."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return []
        told = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return []
    found: list[Path] = []
    for section in cast("dict[str, Any]", told).values() if isinstance(told, dict) else ():
        settings = cast("dict[str, Any]", section) if isinstance(section, dict) else _NONE
        base = settings.get("base_path")
        for name, value in settings.items():
            if name == "base_path" or not isinstance(value, str) or name in ("custom_nodes", "configs"):
                continue
            for line in value.splitlines():
                place = Path(base, line.strip()) if isinstance(base, str) else path.parent / line.strip()
                if line.strip() and place.expanduser().is_dir():
                    found.append(place.expanduser())
    return found
