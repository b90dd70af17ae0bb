from __future__ import annotations

import pytest

from studio.diffusion.patches.model_sampling import MODEL_SAMPLING, changed
from studio.diffusion.schedules import Sampling, flow, scaled_linear
from studio.errors import NodeError
from studio.types import Patch
from tests.studio.diffusion.echo import SD, Echo

FLOW = Sampling(flow(3.0), "flow", 3.0)


def test_zero_snr_is_that_of_training_with_rescaled_betas() -> None:
    found = changed(SD, {"zero_snr": True, "prediction": "v_prediction"})
    expected = scaled_linear(0.00085, 0.012, 1000, zero_snr=True)
    assert found.prediction == "v_prediction"
    assert found.table == pytest.approx(expected, rel=1e-9)
    assert found.high > 1000


def test_a_flow_is_shifted() -> None:
    found = changed(FLOW, {"shift": 5.0})
    assert (found.table, found.shift, found.flow) == (flow(5.0), 5.0, True)


def test_what_does_not_fit_the_model_is_a_sentence() -> None:
    with pytest.raises(NodeError, match="no flow model"):
        changed(SD, {"shift": 3.0})
    with pytest.raises(NodeError, match="predicts a flow"):
        changed(FLOW, {"prediction": "epsilon"})


def test_a_denoiser_gets_its_own_sampling_back() -> None:
    denoiser = Echo()
    before = denoiser.sampling
    undo = MODEL_SAMPLING.apply(denoiser, Patch("it", params={"prediction": "sample"}))
    assert denoiser.sampling.prediction == "sample"
    undo()
    assert denoiser.sampling is before
