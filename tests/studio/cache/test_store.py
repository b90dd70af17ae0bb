from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from studio.cache import classes, codec, writer
from studio.cache.disk import DiskTier
from studio.cache.store import ABSENT, Header, OutputHeader, Store


class Make:
    """Makes stores over one folder; each stands for a process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stores: list[Store] = []

    def __call__(self, ram_bytes: int = 1 << 20, disk_bytes: int = 1 << 24) -> Store:
        self.stores.append(Store(ram_bytes, DiskTier(self.root, disk_bytes)))
        return self.stores[-1]

    def later(self) -> Store:
        """A store that finds all that the others kept."""
        for store in self.stores:
            store.flush()
        return self()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made = Make(tmp_path / "cache")
    yield made
    for store in made.stores:
        store.close()


def picture(value: float = 0.5, side: int = 16) -> np.ndarray:
    return np.full((1, side, side, 3), value, np.float32)


def put(store: Store, key: str, *, keep: bool = True, seconds: float = 1.0, side: int = 16) -> Header:
    return store.put(key, {"image": picture(side=side)}, seconds=seconds, keep=keep)


def test_what_was_put_is_there() -> None:
    store = Store(1 << 20, None)
    image = picture()
    made = store.put("k", {"image": image, "count": 3}, seconds=1.5, keep=False)
    assert store.header("k") is made
    assert made.outputs == {"image": OutputHeader(), "count": OutputHeader(value=3)}
    assert made.seconds == 1.5
    assert image.nbytes <= made.nbytes < image.nbytes + 1000
    loaded = store.load("k")
    assert loaded is not None
    assert loaded["image"] is image
    assert store.header("other") is store.load("other") is None


def test_a_call_without_outputs_is_a_hit_all_the_same(make: Make) -> None:
    store = make()
    store.put("k", {}, seconds=0.0, keep=True)
    store.flush()
    assert make().header("k") == Header({}, 0.0, codec.nbytes({}))
    assert make().load("k") == {}


def test_none_is_a_value(make: Make) -> None:
    make().put("k", {"x": None}, seconds=0.0, keep=True)
    assert make.later().load("k") == {"x": None}


@pytest.mark.parametrize("value", [True, 0, 2**70, 1.0, -0.0, float("inf"), "", "two\nlines", "\ud800"])
def test_scalars_are_told_by_the_header_in_their_own_type(make: Make, value: object) -> None:
    store = make()
    store.put("k", {"x": value}, seconds=0.0, keep=True)
    store.flush()
    for header in (store.header("k"), make().header("k")):
        assert header is not None
        told = header.outputs["x"].value
        assert (type(told), repr(told)) == (type(value), repr(value))


def test_lists_are_told_by_the_digests_of_their_elements(make: Make) -> None:
    store = make()
    store.put("k", {"x": [picture(0.1), picture(0.2), 1], "t": (1,), "none": None}, seconds=0.0, keep=True)
    store.flush()
    for header in (store.header("k"), make().header("k")):
        assert header is not None
        assert header.outputs["x"] == OutputHeader(
            elements=(codec.digest(picture(0.1)), codec.digest(picture(0.2)), codec.digest(1))
        )
        assert header.outputs["t"] == header.outputs["none"] == OutputHeader(ABSENT, None)


def test_a_later_process_finds_what_was_kept_and_only_that(make: Make) -> None:
    store = make()
    put(store, "kept", keep=True)
    put(store, "not kept", keep=False)
    store.close()
    later = make()
    assert later.header("not kept") is None
    assert later.header("kept") == store.header("kept")
    loaded = later.load("kept")
    assert loaded is not None
    assert np.array_equal(loaded["image"], picture())


def test_an_entry_is_there_while_it_waits_to_be_written(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(ram_bytes=0)
    go = threading.Event()
    store_entry = DiskTier.store
    monkeypatch.setattr(DiskTier, "store", lambda *given: go.wait(30) and store_entry(*given))
    try:
        for key in "ab":
            put(store, key)
            assert store.header(key) is not None
            assert store.load(key) is not None
    finally:
        go.set()
    store.flush()
    assert store.header("a") is not None
    assert make().load("b") is not None


def test_what_memory_evicts_is_still_on_disk(make: Make) -> None:
    store = make(ram_bytes=5000)
    for key in "abc":
        put(store, key)
    store.flush()
    assert store.sizes().ram_entries == 1
    assert all(store.load(key) is not None for key in "abc")


def test_outputs_cannot_be_written_to_whether_fresh_or_loaded(make: Make) -> None:
    store = make()
    image = picture()
    store.put("k", {"image": image}, seconds=1.0, keep=True)
    assert not image.flags.writeable
    loaded = make.later().load("k")
    assert loaded is not None
    assert not loaded["image"].flags.writeable  # type: ignore[attr-defined]
    loaded["image"] = None
    again = store.load("k")
    assert again is not None
    assert again["image"] is image


def test_a_value_that_cannot_be_stored_is_refused_and_nothing_held(make: Make) -> None:
    store = make()
    for keep in (False, True):
        with pytest.raises(TypeError, match="cannot be stored"):
            store.put("k", {"x": object()}, seconds=1.0, keep=keep)
    assert store.header("k") is None


def test_a_damaged_entry_is_a_miss_forgotten_and_written_anew(make: Make) -> None:
    put(make(), "k")
    later = make.later()
    path = Path(DiskTier(Path(later.sizes().path), 1).path("k"))
    damaged = bytearray(path.read_bytes())
    damaged[-100] ^= 1
    path.write_bytes(damaged)
    assert later.header("k") is not None
    assert later.load("k") is None
    assert later.header("k") is None
    put(later, "k")
    assert make.later().load("k") is not None


def test_an_entry_whose_head_and_values_disagree_is_a_miss(make: Make, tmp_path: Path) -> None:
    disk = DiskTier(tmp_path / "cache", 1 << 20)
    about = {"outputs": {"x": {}}, "seconds": 1.0, "nbytes": 10}
    for key, said, value in [
        ("other names", about, {"y": 1}),
        ("no dict", about, [1]),
        ("no header", {"outputs": []}, {"x": 1}),
        ("negative", {**about, "nbytes": -1}, {"x": 1}),
        ("endless", {**about, "seconds": -1.0}, {"x": 1}),
        ("no scalar", {**about, "outputs": {"x": {"value": ["l"]}}}, {"x": 1}),
    ]:
        disk.store(key, said, codec.encode(value))  # type: ignore[arg-type]
        assert make().load(key) is None, key
        assert disk.used_ns(key) is None, key
    for said in ({"outputs": []}, {**about, "outputs": {"x": 1}}):
        disk.store("k", said, codec.encode({"x": 1}))  # type: ignore[arg-type]
        assert make().header("k") is None
        assert disk.used_ns("k") is None


@dataclass(frozen=True)
class Depth:
    metres: float


def test_values_of_a_package_that_is_not_here_are_a_miss_but_stay(make: Make) -> None:
    codec.register_dataclass(Depth)
    store = make()
    store.put("k", {"depth": Depth(1.0)}, seconds=1.0, keep=True)
    store.close()
    known = classes.records.pop(classes.record_of[Depth].name)
    without = make()
    assert without.header("k") is not None
    assert without.load("k") is None
    assert without.header("k") is None
    classes.records[known.name] = known
    assert make().load("k") == {"depth": Depth(1.0)}
    assert without.load("k") == {"depth": Depth(1.0)}, "the package came later"


def test_arrays_decoded_before_their_library_is_there_are_not_held(make: Make) -> None:
    raw = codec.Raw("foreign", "uint8", (2,), b"ab")
    make().put("k", {"x": raw}, seconds=1.0, keep=True)
    later = make.later()
    assert later.load("k") == {"x": raw}
    codec.register("foreign", set, lambda value: raw, lambda found: set(bytes(found.data)))
    try:
        assert later.load("k") == {"x": {97, 98}}
        assert later.sizes().ram_entries == 1
    finally:
        del classes.converters["foreign"]


@pytest.mark.expects_log("studio.cache.writer", "A result could not be written")
def test_a_write_that_fails_unforeseen_does_not_end_the_thread(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make()
    with monkeypatch.context() as broken:
        broken.setattr(DiskTier, "store", lambda *given: 1 / 0)
        put(store, "a")
        store.flush()
    put(store, "b")
    assert make.later().load("b") is not None
    assert store.load("a") is not None


def test_forgetting_reaches_memory_disk_and_what_waits(make: Make) -> None:
    store = make()
    put(store, "k")
    store.forget("k")
    assert store.header("k") is None
    put(store, "k")
    store.flush()
    store.forget("k")
    store.forget("never there")
    assert store.header("k") is None
    assert make.later().header("k") is None


def test_clearing_empties_everything_and_leaves_the_store_usable(make: Make) -> None:
    store, other = make(), make()
    for key in "abc":
        put(store, key)
    store.put_record("r", 1)
    store.flush()
    assert other.header("a") is not None
    store.clear()
    sizes = store.sizes()
    assert (sizes.ram_bytes, sizes.ram_entries, sizes.disk_bytes, sizes.disk_entries) == (0, 0, 0, 0)
    assert store.record("r") is None
    assert other.header("a") is other.load("a") is None
    put(store, "a")
    assert make.later().load("a") is not None


def test_a_header_known_before_is_gone_when_another_process_took_the_entry_away(make: Make) -> None:
    store, other = make(), make()
    put(store, "k")
    store.flush()
    assert other.header("k") is not None
    store.forget("k")
    assert other.header("k") is None


def test_an_entry_already_on_disk_is_not_written_again(make: Make) -> None:
    store = make()
    put(store, "k")
    store.flush()
    path = DiskTier(Path(store.sizes().path), 1).path("k")
    before = os.stat(path).st_ino
    later = make()
    put(later, "k")
    later.flush()
    assert os.stat(path).st_ino == before


def test_what_is_used_from_memory_is_young_on_disk_too(make: Make) -> None:
    store = make()
    path = DiskTier(Path(store.sizes().path), 1).path
    for key in "abc":
        put(store, key)
    store.flush()
    for key in "abc":
        os.utime(path(key), (1, 1))
    assert store.header("a") is not None
    assert store.load("b") is not None
    store.flush()
    assert [os.stat(path(key)).st_mtime > 1 for key in "abc"] == [True, True, False]


def test_sizes_tell_what_memory_and_disk_hold(make: Make, tmp_path: Path) -> None:
    store = make(ram_bytes=1 << 20, disk_bytes=1 << 24)
    header = put(store, "k")
    store.flush()
    sizes = store.sizes()
    assert (sizes.ram_bytes, sizes.ram_entries, sizes.ram_limit_bytes) == (header.nbytes, 1, 1 << 20)
    assert (sizes.disk_bytes, sizes.disk_entries, sizes.disk_limit_bytes) == (4096, 1, 1 << 24)
    assert (sizes.path, sizes.trouble) == (str(tmp_path / "cache"), "")
    assert Store(5, None).sizes().ram_limit_bytes == 5


@pytest.mark.expects_log("studio.cache.disk", "The cache folder .* cannot be written")
def test_without_a_folder_to_write_to_memory_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = Store(1 << 20, DiskTier(tmp_path / "file" / "cache", 1 << 20))
    put(store, "a")
    store.put_record("r", [1])
    store.flush()
    put(store, "b")
    assert store.load("a") is not None
    assert store.load("b") is not None
    assert store.record("r") == [1]
    assert "cannot be written" in store.sizes().trouble
    store.close()


def test_after_closing_memory_still_serves(make: Make) -> None:
    store = make()
    put(store, "a")
    store.close()
    store.close()
    put(store, "b")
    assert store.load("a") is not None
    assert store.load("b") is not None
    assert make().header("b") is None
    assert not [
        thread for thread in threading.enumerate() if thread.name == "cache-writer" and thread.is_alive()
    ]


@pytest.mark.expects_log("studio.cache.writer", "The disk of the cache is too slow")
def test_a_disk_that_hangs_does_not_hold_up_the_work_for_ever(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(DiskTier, "store", lambda *given: go.wait(30))
    monkeypatch.setattr(writer, "PATIENCE_S", 0.01)
    monkeypatch.setattr(writer, "PENDING_LIMIT_BYTES", 8000)
    store = make()
    for key in "abcd":
        put(store, key)
    assert all(store.load(key) is not None for key in "abcd")
    go.set()
    store.flush()


def test_records_are_shared_and_the_last_put_counts(make: Make) -> None:
    one, two = make(), make()
    assert one.record("r") is None
    one.put_record("r", {"a": [1, 2.0, None]})
    assert one.record("r") == {"a": [1, 2.0, None]}
    one.flush()
    assert two.record("r") == {"a": [1, 2.0, None]}
    two.put_record("r", "new")
    assert two.record("r") == "new"
    two.flush()
    assert one.record("r") == "new"
    one.put_record("r", "newer")
    one.put_record("r", "newest")
    one.flush()
    assert two.record("r") == one.record("r") == make().record("r") == "newest"


def test_records_need_no_disk() -> None:
    store = Store(1 << 20, None)
    assert store.record("r") is None
    store.put_record("r", [1])
    assert store.record("r") == [1]
    store.clear()
    assert store.record("r") is None


def test_a_record_is_a_copy(make: Make) -> None:
    store = make()
    value = [1]
    store.put_record("r", value)  # type: ignore[arg-type]
    value.append(2)
    got = store.record("r")
    assert got == [1]
    got.append(3)  # type: ignore[union-attr]
    assert store.record("r") == [1]


def test_a_record_that_did_not_change_is_not_written_again(make: Make) -> None:
    store = make()
    store.put_record("r", {"a": 1})
    store.flush()
    path = DiskTier(Path(store.sizes().path), 1).path("record:r")
    inode = os.stat(path).st_ino
    assert store.record("r") == {"a": 1}
    store.put_record("r", {"a": 1})
    store.flush()
    assert os.stat(path).st_ino == inode
    store.put_record("r", {"a": True})
    store.flush()
    assert make().record("r") == {"a": True}


def test_a_damaged_record_is_what_memory_has_else_none(make: Make) -> None:
    store = make()
    store.put_record("r", 1)
    store.flush()
    disk = DiskTier(Path(store.sizes().path), 1 << 20)
    Path(disk.path("record:r")).write_bytes(b"damaged")
    assert store.record("r") == 1
    assert make().record("r") is None
    for damage in (codec.encode([1]), codec.Encoded(["?"], [])):
        disk.store("record:r", None, damage)
        assert make().record("r") is None


def test_calls_and_records_of_one_name_do_not_meet(make: Make) -> None:
    store = make()
    store.put_record("k", 1)
    put(store, "k")
    store.flush()
    assert make().record("k") == 1
    assert make().load("k") is not None


def test_many_threads_share_one_store(make: Make) -> None:
    store = make(ram_bytes=50_000, disk_bytes=600_000)
    wrong: list[object] = []

    def work(start: int) -> None:
        for turn in range(start, start + 150):
            key = str(turn % 40)
            store.put(key, {"n": int(key), "x": picture(int(key))}, seconds=turn % 3, keep=turn % 2 == 0)
            header, loaded = store.header(key), store.load(str((turn + 7) % 40))
            if header is not None and header.outputs["n"].value != int(key):
                wrong.append(header)
            if loaded is not None and not np.all(loaded["x"] == loaded["n"]):
                wrong.append(loaded)
            if turn % 10 == 0:
                store.forget(key)
            store.put_record("r", turn)
            if not isinstance(store.record("r"), int):
                wrong.append(turn)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 40, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush()
    assert not wrong
    assert store.sizes().disk_bytes <= 600_000


CROWD = """
import random, sys, time
from pathlib import Path
import numpy as np
from studio.cache.disk import DiskTier
from studio.cache.store import Store

