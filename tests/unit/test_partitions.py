"""shard_index, shards and partitions: every entry is in one place, and all of them are found."""

from __future__ import annotations

import gc
import operator
import pickle
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any

import pytest

from harness.keys import HashKey
from harness.threads import meanwhile, run_alike
from shardmap import Partition, ShardMap, Shards, ShardView, ShardWorkers, Snapshot, _core

pytestmark = pytest.mark.memory

Make = Callable[..., ShardMap]

# --- Shards ---


def test_each_key_belongs_to_one_shard_where_it_is_found(make_map: Make, shards: int) -> None:
    keys: list[Any] = [*range(300), *map(str, range(300)), None, (1, 2), 1.5, *(HashKey(n, n) for n in range(20))]
    m = make_map(zip(keys, keys, strict=True))
    assert len(m.shards) == shards
    assert sum(map(len, m.shards)) == len(m)
    for key in keys:
        number = m.shard_index(key)
        assert [view.index for view in m.shards if key in view] == [number]
    found = [pair for view in m.shards for pair in view.items()]
    assert Counter(found) == Counter(m.items())
    assert Counter(key for view in m.shards for key in view) == Counter(list(m))
    assert Counter(value for view in m.shards for value in view.values()) == Counter(m.values())


def test_equal_keys_belong_to_the_same_shard(make_map: Make) -> None:
    m = make_map()
    for same in ((1, 1.0, True), (HashKey("k", 7), HashKey("k", 7)), ("ab", "".join(["a", "b"]))):
        assert len({m.shard_index(key) for key in same}) == 1
    assert 5 not in m.shards[m.shard_index(5)]  # belonging is not being there


def test_a_shard_keeps_the_order_of_insertion(make_map: Make) -> None:
    m = make_map((n, n) for n in range(200))
    del m[3], m[77]
    m[3] = 3
    for view in m.shards:
        assert list(view) == [key for key in m if m.shard_index(key) == view.index]


def test_len_and_in_are_live_and_iteration_is_one_point_in_time(make_map: Make) -> None:
    m = make_map({n: n for n in range(100)})
    view = m.shards[m.shard_index(5)]
    size, keys, snapshot = len(view), iter(view), view.snapshot()
    del m[5]
    assert len(view) == size - 1 and 5 not in view
    assert 5 in list(keys) and type(snapshot) is Snapshot
    assert snapshot[5] == 5 and len(snapshot) == size and 5 in snapshot
    m.clear()
    assert len(view) == 0 and list(view) == [] and len(snapshot) == size
    others = [n for n in range(100) if m.shard_index(n) != view.index]
    assert all(n not in snapshot for n in others)


def test_only_the_shard_that_was_looked_at_is_copied(make_map: Make, shards: int) -> None:
    m = make_map({n: n for n in range(1000)})
    snapshot = m.shards[0].snapshot()
    for n in range(1000):
        m[n] = None
    assert m.stats().copies == 1 and all(value is not None for value in snapshot.values())


def test_shards_are_a_sequence(make_map: Make, shards: int) -> None:
    m = make_map(a=1)
    views = m.shards
    assert isinstance(views, Sequence) and type(views) is Shards
    assert views[-1] == views[shards - 1] and views[0].index == 0
    assert views[:2] == list(views)[:2] and views[::-1] == list(reversed(views))
    assert views.index(views[shards - 1]) == shards - 1 and views[0] in views
    assert views == m.shards and hash(views) == hash(m.shards) and views != make_map().shards and views != 1
    assert hash(views[0]) == hash(m.shards[0]) and views[0] != 0
    for number in (shards, -shards - 1):
        with pytest.raises(IndexError):
            views[number]
    with pytest.raises(TypeError):
        views["a"]  # type: ignore[call-overload]
    assert repr(views) == f"<{shards} shards>"
    assert repr(views[m.shard_index("a")]) == f"<shard {m.shard_index('a')} of {shards}: 1 entries>"
    assert isinstance(views[0], ShardView)


