from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from studio.errors import FileError
from studio.files import atomic


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_the_last_three_versions_are_kept_newest_first(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    for text in (b"1", b"2", b"3", b"4", b"5"):
        atomic.write(file, text, versions=3)
    assert file.read_bytes() == b"5"
    assert [atomic.version_path(file, n).read_bytes() for n in (1, 2, 3)] == [b"4", b"3", b"2"]
    assert names(tmp_path) == ["a.json", "a.json~1", "a.json~2", "a.json~3"]


def test_saving_the_same_bytes_again_pushes_no_version_out(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    for text in (b"1", b"2", b"2", b"2"):
        atomic.write(file, text, versions=3)
    assert names(tmp_path) == ["a.json", "a.json~1"]
    assert atomic.version_path(file, 1).read_bytes() == b"1"


def test_without_versions_nothing_stays_beside_the_file(tmp_path: Path) -> None:
    for text in (b"1", b"2"):
        atomic.write(tmp_path / "a.png", text)
    assert names(tmp_path) == ["a.png"]


def test_a_version_does_not_change_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    atomic.write(file, b"1", versions=3)
    atomic.write(file, b"2", versions=3)
    with file.open("ab") as handle:
        handle.write(b"!")
    assert atomic.version_path(file, 1).read_bytes() == b"1"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    atomic.write(file, b"old", versions=3)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(FileError, match=r"“a\.json” could not be saved"):
            atomic.write(file, b"x" * 100_000, versions=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "may not write"),
        (9999, "system"),
    ],
)
def test_each_reason_has_its_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    atomic.write(tmp_path / "a.json", b"old", versions=3)

    def fail(_: int) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FileError, match=words):
        atomic.write(tmp_path / "a.json", b"new", versions=3)
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_a_failure_between_the_versions_and_the_rename_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.json"
    atomic.write(file, b"1", versions=3)
    real = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target == file:
            raise OSError(errno.EIO, "no")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(FileError):
        atomic.write(file, b"2", versions=3)
    assert file.read_bytes() == b"1"


def test_the_file_and_its_folder_are_synced_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def note(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    atomic.write(tmp_path / "a.json", b"1")
    assert len(synced) == 2
    assert synced[0].endswith(".tmp")
    assert synced[1] == os.path.realpath(tmp_path)


@pytest.mark.parametrize("name", ["no/such/folder.json", "a\0b.json", "x" * 300, "."])
def test_impossible_places_are_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match="could not be saved"):
        atomic.write(tmp_path / name, b"1")
    assert names(tmp_path) == []


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "a.json"
    target.write_bytes(b"1")
    link = tmp_path / "a.json"
    link.symlink_to(target)
    atomic.write(link, b"2", versions=3)
    assert link.is_symlink()
    assert target.read_bytes() == b"2"
    assert names(tmp_path / "real") == ["a.json", "a.json~1"]


def test_rights_of_the_file_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    atomic.write(file, b"1")
    file.chmod(0o640)
    atomic.write(file, b"2")
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_write_protected_file_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"1")
    file.chmod(0o444)
    with pytest.raises(FileError, match="may not write"):
        atomic.write(file, b"2")
    assert file.read_bytes() == b"1"
