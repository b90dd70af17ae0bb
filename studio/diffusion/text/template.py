"""Text to text: comments taken out, choices and wildcards drawn by seed. Free of torch."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Sequence

from studio.errors import NodeError
from studio.models.prompt_files import WILDCARD

_COMMENTS = re.compile(
    r"/\*.*?\*/|(?:^|(?<=[ \t]))(?://|\#(?=\s|$))[^\n]*|^[ \t]*\#[^\n]*", re.DOTALL | re.MULTILINE
)
_SIGNS = re.compile(rf"\\[{{}}|#/]|{{|{WILDCARD.pattern}")
_INSIDE = re.compile(r"\\.|[{}|]", re.DOTALL)
_COUNT = re.compile(r"\s*(?:(\d+)(?:-(\d+))?|-(\d+))\$\$(?:((?:(?!\$\$)[^{}|])*)\$\$)?")
_WEIGHT = re.compile(r"\s*(\d*\.?\d+)::")
_MAX_DRAWS = 10_000
_MAX_LETTERS = 1_000_000
_DEEPEST = 30
_MOST_NESTED = 100


def without_comments(text: str) -> str:
    """Take out ``/* … */``, lines that begin with ``#``, and what follows ``//`` or ``# `` in a line.

    A comment mark inside a word (``C#``, ``https://``) is no comment; ``\\#`` and ``\\//`` are characters.
    """
    return _COMMENTS.sub("", text)


def resolve(text: str, seed: int, lines: Callable[[str], Sequence[str]]) -> str:
    r"""Take out comments and draw every choice, in the order in which they stand.

    ``{a|b}`` becomes one of its parts, ``{2::a|b}`` by weight, ``{2$$a|b|c}`` two of them, ``{1-3$$ and
    $$a|b|c}`` one to three with `` and `` between. ``__name__`` becomes a line of a wildcard file. What is
    drawn may hold more of both. ``\{``, ``\}`` and ``\|`` are plain; braces that do not pair up are, too.

    Args:
        text: With choices.
        seed: Of the draws; the same text and seed give the same words on every machine.
        lines: Name of a wildcard → what it may become; raises where there is none.

    Raises:
        NodeError: Choices lead to ever more choices.
    """
    # `random()` alone is promised to stay the same between versions of Python.
    draw = random.Random(seed).random
    waiting: list[tuple[str, int]] = [(_paired(without_comments(text)), 0)]
    spelt: list[str] = []
    draws = letters = 0
    while waiting:
        piece, depth = waiting.pop()
        match = _SIGNS.search(piece)
        spelt.append(piece[: match.start()] if match else piece)
        letters += len(spelt[-1])
        if match is None:
            continue
        end = match.end()
        options: list[str] = []
        if match[0] == "{":
            options, end = _options(piece, end)
        elif match[1] is not None:
            options = list(lines(match[1]))
        waiting.append((piece[end:], depth))
        if not options:
            spelt.append(match[0][1:] if match[0][0] == "\\" else match[0])
            continue
        deeper = depth + (match[1] is not None)
        drawn = _drawn(options, draw, lines)
        if match[0] != "{":
            drawn = [_paired(part) for part in drawn]
        waiting.extend((part, deeper) for part in reversed(drawn))
        draws += 1
        if draws > _MAX_DRAWS or letters > _MAX_LETTERS or deeper > _DEEPEST:
            raise NodeError(
                "The choices in the prompt lead to ever more choices.",
                "Look for a wildcard file that names itself, perhaps through another.",
                socket="text",
            )
    return "".join(spelt)


def _paired(text: str) -> str:
    """Make plain characters of opening braces that nothing closes.

    Raises:
        NodeError: Choices lie in choices too deeply.
    """
    opened: list[int] = []
    deepest = 0
    for match in _INSIDE.finditer(text):
        if match[0] == "{":
            opened.append(match.start())
        elif match[0] == "}" and opened:
            deepest = max(deepest, len(opened))
            opened.pop()
    if deepest - len(opened) > _MOST_NESTED:
        raise NodeError(
            f"Choices in the prompt are nested more than {_MOST_NESTED} deep.",
            "Take some apart.",
            socket="text",
        )
    pieces = [text[start:end] for start, end in itertools.pairwise([0, *opened, len(text)])]
    return "\\".join(pieces)


def _options(text: str, start: int) -> tuple[list[str], int]:
    """Parts between the brace before `start` and the one that closes it, and where that ends; else none."""
    level, begun = 1, start
    parts: list[str] = []
    for match in _INSIDE.finditer(text, start):
        sign = match[0]
        level += (sign == "{") - (sign == "}")
        if (level == 1 and sign == "|") or level == 0:
            parts.append(text[begun : match.start()])
            begun = match.end()
        if level == 0:
            return parts, begun
    return [], start


def _drawn(options: list[str], draw: Callable[[], float], lines: Callable[[str], Sequence[str]]) -> list[str]:
    """The options that are drawn, with what stands between them."""
    count = _COUNT.match(options[0])
    wanted, between = 1, ", "
    if count:
        options = [options[0][count.end() :], *options[1:]]
        low = int(count[1] or 0)
        low, high = sorted((low, int(count[2] or count[3] or low)))
        wanted = low + int(draw() * (high - low + 1))
        between = between if count[4] is None else count[4]
        if len(options) == 1 and (wildcard := WILDCARD.fullmatch(options[0].strip())):
            options = list(lines(wildcard[1]))
    weights = [_WEIGHT.match(option) for option in options]
    rest = [
        (option[weight.end() :] if weight else option, float(weight[1]) if weight else 1.0)
        for option, weight in zip(options, weights, strict=True)
    ]
    parts: list[str] = []
    for _ in range(min(wanted, len(rest))):
        words = rest.pop(_pick([weight for _, weight in rest], draw()))[0]
        parts += [between, words.strip()] if count else ["", words]
    return parts[1:]


def _pick(weights: Sequence[float], drawn: float) -> int:
    """Index of a weight, each as likely as it is heavy; all alike if none weighs anything."""
    total = sum(weights)
    level = drawn * (total or len(weights))
    for index, weight in enumerate(weights):
        level -= weight if total else 1.0
        if level < 0:
            return index
    return len(weights) - 1
