from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from studio.cache import codec, disk, entry
from studio.cache.disk import BLOCK_BYTES, DiskTier

VALUE = {"image": np.arange(500, dtype=np.float32), "text": "hello", "raw": b"\0" * 70}
ENCODED = codec.encode(VALUE)


@pytest.fixture
def tier(tmp_path: Path) -> DiskTier:
    return DiskTier(tmp_path / "cache", 1 << 20)


def file_of(tier: DiskTier, key: str) -> Path:
    return Path(tier.path(key))


def image(tier: DiskTier, key: str = "k") -> np.ndarray | None:
    found = tier.load(key)
    return None if found is None else codec.decode(found[1].header, found[1].buffers)["image"]  # type: ignore[index, return-value]


def test_an_entry_is_there_for_every_process_and_later_ones(tier: DiskTier) -> None:
    assert tier.about("k") is tier.load("k") is None
    assert tier.store("k", {"seconds": 1.5}, ENCODED)
    other = DiskTier(tier.root, 1 << 20)
    assert other.about("k") == {"seconds": 1.5}
    assert np.array_equal(image(other), VALUE["image"])


def test_nothing_is_made_before_something_is_written(tier: DiskTier) -> None:
    assert tier.about("k") is None
    assert tier.sizes() == (0, 0)
    tier.touch("k")
    tier.remove("k")
    tier.clear()
    assert not tier.root.exists()


def test_entries_fan_out_over_256_folders(tier: DiskTier) -> None:
    folders = {file_of(tier, f"{number:064x}").parent.name for number in range(4000)}
    assert len(folders) == 256


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "a/b", "NUL", "ключ", "x" * 5000, "\0", "\ud800"])
def test_any_key_is_a_file_inside_the_folder(tier: DiskTier, key: str) -> None:
    assert tier.store(key, None, ENCODED)
    assert file_of(tier, key).parent.parent == tier.root / "entries"
    assert image(tier, key) is not None


def test_buffers_lie_at_multiples_of_64_bytes(tier: DiskTier) -> None:
    tier.store("k", None, codec.encode([b"x", np.ones(3), b"yy", np.ones(5)]))
    head, encoded = entry.read(tier.path("k"), "k", 1 << 20)
    places = [np.frombuffer(buffer, np.uint8).ctypes.data for buffer in encoded.buffers]
    assert {(place - places[0]) % entry.ALIGNMENT for place in places} == {0}
    assert head.body_bytes % entry.ALIGNMENT == 0


def test_an_entry_cut_anywhere_is_a_miss_and_taken_away(tier: DiskTier) -> None:
    tier.store("k", {"seconds": 1.5}, ENCODED)
    whole = file_of(tier, "k").read_bytes()
    _head, _ = entry.read(tier.path("k"), "k", 1 << 20)
    regions = (0, 1, 7, 8, 12, 16, 24, 39, 40, 41, _head.start - 1, _head.start, _head.start + 1)
    for length in (
        *regions,
        _head.start + _head.tree_bytes,
        len(whole) // 2,
        len(whole) - 65,
        len(whole) - 1,
    ):
        for look in (tier.about, tier.load):
            file_of(tier, "k").write_bytes(whole[:length])
            assert look("k") is None, length
            assert not file_of(tier, "k").exists()


def test_an_entry_with_bytes_after_its_end_is_a_miss(tier: DiskTier) -> None:
    tier.store("k", None, ENCODED)
    with file_of(tier, "k").open("ab") as file:
        file.write(b"\0")
    assert tier.about("k") is None


def test_any_flipped_bit_is_a_miss(tier: DiskTier) -> None:
    tier.store("k", {"seconds": 1.5}, ENCODED)
    whole = file_of(tier, "k").read_bytes()
    head, _ = entry.read(tier.path("k"), "k", 1 << 20)
    chosen = random.Random(7).sample(range(head.start, len(whole)), 150)
    for place in (*range(head.start), *chosen):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file_of(tier, "k").write_bytes(damaged)
        assert tier.load("k") is None, place
        assert not file_of(tier, "k").exists()