def test_unhashable_keys_are_type_errors(make_map: Make) -> None:
    m = make_map()
    for work in (m.shard_index, lambda key: key in m.shards[0]):
        with pytest.raises(TypeError):
            work([])


@pytest.mark.parametrize("number", [1, 2, 8, 64])
def test_workers_share_keys_out_as_a_map_with_as_many_shards(number: int) -> None:
    m = ShardMap.with_capacity(shards=number)
    keys: list[Any] = [*range(-500, 500), *map(str, range(500)), 2**61, -(2**63), 1e300, None]
    assert [_core._owner(key, number) for key in keys] == [m.shard_index(key) for key in keys]
    with ShardWorkers(number) as workers:
        assert [workers.owner(key) for key in keys[:50]] == [m.shard_index(key) for key in keys[:50]]


@pytest.mark.parametrize("owners", [1, 2, 3, 7, 8, 10, 64, 100])
def test_owners_are_even_for_the_patterns_people_have(owners: int) -> None:
    rows = [range(0, 10_000 * step, step) for step in (1, 3, 24, 64, 1000, 4096, 1 << 20, 1 << 32, 3 << 33, 1 << 45)]
    rows.append(range(140_000_000_000_000, 140_000_000_000_000 + 10_000 * 48, 48))  # addresses
    for keys in (*rows, [f"user-{n}" for n in range(10_000)]):
        counts = Counter(_core._owner(key, owners) for key in keys)
        assert set(counts) <= set(range(owners))
        assert max(counts.values()) < 1.5 * 10_000 / owners + 60


@pytest.mark.parametrize("bits", [0, 1, 3, 6, 10])
def test_integers_in_a_row_take_turns_in_the_shards(bits: int) -> None:
    """So none of them shares its place in a shard with another: core/hashing.h."""
    shards = 1 << bits
    for start in (0, 1 << 20, 10**12 >> bits << bits, -shards * 500):
        for begin in range(start, start + 20 * shards, shards):
            turn = {_core._owner(n, shards) for n in range(begin, begin + shards) if n != -1}
            assert turn >= set(range(shards)) - {_core._owner(-2, shards), _core._owner(-1, shards)}
            assert begin <= -1 < begin + shards or len(turn) == shards


@pytest.mark.parametrize("shards", [8, 64, 256])
def test_multiples_of_any_number_are_spread_over_the_shards(shards: int) -> None:
    """As random hashes would be, to nine standard deviations: the hash has a secret, which differs in each process, and
    one run in sixty has a step that is seven away."""
    n = 12 * shards
    most = 12 + 9 * 12**0.5
    crowded = {}
    for step in [*range(1, 120), 144, 145, 232, 233, 377, 610, 1000, 1597]:
        fullest = max(Counter(_core._owner(i * step, shards) for i in range(n)).values())
        if fullest > most:
            crowded[step] = fullest
    assert not crowded


# --- Partitions ---

NUMBERS = [1, 2, 3, 7, 64, 65, 500]


@pytest.mark.parametrize("n", NUMBERS)
def test_partitions_hold_every_entry_exactly_once_and_are_equal_in_size(make_map: Make, n: int) -> None:
    for size in (0, 1, 5, 300):
        m = make_map({i: str(i) for i in range(size)})
        parts = m.partitions(n)
        assert len(parts) == n
        assert Counter(pair for part in parts for pair in part) == Counter(m.items())
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        for part in parts:
            assert len(list(part)) == len(part)


@pytest.mark.parametrize("n", NUMBERS)
def test_removed_entries_do_not_unbalance_them(make_map: Make, n: int) -> None:
    m = make_map({i: i for i in range(400)})
    for i in [*range(0, 400, 3), *range(200, 300)]:
        m.pop(i, None)
    m.update({-i: i for i in range(1, 30)})
    for i in range(380, 400):
        m.pop(i, None)
    parts = m.partitions(n)
    assert Counter(pair for part in parts for pair in part) == Counter(m.items())
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_partitions_are_of_one_point_in_time_and_can_be_read_again(make_map: Make) -> None:
    m = make_map({i: i for i in range(100)})
    before = Counter(m.items())
    parts = m.partitions(4)
    half = iter(parts[0])
    first = next(half)
    m.clear()
    m.update(dict.fromkeys(range(200), "new"))
    for _ in range(2):
        assert Counter(pair for part in parts for pair in part) == before
    assert Counter([first, *half]) == Counter(parts[0])
    assert operator.length_hint(iter(parts[1])) == len(parts[1]) == 25
    assert list(half) == []


