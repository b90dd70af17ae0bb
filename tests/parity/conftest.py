"""Every comparison with diffusers is remembered, and the table in docs/parity.md is made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs/parity.md"
LATENTS, IMAGES = 1e-4, 1 / 255
HEAD = f"""# The same pictures as diffusers

Each row is a test under `tests/parity/`: a pipeline of diffusers and a graph of ours, with the same small
random weights in float32, the same noise and the same noise levels. The figures are the largest difference
of any value: of the final latents (allowed: {LATENTS:g}), and of the decoded pictures, 0–1 (allowed: 1/255).

Where something is so by design, both sides are given the same: our autoencoders take the middle of what a
picture may mean where pipelines draw from it, and noise that a solver adds comes from the seed after the
sampler's.

Written by `python -m pytest tests/parity --write-table`; every run of these tests holds its rows against it.

| Family | What | diffusers | Latents | Pictures |
| --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """One row of the table."""

    family: str
    what: str
    pipeline: str
    latents: float | None
    images: float | None

    def row(self) -> str:
        figures = " | ".join(map(_figure, (self.latents, self.images)))
        return f"| {self.family} | {self.what} | `{self.pipeline}` | {figures} |"

    @property
    def name(self) -> Name:
        return self.family, self.what, self.pipeline


Compare = Callable[..., None]
Name = tuple[str, str, str]
_ROWS = pytest.StashKey[list[Compared]]()
_PARTIAL = pytest.StashKey[bool]()
_CHECK = "test_table.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-table", action="store_true", help="write docs/parity.md")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []
    config.stash[_PARTIAL] = False


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash[_PARTIAL] |= item.path.parent == HERE


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The table is held against what was compared, so that comes last; not where it is written anew."""
    config.stash[_PARTIAL] |= not set(HERE.glob("test_*.py")) <= {item.path for item in items}
    check = [item for item in items if item.path == HERE / _CHECK]
    writing = config.getoption("--write-table")
    items[:] = [item for item in items if item not in check] + ([] if writing else check)


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.getoption("--write-table") and session.config.stash[_PARTIAL]:
        raise pytest.UsageError("The table is made of all tests under tests/parity: run them all.")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Pipelines warn of torchvision, which nothing here uses, and of what they are not told."""
    import diffusers.utils.logging as of_diffusers
    import transformers.utils.logging as of_transformers

    before = of_diffusers.get_verbosity(), of_transformers.get_verbosity()
    of_diffusers.set_verbosity_error()
    of_transformers.set_verbosity_error()
    yield
    of_diffusers.set_verbosity(before[0])
    of_transformers.set_verbosity(before[1])


@pytest.fixture(autouse=True)
def middles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours encodes into the middle of what a picture may mean; let pipelines, too, and not draw beside it."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


@pytest.fixture
def compare(pytestconfig: pytest.Config) -> Compare:
    """Assert that two results are equal, and remember by how much they differ."""

    def check(
        family: str,
        what: str,
        pipeline: str,
        *,
        latents: tuple[torch.Tensor, torch.Tensor] | None = None,
        images: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None = None,
    ) -> None:
        assert latents is not None or images is not None
        found = Compared(
            family,
            what,
            pipeline,
            None if latents is None else _apart(latents[0].numpy(), latents[1].numpy()),
            None if images is None else _apart(*images),
        )
        assert found.name not in (row.name for row in pytestconfig.stash[_ROWS]), "a row of this name stands"
        assert found.latents is None or found.latents <= LATENTS, found
        assert found.images is None or found.images <= IMAGES, found
        pytestconfig.stash[_ROWS].append(found)

    return check


@pytest.fixture
def compared(pytestconfig: pytest.Config) -> tuple[set[Name], bool]:
    """What was compared so far, and whether that is all there is to compare."""
    return {row.name for row in pytestconfig.stash[_ROWS]}, not pytestconfig.stash[_PARTIAL]


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0e}" if value else "0"


def _apart(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> float:
    assert ours.shape == theirs.shape
    assert np.isfinite(ours).all()
    assert float(theirs.std()) > 1e-3, "a flat result compares nothing"
    return float(np.abs(ours - theirs).max())


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.getoption("--write-table") and exitstatus == pytest.ExitCode.OK:
        rows = sorted(session.config.stash[_ROWS], key=lambda item: item.name)
        TABLE.write_text(HEAD + "\n".join(item.row() for item in rows) + "\n", "utf-8")
