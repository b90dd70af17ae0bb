"""Image encoders: CLIP's with projection, and SigLIP; pictures are resized as their own processors do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image as Pillow

from studio.diffusion.api import Check, Loader
from studio.diffusion.files import loading
from studio.diffusion.tensors import borrow
from studio.errors import NodeError
from studio.models.image_header import VisionPlan
from studio.types import ClipVision, Image, ImageEmbeds

if TYPE_CHECKING:
    from studio.context import Context

# What OpenAI normalised CLIP's pictures by, red, green, blue.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_BLOCKS = ("CLIPEncoderLayer", "SiglipEncoderLayer")
_RESBLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_OUTSIDE = {
    "conv1.weight": "embeddings.patch_embedding.weight",
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}


class Vision:
    """A loaded image encoder; see `studio.diffusion.api.Network`.

    Attributes:
        kind: ``clip`` or ``siglip``.
        side_px: Side of the squares it looks at.
    """

    def __init__(self, files: Sequence[Path], plan: VisionPlan, loader: Loader) -> None:
        self.check: Check = loader.check
        self.kind = plan.kind
        network = _built(plan, loader.check)
        tensors = _named(loading.mapped(list(files)), plan)
        source = loading.give(network, tensors, loader.place, loader.check, files[0].name)
        inner = network.vision_model if plan.kind == "clip" else network
        count = inner.embeddings.position_embedding.weight.shape[0]
        inner.embeddings.position_ids = torch.arange(count, device=loader.place.device)[None]
        loading.stop_inside(network, _BLOCKS, lambda: self.check())
        self.modules: Mapping[str, torch.nn.Module] = {"clip_vision": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"clip_vision": source}
        self.nbytes = loading.nbytes(network)
        self.side_px = int(inner.config.image_size)
        self._network = network

    def look(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode normalised pixels ``[N, 3, side, side]``; see `ImageEmbeds` for what comes out."""
        weight = next(self._network.parameters())
        given = self._network(pixel_values=pixels.to(weight.device, weight.dtype), output_hidden_states=True)
        if self.kind == "siglip":
            hidden = given.last_hidden_state
            pooled = hidden.mean(1) if given.pooler_output is None else given.pooler_output
        else:
            hidden, pooled = given.hidden_states[-2], given.image_embeds
        return pooled.float().cpu(), hidden.float().cpu()


def encode(ctx: Context, clip_vision: ClipVision, image: Image, *, crop: bool = True) -> ImageEmbeds:
    """Look at pictures, one at a time.

    Args:
        ctx: The call's context.
        clip_vision: The encoder.
        image: Pictures; alpha is left out.
        crop: Cut the longer side to a square; otherwise, and for SigLIP, the picture is squeezed into one.

    Raises:
        Cancelled: Between layers.
    """
    with ctx.weights.use(ctx, clip_vision.recipe) as network, torch.inference_mode():
        side = network.side_px
        squeeze = not crop or network.kind == "siglip"
        rows: list[tuple[torch.Tensor, torch.Tensor]] = []
        for index in range(len(image)):
            ctx.progress(index, len(image))
            rows.append(network.look(normalised(image[index], side, network.kind, squeeze=squeeze)))
        _, blank = network.look(torch.zeros(1, 3, side, side))
    pooled, hidden = (torch.cat(parts) for parts in zip(*rows, strict=True))
    return ImageEmbeds(pooled.clone(), hidden.clone(), blank.clone())


def normalised(picture: Image, side: int, kind: str, *, squeeze: bool) -> torch.Tensor:
    """One picture ``[H, W, C]`` as the encoder takes it, ``[1, 3, side, side]``.

    As the processors of transformers do, it is resampled in eight bits by Pillow.
    """
    bits = (picture[..., :3] * 255).round().clip(0, 255).astype(np.uint8)
    small = Pillow.fromarray(np.ascontiguousarray(bits))
    height, width = bits.shape[:2]
    if squeeze:
        small = small.resize((side, side), Pillow.Resampling.BICUBIC)
    else:
        short, long = sorted((height, width))
        longer = int(side * long / short)
        size = (side, longer) if width < height else (longer, side)
        small = small.resize(size, Pillow.Resampling.BICUBIC)
        left, top = (small.width - side) // 2, (small.height - side) // 2
        small = small.crop((left, top, left + side, top + side))
    pixels = borrow(np.asarray(small)).permute(2, 0, 1)[None].float() / 255
    mean, deviation = (_MEAN, _DEVIATION) if kind == "clip" else ((0.5,) * 3, (0.5,) * 3)
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]


def _built(plan: VisionPlan, check: Check) -> Any:
    module = "clip" if plan.kind == "clip" else "siglip"
    library = loading.imported(f"transformers.models.{module}", check)
    try:
        with torch.device("meta"):
            if plan.kind == "clip":
                return library.CLIPVisionModelWithProjection(library.CLIPVisionConfig(**plan.config)).eval()
            return library.SiglipVisionModel(library.SiglipVisionConfig(**plan.config)).eval()
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise NodeError(
            f"The configuration of the image encoder cannot be used: {error}.",
            "Download it again, or choose another.",
        ) from error


def _named(tensors: Mapping[str, torch.Tensor], plan: VisionPlan) -> dict[str, torch.Tensor]:
    """The weights under transformers' names."""
    if plan.open_clip:
        inner = {name: value for name, value in tensors.items() if name.startswith(plan.prefix)}
        return _of_open_clip({name.removeprefix(plan.prefix): value for name, value in inner.items()})
    start = "vision_model." if plan.kind == "clip" else ""
    named = {
        start + name.removeprefix(plan.prefix): value
        for name, value in tensors.items()
        if name.startswith(plan.prefix)
    }
    if "visual_projection.weight" in tensors:
        named["visual_projection.weight"] = tensors["visual_projection.weight"]
    return named


def _of_open_clip(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    named: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        if name == "proj":
            named["visual_projection.weight"] = value.T.contiguous()
        elif name in _OUTSIDE:
            named[f"vision_model.{_OUTSIDE[name]}"] = value
        elif name.startswith("transformer.resblocks."):
            number, _, rest = name.removeprefix("transformer.resblocks.").partition(".")
            layer = f"vision_model.encoder.layers.{number}."
            if rest.startswith("attn.in_proj_"):
                for part, third in zip("qkv", value.chunk(3), strict=True):
                    named[f"{layer}self_attn.{part}_proj.{rest.removeprefix('attn.in_proj_')}"] = third
            else:
                module, _, end = rest.rpartition(".")
                named[f"{layer}{_RESBLOCK.get(module, module)}.{end}"] = value
    return named