root, seed = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)
disk = DiskTier(root, 1_000_000)
store = Store(100_000, disk)
hits = misses = 0
end = time.monotonic() + 2.0
while time.monotonic() < end:
    number = chance.randrange(60)
    key = f"key {number}"
    deed = chance.random()
    if deed < 0.45:
        store.put(key, {"n": number, "x": np.full((50, 200), number, np.float32)}, seconds=number, keep=True)
    elif deed < 0.9:
        header = store.header(key)
        assert header is None or header.outputs["n"].value == number, header
        loaded = store.load(key)
        if loaded is None:
            misses += 1
        else:
            hits += 1
            assert loaded["n"] == number and (loaded["x"] == number).all(), key
    elif deed < 0.97:
        store.forget(key)
    elif deed < 0.975:
        store.clear()
    elif deed < 0.985:
        # Damage of every sort, as by a failing disk or a stranger.
        path = Path(disk.path(key))
        if path.exists():
            path.write_bytes(chance.choice([b"", b"alien", chance.randbytes(3000)]))
    else:
        store.put_record("shared", {"by": seed, "n": number})
        record = store.record("shared")
        assert record is None or set(record) == {"by", "n"}, record
store.close()
assert not store.sizes().trouble, store.sizes()
print(hits, misses)
"""


def test_several_processes_share_one_folder_safely(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CROWD, str(tmp_path / "cache"), str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert err == ""
        assert int(out.split()[0]) > 0
    disk = DiskTier(tmp_path / "cache", 1_000_000)
    assert disk.sizes()[0] <= 1_000_000 + 4 * 1_000_000 // 16
    assert list((tmp_path / "cache" / "tmp").iterdir()) == []
    for path in (tmp_path / "cache" / "entries").rglob("*"):
        assert path.is_dir() or path.suffix == ".entry"


VICTIM = """
import sys
from pathlib import Path
import numpy as np
from studio.cache.disk import DiskTier
from studio.cache.store import Store
store = Store(1 << 30, DiskTier(Path(sys.argv[1]), 1 << 30))
number = 0
while True:
    store.put(str(number), {"x": np.full(500_000, number, np.float64)}, seconds=1.0, keep=True)
    if number == 3:
        store.flush()
    print(number, flush=True)
    number += 1
"""


def test_a_process_killed_while_writing_leaves_whole_entries_only(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(6):
        process.stdout.readline()
    process.kill()
    process.stdout.close()
    process.wait()
    store = Store(1 << 30, DiskTier(tmp_path, 1 << 30))
    found = [number for number in range(500) if store.header(str(number)) is not None]
    assert len(found) >= 4
    for number in found:
        loaded = store.load(str(number))
        assert loaded is not None
        assert np.all(loaded["x"] == number)
    put(store, "after")
    store.close()
    assert list((tmp_path / "tmp").iterdir()) == []
