"""What models are called on the screen."""

from __future__ import annotations

from studio.models.catalogue import Entry
from studio.models.lora_header import FAMILIES
from ui.preferences import sized

TYPES = {
    "checkpoint": "Checkpoint",
    "denoiser": "Diffusion model",
    "text_encoder": "Text encoder",
    "vae": "VAE",
    "tiny_vae": "Small VAE",
    "clip_vision": "Image encoder",
    "controlnet": "ControlNet",
    "t2i_adapter": "T2I adapter",
    "lora": "LoRA",
    "embedding": "Embedding",
    "ip_adapter": "IP-Adapter",
    "style": "Style model",
    "upscaler": "Upscaler",
}
OTHER = "Not understood"


def type_of(entry: Entry) -> str:
    """The type in words."""
    return TYPES.get(entry.type, OTHER)


def family_of(entry: Entry) -> str:
    """The family and variant in words; empty where the file does not tell."""
    family = FAMILIES.get(entry.family, entry.family.replace("_", " "))
    return " ".join(part for part in (family, entry.variant) if part)


def line(entry: Entry) -> str:
    """Type, family, precision, size."""
    parts = (type_of(entry), family_of(entry), entry.precision, sized(entry.size_bytes))
    return " · ".join(part for part in parts if part)


def matches(entry: Entry, words: list[str]) -> bool:
    """Whether every word occurs in what is known of a model."""
    known = " ".join((entry.name, entry.facts.title, line(entry), *entry.facts.trigger_words)).lower()
    return all(word in known for word in words)
