"""Flux.1: dev, schnell, Fill, Canny, Depth and Kontext; a transformer, CLIP-L and T5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studio.diffusion.families.latent_transformer import LatentTransformer
from studio.diffusion.schedules import shift_for
from studio.errors import NodeError
from studio.models.transformer_configs import flux_config
from studio.models.transformer_keys import flux_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from studio.types import Json

    Encoded = tuple[torch.Tensor, torch.Tensor | None]

_TOKENS = 512
_NEAR, _FAR = 256, 4096  # tokens of the smallest and the largest pictures in training
_LEAST, _MOST = 0.5, 1.15
# What models are told that were distilled with guidance, by what the variant or the file's name says.
_GUIDANCE = {"kontext": 2.5, "depth": 10.0, "canny": 30.0, "fill": 30.0, "control": 30.0, "dev": 3.5}
# A straight map from latents to colours, fitted to the autoencoder; halved, from −1–1 to 0–1.
PREVIEW = (
    (-0.0173, 0.0122, 0.0341),
    (0.0017, 0.0105, 0.0344),
    (0.0138, -0.0334, -0.0217),
    (-0.0087, 0.0080, 0.0309),
    (0.0430, 0.0361, 0.0165),
    (0.0002, 0.0192, 0.0058),
    (0.0203, 0.0431, 0.0458),
    (-0.0118, -0.0093, -0.0130),
    (-0.0123, 0.0125, 0.0590),
    (0.0504, 0.0378, -0.0211),
    (-0.0258, 0.0101, 0.0006),
    (0.0214, -0.0006, -0.0018),
    (0.0409, 0.0383, 0.0375),
    (-0.0632, -0.0261, -0.0552),
    (-0.0140, -0.0441, -0.0250),
    (-0.0631, -0.0491, -0.0389),
    (0.4836, 0.4641, 0.4575),
)


def _defaults(variant: str, name: str) -> Mapping[str, Json]:
    usual: dict[str, Json] = {"guidance": 1.0, "solver": "euler", "schedule": "simple", "size_px": 1024}
    if variant == "schnell":
        return {"steps": 4, **usual}
    told = next((value for word, value in _GUIDANCE.items() if word in f"{variant} {name}"), 3.5)
    return {"steps": 28, "distilled_guidance": told, **usual}


def _shift(variant: str, scheduler: Mapping[str, Any]) -> float | Callable[[int], float]:
    """Of dev and all made of it, the shift grows with the picture; schnell's time is not shifted."""
    if not scheduler.get("use_dynamic_shifting", variant != "schnell"):
        return float(scheduler.get("shift", 1.0))
    near = int(scheduler.get("base_image_seq_len", _NEAR))
    far = int(scheduler.get("max_image_seq_len", _FAR))
    least = float(scheduler.get("base_shift", _LEAST))
    most = float(scheduler.get("max_shift", _MOST))

    def shift(tokens: int) -> float:
        return shift_for(tokens, least, most, base_tokens=near, full_tokens=far)

    return shift


def _text_encoder(members: Mapping[str, Any], folders: frozenset[str]) -> Any:
    from studio.diffusion.text import clip, t5, tokenizer_t5

    del folders
    networks: dict[str, Any] = {}
    if "clip_l" in members:
        networks["l"] = clip.Use(members["clip_l"], members["clip_l"].tokenizer)
    if "t5" not in members:
        raise NodeError(
            "Flux reads prompts with T5, which is not among the text encoders.",
            "Load T5 (t5xxl_fp16.safetensors, or a smaller t5xxl) and CLIP-L.",
        )
    networks["t5"] = t5.Told(members["t5"], tokenizer_t5.t5(members["t5"].vocabulary, _TOKENS))
    return clip.Joined(networks, list(members.values()), join)


def join(outputs: Mapping[str, Encoded]) -> Encoded:
    """T5's tokens, and CLIP-L's pooled output, silent where there is none."""
    return outputs["t5"][0], outputs["l"][1] if "l" in outputs else None


FAMILY = LatentTransformer(
    name="flux",
    network=("diffusers.models.transformers.transformer_flux", "FluxTransformer2DModel"),
    denoiser=("studio.diffusion.denoisers.flux", "Flux"),
    pieces=flux_pieces,
    config=flux_config,
    shift=_shift,
    defaults=_defaults,
    scale=(0.3611, 0.1159),
    preview=PREVIEW,
    join=_text_encoder,
)
