"""The executor on graphs of trivial nodes, and on the starter workflow with everything cached."""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import _toys
from benchmarks.measure import Row, exact, interleaved, repeated
from studio.cache.disk import DiskTier
from studio.cache.store import Store
from studio.document import Content
from studio.executor import Executor, Request
from studio.files import workflow
from studio.paths import assets_dir
from studio.registry import Registry, discover
from studio.worker.compute import Compute
from studio.worker.main import load

NAME = "executor"
SIZES = (100, 500, 1_000, 5_000)
BUDGET_BYTES = 2**30


class Engine:
    """An executor with memory and disk of its own, as the worker has it."""

    def __init__(self, folder: Path, registry: Registry, compute: Compute | None = None) -> None:
        self.store = Store(BUDGET_BYTES, DiskTier(folder / "cache", BUDGET_BYTES))
        self._executor = Executor(
            registry,
            self.store,
            emit=lambda _: None,
            weights=compute.weights if compute else None,
            numerics=compute.numerics if compute else lambda: "",
        )
        self._folder = folder

    def run(self, content: Content) -> None:
        """Run everything; raises if a node did not."""
        request = Request("run", content, output_dir=self._folder)
        finished = self._executor.run(request, threading.Event())
        assert finished.state == "done", finished

    def close(self) -> None:
        self._executor.close()
        self.store.close()


@contextmanager
def engine(registry: Registry | None = None, compute: Compute | None = None) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder:
        made = Engine(Path(folder), registry or _toys.registry(), compute)
        try:
            yield made
        finally:
            made.close()


def run(full: bool) -> list[Row]:
    del full
    rows = [row for shape in _toys.SHAPES for size in SIZES for row in _one_graph(shape, size)]
    rows += [row for shape in _toys.SHAPES for row in _growth(shape)]
    return [*rows, _starter()]


def _one_graph(shape: str, size: int) -> list[Row]:
    content = _toys.SHAPES[shape](size)
    what = f"{shape} of {size:,}"
    rows = [
        Row(NAME, f"{what}: first run", repeated(lambda: _first(content)).scaled(1000), "ms"),
    ]
    with engine() as living:
        living.run(content)
        cached = repeated(lambda: living.run(content)).scaled(1000)
        aim = "ours <= 50" if size == 1_000 else None
        rows.append(Row(NAME, f"{what}: all cached", cached, "ms", aim=aim))
        for name, node in (("leaf", f"n{size - 1}"), ("root", "n0")):
            changes = _changes(living, content, node)
            rows.append(Row(NAME, f"{what}: one {name} knob changed", repeated(changes).scaled(1000), "ms"))
    rows.append(Row(NAME, f"{what}: peak memory of a first run", exact(_peak_mb(content)), "MB"))
    return rows


def _first(content: Content) -> float:
    """Seconds of a run in a new engine, without the making of it."""
    with engine() as fresh:
        began = time.perf_counter()
        fresh.run(content)
        return time.perf_counter() - began


def _changes(living: Engine, content: Content, node: str) -> Callable[[], None]:
    """Run with a value of the node's knob that has not been run before, at every call another."""
    values = itertools.count(1)
    return lambda: living.run(_toys.turned(content, node, 100.0 + next(values)))


def _growth(shape: str) -> list[Row]:
    """Cost per node of the largest graph beside that of the smallest."""
    small, large = _toys.SHAPES[shape](SIZES[0]), _toys.SHAPES[shape](SIZES[-1])
    scale = SIZES[0] / SIZES[-1]
    what = f"{shape}: cost per node at {SIZES[-1]:,} against {SIZES[0]:,}"
    with ExitStack() as stack:
        living = stack.enter_context(engine())
        for content in (small, large):
            living.run(content)
        cached = interleaved(lambda: living.run(large), lambda: living.run(small))
    first = interleaved(lambda: _first(large), lambda: _first(small), 5)
    return [
        Row(NAME, f"{what}, all cached", cached.ratio.scaled(scale), "×", aim="ours <= 1.5"),
        Row(NAME, f"{what}, first run", first.ratio.scaled(scale), "×", aim="ours <= 1.5"),
    ]


def _peak_mb(content: Content) -> float:
    """Python's and numpy's memory at the height of a first run, over what was there before."""
    with engine() as fresh:
        tracemalloc.start()
        try:
            fresh.run(content)
            return tracemalloc.get_traced_memory()[1] / 2**20
        finally:
            tracemalloc.stop()


def _starter() -> Row:
    """The workflow that the application opens with, a picture saved at every run."""
    content = workflow.load(assets_dir() / "templates" / "text_to_image.json").content
    with engine(discover(), load("auto")) as living:
        living.run(content)
        cached = repeated(lambda: living.run(content)).scaled(1000)
    return Row(NAME, "starter workflow: all cached", cached, "ms", aim="ours <= 100")
