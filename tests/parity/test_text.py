"""Text to image and image to image, each family beside its pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity import tiny
from tests.parity.both import Ours, theirs
from tests.parity.conftest import Compare

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_stable_diffusion_gives_the_latents_and_pictures_of_diffusers(
    prediction: str, tmp_path: Path, compare: Compare
) -> None:
    pipe = tiny.stable_diffusion(prediction)
    pipe.save_pretrained(tmp_path)
    latents, image = theirs(pipe)
    ours = Ours(tmp_path)
    mine = ours.sampled()
    compare(
        "SD 1.x" if prediction == "epsilon" else "SD 2.x",
        f"text to image, {prediction}",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )
