from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from studio.errors import Cancelled, NodeError
from studio.types import Patch
from tests.studio.diffusion.toy_networks import (
    FAMILY,
    NBYTES,
    SHIFT,
    composite,
    context,
    recipe,
    shift,
    store,
)


def test_one_network_serves_all_patches(tmp_path: Path) -> None:
    weights, ctx, loads = store(), context(), FAMILY.loads
    with weights.use(ctx, recipe(tmp_path)) as plain:
        before = plain.weight.clone()
    with weights.use(ctx, recipe(tmp_path, "a", shift(2.0, 0.5))) as patched:
        assert patched is plain
        torch.testing.assert_close(patched.weight, before + 1)
    with weights.use(ctx, recipe(tmp_path)) as again:
        assert again is plain
        assert torch.equal(again.weight, before)
        assert again.weight.data_ptr() == again.source["a"]["0.weight"].data_ptr()
    assert FAMILY.loads == loads + 1


def test_weights_elsewhere_that_are_the_same_are_shared(tmp_path: Path) -> None:
    weights, ctx = store(), context()
    (tmp_path / "b").mkdir()
    here, there = recipe(tmp_path), recipe(tmp_path / "b")
    with weights.use(ctx, here) as first, weights.use(ctx, there) as second:
        assert first is second


def test_a_strength_that_changes_reads_no_file_again(tmp_path: Path) -> None:
    weights, ctx, asked = store(), context(), SHIFT.asked
    for strength in (0.1, 0.2, 0.3):
        with weights.use(ctx, recipe(tmp_path, "a", shift(3.0, strength))) as network:
            expected = network.source["a"]["0.weight"] + 3 * strength
            torch.testing.assert_close(network.weight, expected)
    assert SHIFT.asked == asked + 1


def test_what_was_computed_from_old_weights_is_forgotten_only_when_they_change(tmp_path: Path) -> None:
    weights, ctx = store(), context()
    for patches, forgot in (((), 0), ((shift(1.0),), 1), ((shift(1.0),), 1), ((), 2)):
        with weights.use(ctx, recipe(tmp_path, "a", *patches)) as network:
            assert network.forgot == forgot


def test_patches_with_a_range_wait_until_they_are_asked_for(tmp_path: Path) -> None:
    weights, ctx = store(), context()
    late = shift(1.0, span=(0.5, 1.0))
    with weights.use(ctx, recipe(tmp_path, "a", shift(2.0), late)) as network:
        before = network.source["a"]["0.weight"]
        torch.testing.assert_close(network.weight, before + 2)
        weights.dress(network, (shift(2.0), late), ctx)
        torch.testing.assert_close(network.weight, before + 3)
        weights.dress(network, (late,), ctx)
        torch.testing.assert_close(network.weight, before + 1)


def test_two_states_of_one_network_at_once_are_two(tmp_path: Path) -> None:
    weights, ctx = store(), context()
    plain, patched = recipe(tmp_path), recipe(tmp_path, "a", shift(1.0))
    with weights.use(ctx, plain) as first, weights.use(ctx, patched) as second:
        assert first is not second
        torch.testing.assert_close(second.weight, first.weight + 1)
        with weights.use(ctx, patched) as third:
            assert third is second


def test_members_are_shared_and_wear_the_patches_of_the_whole(tmp_path: Path) -> None:
    weights, ctx, loads = store(), context(), FAMILY.loads
    with weights.use(ctx, composite(tmp_path, "ab", shift(1.0))) as whole:
        for toy in whole.members.values():
            [source] = toy.source.values()
            torch.testing.assert_close(toy.weight, source["0.weight"] + 1)
    with weights.use(ctx, composite(tmp_path, "bc")) as other:
        assert other.members["b"] is whole.members["b"]
        assert torch.equal(other.members["b"].weight, other.source["b"]["0.weight"])
    assert FAMILY.loads == loads + 5  # a, b, c, and two that are put together of them
    assert weights.held_bytes == 3 * NBYTES


def test_a_member_that_is_lent_in_another_state_is_loaded_again(tmp_path: Path) -> None:
    weights, ctx = store(), context()
    with (
        weights.use(ctx, recipe(tmp_path, "b")) as lone,
        weights.use(ctx, composite(tmp_path, "ab", shift(1.0))) as whole,
    ):
        assert whole.members["b"] is not lone
        torch.testing.assert_close(whole.members["b"].weight, lone.weight + 1)


