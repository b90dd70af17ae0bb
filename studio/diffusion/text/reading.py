"""What weights and brackets in a prompt mean: in ComfyUI's reading, and in A1111's. Free of torch."""

from __future__ import annotations

import re
from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

Reading = Literal["comfyui", "a1111", "plain"]
EMPHASIS = 1.1
BREAK = "BREAK"
_ESCAPED = {"\\(": "\ufdd0", "\\)": "\ufdd1"}
_SIGNS = re.compile(rf"\\[()\[\]\\]?|:\s*([+-]?[.\d]+)\s*\)|[()\[\]]|\b{BREAK}\b")
_STRENGTH = re.compile(r":\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*$")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a prompt under one weight.

    Attributes:
        text: Its words, without the signs that weigh them.
        weight: 1 is plain.
        breaks: It has no words; what follows begins a new chunk.
    """

    text: str
    weight: float = 1.0
    breaks: bool = False


def read(text: str, reading: Reading) -> list[Segment]:
    """Take the weights out of a prompt. Every text has a meaning: what does not pair up is plain text."""
    match reading:
        case "comfyui":
            return comfyui(text)
        case "a1111":
            return a1111(text)
        case "plain":
            return [Segment(text)]


def comfyui(text: str) -> list[Segment]:
    r"""Read as ComfyUI does: ``(x)`` multiplies by 1.1, ``(x:w)`` sets w outright, ``\(`` is a bracket.

    A group is what stands between an opening bracket and the one that closes it; the last one that nothing
    closes takes the rest of its surroundings with it, and counts as a group if that ends in ``)``.
    """
    for signs, stand_in in _ESCAPED.items():
        text = text.replace(signs, stand_in)
    brackets, ends = _brackets(text)
    found: list[Segment] = []
    waiting: list[tuple[int, int, float, bool]] = [(0, len(text), 1.0, True)]
    while waiting:
        start, stop, weight, whole = waiting.pop()
        if whole:
            parts = _parts(text, brackets, ends, start, stop)
            waiting.extend((first, last, weight, False) for first, last in reversed(parts))
        elif stop - start >= 2 and text[start] == "(" and text[stop - 1] == ")":
            start, stop, weight = start + 1, stop - 1, weight * EMPHASIS
            colon = text.rfind(":", start, stop)
            if colon > start:
                with suppress(ValueError):
                    weight = float(text[colon + 1 : stop])
                    stop = colon
            waiting.append((start, stop, weight, True))
        else:
            found.append(Segment(_plain(text[start:stop]), weight))
    return found


def _brackets(text: str) -> tuple[list[int], dict[int, int]]:
    """Where brackets stand, and for each the first later one after which the level is as before it."""
    places = [place for place, sign in enumerate(text) if sign in "()"]
    level = text.count("(") - text.count(")")
    returns: dict[int, int] = {}
    ends: dict[int, int] = {}
    for place in reversed(places):
        returns[level] = place
        level += -1 if text[place] == "(" else 1
        if level in returns:
            ends[place] = returns[level]
    return places, ends


def _parts(
    text: str, brackets: list[int], ends: dict[int, int], start: int, stop: int
) -> list[tuple[int, int]]:
    """Cut a stretch before and after each of its outermost groups."""
    parts: list[tuple[int, int]] = []
    begun, place = start, start
    while place < stop:
        index = bisect_left(brackets, place)
        place = brackets[index] if index < len(brackets) else stop
        if place >= stop:
            break
        end = ends.get(place, stop)
        if text[place] == "(":
            if place > begun:
                parts.append((begun, place))
            begun = place
            if end < stop:
                parts.append((begun, end + 1))
                begun = end + 1
        place = end + 1
    if begun < stop:
        parts.append((begun, stop))
    return parts


def _plain(text: str) -> str:
    for signs, stand_in in _ESCAPED.items():
        text = text.replace(stand_in, signs[1])
    return text


def a1111(text: str) -> list[Segment]:
    r"""Read as A1111 does: weights multiply, ``[x]`` divides by 1.1, ``BREAK`` begins a chunk.

    ``(x)`` multiplies by 1.1 and ``(x:w)`` by w whatever they enclose; a bracket that nothing closes acts to
    the end; ``\(``, ``\)``, ``\[``, ``\]`` and ``\\`` are plain characters, any other backslash is nothing;
    ``<lora:…>`` and ``<lyco:…>`` name files and say nothing.
    """
    text = re.sub(r"<(?:lora|lyco|hypernet):[^<>]*>", "", text)
    words: list[str] = []
    weights: list[float] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def plain(more: str) -> None:
        words.append(more)
        weights.append(1.0)

    def close(kind: str, factor: float) -> None:
        since = opened[kind].pop()
        weights[since:] = [weight * factor for weight in weights[since:]]

    place = 0
    for match in _SIGNS.finditer(text):
        if match.start() > place:
            plain(text[place : match.start()])
        place = match.end()
        sign = match[0]
        if sign in opened:
            opened[sign].append(len(words))
        elif sign == "]" and opened["["]:
            close("[", 1 / EMPHASIS)
        elif sign.endswith(")") and sign[0] != "\\" and opened["("]:
            factor = _number(match[1])
            if factor is None and sign != ")":
                plain(sign[:-1])
            close("(", EMPHASIS if factor is None else factor)
        else:
            plain(sign[1:] if sign[0] == "\\" else sign)
    if place < len(text):
        plain(text[place:])
    for kind, factor in (("(", EMPHASIS), ("[", 1 / EMPHASIS)):
        while opened[kind]:
            close(kind, factor)
    return _merged(words, weights)


def together(text: str) -> list[tuple[str, float]]:
    """The prompts that A1111 lets act side by side, parted by ``AND``, with the weight after each colon.

    One prompt alone keeps its colon.
    """
    parts = re.split(r"\bAND\b", text)
    if len(parts) == 1:
        return [(text, 1.0)]
    told: list[tuple[str, float]] = []
    for part in parts:
        match = _STRENGTH.search(part)
        told.append((part[: match.start()], float(match[1])) if match else (part, 1.0))
    return told


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:  # more than one point
        return None


def _merged(words: list[str], weights: list[float]) -> list[Segment]:
    """Neighbours of equal weight are one text: a word may reach across a bracket, or what was a backslash."""
    merged: list[Segment] = []
    for text, weight in zip(words, weights, strict=True):
        last = merged[-1] if merged else None
        if text == BREAK:
            merged.append(Segment("", breaks=True))
        elif last is not None and last.weight == weight and not last.breaks:
            merged[-1] = Segment(last.text + text, weight)
        else:
            merged.append(Segment(text, weight))
    return [segment for segment in merged if segment.text or segment.breaks]
