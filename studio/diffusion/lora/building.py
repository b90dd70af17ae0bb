"""From the tensors that a file holds for one layer to the change that they make: kinds and shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from studio.diffusion.lora.changes import (
    Added,
    Additive,
    Change,
    Decomposed,
    Full,
    Generalised,
    Hadamard,
    Kronecker,
    LowRank,
    Part,
    Rotated,
    Rows,
    rotation,
    taken,
)

Parts = Mapping[str, torch.Tensor]
_NEUMANN_TERMS = 4


class MisfitError(ValueError):
    """Tensors of a layer that do not fit together, or not the weight."""


def weight_change(parts: Parts, shape: torch.Size, rows: Rows | None = None) -> Change | None:
    """The change that a layer's tensors make to a weight.

    Args:
        parts: Tensors by part (see `studio.diffusion.lora.reading.PARTS`), float32.
        shape: Of the weight, ``[out, in, …]``.
        rows: Where the layer is fused in the file: its rows that make up the weight.

    Returns:
        None where the parts say nothing of the weight (a bias alone).

    Raises:
        MisfitError: They do not fit.
    """
    if "oft_blocks" in parts or "oft_r" in parts:
        return _rotated(parts, shape, rows)
    if "a1" in parts:
        return _generalised(parts, shape, rows)
    added = _additive(parts)
    magnitude = parts.get("magnitude")
    if added is None and magnitude is None:
        return None
    if added is not None:
        added = _checked(_of_rows(added, rows), shape)
    if magnitude is not None:
        return _decomposed(added, magnitude, parts, shape, rows)
    if isinstance(added, LowRank):
        return added
    return Added(added) if added is not None else None


def bias_change(parts: Parts, length: int, rows: Rows | None = None) -> Change | None:
    """The change to a bias of that length; None if there is none.

    Raises:
        MisfitError: It does not fit.
    """
    given = parts.get("bias")
    if given is None:
        return None
    given = given.flatten() if rows is None else taken(given.flatten(), rows)
    if len(given) != length:
        raise MisfitError(f"its bias has {len(given)} values, not {length}")
    return Added(Full(given[:, None]))


def _additive(parts: Parts) -> Additive | None:
    if "down" in parts:
        return _low_rank(parts)
    if "hada_w1_a" in parts:
        return _hadamard(parts)
    if "lokr_w1" in parts or "lokr_w1_a" in parts:
        return _kronecker(parts)
    return (
        Full(parts["diff"].flatten(1) if parts["diff"].ndim > 1 else parts["diff"][:, None])
        if ("diff" in parts)
        else None
    )


def _low_rank(parts: Parts) -> LowRank:
    up, down = _need(parts, "up").flatten(1), _need(parts, "down")
    rank = len(down)
    mid = parts.get("mid")
    if mid is not None:
        if mid.ndim < 2 or mid.shape[1] != rank:
            raise MisfitError("its middle does not fit")
        # Kernel between two 1 × 1 convolutions: down, then the kernel, then up.
        down = torch.einsum("mn...,ni->mi...", mid, down.flatten(1))
    down = down.flatten(1)
    if up.shape[1] != len(down):
        raise MisfitError(f"its ranks are {up.shape[1]} and {len(down)}")
    return LowRank(up * _scale(parts, rank), down)


def _hadamard(parts: Parts) -> Hadamard:
    rank = len(parts["hada_w1_b"]) if "hada_w1_b" in parts else 1
    first, second = (
        _factors(_need(parts, f"hada_w{n}_a"), _need(parts, f"hada_w{n}_b"), parts.get(f"hada_t{n}"))
        for n in (1, 2)
    )
    if (len(first.up), first.down.shape[1]) != (len(second.up), second.down.shape[1]):
        raise MisfitError("its two factors differ in size")
    return Hadamard(first, second, _scale(parts, rank))


def _factors(a: torch.Tensor, b: torch.Tensor, core: torch.Tensor | None) -> LowRank:
    """A · B, or with a Tucker core of a kernel (Aᵀ, core, B)."""
    if core is None:
        if a.shape[-1] != len(b):
            raise MisfitError(f"its ranks are {a.shape[-1]} and {len(b)}")
        return LowRank(a.flatten(1), b.flatten(1))
    if core.ndim < 2 or core.shape[0] != len(a) or core.shape[1] != len(b):
        raise MisfitError("its core does not fit its factors")
    return LowRank(a.flatten(1).T, torch.einsum("ij...,jr->ir...", core, b.flatten(1)).flatten(1))


def _kronecker(parts: Parts) -> Kronecker:
    scale = 1.0
    left, right = parts.get("lokr_w1"), parts.get("lokr_w2")
    if left is None:
        a, b = parts["lokr_w1_a"], _need(parts, "lokr_w1_b")
        left, scale = _factors(a, b, None).delta(), _scale(parts, len(b))
    if right is None:
        a, b = _need(parts, "lokr_w2_a"), _need(parts, "lokr_w2_b")
        core = parts.get("lokr_t2")
        right, scale = _factors(a, b, core).delta(), _scale(parts, len(b))
        shape = core.shape[2:] if core is not None else b.shape[2:]
        right = right.view(len(right), -1, *shape)
    return Kronecker(left.flatten(1) * scale, right)


def _decomposed(
    added: Additive | None, magnitude: torch.Tensor, parts: Parts, shape: torch.Size, rows: Rows | None
) -> Decomposed:
    # [1, in, …] is a norm for each input; everything else one for each output.
    by_input = magnitude.ndim > 1 and len(shape) > 1 and magnitude.shape[0] == 1 < magnitude.numel()
    flat = magnitude.flatten()
    if rows is not None and not by_input:
        flat = taken(flat, rows)
    if rows is not None and by_input:
        raise MisfitError("its magnitudes need the fused weight")
    if len(flat) != shape[1 if by_input else 0]:
        raise MisfitError(f"it has {len(flat)} magnitudes for a weight of {list(shape)}")
    return Decomposed(added, flat, by_input)


def _rotated(parts: Parts, shape: torch.Size, rows: Rows | None) -> Rotated:
    if rows is not None:
        raise MisfitError("its rotation needs the fused weight")
    if "oft_r" in parts:
        return _packed(parts["oft_r"], shape)
    blocks = parts["oft_blocks"]
    if blocks.ndim not in (3, 4) or blocks.shape[-1] != blocks.shape[-2]:
        raise MisfitError(f"its blocks are {list(blocks.shape)}")
    if blocks.shape[-3] * blocks.shape[-1] != shape[0]:
        raise MisfitError(f"its blocks turn {blocks.shape[-3] * blocks.shape[-1]} rows, not {shape[0]}")
    rescale = parts.get("rescale")
    if rescale is not None and rescale.numel() != shape[0]:
        raise MisfitError("its scales do not fit")
    turned = rotation(blocks, _alpha(parts, 0.0) * shape[0])
    if blocks.ndim == 3:
        # Trained as outputs times R, which turns the rows of the weight by Rᵀ.
        return Rotated((turned.transpose(1, 2).contiguous(),), rescale=rescale)
    size = blocks.shape[-1]
    if size % 2 or 2 ** (len(blocks) - 1) * size > shape[0] or shape[0] % (2 ** (len(blocks) - 1) * size):
        raise MisfitError(f"{len(blocks)} factors of {size} do not fit {shape[0]} rows")
    return Rotated(tuple(turned), butterfly=True, rescale=rescale)


def _packed(packed: torch.Tensor, shape: torch.Size) -> Rotated:
    """PEFT's OFT: skew blocks by their upper triangle, turning inputs; Cayley's map by its series."""
    blocks, count = packed.shape if packed.ndim == 2 else (0, 0)
    size = (1 + math.isqrt(1 + 8 * count)) // 2
    width = math.prod(shape[1:])
    if not blocks or size * (size - 1) // 2 != count or blocks * size != width:
        raise MisfitError(f"its blocks are {list(packed.shape)} for {width} inputs")
    skew = torch.zeros(blocks, size, size)
    above = torch.triu_indices(size, size, 1)
    skew[:, above[0], above[1]] = packed
    skew = skew - skew.transpose(1, 2)
    turned, power = torch.eye(size) + 2 * skew, skew
    for _ in range(2, _NEUMANN_TERMS):
        power = power @ skew
        turned = turned + 2 * power
    return Rotated((turned + power @ skew,), by_input=True)


def _generalised(parts: Parts, shape: torch.Size, rows: Rows | None) -> Generalised:
    if rows is not None:
        raise MisfitError("its change needs the fused weight")
    a1, a2, b1, b2 = (_need(parts, name).flatten(1) for name in ("a1", "a2", "b1", "b2"))
    width = math.prod(shape[1:])
    # Two orders of the factors are in use; that of `a` shows in its shapes.
    if a1.shape[0] == width and a2.shape[1] == width and a1.shape[1] == len(a2):
        inner, outer, rank = (a1, a2), (b1, b2), len(a2)
    else:
        inner, outer, rank = (a2, a1), (b2, b1), len(a1)
    if inner[0].shape[1] != len(inner[1]) or (len(inner[0]), inner[1].shape[1]) != (width, width):
        raise MisfitError("its inner factors do not fit")
    if outer[0].shape[1] != len(outer[1]) or (len(outer[0]), outer[1].shape[1]) != (shape[0], width):
        raise MisfitError("its outer factors do not fit")
    scale = _scale(parts, rank)
    return Generalised(LowRank(inner[0] * scale, inner[1]), LowRank(outer[0] * scale, outer[1]))


def _of_rows(added: Additive, rows: Rows | None) -> Additive:
    if rows is None:
        return added
    if max(end for _, end in rows) > _rows_of(added):
        raise MisfitError(f"it has {_rows_of(added)} rows, too few")
    if isinstance(added, LowRank):
        return LowRank(taken(added.up, rows), added.down)
    if isinstance(added, Full):
        return Full(taken(added.difference, rows))
    return Part(added, rows)


def _checked(added: Additive, shape: torch.Size) -> Additive:
    rows, width = _rows_of(added), _width_of(added)
    if (rows, width) != (shape[0], math.prod(shape[1:])):
        raise MisfitError(f"it is {rows} × {width} for a weight of {list(shape)}")
    return added


def _rows_of(added: Additive) -> int:
    match added:
        case LowRank(up=up):
            return len(up)
        case Hadamard(first=first):
            return len(first.up)
        case Kronecker(left=left, right=right):
            return len(left) * len(right)
        case Part(rows=rows):
            return sum(end - begin for begin, end in rows)
        case Full(difference=difference):
            return len(difference)
        case _:
            raise MisfitError("it is of no kind known here")


def _width_of(added: Additive) -> int:
    match added:
        case LowRank(down=down):
            return down.shape[1]
        case Hadamard(first=first):
            return first.down.shape[1]
        case Kronecker(left=left, right=right):
            return left.shape[1] * math.prod(right.shape[1:])
        case Part(whole=whole):
            return _width_of(whole)
        case Full(difference=difference):
            return math.prod(difference.shape[1:])
        case _:
            raise MisfitError("it is of no kind known here")


def _scale(parts: Parts, rank: int) -> float:
    """Alpha over rank; 1 where the file has no alpha."""
    return _alpha(parts, float(rank)) / rank if rank else 1.0


def _alpha(parts: Parts, default: float) -> float:
    given = parts.get("alpha")
    if given is None:
        return default
    if given.numel() != 1:
        raise MisfitError("its alpha is no number")
    return float(given)


def _need(parts: Parts, name: str) -> torch.Tensor:
    if name not in parts:
        raise MisfitError(f"its {name} is missing")
    if parts[name].ndim < 2:
        raise MisfitError(f"its {name} is no matrix")
    return parts[name]
