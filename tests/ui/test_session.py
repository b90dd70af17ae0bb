from pathlib import Path

import pytest

from studio.document import Content
from studio.graph import Graph, Node
from ui.session import Remembered, Session


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


def document(title: str) -> Content:
    return Content(title=title, graphs={"": Graph({"a": Node("a", "core/number", params={"value": 3})})})


def test_journal_of_an_unsaved_document_comes_back(root: Path) -> None:
    session = Session(root)
    kept = Remembered("k", Path("/tmp/x.json"), document("one"), unsaved=True)
    session.write(kept)
    session.close()
    again = Session(root)
    assert again.remembered() == [kept]
    again.close()


def test_forgotten_journal_does_not_come_back(root: Path) -> None:
    session = Session(root)
    session.write(Remembered("k", None, document("one")))
    session.forget("k")
    assert session.remembered() == []
    session.close()


def test_second_window_has_a_folder_of_its_own_and_takes_nothing(root: Path) -> None:
    first = Session(root)
    first.write(Remembered("k", None, document("one")))
    second = Session(root)
    assert second.folder != first.folder
    assert second.remembered() == []
    first.close()
    second.close()


def test_journals_of_a_window_that_is_no_more_are_taken_over(root: Path) -> None:
    first, second = Session(root), Session(root)
    second.write(Remembered("k", None, document("lost"), unsaved=True))
    second.close()
    first.close()
    again = Session(root)
    assert [item.content.title for item in again.remembered() if item.content] == ["lost"]
    again.close()


def test_broken_journal_is_set_aside_and_the_rest_comes_back(root: Path) -> None:
    session = Session(root)
    session.write(Remembered("good", None, document("good")))
    (session.folder / "bad.journal").write_bytes(b'{"workflow": {"format"')
    assert [item.key for item in session.remembered()] == ["good"]
    assert (session.folder / "bad.broken").exists()
    session.close()


@pytest.mark.parametrize("data", [b"", b"[]", b'{"open": 3}', b'{"open": [3, {"key": "../x"}]}', b"\xff"])
def test_broken_layout_is_a_first_start(root: Path, data: bytes) -> None:
    session = Session(root)
    (session.folder / "window.json").write_bytes(data)
    assert session.remembered() == []
    session.close()
