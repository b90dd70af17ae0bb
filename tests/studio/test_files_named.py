"""Files that knobs name: where they are, and what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.errors import Cancelled, FileError
from studio.files_named import ROOT_DIR, FileDigests, found, resolve

OLD_NS = 10**18


def written(path: Path, text: str, mtime_ns: int = OLD_NS) -> Path:
    path.write_text(text)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def test_names_are_absolute_or_beside_the_workflow_or_ours(tmp_path: Path) -> None:
    assert resolve("/a/b.png", tmp_path) == Path("/a/b.png")
    assert resolve("b.png", tmp_path) == tmp_path / "b.png"
    assert resolve("b.png", None) == Path.cwd() / "b.png"
    assert resolve("assets/x.png", tmp_path) == ROOT_DIR / "assets/x.png"
    (tmp_path / "assets").mkdir()
    written(tmp_path / "assets/x.png", "mine")
    assert resolve("assets/x.png", tmp_path) == tmp_path / "assets/x.png"


def test_a_home_is_filled_in_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/b.png", None) == tmp_path / "b.png"
    assert resolve("~nobody-there/b.png", tmp_path) == tmp_path / "~nobody-there/b.png"


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "assets/" + "y" * 5000, "\ud800", "", "assets/\0"])
def test_odd_names_are_names_of_nothing(name: str, tmp_path: Path) -> None:
    assert found(resolve(name, tmp_path)) == ("folder" if name == "" else None)


def test_what_lies_at_a_path_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert found(written(tmp_path / "file", "x")) == "file"
    assert found(tmp_path) == "folder"
    assert found(tmp_path / "pipe") == "other"
    assert found(tmp_path / "file" / "below") is None


def test_content_counts_and_name_and_time_do_not(tmp_path: Path) -> None:
    digests = FileDigests()
    one = digests.digest(written(tmp_path / "a", "one"), "text")
    assert digests.digest(written(tmp_path / "b", "one", OLD_NS + 10), "text") == one
    assert digests.digest(written(tmp_path / "a", "two", OLD_NS + 1), "image") != one


def test_a_file_is_read_once_while_size_and_time_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real: Callable[..., object] = Path.open

    def counted(self: Path, *rest: object) -> object:
        opened.append(self.name)
        return real(self, *rest)

    path = written(tmp_path / "a", "one")
    monkeypatch.setattr(Path, "open", counted)
    digests = FileDigests()
    assert digests.digest(path, "text") == digests.digest(path, "text")
    assert opened == ["a"]
    os.utime(path, ns=(OLD_NS + 1, OLD_NS + 1))
    digests.digest(path, "text")
    assert opened == ["a", "a"]


def test_a_file_just_written_is_read_again_lest_it_was_written_twice_in_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    moment = path.stat().st_mtime_ns
    digests = FileDigests()
    first = digests.digest(path, "text")
    path.write_text("two")
    os.utime(path, ns=(moment, moment))
    assert digests.digest(path, "text") != first


def test_of_a_folder_names_and_contents_count(tmp_path: Path) -> None:
    digests = FileDigests()

    def folder(name: str, **files: str) -> str:
        (tmp_path / name).mkdir()
        for key, text in files.items():
            written(tmp_path / name / key, text)
        return digests.digest(tmp_path / name, "image")

    plain = folder("one", a="1", b="2")
    assert folder("same", b="2", a="1") == plain
    others = [
        folder("more", a="1", b="2", c="3"),
        folder("renamed", a="1", c="2"),
        folder("swapped", a="2", b="1"),
    ]
    assert len({plain, *others, folder("empty")}) == 5


def test_odd_names_in_a_folder_are_read(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\xfe"
    with open(raw, "wb") as file:
        file.write(b"x")
    os.symlink("nowhere", tmp_path / "dangling")
    assert FileDigests().digest(tmp_path, "image")


def test_devices_and_channels_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(FileError, match="neither a file nor a folder"):
            FileDigests().digest(path, "text")
        with pytest.raises(FileError, match="neither a file nor a folder"):
            FileDigests().digest(path, "model")


def test_what_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileDigests().digest(tmp_path / "gone", "text")


def test_reading_ends_when_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(3 << 20))
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) == 2

    with pytest.raises(Cancelled):
        FileDigests().digest(path, "image", cancelled)
    assert len(asked) == 2
