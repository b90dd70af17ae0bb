"""Cheaper self-attention for large pictures: over tiles, or over fewer tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn.functional import normalize

from studio.diffusion.guidance.effects import number
from studio.diffusion.patches.runs import RunPatch, Size, Undo, around_attention, unet_of
from studio.types import Json

Attention = Callable[..., torch.Tensor]


def hypertile(denoiser: Any, params: Mapping[str, Json]) -> Undo:
    """Let pixels attend to those of their own tile alone (HyperTile, 2023).

    Parameters: ``tile_px``, of the picture; ``depth``, up to how many halvings of the latent it acts.
    """
    tile = max(1, int(number(params, "tile_px", 256)) // denoiser.downscale)
    depth = int(number(params, "depth", 0))

    def tiled(attend: Attention, pixels: torch.Tensor, size: Size, halved: int) -> torch.Tensor:
        counts = tuple(_parts(side, tile) for side in size)
        if halved > depth or counts == (1, 1):
            return attend(pixels)
        rows, columns = (side // count for side, count in zip(size, counts, strict=True))
        grid = pixels.view(len(pixels), counts[0], rows, counts[1], columns, -1).transpose(2, 3)
        found = attend(grid.reshape(-1, rows * columns, pixels.shape[-1]))
        grid = found.view(len(pixels), counts[0], counts[1], rows, columns, -1).transpose(2, 3)
        return grid.reshape(pixels.shape)

    return around_attention(unet_of(denoiser, "HyperTile"), tiled)


def _parts(side: int, tile: int) -> int:
    """Into how many equal parts, none smaller than a tile, a side can be cut."""
    return max(count for count in range(1, max(side // tile, 1) + 1) if side % count == 0)


def token_merging(denoiser: Any, params: Mapping[str, Json]) -> Undo:
    """Let like pixels attend as one (Bolya and Hoffman, 2023).

    Parameters: ``ratio`` of the pixels that go into others; ``depth``, up to how many halvings it acts.
    """
    ratio, depth = number(params, "ratio", 0.5), int(number(params, "depth", 0))

    def merged(attend: Attention, pixels: torch.Tensor, size: Size, halved: int) -> torch.Tensor:
        if halved > depth or min(size) < 2:
            return attend(pixels)
        fewer, back = merge(pixels, size, ratio)
        return back(attend(fewer))

    return around_attention(unet_of(denoiser, "Token merging"), merged)


def merge(
    pixels: torch.Tensor, size: Size, ratio: float
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """Put like tokens together: one of every 2 × 2 stays, of the others the likest to one go into it.

    Args:
        pixels: ``[B, rows·columns, width]``.
        size: Rows and columns.
        ratio: Part of all tokens that go; at most three quarters can.

    Returns:
        The tokens that are left, and what spreads their values over all places again.
    """
    places = torch.arange(size[0] * size[1], device=pixels.device).view(size)
    stays = torch.zeros(size, dtype=torch.bool, device=pixels.device)
    stays[::2, ::2] = True
    goals, movers = places[stays], places[~stays]
    count = min(len(movers), int(pixels.shape[1] * ratio))
    unit = normalize(pixels, dim=-1)
    likeness, goal = torch.max(unit[:, movers] @ unit[:, goals].transpose(1, 2), dim=-1)
    order = likeness.argsort(dim=-1, descending=True, stable=True)
    going, staying = order[:, :count], order[:, count:]
    target = goal.gather(1, going)

    def rows(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))

    moving = pixels[:, movers]
    kept = pixels[:, goals].scatter_reduce(
        1, target[..., None].expand(-1, -1, pixels.shape[-1]), rows(moving, going), "mean"
    )

    def back(found: torch.Tensor) -> torch.Tensor:
        single, shared = found[:, : staying.shape[1]], found[:, staying.shape[1] :]
        moved = found.new_empty(len(found), len(movers), found.shape[-1])
        moved.scatter_(1, staying[..., None].expand(-1, -1, found.shape[-1]), single)
        moved.scatter_(1, going[..., None].expand(-1, -1, found.shape[-1]), rows(shared, target))
        whole = found.new_empty(len(found), pixels.shape[1], found.shape[-1])
        whole[:, goals], whole[:, movers] = shared, moved
        return whole

    return torch.cat([rows(moving, staying), kept], dim=1), back


HYPERTILE = RunPatch(hypertile)
TOKEN_MERGING = RunPatch(token_merging)
