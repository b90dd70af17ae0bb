from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studio.models.header import read_header
from studio.models.upscalers import UpscalerPlan, plan_of
from tests.studio.upscalers import Weights, first_keys, rrdb, saved, second_keys, srvgg

STYLES = {"basicsr": dict, "first": first_keys, "second": second_keys}


def plan(tmp_path: Path, weights: Weights) -> UpscalerPlan | None:
    return plan_of(read_header(saved(tmp_path / "model.safetensors", weights)))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("doublings", "unshuffle", "scale"), [(2, 1, 4), (3, 1, 8), (1, 1, 2), (0, 1, 1), (2, 2, 2), (2, 4, 1)]
)
def test_scale_is_read_off_the_keys(
    tmp_path: Path, style: str, doublings: int, unshuffle: int, scale: int
) -> None:
    found = plan(tmp_path, STYLES[style](rrdb(doublings=doublings, unshuffle=unshuffle)))
    assert found is not None
    assert (found.kind, found.scale, found.unshuffle) == ("rrdb", scale, unshuffle)
    assert (found.features, found.growth, found.blocks, found.channels) == (8, 4, 2, 3)


def test_all_three_ways_to_write_the_keys_are_the_same_network(tmp_path: Path) -> None:
    weights = rrdb(skips=True)
    plans = [plan(tmp_path, style(weights)) for style in STYLES.values()]
    assert all(found is not None and found.skips for found in plans)
    assert len({tuple(sorted(found.names)) for found in plans if found}) == 1


def test_averaged_weights_are_taken_where_a_file_has_two_sets(tmp_path: Path) -> None:
    both = {
        f"{prefix}.{key}": tensor for prefix in ("params", "params_ema") for key, tensor in rrdb().items()
    }
    found = plan(tmp_path, both)
    assert found is not None
    assert set(found.names.values()) == {f"params_ema.{key}" for key in rrdb()}


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_compact_network_is_known_by_its_last_layer(tmp_path: Path, scale: int) -> None:
    found = plan(tmp_path, srvgg(scale=scale, layers=3))
    assert found is not None
    assert (found.kind, found.scale, found.features, found.blocks) == ("srvgg", scale, 8, 3)


def test_network_of_another_library_is_named(tmp_path: Path) -> None:
    found = plan(tmp_path, {"layers.0.residual_group.blocks.0.norm1.weight": torch.zeros(4)})
    assert found is not None
    assert (found.kind, found.title) == ("other", "SwinIR")


@pytest.mark.parametrize(
    "odd",
    [
        {"conv_first.weight": torch.zeros(3)},
        {"body.0.weight": torch.zeros(2, 2, 2)},
        {"body.7.rdb1.conv1.weight": torch.zeros(4, 8, 3, 3)},
        {"something.else": torch.zeros(1)},
        {"conv_last.weight": torch.zeros(0, 8, 3, 3)},
    ],
)
def test_what_does_not_fit_is_no_upscale_model(tmp_path: Path, odd: Weights) -> None:
    assert plan(tmp_path, odd) is None
    assert plan(tmp_path, {**rrdb(), **odd}) is None
    assert plan(tmp_path, {**srvgg(), **odd}) is None
