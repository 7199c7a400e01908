"""Snapshots stay what they were; tables are copied once, by the first write, and only for a snapshot that lives."""

from __future__ import annotations

import copy
import operator
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any

import pytest

from harness.threads import LONG, run_alike
from shardmap import ShardMap, Snapshot

pytestmark = [pytest.mark.memory, pytest.mark.first_use]

Make = Callable[..., ShardMap]

CHANGES: dict[str, Callable[[ShardMap], Any]] = {
    "overwrite": lambda m: m.update(dict.fromkeys(range(100), "new")),
    "insert": lambda m: m.update(dict.fromkeys(range(1000, 1100), "new")),
    "delete": lambda m: [m.pop(n) for n in range(100)],
    "popitem": lambda m: [m.popitem() for _ in range(100)],
    "clear": lambda m: m.clear(),
    "setdefault": lambda m: [m.setdefault(n) for n in range(50, 200)],
    "add": lambda m: [m.add(n, "+") for n in range(100)],
    "in place or": lambda m: m.__ior__(dict.fromkeys(range(50, 150), "new")),
    "grow": lambda m: m.update({n: n for n in range(20_000)}),
    "grow and shrink": lambda m: [*map(m.__setitem__, range(20_000), range(20_000)), *map(m.pop, range(20_000))],
    "init again": lambda m: m.__init__({1: "new"}),
    "delete and insert": lambda m: [m.__setitem__(n, m.pop(n)) for n in range(100)],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_snapshot_stays_what_it_was(make_map: Make, change: str) -> None:
    m = make_map((n, f"old {n}") for n in range(100))
    items = list(m.items())
    snapshot, copied, iterator = m.snapshot(), m.copy(), iter(m.items())
    CHANGES[change](m)
    m._check()
    for _ in range(2):
        assert list(snapshot.items()) == list(copied.items()) == items
        assert list(reversed(snapshot.items())) == items[::-1]
        assert len(snapshot) == 100
        assert snapshot == dict(items)
        assert all(snapshot[n] == f"old {n}" for n in range(100))
        assert snapshot.get(1050) is None
        assert 1050 not in snapshot
        CHANGES[change](copied.copy())
    assert list(iterator) == items
    copied._check()


def test_a_snapshot_outlives_its_map(make_map: Make) -> None:
    snapshot = ShardMap({n: [n] for n in range(100)}).snapshot()
    assert list(snapshot.values()) == [[n] for n in range(100)]
    assert list(iter(ShardMap({n: n for n in range(100)}))) == list(range(100))


def test_changing_a_copy_leaves_the_original(make_map: Make) -> None:
    m = make_map((n, n) for n in range(50))
    family = [m]
    for generation in range(4):
        for member in list(family):
            family.append(member.copy())
            family[-1]["generation"] = generation
    for number, member in enumerate(family):
        member[number] = "mine"
    for number, member in enumerate(family):
        member._check()
        assert [n for n in range(50) if member[n] != n] == [number]


# --- When tables are copied ---


def test_only_the_first_write_to_each_shard_copies(make_map: Make, shards: int) -> None:
    m = make_map((n, n) for n in range(1000))
    before = m.stats().copies
    assert before == 0
    snapshot = m.snapshot()
    for _ in range(3):
        for n in range(1000):
            m[n] = object()
    assert m.stats().copies == shards
    assert {shard.copies for shard in m.stats().shards} == {1}
    second = m.snapshot()
    m[1] = None
    assert m.stats().copies == shards + 1
    assert snapshot != second


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.snapshot(),
        lambda m: m.copy(),
        lambda m: copy.copy(m),
        lambda m: list(m),
        lambda m: [None for _ in m.items()],
        lambda m: m == m.copy(),
        lambda m: repr(m),
        lambda m: pickle.dumps(m),
        lambda m: m.keys() | (),
        lambda m: ShardMap(m),
        lambda m: m | m,
        lambda m: next(iter(m)),
    ],
)
def test_a_snapshot_that_died_costs_no_copy(make_map: Make, use: Callable[[ShardMap], Any]) -> None:
    m = make_map((n, n) for n in range(100))
    use(m)
    for n in range(100):
        m[n] = object()
    assert m.stats().copies == 0


def test_an_iterator_lets_its_snapshot_go_at_its_end(make_map: Make) -> None:
    m = make_map((n, n) for n in range(100))
    iterator = iter(m)
    assert len(list(iterator)) == 100
    m.update({n: object() for n in range(100)})
    assert m.stats().copies == 0
    assert list(iterator) == []
    assert operator.length_hint(iterator) == 0


def test_reading_and_what_changes_nothing_never_copies(make_map: Make) -> None:
    m = make_map({n: n for n in range(100)})
    snapshot = m.snapshot()
    value = m[5]
    for n in range(-100, 200):
        m.get(n)
        m.pop(n + 1000, None)
    m.setdefault(5)
    m[5] = value
    m.update({})
    m.update(m)
    with pytest.raises(KeyError):
        del m["absent"]
    with pytest.raises(TypeError):
        m.add(5, "text")
    assert m.stats().copies == 0
    assert snapshot == m


def test_clearing_copies_nothing(make_map: Make) -> None:
    m = make_map({n: n for n in range(100)})
    snapshot = m.snapshot()
    m.clear()
    m[1] = 2
    assert m.stats().copies == 0
    assert len(snapshot) == 100


