from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.diffusion.text.schedule import on_steps, schedule


def steps(text: str, count: int) -> list[str]:
    """The prompt of each step, steps being spread evenly over the trajectory."""
    told = schedule(text, count)
    return [next(words for (a, b), words in told if a <= step / count < b) for step in range(count)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a fox", [((0, 1), "a fox")]),
        ("a [b:c:0.25] d", [((0, 0.25), "a b d"), ((0.25, 1), "a c d")]),
        ("a [b:.5]", [((0, 0.5), "a "), ((0.5, 1), "a b")]),
        ("a [b::0.5]", [((0, 0.5), "a b"), ((0.5, 1), "a ")]),
        ("[a:[b:c:0.75]:0.5]", [((0, 0.5), "a"), ((0.5, 0.75), "b"), ((0.75, 1), "c")]),
        ("[(a:1.2):b:0.5]", [((0, 0.5), "(a:1.2)"), ((0.5, 1), "b")]),
        ("[a:b:0]", [((0, 1), "b")]),
        ("[a:b:1.0]", [((0, 1), "a")]),
        ("[a:b:7.5]", [((0, 1), "a")]),
        ("[a:a:0.5]", [((0, 1), "a")]),
    ],
)
def test_words_come_and_go(text: str, wanted: list[tuple[tuple[float, float], str]]) -> None:
    assert schedule(text, 20) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "[a]",
        "[a:b]",
        "[a:b:c:0.5]",
        "[a|b:0.5]",
        "[a:b:-1]",
        "[:]",
        "[",
        "]",
        "a | b : 3",
        "[a:b:0.5",
        r"\[a:0.5\]",
    ],
)
def test_other_brackets_stay_as_they_are(text: str) -> None:
    assert schedule(text, 20) == [((0, 1), text)]


def test_whole_numbers_count_steps() -> None:
    assert steps("[a:b:3]", 5) == ["a", "a", "a", "b", "b"]
    assert steps("[a:b:30]", 5) == ["a"] * 5
    assert steps("[a::1]x", 2) == ["ax", "x"]


def test_options_take_turns() -> None:
    assert steps("[a|b|] c", 7) == ["a c", "b c", " c", "a c", "b c", " c", "a c"]
    assert steps("[[a|b]:x:4]", 6) == ["a", "b", "a", "b", "x", "x"]


def test_a_bracket_that_is_not_closed_takes_nothing_with_it() -> None:
    assert schedule("[(a:b:0.5] (c", 20) == [((0, 1), "[(a:b:0.5] (c")]
    assert schedule("(x [a:b:0.5]", 20) == [((0, 0.5), "(x a"), ((0.5, 1), "(x b")]


@settings(max_examples=500, deadline=None)
@given(st.text("[]():|ab.0123 \\", max_size=40), st.integers(1, 30))
def test_any_text_gives_ranges_without_gaps(text: str, count: int) -> None:
    told = schedule(text, count)
    assert told[0][0][0] == 0
    assert told[-1][0][1] == 1
    assert all(first[0][1] == second[0][0] for first, second in itertools.pairwise(told))
    assert all(start < end for (start, end), _ in told)


def test_deep_nesting_is_read() -> None:
    deep = "[a:" * 2000 + "b" + ":0.5]" * 2000
    assert schedule(deep, 20) == [((0, 0.5), "a"), ((0.5, 1), "b")]
    assert schedule("[" * 5000 + "]" * 5000, 20)[0][1] == "[" * 5000 + "]" * 5000


def test_ranges_follow_the_steps_of_an_uneven_schedule() -> None:
    progress = [1 - (1 - step / 10) ** 0.5 for step in range(10)]
    told = [(on_steps(span, progress), words) for span, words in schedule("[a|b] [:x:4]", 10)]
    acting = [[words for span, words in told if span and span[0] <= at < span[1]] for at in progress]
    assert acting == [[f"{'ab'[step % 2]} {'x' * (step >= 4)}"] for step in range(10)]
    assert on_steps((0.0, 1.0), progress) == (0.0, 1.0)
    assert on_steps((0.51, 0.59), progress) is None
    assert on_steps((0.5, 1.0), [0.0, 0.9]) == (0.45, 1.0)
