"""Nodes that make noise levels without a model, and cut, turn and show them."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, NamedTuple

from studio.api import Image, NodeError, Range, Sigmas, Text, node

_MOST = 10_000
Steps = Annotated[int, Range(1, 150)]
Part = Annotated[float, Range(0, 1, step=0.01)]
Level = Annotated[float, Range(0.0001, 5000, step=0.01)]
Shape = Annotated[float, Range(0.01, 100, step=0.1)]


class Halves(NamedTuple):
    """Two trajectories of which the second goes on where the first ends.

    Attributes:
        high: The first part, with the higher noise levels.
        low: The rest, beginning with the level at which the first part ends.
    """

    high: Sigmas
    low: Sigmas


@node("karras_sigmas", category="Sampling/Sigmas", instant=True, synonyms=("KarrasScheduler", "rho"))
def karras_sigmas(
    *,
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    rho: Shape = 7.0,
) -> Sigmas:
    """Give noise levels that are even in their ρ-th root.

    Args:
        steps: How many steps lead from noise to picture.
        sigma_max: The first level.
        sigma_min: The last level above 0.
        rho: The larger, the more of them are low.
    """
    from studio.diffusion.schedules import even_in_root

    _check_order(sigma_max, sigma_min)
    return Sigmas((*even_in_root(sigma_min, sigma_max, steps, rho), 0.0))


@node(
    "polyexponential_sigmas",
    category="Sampling/Sigmas",
    instant=True,
    synonyms=("PolyexponentialScheduler", "ExponentialScheduler", "exponential"),
)
def polyexponential_sigmas(
    *,
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    rho: Shape = 1.0,
) -> Sigmas:
    """Give noise levels whose logarithms are even, or follow a power.

    Args:
        steps: How many steps lead from noise to picture.
        sigma_max: The first level.
        sigma_min: The last level above 0.
        rho: 1 = exponential; the larger, the more of them are low.
    """
    from studio.diffusion.schedules import even_in_log

    _check_order(sigma_max, sigma_min)
    return Sigmas((*even_in_log(sigma_min, sigma_max, steps, rho), 0.0))


def _check_order(sigma_max: float, sigma_min: float) -> None:
    if sigma_max <= sigma_min:
        raise NodeError("The first noise level is not above the last.", "Raise it.", socket="sigma_max")


@node(
    "manual_sigmas",
    category="Sampling/Sigmas",
    instant=True,
    synonyms=("ManualSigmas", "custom sigmas", "list"),
)
def manual_sigmas(
    *,
    values: Annotated[str, Text(multiline=True)] = "14.6146, 6.475, 3.861, 2.697, 1.886, 0.963, 0.399, 0",
    flow: bool = False,
) -> Sigmas:
    """Give noise levels written down by hand.

    Args:
        values: Numbers that fall, with commas or spaces between them; a last one of 0 ends at the picture.
        flow: They are for a flow model (SD 3, Flux), whose first level is 1 or below.
    """
    return Sigmas(_numbers(values, flow), flow)


def _numbers(text: str, flow: bool) -> tuple[float, ...]:
    """Read falling numbers.

    Raises:
        NodeError: They are something else.
    """

    def wrong(title: str, remedy: str) -> NodeError:
        return NodeError(title, remedy, socket="values")

    levels: list[float] = []
    for word in text.replace(",", " ").replace(";", " ").split():
        try:
            levels.append(float(word))
        except ValueError:
            raise wrong(f"“{word:.40}” is no number.", "Write numbers with commas between them.") from None
    if not 2 <= len(levels) <= _MOST:
        raise wrong(f"There are {len(levels)} noise levels.", "Write from two to ten thousand.")
    if not all(math.isfinite(level) and level >= 0 for level in levels):
        raise wrong("A noise level is below 0, or endless.", "Write 0 and numbers above.")
    for above, below in itertools.pairwise(levels):
        if above <= below:
            raise wrong(f"{below:g} follows {above:g}.", "Let the numbers fall.")
    if flow and levels[0] > 1:
        raise wrong(f"A flow begins at 1, not at {levels[0]:g}.", "Begin with 1 or below.")
    return tuple(levels)


@node(
    "split_sigmas",
    category="Sampling/Sigmas",
    instant=True,
    synonyms=("SplitSigmas", "refiner", "two samplers"),
)
def split_sigmas(sigmas: Sigmas, *, step: Annotated[int, Range(0, 10_000)] = 10) -> Halves:
    """Cut a trajectory in two after a step.

    Args:
        sigmas: The whole.
        step: Steps in the first part.
    """
    return _cut(sigmas, step)


@node(
    "split_sigmas_by_denoise",
    category="Sampling/Sigmas",
    instant=True,
    synonyms=("SplitSigmasDenoise", "denoise", "img2img"),
)
def split_sigmas_by_denoise(sigmas: Sigmas, *, denoise: Part = 0.5) -> Halves:
    """Cut a trajectory in two, so that the second part has a share of its steps.

    Args:
        sigmas: The whole.
        denoise: Share of the steps in the second part.
    """
    steps = max(len(sigmas.values) - 1, 0)
    return _cut(sigmas, steps - round(steps * denoise))


def _cut(sigmas: Sigmas, step: int) -> Halves:
    return Halves(
        Sigmas(sigmas.values[: step + 1], sigmas.flow),
        Sigmas(sigmas.values[min(step, max(len(sigmas.values) - 1, 0)) :], sigmas.flow),
    )


@node(
    "flip_sigmas", category="Sampling/Sigmas", instant=True, synonyms=("FlipSigmas", "unsample", "inversion")
)
def flip_sigmas(sigmas: Sigmas) -> Sigmas:
    """Turn a trajectory round: from the picture to the noise it would come from; for solvers without noise.

    Args:
        sigmas: From noise to picture.
    """
    turned = sigmas.values[::-1]
    # No slope can be taken at 0.
    return Sigmas((0.0001, *turned[1:]) if turned and turned[0] == 0 else turned, sigmas.flow)


@node(
    "plot_sigmas", category="Sampling/Sigmas", shows=True, synonyms=("sigma curve", "graph", "SigmasPreview")
)
def plot_sigmas(
    sigmas: list[Sigmas],
    *,
    logarithmic: bool = False,
    width: Annotated[int, Range(200, 4096)] = 640,
    height: Annotated[int, Range(150, 4096)] = 400,
) -> Image:
    """Draw noise levels over the steps, several trajectories in one picture.

    Args:
        sigmas: What to draw.
        logarithmic: Give every decade the same room.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
    """
    from studio.curves import drawn

    curves = [item.values for item in sigmas if item.values]
    if not curves:
        raise NodeError("There are no noise levels to draw.", "Wire some in.", socket="sigmas")
    names = [f"{index + 1}: {len(curve) - 1} steps" for index, curve in enumerate(curves)]
    return drawn(
        curves, width=width, height=height, across="step", up="sigma", names=names, logarithmic=logarithmic
    )
