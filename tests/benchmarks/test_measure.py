from __future__ import annotations

import json

import pytest

from benchmarks.measure import Estimate, Row, estimate, exact, interleaved, repeated, table


def test_nine_samples_are_covered_by_all_but_the_outermost() -> None:
    assert estimate([9, 1, 5, 2, 8, 3, 7, 4, 6]) == Estimate(5, 2, 8)


def test_five_samples_are_covered_by_no_less_than_all() -> None:
    assert estimate([5, 1, 4, 2, 3]) == Estimate(3, 1, 5)


def test_more_samples_narrow_the_interval() -> None:
    wide, narrow = estimate(range(9)), estimate([index / 10 for index in range(90)])
    assert narrow.high - narrow.low < wide.high - wide.low


def test_pairs_are_taken_in_turn_and_each_side_goes_first_in_every_other() -> None:
    calls: list[str] = []

    def ours() -> float:
        calls.append("o")
        return 2.0

    def peer() -> float:
        calls.append("p")
        return 4.0

    pairs = interleaved(ours, peer, 4)
    assert "".join(calls) == "op" + "op" + "po" + "op" + "po"
    assert (pairs.ours.median, pairs.peer.median, pairs.ratio.median) == (2, 4, 0.5)


def test_work_that_returns_no_figure_is_timed() -> None:
    assert repeated(lambda: None).median > 0


def test_an_upper_bound_is_met_when_the_intervals_lower_end_is_not_above_it() -> None:
    assert Row("b", "w", Estimate(60, 50, 70), "ms", aim="ours <= 50").met
    assert not Row("b", "w", Estimate(60, 50.1, 70), "ms", aim="ours <= 50").met


def test_a_lower_bound_is_met_when_the_intervals_upper_end_is_not_below_it() -> None:
    ratio = Estimate(0.9, 0.8, 1.0)
    assert Row("b", "w", exact(1), "ms", exact(1), ratio, "ratio >= 1.0").met
    assert not Row("b", "w", exact(1), "ms", exact(1), ratio, "ratio >= 1.01").met


def test_a_row_without_an_aim_is_met() -> None:
    assert Row("b", "w", exact(1), "ms").met


@pytest.mark.parametrize("aim", ["faster", "ours < 5", "theirs <= 5", "ratio <= 1"])
def test_an_aim_that_binds_nothing_is_refused(aim: str) -> None:
    with pytest.raises(ValueError, match="aim"):
        _ = Row("b", "w", exact(1), "ms", aim=aim).met


def test_a_row_as_json_has_the_agreed_fields() -> None:
    row = Row("b", "w", exact(2), "ms", exact(4), exact(0.5), "ratio <= 1.0").to_json()
    assert json.loads(json.dumps(row)) == {
        "benchmark": "b",
        "what": "w",
        "ours": 2,
        "peer": 4,
        "unit": "ms",
        "ratio": 0.5,
        "aim": "ratio <= 1.0",
        "met": True,
    }


def test_the_table_tells_figures_with_their_intervals() -> None:
    text = table(
        [Row("b", "a chain", Estimate(3, 2, 4), "ms", aim="ours <= 1"), Row("b", "other", exact(7), "MB")]
    )
    assert "3 ms [2 – 4]" in text
    assert "NO" in text
    assert "7 MB" in text
