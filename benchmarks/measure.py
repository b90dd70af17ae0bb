"""Timing that survives a noisy machine: medians, pairs taken in turn, intervals, aims.

A benchmark is a module of this package with ``run(full: bool) -> list[Row]``; one that compares with the
values of a file has ``run(full: bool, reference: Path | None = None)``
and ends the program with a sentence where the file is none of its kind.
"""

from __future__ import annotations

import gc
import math
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Work = Callable[[], "float | None"]
"""Something to time. It may return a figure of its own (seconds, bytes), which then replaces the clock's."""

_AIM = re.compile(r"(ours|ratio) (<=|>=) ([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median and its 95 % interval."""

    median: float
    low: float
    high: float

    def scaled(self, factor: float) -> Estimate:
        """The same in another unit, or per something."""
        return Estimate(self.median * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Ours and a peer's, timed in turn, and the median of the pairs' ratios ours / peer."""

    ours: Estimate
    peer: Estimate
    ratio: Estimate


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a benchmark.

    Attributes:
        benchmark: Name of the benchmark.
        what: What was measured, in words.
        ours: Our figure; None where there is none, which misses any aim.
        unit: Unit of `ours` and `peer`.
        peer: The peer's figure, if there is one.
        ratio: Median of the pairs' ratios ours / peer.
        aim: The bound, naming the figure it binds: ``ratio <= 1.0``, ``ours <= 50``.
        met: The aim is met within the interval; True without an aim.
    """

    benchmark: str
    what: str
    ours: Estimate | None
    unit: str
    peer: Estimate | None = None
    ratio: Estimate | None = None
    aim: str | None = None

    @property
    def met(self) -> bool:
        """The interval does not lie wholly on the wrong side of the aim; True without an aim."""
        if self.aim is None:
            return True
        match = _AIM.fullmatch(self.aim)
        if match is None:
            raise ValueError(f"“{self.aim}” is no aim; write “ratio <= 1.0” or “ours <= 50”.")
        figure = self.ours if match[1] == "ours" else self.ratio
        if self.ours is None:
            return False
        if figure is None:
            raise ValueError(f"“{self.what}” has no ratio for its aim to bind.")
        bound = float(match[3])
        return figure.low <= bound if match[2] == "<=" else figure.high >= bound

    def to_json(self) -> dict[str, object]:
        """The row as the report prints it."""
        return {
            "benchmark": self.benchmark,
            "what": self.what,
            "ours": _rounded(self.ours.median) if self.ours else None,
            "peer": _rounded(self.peer.median) if self.peer else None,
            "unit": self.unit,
            "ratio": _rounded(self.ratio.median) if self.ratio else None,
            "aim": self.aim,
            "met": self.met,
        }


def exact(value: float) -> Estimate:
    """A figure that was counted rather than timed."""
    return Estimate(value, value, value)


def estimate(samples: Sequence[float]) -> Estimate:
    """The median, and the narrowest pair of order statistics that covers it with 95 %.

    With five samples no pair does; their whole range covers it with 94 %.
    """
    ordered = sorted(samples)
    count = len(ordered)
    rank = 0
    while rank + 1 < count - rank - 1 and 1 - 2 * _below(rank + 1, count) >= 0.95:
        rank += 1
    return Estimate(statistics.median(ordered), ordered[rank], ordered[count - 1 - rank])


def repeated(work: Work, runs: int = 5, *, warm_up: bool = True) -> Estimate:
    """Seconds `work` takes (or the figure it returns): the median of `runs`."""
    if warm_up:
        work()
    return estimate([_once(work) for _ in range(runs)])


def interleaved(ours: Work, peer: Work, pairs: int = 9, *, warm_up: bool = True) -> Pairs:
    """Time both in turn, each going first in every other pair, so that a drift of the machine hits both."""
    if warm_up:
        ours()
        peer()
    mine: list[float] = []
    theirs: list[float] = []
    for index in range(pairs):
        order = ((ours, mine), (peer, theirs))
        for work, figures in order if index % 2 == 0 else reversed(order):
            figures.append(_once(work))
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    return Pairs(estimate(mine), estimate(theirs), estimate(ratios))


def _once(work: Work) -> float:
    gc.collect()
    start = time.perf_counter()
    figure = work()
    seconds = time.perf_counter() - start
    return seconds if figure is None else float(figure)


def _below(rank: int, count: int) -> float:
    """Chance that at most `rank` of `count` samples lie below the true median."""
    return sum(math.comb(count, hits) for hits in range(rank + 1)) / 2**count


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def table(rows: Sequence[Row]) -> str:
    """The rows for people: figures with their intervals, in columns."""
    head = ("what", "ours", "peer", "ratio", "aim", "met")
    lines = [head]
    for row in rows:
        met = ("yes" if row.met else "NO") if row.aim else ""
        figures = (_told(row.ours, row.unit), _told(row.peer, row.unit), _told(row.ratio, ""))
        lines.append((row.what, *figures, row.aim or "", met))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    shown.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(line.rstrip() for line in shown)


def _told(figure: Estimate | None, unit: str) -> str:
    if figure is None:
        return ""
    interval = "" if figure.low == figure.high else f" [{figure.low:.3g} – {figure.high:.3g}]"
    return f"{figure.median:.3g} {unit}".strip() + interval
