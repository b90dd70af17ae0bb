"""What an adapter does to one weight, in float32: the formula of each kind, and nothing about files.

Notation: W weight ``[out, in, …]``, s strength, Δ the change at strength 1. Scales (alpha over rank) are
part of Δ. Sources are named at each kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

Rows = Sequence[tuple[int, int]]
"""Ranges of output rows, in the order in which they make up the weight."""


class Change(Protocol):
    """A change of one weight.

    Attributes:
        nbytes: Memory that it takes.
    """

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        ...

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """Change a float32 weight that nobody else holds; it may be written to and returned."""
        ...


class Additive(Protocol):
    """A change that does not depend on the weight it is added to."""

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        ...

    def delta(self) -> torch.Tensor:
        """Δ as a float32 matrix ``[out, in × …]``."""
        ...


@dataclass(frozen=True, eq=False)
class LowRank:
    """LoRA: Δ = up · down (Hu et al. 2021, arXiv 2106.09685); convolutions with their kernel in `down`.

    Attributes:
        up: float32 ``[out, rank]``, scale included.
        down: float32 ``[rank, in × …]``.
    """

    up: torch.Tensor
    down: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.up.nbytes + self.down.nbytes

    def delta(self) -> torch.Tensor:
        """Δ as a matrix."""
        return self.up @ self.down

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """W + s Δ without making Δ."""
        up, down = self.up.to(weight.device), self.down.to(weight.device)
        weight.view(len(weight), -1).addmm_(up, down, alpha=strength)
        return weight


@dataclass(frozen=True, eq=False)
class Hadamard:
    """LoHa: Δ = scale · (A₁ B₁ ∘ A₂ B₂) (Hyeon-Woo et al. 2021, arXiv 2108.06098).

    Attributes:
        first: A₁ ``[out, rank]`` and B₁ ``[rank, in × …]``.
        second: A₂ and B₂.
        scale: Alpha over rank.
    """

    first: LowRank
    second: LowRank
    scale: float

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.first.nbytes + self.second.nbytes

    def delta(self) -> torch.Tensor:
        """Δ as a matrix."""
        return self.first.delta().mul_(self.second.delta()).mul_(self.scale)


@dataclass(frozen=True, eq=False)
class Kronecker:
    """LoKr: Δ = scale · A ⊗ B, A a matrix, B with the kernel (Edalati et al. 2022, arXiv 2212.10650).

    Attributes:
        left: A ``[out₁, in₁]``, scale included.
        right: B ``[out₂, in₂, …]``.
    """

    left: torch.Tensor
    right: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.left.nbytes + self.right.nbytes

    def delta(self) -> torch.Tensor:
        """Δ as a matrix."""
        left = self.left.reshape(*self.left.shape, *(1 for _ in self.right.shape[2:]))
        return torch.kron(left, self.right).flatten(1)


@dataclass(frozen=True, eq=False)
class Full:
    """A difference stored whole.

    Attributes:
        difference: float32 ``[out, in × …]``.
    """

    difference: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.difference.nbytes

    def delta(self) -> torch.Tensor:
        """Δ itself."""
        return self.difference


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a change: what a fused layer's adapter does to one of the layers here.

    Attributes:
        whole: The fused change.
        rows: Which of its rows, in this order.
    """

    whole: Additive
    rows: Rows

    @property
    def nbytes(self) -> int:
        """Memory that it takes, were it alone."""
        return self.whole.nbytes

    def delta(self) -> torch.Tensor:
        """Those rows of Δ."""
        return taken(self.whole.delta(), self.rows)


@dataclass(frozen=True, eq=False)
class Added:
    """W + s Δ.

    Attributes:
        change: Gives Δ.
    """

    change: Additive

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.change.nbytes

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """Add it."""
        delta = self.change.delta().to(weight.device)
        weight.view(len(weight), -1).add_(delta.view(len(weight), -1), alpha=strength)
        return weight