def test_the_longest_unused_go_first_and_what_is_lent_stays(tmp_path: Path) -> None:
    weights, ctx = store(toys=2), context()
    with weights.use(ctx, recipe(tmp_path, "a")) as first:
        for part in "bc":
            with weights.use(ctx, recipe(tmp_path, part)):
                assert first in weights.held
    assert weights.held_bytes == 2 * NBYTES
    with weights.use(ctx, recipe(tmp_path, "a")) as again:
        assert again is first


def test_what_is_put_together_goes_with_its_members(tmp_path: Path) -> None:
    weights, ctx = store(toys=2), context()
    with weights.use(ctx, composite(tmp_path, "ab")) as whole:
        pass
    with weights.use(ctx, recipe(tmp_path, "c")):
        assert whole not in weights.held
    assert weights.held_bytes <= 2 * NBYTES


def test_members_stay_while_the_whole_is_built(tmp_path: Path) -> None:
    weights, ctx = store(toys=1), context()
    with weights.use(ctx, composite(tmp_path, "abc")) as whole:
        assert all(toy in weights.held for toy in whole.members.values())


def test_run_patches_are_undone_in_reverse_and_stay_where_they_can(tmp_path: Path) -> None:
    weights, ctx = store(), context()
    double, triple = Patch("scale", params={"by": 2}), Patch("scale", params={"by": 3})
    with weights.use(ctx, recipe(tmp_path, "a", double, triple)) as network:
        assert network.scale == 10
        weights.dress(network, (double,), ctx)
        assert network.scale == 3
        weights.dress(network, (triple, double), ctx)
        assert network.scale == 9
    assert network.scale == 1
    with weights.use(ctx, recipe(tmp_path)) as network:
        assert network.scale == 1


def test_patches_of_other_kinds_are_left_to_others(tmp_path: Path) -> None:
    weights, ctx = store(), context()
    with (
        weights.use(ctx, recipe(tmp_path)) as network,
        weights.use(ctx, recipe(tmp_path, "a", Patch("guidance"))) as same,
    ):
        assert same is network


def test_a_network_stops_for_whom_it_is_lent_to(tmp_path: Path) -> None:
    weights, flag = store(), threading.Event()
    with weights.use(context(flag), recipe(tmp_path)) as network:
        with weights.use(context(flag), recipe(tmp_path)):
            pass
        flag.set()
        with pytest.raises(Cancelled):
            network.check()
    network.check()


def test_a_patch_that_fails_leaves_the_store_usable(tmp_path: Path) -> None:
    weights, ctx = store(), context()
    with pytest.raises(NodeError, match="Too far"), weights.use(ctx, recipe(tmp_path, "a", shift(2000.0))):
        pass
    with weights.use(ctx, recipe(tmp_path)) as network:
        assert torch.equal(network.weight, network.source["a"]["0.weight"])


def test_loading_that_is_cancelled_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.diffusion.files import loading

    monkeypatch.setattr(loading, "_LOOK_BYTES", 1)
    flag = threading.Event()
    weights, given = store(), recipe(tmp_path)
    flag.set()
    with pytest.raises(Cancelled), weights.use(context(flag), given):
        pass
    assert weights.held == ()
    with weights.use(context(), given) as network:
        assert network.nbytes == NBYTES


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    given = recipe(tmp_path)
    Path(given.path).unlink()
    other = recipe(tmp_path, "b")
    Path(other.path).rename(given.path)
    with pytest.raises(NodeError, match="is another than when this run began"), store().use(context(), given):
        pass


def test_clearing_lets_go_of_everything(tmp_path: Path) -> None:
    weights, ctx = store(), context()
    with weights.use(ctx, recipe(tmp_path, "a", shift(1.0))):
        pass
    weights.clear()
    assert (weights.held, weights.held_bytes) == ((), 0)


def test_it_can_be_made_without_torch() -> None:
    import subprocess
    import sys

    code = "import sys; from studio.diffusion.weights import WeightsStore; WeightsStore('cpu').numerics()"
    done = subprocess.run([sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)"], check=False)
    assert done.returncode == 0
