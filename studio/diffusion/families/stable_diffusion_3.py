"""Stable Diffusion 3 and 3.5, medium and large: a transformer, CLIP-L, CLIP-G, T5 where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studio.diffusion.families.latent_transformer import LatentTransformer
from studio.errors import NodeError
from studio.models.transformer_configs import sd3_config
from studio.models.transformer_keys import sd3_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from studio.types import Json

    Encoded = tuple[torch.Tensor, torch.Tensor | None]

_TOKENS, _WIDTH = 256, 4096
_WIDTHS = {"l": 768, "g": 1280}
_CLIP_TOKENS = 77
_SHIFT = 3.0
# A straight map from latents to colours, fitted by the makers of the model; halved, from −1–1 to 0–1.
PREVIEW = (
    (-0.0461, -0.0088, 0.0375),
    (0.0156, 0.0317, 0.0477),
    (0.0997, 0.0464, 0.0229),
    (0.0428, 0.0170, 0.0451),
    (0.0294, 0.0136, -0.0248),
    (-0.0003, 0.0552, 0.0155),
    (0.0489, 0.0153, 0.0214),
    (-0.0021, 0.0519, 0.0679),
    (-0.0097, 0.0010, 0.0335),
    (-0.0244, 0.0065, -0.0134),
    (0.0461, 0.0494, 0.0476),
    (-0.0139, 0.0262, -0.0271),
    (0.0166, 0.0228, 0.0448),
    (-0.0035, -0.0015, -0.0405),
    (-0.0298, -0.0233, -0.0147),
    (-0.0724, -0.0732, -0.0595),
    (0.6197, 0.6068, 0.5963),
)


def _defaults(variant: str, name: str) -> Mapping[str, Json]:
    usual: dict[str, Json] = {"solver": "euler", "schedule": "normal", "size_px": 1024}
    if "turbo" in name or "flash" in name:
        return {"steps": 4, "guidance": 1.0, **usual}
    guidance = {"3-medium": 7.0, "3.5-medium": 4.5, "3.5-large": 3.5}.get(variant, 4.5)
    return {"steps": 28, "guidance": guidance, **usual}


def _shift(variant: str, scheduler: Mapping[str, Any]) -> float:
    del variant
    return float(scheduler.get("shift", _SHIFT))


def _text_encoder(members: Mapping[str, Any], folders: frozenset[str]) -> Any:
    from studio.diffusion.text import clip, t5, tokenizer_t5

    networks: dict[str, Any] = {}
    for part in ("clip_l", "clip_g"):
        if part in members:
            network = members[part]
            # Of CLIP-L the model was told what comes before the projection. In folders of diffusers the
            # projection does nothing; files of CLIP-L alone carry one of CLIP's own.
            projected = part == "clip_g" or part in folders
            networks[part.removeprefix("clip_")] = clip.Use(
                network, network.tokenizer, skip=1, normed=False, projected=projected
            )
    if "t5" in members:
        words = tokenizer_t5.t5(members["t5"].vocabulary, _TOKENS)
        networks["t5"] = t5.Told(members["t5"], words)
    if not networks:
        raise NodeError(
            "None of the text encoders is one that Stable Diffusion 3 uses.",
            "Load CLIP-L, CLIP-G and, where there is room for it, T5.",
        )
    return clip.Joined(networks, list(members.values()), join)


def join(outputs: Mapping[str, Encoded]) -> Encoded:
    """CLIP's tokens side by side, filled up to T5's width, then T5's; what is not there is silent.

    Source: Esser et al., “Scaling Rectified Flow Transformers for High-Resolution Image Synthesis”, 2024.
    """
    import torch
    from torch.nn.functional import pad

    parts: list[torch.Tensor] = []
    pooled: list[torch.Tensor] = []
    there = [outputs[name][0].shape[1] for name in _WIDTHS if name in outputs]
    tokens = min(there, default=_CLIP_TOKENS)
    for name, width in _WIDTHS.items():
        if name in outputs:
            hidden, whole = outputs[name]
            parts.append(hidden[:, :tokens])
            pooled.append(hidden.new_zeros(1, width) if whole is None else whole)
        else:
            parts.append(torch.zeros(1, tokens, width))
            pooled.append(torch.zeros(1, width))
    both = torch.cat(parts, dim=-1)
    told = outputs["t5"][0] if "t5" in outputs else both.new_zeros(1, _TOKENS, _WIDTH)
    both = pad(both, (0, told.shape[2] - both.shape[2]))
    return torch.cat([both, told], dim=1), torch.cat(pooled, dim=-1)


FAMILY = LatentTransformer(
    name="stable_diffusion_3",
    network=("diffusers.models.transformers.transformer_sd3", "SD3Transformer2DModel"),
    denoiser=("studio.diffusion.denoisers.mmdit", "Mmdit"),
    pieces=sd3_pieces,
    config=sd3_config,
    shift=_shift,
    defaults=_defaults,
    scale=(1.5305, 0.0609),
    preview=PREVIEW,
    join=_text_encoder,
)
