"""ShardDefaultDict: defaultdict, with defaults that are made once."""

from __future__ import annotations

import copy
import pickle
from collections import defaultdict
from typing import Any

import pytest

from shardmap import ShardDefaultDict, ShardMap


def test_it_makes_what_is_missing_and_nothing_else() -> None:
    m: ShardDefaultDict[str, list[int]] = ShardDefaultDict(list, {"a": [1]}, b=[2])
    m["c"].append(3)
    assert m == {"a": [1], "b": [2], "c": [3]} and m.get("d") is None and "d" not in m and len(m) == 3
    m.default_factory = None
    with pytest.raises(KeyError, match="d"):
        m["d"]
    assert type(m) is ShardDefaultDict and isinstance(m, ShardMap)


def test_a_factory_that_raises_stores_nothing() -> None:
    calls = []

    def factory() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return 5

    m: ShardDefaultDict[str, int] = ShardDefaultDict(factory)
    with pytest.raises(ZeroDivisionError):
        m["a"]
    assert len(m) == 0 and m["a"] == 5 == m["a"] and len(calls) == 2


def test_a_factory_may_use_the_map_and_its_own_key() -> None:
    m: ShardDefaultDict[str, Any] = ShardDefaultDict()

    def factory() -> str:
        if "other" not in m:
            m["other"] = 1
            m["again"] = m["a"]
        return "made"

    m.default_factory = factory
    assert m["a"] == "made" and m == {"other": 1, "a": "made", "again": "made"}

    def stores_it() -> str:
        m["b"] = "stored"
        return "returned"

    m.default_factory = stores_it
    assert m["b"] == "stored" == m["b"]

    def clears() -> str:
        m.clear()
        return "after"

    m.default_factory = clears
    assert m["c"] == "after" and m == {"c": "after"}


def test_under_the_key_s_own_lock_a_default_is_made_too() -> None:
    m: ShardDefaultDict[str, list[int]] = ShardDefaultDict(list)
    with m.lock("a"):
        m["a"].append(1)
    assert m == {"a": [1]}


def test_without_a_factory_after_it_was_deleted() -> None:
    m: ShardDefaultDict[str, int] = ShardDefaultDict(int, a=1)
    del m.default_factory
    with pytest.raises(KeyError):
        m["b"]
    assert repr(m) == "ShardDefaultDict(None, {'a': 1})" and m.copy() == m


def test_copies_keep_the_factory() -> None:
    m: ShardDefaultDict[str, list[int]] = ShardDefaultDict(list, a=[1])
    for other in m.copy(), copy.copy(m), copy.deepcopy(m), pickle.loads(pickle.dumps(m)), m | {}, {} | m:
        assert type(other) is ShardDefaultDict and other == m and other.default_factory is list
        other["b"].append(2)
    assert list(m) == ["a"] and m.copy()["a"] is m["a"] and copy.deepcopy(m)["a"] is not m["a"]
    assert (m | {"c": [3]}) == {"a": [1], "c": [3]} and ({"c": [3]} | m) == {"c": [3], "a": [1]}
    m |= {"c": [3]}
    assert m["c"] == [3] and m.default_factory is list

    class Mine(ShardDefaultDict[str, int]):
        pass

    mine = Mine(int, a=1)
    assert type(mine.copy()) is type(copy.copy(mine)) is Mine and mine.copy().default_factory is int


def test_other_ways_to_make_one() -> None:
    m = ShardDefaultDict.with_capacity(100, shards=2)
    assert m.default_factory is None and m.stats().capacity >= 100
    assert ShardDefaultDict.fromkeys("ab", 1) == {"a": 1, "b": 1}
    assert ShardDefaultDict(None, [("a", 1)]) == ShardMap(a=1) == defaultdict(None, a=1)
    for wrong in (1, {}, "list"):
        with pytest.raises(TypeError, match="first argument must be callable or None"):
            ShardDefaultDict(wrong)  # type: ignore[call-overload]


def test_the_text_of_one_that_is_in_itself() -> None:
    m: ShardDefaultDict[str, Any] = ShardDefaultDict()
    m["me"] = m
    assert repr(m) == "ShardDefaultDict(None, {'me': ShardDefaultDict(None, {...})})"
