from __future__ import annotations

import threading

from studio.cache.ram import RamTier


def held(tier: RamTier[str]) -> set[str]:
    return {name for name in "abcdef" if tier.get(name) is not None}


def test_what_is_cheapest_per_byte_goes_first() -> None:
    tier: RamTier[str] = RamTier(100)
    tier.put("a", "slow and small", nbytes=10, seconds=5.0)
    tier.put("b", "slow but large", nbytes=60, seconds=5.0)
    tier.put("c", "quick but tiny", nbytes=1, seconds=1.0)
    tier.put("d", "new", nbytes=40, seconds=0.1)
    assert held(tier) == {"a", "c", "d"}
    tier.put("e", "new", nbytes=60, seconds=0.1)
    assert held(tier) == {"a", "c", "e"}
    tier.put("f", "new", nbytes=95, seconds=0.1)
    assert held(tier) == {"c", "f"}


def test_among_equals_the_oldest_goes_first() -> None:
    tier: RamTier[str] = RamTier(3)
    for name in "abc":
        tier.put(name, name, nbytes=1, seconds=1.0)
    tier.put("a", "again", nbytes=1, seconds=1.0)
    tier.put("d", "d", nbytes=1, seconds=1.0)
    assert held(tier) == {"a", "c", "d"}


def test_what_was_just_put_stays_though_it_is_cheapest() -> None:
    tier: RamTier[str] = RamTier(10)
    tier.put("a", "dear", nbytes=10, seconds=100.0)
    assert tier.put("b", "cheap", nbytes=10, seconds=0.0)
    assert held(tier) == {"b"}


def test_what_exceeds_the_budget_alone_is_not_held_and_throws_nothing_out() -> None:
    tier: RamTier[str] = RamTier(10)
    tier.put("a", "a", nbytes=10, seconds=1.0)
    assert not tier.put("b", "b", nbytes=11, seconds=1.0)
    assert held(tier) == {"a"}


def test_a_put_in_place_counts_once() -> None:
    tier: RamTier[str] = RamTier(10)
    for nbytes in (4, 6, 10):
        tier.put("a", "a", nbytes=nbytes, seconds=1.0)
        assert (tier.nbytes, len(tier)) == (nbytes, 1)
    assert not tier.put("a", "too large", nbytes=11, seconds=1.0)
    assert (tier.nbytes, len(tier), tier.get("a")) == (0, 0, None)


def test_dropping_and_clearing_give_the_room_back() -> None:
    tier: RamTier[str] = RamTier(10)
    tier.put("a", "a", nbytes=4, seconds=1.0)
    tier.put("b", "b", nbytes=4, seconds=1.0)
    tier.drop("a")
    tier.drop("never there")
    assert (tier.nbytes, held(tier)) == (4, {"b"})
    tier.clear()
    assert (tier.nbytes, len(tier)) == (0, 0)
    assert tier.put("c", "c", nbytes=10, seconds=1.0)


def test_the_queue_of_candidates_does_not_grow_with_every_put() -> None:
    tier: RamTier[str] = RamTier(1000)
    for turn in range(5000):
        tier.put(f"{turn % 10}", "x", nbytes=1, seconds=1.0)
    assert len(tier._cheapest) < 200


def test_many_threads_leave_the_count_right() -> None:
    tier: RamTier[str] = RamTier(500)

    def work(start: int) -> None:
        for turn in range(start, start + 400):
            tier.put(f"{turn % 97}", "x", nbytes=turn % 13, seconds=float(turn % 5))
            tier.drop(f"{turn % 31}")

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tier.nbytes == sum(item.nbytes for item in tier._held.values()) <= 500
