"""Maps begin with one shard; a split spreads their entries over more, and nobody can tell but by stats()."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from harness.keys import HashKey
from harness.machine import machine_of, splitting
from shardmap import ShardMap, _core

pytestmark = pytest.mark.concurrent


def number_of_shards(m: ShardMap) -> int:
    return len(m.stats().shards)


def contents(m: Any) -> list[Any]:
    return list(m.items())


def test_a_map_has_one_shard_as_long_as_one_thread_uses_it() -> None:
    m = ShardMap((n, n) for n in range(100_000))
    for n in range(100_000):
        m[n] = m.pop(n) + 1
    assert number_of_shards(m) == 1 and m.stats().splits == 0


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_a_split_changes_no_entry_and_no_order(bits: int) -> None:
    keys = [*range(1000), *map(str, range(1000)), *((n, n) for n in range(100)), HashKey("a"), HashKey("b", hashed=1)]
    m = ShardMap((key, n) for n, key in enumerate(keys))
    for n in range(0, 1000, 3):
        del m[n]
    m.add(1), m.add("counter", 5)
    before = contents(m)
    assert _core._split(m, bits) and m.stats().splits == 1 and number_of_shards(m) == 1 << bits
    m._check()
    assert contents(m) == before and list(reversed(m)) == [key for key, _ in reversed(before)] and len(m) == len(before)
    assert all(m[key] == value for key, value in before) and 0 not in m
    m["last"] = 1
    assert contents(m) == [*before, ("last", 1)] and m.popitem() == ("last", 1)
    m._check()


def test_splits_may_follow_each_other() -> None:
    m = ShardMap()
    for bits in range(1, 11):
        for n in range(50):
            m[bits, n] = n
        assert _core._split(m, bits)
        m._check()
    assert list(m) == [(bits, n) for bits in range(1, 11) for n in range(50)]
    assert m.stats().splits == 10


def test_a_split_into_as_many_or_fewer_does_nothing() -> None:
    m = ShardMap(a=1)
    assert _core._split(m, 3) and not _core._split(m, 3) and not _core._split(m, 2)
    assert number_of_shards(m) == 8


def test_an_empty_map_can_be_split() -> None:
    m: ShardMap[Any, Any] = ShardMap()
    assert _core._split(m, 3)
    m["a"] = 1
    m._check()
    assert contents(m) == [("a", 1)]


def test_chosen_shards_are_never_split() -> None:
    with splitting(1):
        m = ShardMap.with_capacity(shards=2)
        m.update((n, n) for n in range(1000))
        for n in range(1000):
            m[n] = -n
        assert not _core._split(m, 3) and number_of_shards(m) == 2


def test_asking_for_shard_numbers_fixes_the_default_number() -> None:
    with machine_of(2):
        m = ShardMap((n, n) for n in range(1000))
        numbers = [m.shard_index(n) for n in range(1000)]
        assert set(numbers) == set(range(16)) and len(m.shards) == 16 == number_of_shards(m)
        assert not _core._split(m, 6)
        assert [m.shard_index(n) for n in range(1000)] == numbers
        assert [n for shard in m.shards for n in shard if m.shard_index(n) != shard.index] == []
        assert list(m) == list(range(1000))
        assert m._chosen_shards() is None
        copied = m.copy()
        assert contents(copied) == contents(m)


def test_what_is_iterated_snapshot_or_copied_before_a_split_stays() -> None:
    m = ShardMap((n, n) for n in range(500))
    keys, items, backward = iter(m), iter(m.items()), reversed(m)
    snapshot, copied, parts = m.snapshot(), m.copy(), m.partitions(3)
    begun = [next(keys) for _ in range(100)]
    assert _core._split(m, 4)
    m.clear()
    m[7] = "new"
    m._check()
    expected = [(n, n) for n in range(500)]
    assert begun + list(keys) == list(range(500)) and list(items) == expected
    assert list(backward) == list(range(499, -1, -1))
    assert contents(snapshot) == contents(copied) == expected
    assert sorted(pair for part in parts for pair in part) == expected
    copied._check()


def test_maps_made_from_a_split_one_equal_it() -> None:
    m = ShardMap((n, n) for n in range(100))
    _core._split(m, 3)
    pickled = pickle.loads(pickle.dumps(m))
    for each in [m.copy(), copy.copy(m), copy.deepcopy(m), pickled, ShardMap(m), m | {}, m.snapshot().thaw()]:
        assert each == m and list(each) == list(m)
        each._check()
        assert _core._split(each, 5)
        each["x"] = 1
        each._check()
    assert "x" not in m


def test_a_locked_key_keeps_a_map_from_being_split() -> None:
    m = ShardMap(a=1)
    with m.lock("a"):
        assert not _core._split(m, 3)
        m["b"] = 2
    assert m.compute("a", lambda key, value: _core._split(m, 3)) is False
    assert _core._split(m, 3) and contents(m) == [("a", False), ("b", 2)]


def test_a_key_lock_that_is_asked_for_before_a_split_and_taken_after_it() -> None:
    m = ShardMap(a=1, b=2)
    entry, many = m.lock("a"), m.lock_many(["b", "a", "c"])
    _core._split(m, 4)
    with entry:
        entry.value = 5
    _core._split(m, 6)
    with many as entries:
        entries["c"].set(3)
        m["b"] = 7
    assert contents(m) == [("a", 5), ("b", 7), ("c", 3)]


class SplitsWhenCompared:
    """A key whose comparison splits the map it is in."""

    m: ShardMap[Any, Any]

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return 5

    def __eq__(self, other: object) -> bool:
        if _core._splits(self.m) < 6:
            _core._split(self.m, _core._splits(self.m) + 1)
        return isinstance(other, SplitsWhenCompared) and other.number == self.number


OPERATIONS = {
    "[]": lambda m, key: m[key],
    "in": lambda m, key: key in m,
    "[]=": lambda m, key: m.__setitem__(key, "new"),
    "del": lambda m, key: m.__delitem__(key),
    "pop": lambda m, key: m.pop(key),
    "setdefault": lambda m, key: m.setdefault(key, "new"),
    "add": lambda m, key: m.exchange(key, 1) and m.add(key, 2),
    "compute": lambda m, key: m.compute(key, lambda key, value: "new"),
    "compare_and_set": lambda m, key: m.compare_and_set(key, key.number, "new"),
    "get_many": lambda m, key: m.get_many([key, SplitsWhenCompared(9), key]),
    "set_many": lambda m, key: m.set_many([key, SplitsWhenCompared(9), key], [1, 2, 3]),
    "delete_many": lambda m, key: m.delete_many([SplitsWhenCompared(9), key]),
    "count": lambda m, key: m.exchange(key, 1) and m.count([key, SplitsWhenCompared(9), key]),
    "lock": lambda m, key: m.lock(key).__enter__().delete(),
    "lock_many": lambda m, key: m.lock_many([SplitsWhenCompared(9), key]).__enter__(),
    "update": lambda m, key: m.update([(key, 1), (SplitsWhenCompared(9), 2)]),
    "==": lambda m, key: m == {SplitsWhenCompared(n): n for n in range(4)},
    "retain": lambda m, key: m.retain(lambda key, value: key.number != 2),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_split_in_the_middle_of_a_comparison_changes_no_result(name: str) -> None:
    def made(kind: type) -> Any:
        m: Any = ShardMap()
        kind.m = ShardMap()  # type: ignore[attr-defined]
        for n in range(4):
            m[kind(n)] = n
        kind.m = m  # type: ignore[attr-defined]
        return m

    class NeverSplits(SplitsWhenCompared):
        __hash__ = SplitsWhenCompared.__hash__

        def __eq__(self, other: object) -> bool:
            return isinstance(other, SplitsWhenCompared) and other.number == self.number

    def outcome(m: Any, kind: type) -> Any:
        result = OPERATIONS[name](m, kind(2))
        return repr(result) if isinstance(result, list | int | str | bool | None) else None, [
            (key.number, value) for key, value in m.items()
        ]

    m, other = made(SplitsWhenCompared), made(NeverSplits)
    assert outcome(m, SplitsWhenCompared) == outcome(other, NeverSplits)
    assert m.stats().splits > 0 or name in {"lock", "lock_many", "compute"}  # keys are locked while these compare
    m._check()


def test_a_split_without_memory_changes_nothing() -> None:
    for nth in range(1, 40):
        m = ShardMap((n, n) for n in range(100))
        _core._fail_allocation(nth)
        try:
            done = _core._split(m, 3)
        except MemoryError:
            done = False
        finally:
            _core._fail_allocation(0)
        m._check()
        assert contents(m) == [(n, n) for n in range(100)] and m.stats().splits == done
        m["more"] = 1
        assert m["more"] == 1
        if done:
            return
    raise AssertionError("more allocations than expected")


def test_a_write_that_would_split_goes_on_without_memory_for_it() -> None:
    m = ShardMap((n, n) for n in range(100))
    with machine_of(2):
        _core._want_split(m)
        _core._fail_allocation(1)
        try:
            m.add(5)
        finally:
            _core._fail_allocation(0)
        assert m[5] == 6 and m.stats().splits == 0


def test_stats_tell_the_layout() -> None:
    with splitting(1, shards=4):
        m: ShardMap[Any, Any] = ShardMap()
        for n in range(100):
            m[n] = n
    stats = m.stats()
    assert stats.splits == 2 and len(stats.shards) == 4 and stats.size == 100
