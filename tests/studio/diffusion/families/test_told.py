"""What a family makes of what a file tells beside its architecture."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from studio.diffusion.families import sdxl, stable_diffusion, stable_diffusion_2, x4_upscaler
from studio.diffusion.families.latent_unet import LatentUnet, Told, grey_behind_a_mask
from studio.errors import NodeError

TELLTALE = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"


def told(
    name: str = "model.safetensors",
    variant: str = "",
    tensors: Mapping[str, torch.Tensor] | None = None,
    metadata: Mapping[str, str] | None = None,
    marks: frozenset[str] = frozenset(),
) -> Told:
    return Told(name, variant, tensors or {}, metadata or {}, marks)


@pytest.mark.parametrize(("spread", "prediction"), [(0.02, "epsilon"), (0.2, "v_prediction")])
def test_the_spread_of_a_bias_tells_what_stable_diffusion_2_predicts(spread: float, prediction: str) -> None:
    bias = torch.randn(320, generator=torch.Generator().manual_seed(1)) * spread
    model = told(tensors={TELLTALE: bias})
    assert stable_diffusion_2.FAMILY.predicts(model).prediction == prediction
    size = 768 if prediction == "v_prediction" else 512
    assert stable_diffusion_2.FAMILY.defaults(model)["size_px"] == size


def test_the_authors_words_go_before_what_is_guessed() -> None:
    tensors = {TELLTALE: torch.linspace(-1, 1, 320)}
    model = told(tensors=tensors, metadata={"modelspec.prediction_type": "epsilon"})
    assert stable_diffusion_2.FAMILY.predicts(model).prediction == "epsilon"


@pytest.mark.parametrize("family", [stable_diffusion.FAMILY, sdxl.FAMILY])
def test_marks_in_a_file_tell_velocity_and_the_last_noise_level(family: LatentUnet) -> None:
    plain = family.predicts(told())
    assert (plain.prediction, round(plain.high, 2)) == ("epsilon", 14.61)
    marked = family.predicts(told(marks=frozenset({"v_pred", "ztsnr"})))
    assert marked.prediction == "v_prediction"
    assert marked.high > 1000


def test_the_upscaler_was_trained_on_a_table_of_its_own() -> None:
    sampling = x4_upscaler.FAMILY.predicts(told())
    assert sampling.prediction == "v_prediction"
    assert sampling.low < 0.0101


@pytest.mark.parametrize(
    ("name", "steps", "guidance"),
    [
        ("sd_xl_base_1.0.safetensors", 25, 6.0),
        ("sd_xl_turbo_1.0_fp16.safetensors", 4, 1.0),
        ("sdxl_lightning_4step.safetensors", 4, 1.0),
        ("lcm_sdxl.safetensors", 6, 1.0),
    ],
)
def test_the_name_of_a_model_of_few_steps_sets_its_defaults(name: str, steps: int, guidance: float) -> None:
    defaults = sdxl.FAMILY.defaults(told(name))
    assert (defaults["steps"], defaults["guidance"]) == (steps, guidance)


def test_an_inpainting_model_without_a_picture_repaints_all_over_grey() -> None:
    hint = grey_behind_a_mask(told(variant="inpainting"))((1, 5, 2, 3))
    assert hint[0, 0].unique().tolist() == [1.0]
    assert hint[0, 1:].std(dim=(1, 2)).tolist() == [0.0] * 4
    assert float(grey_behind_a_mask(told(variant="depth"))((1, 1, 2, 3)).abs().sum()) == 0.0


def test_sdxl_without_pooled_text_is_a_sentence() -> None:
    from studio.diffusion.conditioning import entry

    added = sdxl.FAMILY.added(told())
    assert added is not None
    with pytest.raises(NodeError, match="no pooled text"):
        added([entry(torch.zeros(1, 77, 2048))], (64, 64))


def test_sdxl_is_told_sizes_down_and_across_and_its_refiner_a_score() -> None:
    from studio.diffusion.conditioning import entry

    plain = entry(torch.zeros(1, 77, 2048), torch.zeros(1, 1280))
    given = entry(
        torch.zeros(1, 77, 2048),
        torch.zeros(1, 1280),
        {"size": [512, 768], "crop": [16, 32], "target": [1024, 1536], "aesthetic": 2.5},
    )
    base, refiner = (sdxl.FAMILY.added(told(variant=variant)) for variant in ("", "refiner"))
    assert base is not None
    assert refiner is not None
    assert base([plain, given], (640, 960))["time_ids"].tolist() == [
        [640, 960, 0, 0, 640, 960],
        [512, 768, 16, 32, 1024, 1536],
    ]
    assert refiner([plain, given], (640, 960))["time_ids"].tolist() == [
        [640, 960, 0, 0, 6],
        [512, 768, 16, 32, 2.5],
    ]