def test_a_snapshot_has_partitions_too(make_map: Make) -> None:
    snapshot = make_map({i: i for i in range(100)}).snapshot()
    assert Counter(pair for part in snapshot.partitions(3) for pair in part) == Counter(snapshot.items())
    assert [len(part) for part in Snapshot().partitions(3)] == [0, 0, 0]
    assert list(Snapshot().partitions(1)[0]) == []


def test_what_a_partition_is(make_map: Make) -> None:
    m = make_map(a=1)
    m.add("count", 2)
    (part,) = m.partitions(1)
    assert type(part) is Partition and isinstance(part, Iterable) and isinstance(part, Sized)
    assert ("count", 2) in part and ("a", 2) not in part
    assert repr(part) == "<Partition of 2 entries>"
    assert pickle.loads(pickle.dumps(part)) == list(part)
    assert dict(part) == m
    assert iter(iterator := iter(part)) is iterator
    with pytest.raises(TypeError):
        hash(part) and part < part  # type: ignore[operator]


@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError), (None, TypeError)]
)
def test_a_wrong_number_is_an_error(make_map: Make, n: Any, error: type[Exception]) -> None:
    for source in (make_map(a=1), make_map(a=1).snapshot()):
        with pytest.raises(error):
            source.partitions(n)
    with pytest.raises(ValueError):
        _core._partitions(Snapshot(), 0)
    with pytest.raises(TypeError):
        _core._partitions(None, 1)  # type: ignore[arg-type]


def test_threads_share_out_a_map_while_others_write(make_map: Make) -> None:
    m = make_map(dict.fromkeys(range(2_000), 1))

    def write() -> None:
        for i in range(0, 2_000, 7):
            m[i] = m[i] + 1
            m.pop(-i, None)
            m[-i] = 1

    with meanwhile(write):
        for _ in range(3):
            parts = m.partitions(3)
            twice = [Counter(pair for one in run_alike(3, lambda n: list(parts[n])) for pair in one) for _ in range(2)]
            assert twice[0] == twice[1]
            assert set(range(1, 2_000)) <= {key for key, _ in twice[0]}


def test_threads_that_share_an_iterator_get_each_entry_once(make_map: Make) -> None:
    m = make_map({n: n for n in range(5_000)})
    (part,) = m.partitions(1)
    iterator = iter(part)
    m.clear()
    taken = run_alike(3, lambda _: list(iterator))
    assert Counter(pair for one in taken for pair in one) == Counter((n, n) for n in range(5_000))


def test_references_are_given_back(make_map: Make) -> None:
    thing = HashKey("thing", 3)
    m = make_map({thing: thing, 1: thing})
    before = sys.getrefcount(thing)
    for n in (1, 2, 5):
        parts = m.partitions(n)
        for part in parts:
            list(part), next(iter(part), None)
        [list(view.items()) for view in m.shards]
        del parts, part
    gc.collect()
    assert sys.getrefcount(thing) == before


def test_a_cycle_through_a_partition_is_collected(make_map: Make) -> None:
    import weakref

    class Node:
        content: Any = None

    node = Node()
    m = ShardMap(node=node)
    parts = m.partitions(2)
    node.content = [m, parts, [iter(part) for part in parts], m.shards, m.shards[0]]
    for iterator in node.content[2]:
        next(iterator, None)
    reference = weakref.ref(node)
    del node, m, parts, iterator
    for _ in range(2):
        gc.collect()
    assert reference() is None