def test_a_flipped_bit_in_the_head_is_seen_without_reading_the_body(tier: DiskTier) -> None:
    tier.store("k", {"seconds": 1.5}, ENCODED)
    damaged = bytearray(file_of(tier, "k").read_bytes())
    damaged[60] ^= 1
    file_of(tier, "k").write_bytes(damaged)
    assert tier.about("k") is None


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\3\4" + bytes(5000), b"\x89PNG\r\n\x1a\n" + bytes(5000), bytes(10)]
)
def test_an_alien_file_is_a_miss_and_makes_way(tier: DiskTier, content: bytes) -> None:
    path = file_of(tier, "k")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert tier.load("k") is None
    assert not path.exists()
    assert tier.store("k", None, ENCODED)
    assert image(tier) is not None


def test_an_entry_of_another_key_or_a_newer_format_is_a_miss(tier: DiskTier) -> None:
    tier.store("k", None, ENCODED)
    whole = file_of(tier, "k").read_bytes()
    other = file_of(tier, "other")
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(whole)
    assert tier.load("other") is None
    newer = bytearray(whole)
    newer[8] = entry.FORMAT + 1
    file_of(tier, "k").write_bytes(newer)
    assert tier.about("k") is None
    assert not file_of(tier, "k").exists()


def test_a_folder_a_link_or_a_pipe_in_place_of_an_entry_makes_way(tier: DiskTier, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    path = file_of(tier, "k")
    path.parent.mkdir(parents=True)
    for occupy in (
        lambda: (path / "inner").mkdir(parents=True),
        lambda: path.symlink_to(elsewhere),
        lambda: os.mkfifo(path),
    ):
        occupy()
        assert tier.load("k") is None
        assert tier.store("k", None, ENCODED)
        assert image(tier) is not None
        path.unlink()
    assert elsewhere.read_bytes() == b"precious"
    assert not tier.trouble


def test_a_head_that_promises_more_than_the_file_holds_allocates_nothing(tier: DiskTier) -> None:
    path = file_of(tier, "k")
    path.parent.mkdir(parents=True)
    head = b'{"key":"k","about":null,"tree":10,"body":""}'
    path.write_bytes(
        entry._PREFIX.pack(entry.MAGIC, entry.FORMAT, len(head), 1 << 50, entry._checksum(head)) + head
    )
    assert tier.load("k") is None
    assert not path.exists()


def test_a_file_larger_than_the_cap_is_not_read(tier: DiskTier) -> None:
    path = file_of(tier, "k")
    path.parent.mkdir(parents=True)
    head = b'{"key":"k","about":null,"tree":10,"body":""}'
    prefix = entry._PREFIX.pack(entry.MAGIC, entry.FORMAT, len(head), 1 << 36, entry._checksum(head))
    with path.open("wb") as file:
        file.write(prefix + head)
        file.truncate(len(prefix) + len(head) + (1 << 36))
    assert tier.load("k") is None
    assert not path.exists()


@pytest.mark.parametrize(
    "head", [b"[" * 100_000, b"null", b'{"key":"k"}', b'{"key":"k","about":NaN,"tree":0,"body":""}', b"\xff"]
)
def test_a_hostile_head_with_a_right_checksum_is_a_miss(tier: DiskTier, head: bytes) -> None:
    path = file_of(tier, "k")
    path.parent.mkdir(parents=True)
    path.write_bytes(
        entry._PREFIX.pack(entry.MAGIC, entry.FORMAT, len(head), 0, entry._checksum(head)) + head
    )
    assert tier.about("k") is None
    assert not path.exists()


@pytest.mark.parametrize(
    "tree", [b"", b"[", b"{}", b"[null]", b"[null,[1000]]", b"[null,[-1]]", b"[null,[true]]"]
)
def test_a_hostile_tree_with_right_checksums_is_a_miss(tier: DiskTier, tree: bytes) -> None:
    path = file_of(tier, "k")
    path.parent.mkdir(parents=True)
    body = entry._checksum(tree).hex()
    head = f'{{"key":"k","about":null,"tree":{len(tree)},"body":"{body}"}}'.encode()
    prefix = entry._PREFIX.pack(entry.MAGIC, entry.FORMAT, len(head), len(tree), entry._checksum(head))
    path.write_bytes(prefix + head + tree)
    assert tier.load("k") is None
    assert not path.exists()


def fill(tier: DiskTier, names: str, blocks: int = 10) -> None:
    """Store entries of `blocks` blocks each, last used in the order of `names`."""
    for second, name in enumerate(names, start=1):
        assert tier.store(name, None, codec.encode(bytes(blocks * BLOCK_BYTES - 1000)))
        os.utime(tier.path(name), (second, second))


def kept(tier: DiskTier, names: str) -> str:
    return "".join(name for name in names if tier.used_ns(name) is not None)


def test_over_the_cap_what_was_used_longest_ago_goes(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, 100 * BLOCK_BYTES)
    fill(tier, "cabdefghij")
    assert kept(tier, "abcdefghij") == "abcdefghij"
    tier.store("k", None, codec.encode(bytes(1000)))
    assert kept(tier, "abcdefghijk") == "bdefghijk"
    assert tier.sizes() == (81 * BLOCK_BYTES, 9)


def test_a_touch_counts_as_use_and_does_not_rewrite(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, 100 * BLOCK_BYTES)
    fill(tier, "abcdefghij")
    before = os.stat(tier.path("a"))
    tier.touch("a")
    assert os.stat(tier.path("a")).st_ino == before.st_ino
    tier.store("k", None, codec.encode(bytes(1000)))
    assert kept(tier, "abcdefghijk") == "adefghijk"


def test_what_another_process_wrote_counts_too(tmp_path: Path) -> None:
    one, two = DiskTier(tmp_path, 100 * BLOCK_BYTES), DiskTier(tmp_path, 100 * BLOCK_BYTES)
    assert one.sizes() == two.sizes() == (0, 0)
    fill(one, "abcdefghi")
    fill(two, "jklmn")
    total = sum(file.stat().st_size for file in tmp_path.rglob("*.entry"))
    assert total <= 100 * BLOCK_BYTES


def test_an_entry_larger_than_the_cap_is_not_written_and_evicts_nothing(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, 10 * BLOCK_BYTES)
    fill(tier, "a", blocks=5)
    assert not tier.store("b", None, codec.encode(bytes(11 * BLOCK_BYTES)))
    assert kept(tier, "ab") == "a"
    assert not tier.trouble


def test_what_another_process_uses_while_room_is_made_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier = DiskTier(tmp_path, 100 * BLOCK_BYTES)
    fill(tier, "abcdefghij")
    monkeypatch.setattr(tier, "_sweep", lambda: DiskTier(tmp_path, 1 << 20).touch("a"))
    tier.store("k", None, codec.encode(bytes(1000)))
    assert kept(tier, "abcdefghijk") == "adefghijk"


def test_a_value_of_too_many_parts_is_not_written(tier: DiskTier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "MAX_JSON_BYTES", 1000)
    assert not tier.store("k", None, codec.encode(list(range(1000))))
    assert not tier.trouble


@pytest.mark.expects_log("studio.cache.disk", "There is not enough memory to load")
def test_an_entry_for_which_there_is_no_memory_is_a_miss_but_stays(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier.store("k", None, ENCODED)

    def refuse(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as full:
        full.setattr(np, "empty", refuse)
        assert tier.load("k") is None
    assert image(tier) is not None


def test_sizes_follow_every_change(tier: DiskTier) -> None:
    fill(tier, "abc")
    assert tier.sizes() == (30 * BLOCK_BYTES, 3)
    tier.store("a", None, codec.encode(b""))
    assert tier.sizes() == (21 * BLOCK_BYTES, 3)
    tier.remove("b")
    assert tier.sizes() == (11 * BLOCK_BYTES, 2)
    file_of(tier, "c").write_bytes(b"damaged")
    assert tier.load("c") is None
    assert tier.sizes()[1] == 1
    tier.clear()
    assert tier.sizes() == (0, 0)
    assert DiskTier(tier.root, 1).sizes() == (0, 0)


def test_writing_many_entries_counts_the_folder_but_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier = DiskTier(tmp_path, 1 << 30)
    counts: list[int] = []
    monkeypatch.setattr(tier, "_files", lambda look=tier._files: counts.append(1) or look())
    for number in range(50):
        tier.store(str(number), None, ENCODED)
    assert len(counts) == 1
    assert tier.sizes()[1] == 50


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_temporary_files_of_dead_processes_are_swept(tier: DiskTier) -> None:
    temporary = tier.root / "tmp"
    temporary.mkdir(parents=True)
    dead = temporary / f"{disk._HOST}-{dead_pid()}-0"
    alive = temporary / f"{disk._HOST}-{os.getpid()}-99999"
    elsewhere = temporary / f"00000000-{dead_pid()}-0"
    stale = temporary / "whatever"
    for path in (dead, alive, elsewhere, stale):
        path.write_bytes(b"x")
    long_ago = time.time() - 2 * disk.STALE_S
    os.utime(stale, (long_ago, long_ago))
    tier.store("k", None, ENCODED)
    assert set(temporary.iterdir()) == {alive, elsewhere}
    assert socket.gethostname() != disk._HOST


def test_a_write_leaves_no_temporary_file(tier: DiskTier) -> None:
    tier.store("k", None, ENCODED)
    assert list((tier.root / "tmp").iterdir()) == []


def test_a_folder_taken_away_between_writes_is_made_anew(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def lose_once(source: str, target: str) -> None:
        monkeypatch.setattr(os, "replace", replace)
        Path(source).unlink()
        replace(source, target)

    monkeypatch.setattr(os, "replace", lose_once)
    assert tier.store("k", None, ENCODED)
    assert image(tier) is not None
    assert not tier.trouble


def test_losing_a_race_where_open_files_cannot_be_replaced_is_no_trouble(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier.store("k", None, ENCODED)

    def refuse(source: str, target: str) -> None:
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(os, "replace", refuse)
    assert tier.store("k", None, ENCODED)
    assert not tier.trouble
    assert list((tier.root / "tmp").iterdir()) == []


@pytest.mark.expects_log("studio.cache.disk", "The cache folder .* cannot be written")
def test_a_folder_that_cannot_be_written_is_told_once_and_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    tier = DiskTier(tmp_path / "file" / "cache", 1 << 20)
    assert not tier.store("a", None, ENCODED)
    assert not tier.store("b", None, ENCODED)
    assert tier.trouble.startswith(f"The cache folder {tier.root} cannot be written (Not a directory)")
    assert (tier.load("a"), tier.about("a"), tier.sizes()) == (None, None, (0, 0))
    later_s = time.monotonic() + disk.REST_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later_s)
    assert not tier.store("c", None, ENCODED)
    assert len(caplog.records) == 1
    (tmp_path / "file").unlink()
    monkeypatch.setattr(time, "monotonic", lambda: later_s + disk.REST_S + 1)
    assert tier.store("d", None, ENCODED)
    assert tier.trouble == ""


FULL_DISK = """
import resource, sys, logging
from pathlib import Path
from studio.cache import codec
from studio.cache.disk import DiskTier
logging.disable()
tier = DiskTier(Path(sys.argv[1]), 1 << 30)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
assert tier.store("small", None, codec.encode(bytes(1000)))
assert not tier.store("large", None, codec.encode(bytes(1_000_000)))
print(tier.trouble)
"""


def test_a_disk_that_fills_up_in_the_middle_of_a_write_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "cannot be written (File too large)" in done.stdout
    tier = DiskTier(tmp_path, 1 << 30)
    assert tier.sizes()[1] == 1
    assert tier.load("small") is not None
    assert list((tmp_path / "tmp").iterdir()) == []
