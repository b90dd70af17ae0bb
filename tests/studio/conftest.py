from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.studio import toys


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[toys.Bench]:
    toys.gate.clear()
    made = toys.Bench(tmp_path)
    yield made
    made.close()