@dataclass(frozen=True, eq=False)
class Decomposed:
    """DoRA: the direction of W + Δ with a magnitude of its own (Liu et al. 2024, arXiv 2402.09353).

    W + s (m ∘ (W + Δ) / ‖W + Δ‖ − W): at strengths between 0 and 1 a blend of the two weights.

    Attributes:
        change: Gives Δ; None where the weight keeps its direction.
        magnitude: m: float32 ``[out]`` or ``[in]``.
        by_input: The norm is taken over everything but the input dimension, and m is ``[in]``.
    """

    change: Additive | None
    magnitude: torch.Tensor
    by_input: bool

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.magnitude.nbytes + (self.change.nbytes if self.change else 0)

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """Give the blend."""
        turned = weight.clone()
        if self.change is not None:
            delta = self.change.delta().to(weight.device)
            turned.view(len(turned), -1).add_(delta.view(len(turned), -1))
        axis = 1 if self.by_input else 0
        others = [dim for dim in range(weight.ndim) if dim != axis]
        norm = turned.square().sum(others, keepdim=True).sqrt()
        norm.clamp_(min=torch.finfo(torch.float32).tiny)
        turned.mul_(self.magnitude.to(weight.device).view(norm.shape) / norm)
        return weight.lerp_(turned, strength)


@dataclass(frozen=True, eq=False)
class Rotated:
    """OFT and BOFT: W turned by orthogonal blocks (Qiu et al. 2023, arXiv 2306.07280; 2311.06243).

    Attributes:
        rotations: One ``[blocks, size, size]`` for each factor. OFT has one; the factors of BOFT
            mix rows that lie ``2^i`` half-blocks apart.
        butterfly: Rows are shuffled around each factor.
        by_input: The input dimension is turned and not the output.
        rescale: float32 ``[out]``, multiplied in at the end; or None.
    """

    rotations: tuple[torch.Tensor, ...]
    butterfly: bool = False
    by_input: bool = False
    rescale: torch.Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return sum(item.nbytes for item in self.rotations)

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """W + s (R W − W)."""
        turned = weight.flatten(1).T if self.by_input else weight.flatten(1)
        for index, rotation in enumerate(self.rotations):
            blocks, size, _ = rotation.shape
            half = 2**index * size // 2
            if self.butterfly:
                turned = _shuffled(turned, 2, half)
            turned = torch.bmm(rotation.to(weight.device), turned.reshape(blocks, size, -1)).flatten(0, 1)
            if self.butterfly:
                turned = _shuffled(turned, half, 2)
        if self.rescale is not None:
            turned = turned * self.rescale.to(weight.device).view(-1, 1)
        turned = (turned.T if self.by_input else turned).reshape(weight.shape)
        return weight.lerp_(turned, strength)


@dataclass(frozen=True, eq=False)
class Generalised:
    """GLoRA: Δ = W · a + b with low-rank a and b (Chavan et al. 2023, arXiv 2306.07967).

    Attributes:
        inner: a ``[in, in]``, scale included.
        outer: b ``[out, in]``, scale included.
    """

    inner: LowRank
    outer: LowRank

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.inner.nbytes + self.outer.nbytes

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """W + s (W a + b)."""
        flat = weight.view(len(weight), -1)
        moved = (flat @ self.inner.up.to(weight.device)) @ self.inner.down.to(weight.device)
        flat.add_(moved, alpha=strength)
        return self.outer.apply(weight, strength)


def rotation(blocks: torch.Tensor, constraint: float = 0.0) -> torch.Tensor:
    """Orthogonal blocks by Cayley's map, (I + Q)(I − Q)⁻¹ with Q = B − Bᵀ.

    Args:
        blocks: B, float32 ``[…, size, size]``.
        constraint: The largest norm that all of Q may have; 0 sets no limit.
    """
    skew = blocks - blocks.transpose(-1, -2)
    if constraint > 0:
        norm = float(skew.square().sum().sqrt())
        skew = skew * min(1.0, constraint / (norm + 1e-8))
    unit = torch.eye(skew.shape[-1])
    # Both sums of I and Q commute with each other's inverse, so the side of the inverse does not matter.
    return torch.inverse(unit - skew) @ (unit + skew)


def taken(rows: torch.Tensor, ranges: Rows) -> torch.Tensor:
    """Those rows, one range after the other."""
    return torch.cat([rows[begin:end] for begin, end in ranges])


def _shuffled(rows: torch.Tensor, outer: int, inner: int) -> torch.Tensor:
    """Rows ``(c outer inner)`` brought into the order ``(c inner outer)``."""
    return rows.reshape(-1, outer, inner, rows.shape[-1]).transpose(1, 2).reshape(rows.shape)
