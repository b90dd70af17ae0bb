"""The page on parity tells what the tests beside this one compare."""

from __future__ import annotations

import re

from tests.parity.conftest import TABLE, Name

_ROW = re.compile(r"^\| (.+?) \| (.+?) \| `(\w+)` \|", re.MULTILINE)


def test_the_page_names_what_was_compared(compared: tuple[set[Name], bool]) -> None:
    rows, is_all = compared
    told = _ROW.findall(TABLE.read_text("utf-8"))
    assert told == sorted(set(told))
    assert rows <= set(told), "run python -m pytest tests/parity --write-table"
    if is_all:
        assert rows == set(told), "run python -m pytest tests/parity --write-table"