def test_the_copy_of_a_map_counts_only_its_own_copies(make_map: Make) -> None:
    m = make_map({n: n for n in range(100)})
    other = m.copy()
    other[1] = "new"
    m[1] = "mine"  # alone again
    assert (other.stats().copies, m.stats().copies) == (1, 0)


# --- What a Snapshot is ---


def test_a_snapshot_is_an_immutable_mapping(make_map: Make) -> None:
    snapshot: Any = make_map(a=1, b=2).snapshot()
    assert type(snapshot) is Snapshot
    assert isinstance(snapshot, Mapping)
    assert isinstance(snapshot, Hashable)
    assert not isinstance(snapshot, MutableMapping)
    for name in ("__setitem__", "__delitem__", "pop", "popitem", "clear", "update", "setdefault", "add", "__ior__"):
        assert not hasattr(snapshot, name), name
    for work in (
        lambda: operator.setitem(snapshot, "a", 2),
        lambda: operator.delitem(snapshot, "a"),
    ):
        with pytest.raises(TypeError):
            work()
    with pytest.raises(AttributeError):
        snapshot.attribute = 1
    snapshot.__init__()
    assert snapshot == {"a": 1, "b": 2}
    assert dict(snapshot) == {**snapshot} == dict(snapshot.items()) == MappingProxyType(snapshot)
    assert repr(snapshot) == "Snapshot({'a': 1, 'b': 2})"
    assert snapshot["a"] == 1
    assert snapshot.get("c", 3) == 3
    with pytest.raises(KeyError) as caught:
        snapshot["a", "b"]
    assert caught.value.args == (("a", "b"),)
    assert snapshot.keys() & {"a", "x"} == {"a"}
    assert copy.copy(snapshot) is snapshot
    assert bool(snapshot)
    assert not make_map().snapshot()


def test_equal_snapshots_have_equal_hashes(make_map: Make) -> None:
    one, other = make_map(a=1, b=2), make_map(b=2, a=1)
    assert one.snapshot() == other.snapshot()
    assert hash(one.snapshot()) == hash(other.snapshot())
    assert {one.snapshot(): 1}[other.snapshot()] == 1
    assert {one.snapshot(), other.snapshot()} == {one.snapshot()}
    other["a"] = []
    with pytest.raises(TypeError, match="unhashable"):
        hash(other.snapshot())
    assert one.snapshot() != other.snapshot()
    assert one.snapshot() == one == one.snapshot()
    assert hash(Snapshot()) == hash(make_map().snapshot())


def test_a_snapshot_is_no_mapping_with_what_counts_missing_keys(make_map: Make) -> None:
    assert make_map(a=0).snapshot() != Counter(b=0)
    assert make_map(a=0) != Counter(b=0)
    assert Counter(a=0) == make_map(a=0).snapshot()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_snapshots_are_pickled_with_their_order(make_map: Make, protocol: int) -> None:
    snapshot = make_map({n: [n] for n in range(50)}).snapshot()
    restored = pickle.loads(pickle.dumps(snapshot, protocol))
    assert type(restored) is Snapshot
    assert list(restored.items()) == list(snapshot.items())
    deep = copy.deepcopy(snapshot)
    assert deep == snapshot
    assert deep[1] is not snapshot[1]


# --- Iterators ---


@pytest.mark.parametrize("view", ["keys", "values", "items"])
@pytest.mark.parametrize("backward", [False, True])
def test_iterators_tell_how_many_are_left_and_can_be_pickled_half_way(
    make_map: Make, view: str, backward: bool
) -> None:
    m = make_map({n: str(n) for n in range(100)})
    iterator = (reversed if backward else iter)(getattr(m, view)())
    expected = list(getattr(m, view)())[:: -1 if backward else 1]
    m.clear()
    assert iter(iterator) is iterator
    for taken in (0, 1, 40, 99, 100):
        while operator.length_hint(iterator) > 100 - taken:
            next(iterator)
        for other in (pickle.loads(pickle.dumps(iterator)), copy.copy(iterator)):
            assert list(other) == expected[taken:]
        assert operator.length_hint(iterator) == 100 - taken
    assert next(iterator, "end") == "end"
    with pytest.raises(StopIteration):
        next(iterator)


@pytest.mark.parametrize("view", ["keys", "values", "items"])
def test_threads_that_share_an_iterator_get_each_entry_once(make_map: Make, view: str) -> None:
    m = make_map({n: -n for n in range(20_000)})
    iterator: Iterable[Any] = iter(getattr(m, view)())
    m.clear()
    taken = run_alike(4, lambda _: list(iterator))
    expected = {"keys": range(20_000), "values": range(0, -20_000, -1)}.get(view)
    if expected is None:
        expected = [(n, -n) for n in range(20_000)]
    assert Counter(x for one in taken for x in one) == Counter(expected)
    for one in taken:
        assert one == sorted(one, reverse=view == "values")


def test_an_iterator_may_be_handed_over_half_way(make_map: Make) -> None:
    m = make_map({n: n for n in range(100)})
    iterator, rest = iter(m), list[int]()
    first = [next(iterator) for _ in range(50)]
    thread = threading.Thread(target=lambda: rest.extend(iterator))
    thread.start()
    thread.join(LONG)
    assert first + rest == list(range(100))
