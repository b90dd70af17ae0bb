"""What a model predicts, and over which noise levels, where its file does not say it right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from studio.diffusion.guidance.effects import number
from studio.diffusion.patches.runs import RunPatch, Undo
from studio.diffusion.schedules import Sampling, flow
from studio.errors import NodeError
from studio.types import Json

_NEARLY_NO_SIGNAL = 4.9e-8


def model_sampling(denoiser: Any, params: Mapping[str, Json]) -> Undo:
    """Change the sampling of a denoiser; see `changed` for the parameters."""
    before: Sampling = denoiser.sampling
    denoiser.sampling = changed(before, params)

    def undo() -> None:
        denoiser.sampling = before

    return undo


def changed(sampling: Sampling, params: Mapping[str, Json]) -> Sampling:
    """Another sampling.

    Args:
        sampling: As the model's file has it.
        params: ``prediction`` (``epsilon``, ``v_prediction``, ``sample``), ``zero_snr`` and, for flow models,
            ``shift``; what is missing stays.

    Raises:
        NodeError: The model is of the other kind, a flow or none.
    """
    prediction, shift = params.get("prediction"), number(params, "shift")
    if prediction is not None and sampling.flow:
        raise NodeError(
            "This model predicts a flow, and nothing else.",
            "Use the node that shifts the sampling of flow models.",
            socket="model",
        )
    if shift and not sampling.flow:
        raise NodeError(
            "This model is no flow model: its noise levels have no shift.",
            "Leave the shift out, or choose a model such as Stable Diffusion 3 or Flux.",
            socket="model",
        )
    if prediction in ("epsilon", "v_prediction", "sample"):
        sampling = replace(sampling, prediction=prediction)
    if params.get("zero_snr"):
        sampling = replace(sampling, table=without_signal_at_last(sampling.table))
    if shift:
        sampling = Sampling(flow(shift, len(sampling.table)), "flow", shift)
    return sampling


def without_signal_at_last(table: tuple[float, ...]) -> tuple[float, ...]:
    """Sigmas shifted so that the last leaves no signal (Lin et al., 2023, algorithm 1)."""
    roots = [1 / math.sqrt(1 + sigma**2) for sigma in table]
    first, last = roots[0], roots[-1]
    products = [((root - last) * first / (first - last)) ** 2 for root in roots]
    # With no signal at all sigma would be infinite; this is as good.
    products[-1] = _NEARLY_NO_SIGNAL
    return tuple(math.sqrt((1 - product) / product) for product in products)


MODEL_SAMPLING = RunPatch(model_sampling)
