"""Small pictures of a latent, without decoding it: a straight map from its channels to colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from studio.events import Picture

if TYPE_CHECKING:
    from studio.diffusion.api import Denoiser

_SIDE = 256
_DECODED_SIDE = 512


def of(denoiser: Denoiser, samples: torch.Tensor) -> Picture:
    """Picture of the first element of a batch, as the denoiser shows its latents.

    Args:
        denoiser: Whose they are; its `previewer`, where it has one, decodes them.
        samples: ``[N, C, (T,) H, W]``.
    """
    previewer = getattr(denoiser, "previewer", None)
    if previewer is None or samples.ndim != 4:
        return picture(samples, denoiser.preview)
    colours = previewer(samples)
    stride = max(1, -(-max(colours.shape[:2]) // _DECODED_SIDE))
    return _picture(colours[::stride, ::stride])


def picture(samples: torch.Tensor, factors: torch.Tensor) -> Picture:
    """Picture of the first element of a batch, one pixel for each of the latent's.

    Args:
        samples: ``[N, C, (T,) H, W]``; of a film, the first frame.
        factors: ``[C + 1, 3]``, the offsets last; gives 0–1.
    """
    first = samples[0].float().cpu()
    if first.ndim == 4:
        first = first[:, 0]
    stride = max(1, -(-max(first.shape[1:]) // _SIDE))
    first = first[:, ::stride, ::stride]
    rgb = torch.einsum("chw,cr->hwr", first, factors[:-1]) + factors[-1]
    return _picture(rgb)


def _picture(rgb: torch.Tensor) -> Picture:
    pixels = rgb.nan_to_num(0.0).clamp(0, 1).mul(255).round().to(torch.uint8).contiguous()
    return Picture(pixels.shape[1], pixels.shape[0], pixels.numpy().tobytes())
