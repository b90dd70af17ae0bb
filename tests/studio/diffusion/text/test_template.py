from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.diffusion.text.template import resolve, without_comments
from studio.errors import NodeError

LISTS = {"colour": ["red", "2::green", "blue"], "deep": ["{a|b} __colour__"], "loop": ["x __loop__"]}


def words(text: str, seed: int = 0) -> str:
    return resolve(text, seed, LISTS.__getitem__)


def outcomes(text: str, seeds: int = 200) -> dict[str, int]:
    found: dict[str, int] = {}
    for seed in range(seeds):
        said = words(text, seed)
        found[said] = found.get(said, 0) + 1
    return found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a fox", "a fox"),
        ("a # b\nc", "a \nc"),
        ("# a\n  #b\nc", "\n\nc"),
        ("a /* b\nc */ d", "a  d"),
        ("a // b\nc", "a \nc"),
        ("C# and #1 and https://x", "C# and #1 and https://x"),
        (r"\# a \// b", r"\# a \// b"),
        ("a /* b", "a /* b"),
    ],
)
def test_comments_are_taken_out(text: str, wanted: str) -> None:
    assert without_comments(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{a}", "a"),
        ("{}", ""),
        ("{a", "{a"),
        ("a}", "a}"),
        ("{ {a}", "{ a"),
        (r"\{a\|b\} \#", "{a|b} #"),
        (r"\(a\) (b:1.2)", r"\(a\) (b:1.2)"),
        ("{1::a|0::b}", "a"),
        ("{0$$a|b}", ""),
        ("____ __ __a __b", "____ __ __a __b"),
        ("a | b", "a | b"),
    ],
)
def test_what_is_no_choice_is_plain(text: str, wanted: str) -> None:
    assert words(text) == wanted


def test_a_choice_is_drawn_by_seed() -> None:
    assert words("{a|b|c} {a|b|c}", 3) == words("{a|b|c} {a|b|c}", 3)
    found = outcomes("{a|b|}")
    assert found.keys() == {"a", "b", ""}
    assert min(found.values()) > 40


def test_the_words_of_a_seed_stay_what_they_are() -> None:
    assert [words("{a|b|c|d} __colour__ {2$$x|y|z}", seed) for seed in (0, 1, 2**64 - 1)] == [
        "d blue x, z",
        "a blue x, y",
        "a green y, z",
    ]


def test_weights_and_nesting() -> None:
    found = outcomes("{9::a|b{c|d}}", 400)
    assert found.keys() == {"a", "bc", "bd"}
    assert found["a"] > 300


def test_several_are_drawn_without_repeating() -> None:
    assert outcomes("{2$$a|b|c}").keys() == {"a, b", "a, c", "b, a", "b, c", "c, a", "c, b"}
    assert {len(said.split(" and ")) for said in outcomes("{1-2$$ and $$a|b|c}")} == {1, 2}
    assert outcomes("{5$$+$$a|b}").keys() == {"a+b", "b+a"}
    assert outcomes("{2$$__colour__}", 400).keys() >= {"red, green", "green, red", "blue, green"}


def test_wildcards_are_lines_of_files_and_may_hold_choices() -> None:
    found = outcomes("__colour__", 400)
    assert found.keys() == {"red", "green", "blue"}
    assert found["green"] > 150
    assert outcomes("__deep__").keys() == {f"{a} {b}" for a in "ab" for b in ("red", "green", "blue")}


def test_a_wildcard_that_names_itself_is_told_in_a_sentence() -> None:
    with pytest.raises(NodeError, match="lead to ever more choices"):
        words("__loop__")


def test_many_braces_are_plain_or_told_in_a_sentence() -> None:
    assert words("{" * 5000) == "{" * 5000
    assert words("{" * 5000 + "{a}") == "{" * 5000 + "a"
    assert words("{" * 100 + "a" + "}" * 100) == "a"
    with pytest.raises(NodeError, match="nested more than 100 deep"):
        words("{" * 101 + "a" + "}" * 101)


@settings(max_examples=500, deadline=None)
@given(st.text("{}|$:12ab _\\#/*\n", max_size=50), st.integers(0, 2**64 - 1))
def test_any_text_resolves_and_twice_the_same(text: str, seed: int) -> None:
    def lines(name: str) -> list[str]:
        return [f"<{name}>"]

    assert resolve(text, seed, lines) == resolve(text, seed, lines)
