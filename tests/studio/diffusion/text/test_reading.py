from __future__ import annotations

import contextlib
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.diffusion.text.reading import Segment, a1111, comfyui, read, together

PROMPTS = st.text("(()):.1-25eabB,[]\\ \n|", max_size=40) | st.text(
    st.characters(exclude_categories=("Cc", "Cn", "Cs")), max_size=30
)


def said(segments: list[Segment]) -> list[tuple[str, float]]:
    return [(segment.text, pytest.approx(segment.weight)) for segment in segments if segment.text]


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("", []),
        ("a fox", [("a fox", 1)]),
        ("(a) b", [("a", 1.1), (" b", 1)]),
        ("((a))", [("a", 1.21)]),
        ("((a:1.3))", [("a", 1.3)]),
        ("((a):1.3)", [("a", 1.43)]),
        ("(a (b:1.5) c:1.2)", [("a ", 1.2), ("b", 1.5), (" c", 1.2)]),
        ("x ((((a (b:7) c:100)))) y", [("x ", 1), ("a ", 100), ("b", 7), (" c", 100), (" y", 1)]),
        (r"\(a\) (b\))", [("(a) ", 1), ("b)", 1.1)]),
        ("[a]", [("[a]", 1)]),
        ("a BREAK {b|c} <lora:d:1>", [("a BREAK {b|c} <lora:d:1>", 1)]),
        ("(a:1e1)(b:.5)(c:-1)(d: 2 )", [("a", 10), ("b", 0.5), ("c", -1), ("d", 2)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(a:b:2)", [("a:b", 2)]),
        ("(:1.2)", [(":1.2", 1.1)]),
        ("(a:)", [("a:", 1.1)]),
        ("()", []),
        ("(a:1.5", [("(a:1.5", 1)]),
        ("a:1.5)", [("a:1.5)", 1)]),
        ("(a (b)", [("a ", 1.1), ("(b", 1.1)]),
        ("(a (b:2)", [("a ", 2), ("(b", 2)]),
        ("a) (b)", [("a) (b)", 1)]),
        ("a) ((b) c)", [("a) (", 1), ("b", 1.1), (" c)", 1)]),
    ],
)
def test_comfyui_reads(prompt: str, wanted: list[tuple[str, float]]) -> None:
    assert said(comfyui(prompt)) == wanted


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("", []),
        ("(a) [b] c", [("a", 1.1), (" ", 1), ("b", 1 / 1.1), (" c", 1)]),
        ("((a:1.5) b:2)", [("a", 3), (" b", 2)]),
        ("[(a:2)]", [("a", 2 / 1.1)]),
        ("(a", [("a", 1.1)]),
        ("[[a", [("a", 1 / 1.21)]),
        ("a) b]", [("a) b]", 1)]),
        ("a:1.2) b", [("a:1.2) b", 1)]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),
        (r"\(a\) \[b\] \\ \c", [(r"(a) [b] \ c", 1)]),
        ("a <lora:some:0.8> b", [("a  b", 1)]),
        ("(a: +.5 ) b", [("a", 0.5), (" b", 1)]),
        ("a (b:1.0) c", [("a b c", 1)]),
    ],
)
def test_a1111_reads(prompt: str, wanted: list[tuple[str, float]]) -> None:
    assert said(a1111(prompt)) == wanted


def test_in_the_plain_reading_nothing_has_a_meaning() -> None:
    assert said(read("(a:2) [b] BREAK", "plain")) == [("(a:2) [b] BREAK", 1)]


def test_break_stands_between_chunks_and_keeps_weights() -> None:
    read_ = a1111("(a BREAK b:2) BREAKFAST BREAK")
    assert [(it.text, it.weight, it.breaks) for it in read_] == [
        ("a ", 2, False),
        ("", 1, True),
        (" b", 2, False),
        (" BREAKFAST ", 1, False),
        ("", 1, True),
    ]


@settings(max_examples=1000, deadline=None)
@given(PROMPTS)
def test_comfyui_groups_as_one_reading_character_by_character_does(prompt: str) -> None:
    ours = [(it.text, it.weight) for it in comfyui(prompt)]
    theirs = [
        (text, weight) for text, weight in slowly(prompt.replace(r"\(", "\1").replace(r"\)", "\2"), 1.0)
    ]
    spelt = [(text.replace("\1", "(").replace("\2", ")"), weight) for text, weight in theirs]
    assert [text for text, _ in ours] == [text for text, _ in spelt]
    assert all(
        a == b or (math.isnan(a) and math.isnan(b)) for (_, a), (_, b) in zip(ours, spelt, strict=True)
    )


def slowly(text: str, weight: float) -> list[tuple[str, float]]:
    """The same reading by plain recursion: count brackets, cut where the count is zero."""
    level, cuts = 0, [0]
    for place, sign in enumerate(text):
        if sign == "(":
            if level == 0:
                cuts.append(place)
            level += 1
        elif sign == ")":
            level -= 1
            if level == 0:
                cuts.append(place + 1)
    cuts.append(len(text))
    found: list[tuple[str, float]] = []
    for start, stop in itertools.pairwise(cuts):
        part = text[start:stop]
        if len(part) < 2 or part[0] != "(" or part[-1] != ")":
            found += [(part, weight)] if part else []
            continue
        inside, inner = part[1:-1], weight * 1.1
        words, colon, number = inside.rpartition(":")
        if colon and words:
            with contextlib.suppress(ValueError):
                inner, inside = float(number), words
        found += slowly(inside, inner)
    return found


@settings(max_examples=500, deadline=None)
@given(PROMPTS)
def test_a1111_keeps_words_and_their_order(prompt: str) -> None:
    plain = [sign for sign in prompt if sign.isalpha() and sign not in "BREAKe"]
    told = "".join(segment.text for segment in a1111(prompt))
    assert [sign for sign in told if sign.isalpha() and sign not in "BREAKe"] == plain


@pytest.mark.parametrize("reading", ["comfyui", "a1111"])
@pytest.mark.parametrize(
    "prompt", ["(" * 20000, "(" * 5000 + "a" + ")" * 5000, ")(" * 9000, "(a" * 3000 + ")" * 3000]
)
def test_deep_nesting_is_read(reading: str, prompt: str) -> None:
    segments = read(prompt, reading)  # type: ignore[arg-type]
    assert "".join(segment.text for segment in segments).count("a") == prompt.count("a")


def test_prompts_act_together_with_their_weights() -> None:
    assert together("a fox :1.2") == [("a fox :1.2", 1.0)]
    assert together("a AND b: 0.5 AND (c:2) AND :.5") == [
        ("a ", 1.0),
        (" b", 0.5),
        (" (c:2) ", 1.0),
        (" ", 0.5),
    ]
    assert together("HAND and SAND") == [("HAND and SAND", 1.0)]
