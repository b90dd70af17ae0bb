"""What the author of a model wrote into its file, or laid beside it: ModelSpec, kohya's notes, previews."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

_WORDS = 12
_TEXT = 2000
_SIDECAR_BYTES = 4 * 2**20
_THUMBNAIL_BYTES = 8 * 2**20
_PICTURES = (
    ".preview.png",
    ".preview.jpg",
    ".preview.jpeg",
    ".preview.webp",
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
)
_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told of a model; empty where nothing is.

    Attributes:
        title: Its name.
        author: Who made it.
        licence: What one may do with it.
        description: In the author's words.
        trigger_words: Words that call up what it was trained on, the most used first.
        resolution: Of the pictures it was trained on, as written.
        told_hash: Digest of its tensors as the author's tool wrote it down (kohya's ``sshs_model_hash``).
    """

    title: str = ""
    author: str = ""
    licence: str = ""
    description: str = ""
    trigger_words: tuple[str, ...] = ()
    resolution: str = ""
    told_hash: str = ""


def facts(metadata: Mapping[str, str], path: Path) -> Facts:
    """Read a safetensors header's metadata, and what tools lay beside a model file.

    Source: ModelSpec 1.0 (``modelspec.*``), kohya's sd-scripts (``ss_*``), and the sidecars
    ``NAME.civitai.info`` and ``NAME.json``.
    """
    beside = _beside(path)
    model = _object(beside.get("model"))

    def said(*names: str) -> str:
        return next((metadata[name].strip()[:_TEXT] for name in names if metadata.get(name, "").strip()), "")

    return Facts(
        title=said("modelspec.title", "ss_output_name") or _text(model.get("name")),
        author=said("modelspec.author") or _text(_object(beside.get("creator")).get("username")),
        licence=said("modelspec.license") or _text(beside.get("license")),
        description=said("modelspec.description", "ss_training_comment") or _text(beside.get("description")),
        trigger_words=_triggers(metadata, beside),
        resolution=said("modelspec.resolution", "ss_resolution"),
        told_hash=said("sshs_model_hash", "modelspec.hash_sha256"),
    )


def thumbnail(metadata: Mapping[str, str], path: Path) -> bytes | None:
    """Bytes of a picture of the model, of unknown format: from beside it, or from its own header."""
    for suffix in _PICTURES:
        place = path.with_name(path.stem + suffix)
        try:
            if place.stat().st_size <= _THUMBNAIL_BYTES:
                return place.read_bytes()
        except OSError:
            continue
    told = metadata.get("modelspec.thumbnail", "")
    head, _, data = told.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64") or len(data) > _THUMBNAIL_BYTES:
        return None
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None


def _triggers(metadata: Mapping[str, str], beside: Mapping[str, Any]) -> tuple[str, ...]:
    told = beside.get("trainedWords")
    if isinstance(told, list):
        words = [
            word.strip() for word in cast("list[object]", told) if isinstance(word, str) and word.strip()
        ]
        if words:
            return tuple(words[:_WORDS])
    phrase = metadata.get("modelspec.trigger_phrase") or _text(beside.get("activation text"))
    if phrase:
        return tuple(part.strip() for part in phrase.split(",") if part.strip())[:_WORDS]
    return _most_tagged(metadata.get("ss_tag_frequency", ""))


def _most_tagged(told: str) -> tuple[str, ...]:
    """Captions kohya counted: folder → tag → times."""
    try:
        folders: object = json.loads(told) if told else None
    except (ValueError, RecursionError):
        return ()
    counts: Counter[str] = Counter()
    for tags in _object(folders).values():
        for tag, times in _object(tags).items():
            if isinstance(times, int) and tag.strip():
                counts[tag.strip()] += times
    return tuple(tag for tag, _ in counts.most_common(_WORDS))


def _beside(path: Path) -> Mapping[str, Any]:
    for suffix in (".civitai.info", ".json"):
        place = path.with_name(path.stem + suffix)
        try:
            if place.stat().st_size > _SIDECAR_BYTES:
                continue
            found = json.loads(place.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return cast("dict[str, Any]", found)
    return _NONE


def _object(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else _NONE


def _text(value: object) -> str:
    return value.strip()[:_TEXT] if isinstance(value, str) else ""
