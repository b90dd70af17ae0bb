from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.errors import FileError
from studio.files import bundle, strict_json

WORKFLOW = b'{"format": 1}'


def archive(
    path: Path, entries: dict[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return path


def test_what_was_packed_is_read(tmp_path: Path) -> None:
    blobs = {"9f2c": b"\0" * 9_000_000, "tiles/ab.png": b"1"}
    (tmp_path / "a.studio").write_bytes(bundle.pack(WORKFLOW, blobs))
    assert bundle.read(tmp_path / "a.studio") == (WORKFLOW, blobs)


def test_the_same_content_gives_the_same_bytes() -> None:
    assert bundle.pack(WORKFLOW, {"b": b"2", "a": b"1"}) == bundle.pack(WORKFLOW, {"a": b"1", "b": b"2"})


def test_a_bundle_from_another_zip_program_with_its_folder_opens(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.studio", {"workflow.json": WORKFLOW, "blobs/": b"", "blobs/ab": b"1"})
    assert bundle.read(path) == (WORKFLOW, {"ab": b"1"})


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("C:/windows/a", "absolute"),
        ("c:a", "absolute"),
        ("blobs\\..\\a", "absolute"),
        ("../a", "out of the archive"),
        ("blobs/../../a", "out of the archive"),
        ("blobs/..", "out of the archive"),
        ("readme.txt", "only"),
        ("workflow.json/a", "only"),
        ("blobs/a/", "only"),
        ("blobs//a", "only"),
        ("blobs/.hidden", "only"),
        ("blobs/a\0b", "only"),
        ("blobs/a b", "only"),
        ("blobsa", "only"),
        ("Workflow.json", "only"),
    ],
)
def test_one_wrong_entry_refuses_the_archive(tmp_path: Path, name: str, why: str) -> None:
    info = zipfile.ZipInfo("x")
    info.filename = name  # past the constructor, which would tidy it
    path = archive(tmp_path / "a.studio", {"workflow.json": WORKFLOW, info: b"1"})
    with pytest.raises(FileError, match=f"refused.*{why}"):
        bundle.read(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_links_and_devices_refuse_the_archive(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("blobs/a")
    info.external_attr = (kind | 0o777) << 16
    path = archive(tmp_path / "a.studio", {"workflow.json": WORKFLOW, info: b"/etc/passwd"})
    with pytest.raises(FileError, match="link or a device"):
        bundle.read(path)


@pytest.mark.parametrize("second", ["workflow.json", "blobs/A"])
def test_an_entry_that_is_there_twice_refuses_the_archive(tmp_path: Path, second: str) -> None:
    path = archive(tmp_path / "a.studio", {"workflow.json": WORKFLOW, "blobs/a": b"1"})
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as file:
        warnings.simplefilter("ignore")
        file.writestr(second, b"2")
    with pytest.raises(FileError, match="twice"):
        bundle.read(path)


def test_an_encrypted_entry_refuses_the_archive(tmp_path: Path) -> None:
    data = bytearray(bundle.pack(WORKFLOW, {}))
    data[6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.studio").write_bytes(data)
    with pytest.raises(FileError, match="encrypted"):
        bundle.read(tmp_path / "a.studio")


def test_without_a_workflow_it_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no workflow\.json"):
        bundle.read(archive(tmp_path / "a.studio", {"blobs/a": b"1"}))


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_ENTRIES", 2)
    path = archive(tmp_path / "a.studio", {"workflow.json": WORKFLOW, "blobs/a": b"1", "blobs/b": b"1"})
    with pytest.raises(FileError, match="entries"):
        bundle.read(path)


def test_a_table_of_contents_that_lies_about_its_length_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MAX_ENTRIES", 2)
    path = archive(tmp_path / "a.studio", {"workflow.json": WORKFLOW, "blobs/a": b"1", "blobs/b": b"1"})
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, len(data) - 14, 1, 1)
    path.write_bytes(data)
    with pytest.raises(FileError, match="entries"):
        bundle.read(path)


def test_bytes_are_counted_as_they_come_out_whatever_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MAX_BYTES", 1_000_000)
    names: dict[str | zipfile.ZipInfo, bytes] = {"workflow.json": WORKFLOW}
    names |= {f"blobs/{n}": bytes(range(256)) * 2000 for n in range(3)}
    with pytest.raises(FileError, match="unpacks to more than"):
        bundle.read(archive(tmp_path / "a.studio", names))


def test_a_workflow_larger_than_workflows_are_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict_json, "MAX_BYTES", 1000)
    with pytest.raises(FileError, match="unpacks to more than"):
        bundle.read(archive(tmp_path / "a.studio", {"workflow.json": b" " * 1001}))


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.studio", {"workflow.json": WORKFLOW, "blobs/a": bytes(20_000_000)})
    with pytest.raises(FileError, match="times its size"):
        bundle.read(path)


def test_a_blob_that_could_not_be_read_back_is_not_packed() -> None:
    with pytest.raises(FileError, match="blob"):
        bundle.pack(WORKFLOW, {"../a": b"1"})


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_archives_raise_nothing_but_file_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(bundle.pack(WORKFLOW, {"ab": b"123"}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(0, len(whole) * 4)) :]
    path = tmp_path_factory.getbasetemp() / "damaged.studio"
    path.write_bytes(whole)
    try:
        bundle.read(path)
    except FileError as error:
        sentence = error.title
    else:
        sentence = "It opened."
    assert sentence.endswith(".")


def test_something_else_that_begins_like_an_archive_is_refused(tmp_path: Path) -> None:
    for data in (b"PK", b"PK\x03\x04" + b"x" * 100, io.BytesIO(b"PK\x05\x06" + b"\0" * 17).getvalue()):
        (tmp_path / "a.studio").write_bytes(data)
        with pytest.raises(FileError, match="damaged"):
            bundle.read(tmp_path / "a.studio")
