"""A1111's prompt editing: words that come, go and take turns while the picture is made. Free of torch."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Span = tuple[float, float]
_SIGNS = re.compile(r"\\.|[()\[\]:|]", re.DOTALL)
_NUMBER = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*")
_EARLY = 0.03
"""Steps by which a change comes before its step, so that rounding of noise levels does not delay it."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Words that change at a point of the trajectory: `before` until `when` (0–1), then `after`."""

    before: tuple[Part, ...]
    after: tuple[Part, ...]
    when: float


@dataclass(frozen=True, slots=True)
class Turns:
    """Words that take turns, one a step."""

    options: tuple[tuple[Part, ...], ...]


Part = str | Edit | Turns


@dataclass(slots=True)
class _Open:
    """A bracket that nothing has closed yet, and what stands in it between its signs ``:`` and ``|``."""

    sign: str
    slots: list[list[Part]] = field(default_factory=lambda: [[]])
    signs: list[str] = field(default_factory=list[str])

    def literal(self, end: str = "") -> list[Part]:
        """What it is if it is no edit: plain text, and the edits inside."""
        parts: list[Part] = [self.sign, *self.slots[0]]
        for sign, slot in zip(self.signs, self.slots[1:], strict=True):
            parts += [sign, *slot]
        return [*parts, end]


def schedule(text: str, steps: int) -> list[tuple[Span, str]]:
    """Ranges of the trajectory, in order and without gaps, each with the prompt that acts in it.

    ``[a:b:0.5]`` is a until half the way and b from there, ``[b:0.5]`` comes then, ``[a::0.5]`` goes then;
    a whole number counts steps. ``[a|b]`` takes turns from step to step. They may be nested; brackets of any
    other form stay as they are.

    Args:
        text: The prompt.
        steps: How many steps the sampler makes, for what counts them.
    """
    parts = _parsed(text, steps)
    marks = {0.0, 1.0, *_marks(parts)}
    if _turns(parts):
        marks |= {_at(step, steps) for step in range(1, steps)}
    told: list[tuple[Span, str]] = []
    edges = sorted(mark for mark in marks if 0 <= mark <= 1)
    for start, end in itertools.pairwise(edges):
        words = _words(parts, start, int(start * steps + 2 * _EARLY))
        if told and told[-1][1] == words:
            told[-1] = (told[-1][0][0], end), words
        else:
            told.append(((start, end), words))
    return told


def _parsed(text: str, steps: int) -> tuple[Part, ...]:
    stack = [_Open("")]
    place = 0
    for match in _SIGNS.finditer(text):
        top = stack[-1]
        top.slots[-1].append(text[place : match.start()])
        place = match.end()
        sign = match[0]
        if sign in "([":
            stack.append(_Open(sign))
        elif sign in ":|" and top.sign == "[":
            top.signs.append(sign)
            top.slots.append([])
        elif sign == "]" and any(it.sign == "[" for it in stack):
            while stack[-1].sign == "(":
                inner = stack.pop()
                stack[-1].slots[-1] += inner.literal()
            closed = stack.pop()
            stack[-1].slots[-1] += _closed(closed, steps)
        elif sign == ")" and top.sign == "(":
            stack.pop()
            stack[-1].slots[-1] += top.literal(")")
        else:
            top.slots[-1].append(sign)
    stack[-1].slots[-1].append(text[place:])
    while len(stack) > 1:
        inner = stack.pop()
        stack[-1].slots[-1] += inner.literal()
    return tuple(stack[0].slots[0])


def _closed(bracket: _Open, steps: int) -> list[Part]:
    """What a pair of square brackets means."""
    slots = [tuple(slot) for slot in bracket.slots]
    if bracket.signs and set(bracket.signs) == {"|"}:
        return [Turns(tuple(slots))]
    number = _NUMBER.fullmatch("".join(part for part in slots[-1] if isinstance(part, str)))
    plain = all(isinstance(part, str) for part in slots[-1])
    if bracket.signs in ([":"], [":", ":"]) and number and plain:
        when = float(number[1]) if "." in number[1] else _at(int(number[1]), steps)
        before = slots[0] if len(slots) == 3 else ()
        return [Edit(before, slots[-2], min(when, 1.0))]
    return bracket.literal("]")


def _at(step: int, steps: int) -> float:
    """Where on the trajectory a step is over."""
    return min(1.0, max(0.0, (step - _EARLY) / max(1, steps)))


def _marks(parts: tuple[Part, ...]) -> Iterator[float]:
    for part in _every(parts):
        if isinstance(part, Edit):
            yield part.when


def _turns(parts: tuple[Part, ...]) -> bool:
    return any(isinstance(part, Turns) for part in _every(parts))


def _every(parts: tuple[Part, ...]) -> Iterator[Part]:
    waiting = list(parts)
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Edit):
            waiting += [*part.before, *part.after]
        elif isinstance(part, Turns):
            waiting += [inner for option in part.options for inner in option]


def _words(parts: tuple[Part, ...], start: float, step: int) -> str:
    """The prompt that acts from `start` on, in the step of that number, the first being 0."""
    waiting = list(reversed(parts))
    words: list[str] = []
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            words.append(part)
        elif isinstance(part, Edit):
            waiting += reversed(part.before if start < part.when else part.after)
        else:
            waiting += reversed(part.options[step % len(part.options)])
    return "".join(words)


def on_steps(span: Span, progress: Sequence[float]) -> Span | None:
    """The range that acts in the same steps of another schedule; None if in none.

    Args:
        span: Of a schedule whose steps are spread evenly over the way.
        progress: How far the other schedule is at the beginning of each of its steps, 0–1, rising.
    """
    start, end = (_edge(int(edge * len(progress) + 2 * _EARLY), progress) for edge in span)
    return (start, end) if start < end else None


def _edge(step: int, progress: Sequence[float]) -> float:
    """A point between the beginning of a step and that of the one before it."""
    if step <= 0:
        return 0.0
    return 1.0 if step >= len(progress) else (progress[step - 1] + progress[step]) / 2
