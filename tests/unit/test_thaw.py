"""thaw(): a map from a snapshot, with its entries, order and shards, and without copying them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.threads import run_alike
from shardmap import ShardMap, Snapshot, _core

Make = Callable[..., ShardMap]


def test_a_thawed_map_is_equal_and_independent(make_map: Make) -> None:
    m = make_map({n: n for n in range(500)})
    snapshot = m.snapshot()
    thawed = snapshot.thaw()
    assert type(thawed) is ShardMap
    assert list(thawed.items()) == list(m.items()) and thawed == snapshot == m
    thawed._check()
    thawed[1] = "thawed"
    thawed["new"] = 1
    m[2] = "original"
    assert list(snapshot.items()) == [(n, n) for n in range(500)]
    assert thawed[2] == 2 and m[1] == 1 and list(thawed)[-1] == "new"
    for each in (thawed, m, snapshot.thaw()):
        if isinstance(each, ShardMap):
            each._check()
            assert len(each.shards) == len(m.shards)


def test_thawing_copies_no_table_until_the_first_write(make_map: Make, shards: int) -> None:
    snapshot = make_map({n: n for n in range(500)}).snapshot()
    thawed = snapshot.thaw()
    assert thawed.stats().copies == 0
    for n in range(500):
        thawed[n] = None
    assert thawed.stats().copies == shards
    assert all(value is not None for value in snapshot.values())


def test_what_is_empty_thaws_to_an_empty_map(make_map: Make) -> None:
    for snapshot in (Snapshot(), make_map().snapshot()):
        thawed = snapshot.thaw()
        assert thawed == {} and len(thawed) == 0
        thawed["a"] = 1
        assert thawed == {"a": 1} and not snapshot
        thawed._check()


def test_counters_thaw_as_numbers(make_map: Make) -> None:
    m = make_map()
    m.add("count", 5)
    thawed = m.snapshot().thaw()
    assert thawed.add("count") == 6 and m["count"] == 5


def test_a_chosen_number_of_shards_is_kept_in_pickles() -> None:
    import pickle

    for m in (ShardMap(a=1), ShardMap.with_capacity(shards=32)):
        thawed = m.snapshot().thaw()
        assert thawed._chosen_shards() == m._chosen_shards()
        assert len(pickle.loads(pickle.dumps(thawed)).shards) == len(m.shards)


def test_threads_thaw_and_write_one_snapshot(make_map: Make) -> None:
    snapshot = make_map(dict.fromkeys(range(200), 0)).snapshot()

    def work(number: int) -> list[Any]:
        m = snapshot.thaw()
        for n in range(200):
            m.add(n, number)
        m._check()
        return list(m.values())

    assert run_alike(4, work) == [[number] * 200 for number in range(4)]
    assert set(snapshot.values()) == {0}


def test_internal_functions_refuse_what_is_no_snapshot() -> None:
    for garbage in (None, 1, ShardMap()):
        with pytest.raises(TypeError):
            _core._thaw(ShardMap, garbage)
    with pytest.raises(TypeError):
        _core._thaw(dict, Snapshot())  # type: ignore[type-var]
