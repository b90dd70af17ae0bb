"""Prompt weights beside reference values: tokens and weights of prompts in a file, in the default reading.

The file is JSON: ``[{"prompt": text, "chunks": [[[token id, weight], …], …]}, …]``, of CLIP's vocabulary.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, exact
from studio.diffusion.text.chunks import chunks
from studio.diffusion.text.tokenizer import clip

REFERENCE = Path(__file__).parent.parent / "tests/data/prompts_reference.json"
SAME_WEIGHT = 1e-4  # reference weights are rounded
SHOWN = 48
Token = tuple[int, float]


def run(full: bool, reference: Path | None = None) -> list[Row]:
    """One row a prompt: how many tokens differ, in their number or by more than 1e-4 in their weight."""
    del full
    tokenizer = clip()
    rows: list[Row] = []
    for index, (prompt, wanted) in enumerate(read(reference or REFERENCE)):
        differing = error(chunks(prompt, tokenizer), wanted)
        rows.append(Row("prompts", told(index, prompt), exact(differing), "tokens", aim="ours <= 0"))
    return rows


def told(index: int, prompt: str) -> str:
    """A prompt for a table: its number in the file and how it begins."""
    text = json.dumps(prompt, ensure_ascii=True)[1:-1]
    return f"{index + 1}: {text if len(text) <= SHOWN else text[: SHOWN - 1] + '…'}"


def error(ours: list[list[Token]], wanted: list[list[Token]]) -> int:
    """Tokens that differ; one that is there on one side only differs."""
    pairs = itertools.chain.from_iterable(
        itertools.zip_longest(mine, theirs)
        for mine, theirs in itertools.zip_longest(ours, wanted, fillvalue=list[Token]())
    )
    return sum(not same(mine, theirs) for mine, theirs in pairs)


def same(mine: Token | None, theirs: Token | None) -> bool:
    if mine is None or theirs is None or mine[0] != theirs[0]:
        return False
    return math.isclose(mine[1], theirs[1], rel_tol=SAME_WEIGHT, abs_tol=SAME_WEIGHT) or (
        math.isnan(mine[1]) and math.isnan(theirs[1])
    )


def read(path: Path) -> list[tuple[str, list[list[Token]]]]:
    """Prompts with their chunks; a file that is something else ends the program with a sentence."""
    try:
        cases: Any = json.loads(path.read_bytes())
        return [
            (_text(case["prompt"]), [[_token(pair) for pair in chunk] for chunk in case["chunks"]])
            for case in cases
        ]
    except OSError as problem:
        raise SystemExit(f"{path} cannot be read: {problem.strerror}.") from None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as problem:
        said = f"{type(problem).__name__}: {problem}"
        raise SystemExit(f"{path} is no list of prompts with their chunks of tokens ({said}).") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a prompt is no text")
    return value


def _token(pair: Any) -> Token:
    token, weight = pair
    if isinstance(token, bool) or not isinstance(token, int) or not isinstance(weight, int | float):
        raise TypeError(f"{pair!r:.40} is no token id with a weight")
    return token, float(weight)
