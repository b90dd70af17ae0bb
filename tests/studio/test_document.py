from __future__ import annotations

import pytest

from studio.document import Content, Document
from studio.edits import Edit, SetKnob, SetPart
from studio.errors import EditError
from studio.graph import ROOT
from tests.studio.contents import small_content


def test_a_new_document_has_an_empty_root_and_an_identity_of_its_own() -> None:
    first, second = Document().content, Document().content
    assert first.root.nodes == {}
    assert first.id != second.id


def test_apply_returns_the_edit_that_leads_back() -> None:
    document = Document(small_content())
    inverse = document.apply(SetPart("title", "Other"))
    assert document.content.title == "Other"
    document.apply(inverse)
    assert document.content == small_content()


def test_an_earlier_content_is_left_alone() -> None:
    document = Document(small_content())
    earlier = document.content
    document.apply(SetKnob(ROOT, "photo", "path", "b.png"))
    assert earlier.root.nodes["photo"].params == {"path": "a.png"}
    assert document.content.root.nodes["photo"].params == {"path": "b.png"}


def test_watchers_hear_of_each_edit_once_with_both_contents() -> None:
    heard: list[tuple[Edit, Content, Content]] = []
    document = Document(small_content())
    before = document.content
    document.watch(lambda *notice: heard.append(notice))
    edit = SetPart("title", "Other")
    document.apply(edit)
    assert heard == [(edit, before, document.content)]


def test_a_watcher_that_left_hears_nothing() -> None:
    heard: list[Edit] = []
    document = Document()
    leave = document.watch(lambda edit, *_: heard.append(edit))
    leave()
    document.apply(SetPart("title", "Other"))
    assert heard == []


def test_a_watcher_may_leave_while_it_is_told() -> None:
    document = Document()
    heard: list[str] = []

    def first(*_: object) -> None:
        heard.append("first")
        leave()

    leave = document.watch(first)
    document.watch(lambda *_: heard.append("second"))
    document.apply(SetPart("title", "a"))
    document.apply(SetPart("title", "b"))
    assert heard == ["first", "second", "second"]


def test_a_failed_edit_changes_nothing_and_tells_nobody() -> None:
    document = Document(small_content())
    heard: list[Edit] = []
    document.watch(lambda edit, *_: heard.append(edit))
    before = document.content
    with pytest.raises(EditError):
        document.apply(SetKnob(ROOT, "nobody", "path", ""))
    assert document.content is before
    assert heard == []
