from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studio.diffusion.denoisers.latent_upscaler import doubling
from studio.models.folders import kind_of_folder
from studio.types import Conditioning, ConditioningEntry, Latent
from tests.parity.test_latent_upscaler import upscaler


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_folder_is_not_taken_for_an_editing_model(tmp_path: Path) -> None:
    upscaler().save_pretrained(tmp_path)
    kind = kind_of_folder(tmp_path)
    assert kind is not None
    assert (kind.type, kind.family, kind.variant) == ("checkpoint", "latent_upscaler", "")
    assert kind.parts == {"unet": "unet", "clip_l": "text_encoder", "vae": "vae"}
    lone = kind_of_folder(tmp_path / "unet")
    assert lone is not None
    assert (lone.type, lone.family) == ("denoiser", "latent_upscaler")


def test_small_latent_is_shown_at_twice_its_sides() -> None:
    entry = ConditioningEntry(torch.zeros(1, 2, 3), "digest", hints={"other": torch.ones(1)})
    small = torch.arange(8.0).reshape(1, 2, 2, 2)
    told, empty = doubling([Conditioning((entry,)), Conditioning(())], Latent(small, 8))
    shown = told[0].entries[0]
    assert shown.digest != entry.digest
    assert set(shown.hints) == {"other", "concat"}
    assert torch.equal(shown.hints["concat"], small.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert told[1].entries == ()
    assert empty.blank
    assert (tuple(empty.samples.shape), empty.downscale) == ((1, 2, 4, 4), 8)
