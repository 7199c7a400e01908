"""Filling an empty map at once, fromkeys and |, beside dict's."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from shardmap import MISSING, ShardMap
from test_hostile_keys import Boom, boom

Make = Callable[..., ShardMap]

KINDS: dict[str, Callable[[int], Any]] = {
    "str": lambda n: f"key {n}",
    "int": lambda n: n * 7 - 100,
    "large int": lambda n: 10**20 + n,
    "bytes": lambda n: b"%d" % n,
    "tuple": lambda n: (n, str(n)),
    "colliding": lambda n: HashKey(n, n % 3),
    "mixed": lambda n: [n, str(n), float(n) + 0.5, (n,), HashKey(n, 1)][n % 5],
}


def entries(kind: str, size: int) -> dict[Any, Any]:
    return {KINDS[kind](n): [n] for n in range(size)}


def assert_filled(m: ShardMap, wanted: dict[Any, Any]) -> None:
    """The same objects in the same order; and what is inserted later comes later."""
    m._check()
    assert len(m) == len(wanted)
    for (key, value), (wanted_key, wanted_value) in zip(m.items(), wanted.items(), strict=True):
        assert key is wanted_key and value is wanted_value
    m["later"] = None
    assert m.popitem() == ("later", None)
    for key, value in itertools.islice(wanted.items(), 50):
        assert m[key] is value


# --- Filling ---

SOURCES: dict[str, Callable[[Make, dict[Any, Any]], Any]] = {
    "dict": lambda make, d: d,
    "map": lambda make, d: make(d),
    "map of other shards": lambda make, d: ShardMap.with_capacity(shards=8).__ior__(d),
    "snapshot": lambda make, d: make(d).snapshot(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("size", [1, 15, 16, 300])
def test_an_empty_map_becomes_what_it_is_filled_from(make_map: Make, kind: str, source: str, size: int) -> None:
    d = entries(kind, size)
    m = make_map()
    m.update(SOURCES[source](make_map, d))
    assert_filled(m, d)


def test_a_large_map_is_filled_in_order(make_map: Make) -> None:
    d = entries("str", 20_000)
    assert_filled(make_map(d), d)
    assert_filled(make_map(ShardMap.with_capacity(shards=16).__ior__(d)), d)


def test_filling_compares_no_keys(make_map: Make) -> None:
    keys = [HashKey(n, n % 2) for n in range(80)]
    d = dict.fromkeys(keys)
    for key in keys:
        key.on_eq = boom
    m = make_map(d)
    assert list(m) == keys
    other = make_map()
    other.update(m)
    assert len(ShardMap.fromkeys(d)) == len(ShardMap.fromkeys(m)) == len(other) == 80


@pytest.mark.parametrize("at", [0, 1, 30, 100])
def test_a_hash_that_raises_stores_what_came_before_it(make_map: Make, at: int) -> None:
    d = entries("mixed", 100)
    key = HashKey("x", 1)
    d = dict([*list(d.items())[:at], (key, [1]), *list(d.items())[at:]])
    key.on_hash = boom
    m = make_map()
    with pytest.raises(Boom):
        m.update(d)
    m._check()
    assert list(m.items()) == list(itertools.islice(d.items(), at))


def test_a_hash_may_use_the_map_that_is_being_filled(make_map: Make) -> None:
    m = make_map()
    for act in (lambda: m.update(mine=1), lambda: len(m), m.clear, lambda: m.pop("mine", None), lambda: d.clear()):
        m.clear()
        d = entries("str", 50)
        d[key := HashKey("x", 1)] = 1
        wanted = dict(d)
        key.on_hash = act
        m.update(d)
        key.on_hash = None
        m._check()
        assert {k: v for k, v in m.items() if k != "mine"} == wanted


def test_missing_is_refused_before_anything_is_stored(make_map: Make) -> None:
    m = make_map()
    for fill in (m.update, m.__or__):
        with pytest.raises(ValueError, match="MISSING"):
            fill({**entries("str", 50), "x": MISSING})
    with pytest.raises(ValueError, match="MISSING"):
        ShardMap.fromkeys(range(50), MISSING)
    with pytest.raises(ValueError, match="MISSING"):
        ShardMap.fromkeys(dict.fromkeys(range(50)), MISSING)
    assert not m


def test_maps_that_share_tables_go_their_own_ways(make_map: Make) -> None:
    d = entries("str", 200)
    source = make_map(d)
    m = make_map()
    m.update(source)
    m["key 3"] = "new"
    del m["key 4"]
    source["key 5"] = "other"
    source["late"] = 1
    assert source == {**d, "key 5": "other", "late": 1}
    assert m == {k: "new" if k == "key 3" else v for k, v in d.items() if k != "key 4"}


def test_numbers_that_were_added_are_taken_over(make_map: Make) -> None:
    counts = make_map()
    for n in range(60):
        counts.add(f"key {n}", n)
    d = {f"key {n}": n for n in range(60)}
    m = make_map()
    m.update(counts)
    few = ShardMap.with_capacity(shards=4)
    few.update(counts)
    assert m == few == d == counts == copy.deepcopy(counts)
    assert make_map({"x": 1}) | counts == {"x": 1, **d}
    assert repr(counts) == f"ShardMap({d})"
    few.add("key 1")
    m.add("key 1", 2)
    assert (counts["key 1"], few["key 1"], m["key 1"]) == (1, 2, 3)


def test_a_map_with_a_locked_key_is_filled_key_by_key(make_map: Make) -> None:
    m = make_map()
    with m.lock("key 3") as entry:
        m.update(entries("str", 100))
        assert entry.value == [3]
        entry.value = 5
    assert m["key 3"] == 5 and len(m) == 100


@pytest.mark.parametrize("kind", [dict, set, frozenset, list, tuple, iter, ShardMap.fromkeys])
@pytest.mark.parametrize("size", [0, 3, 400])
def test_fromkeys_takes_any_source_of_keys(kind: Any, size: int) -> None:
    def source() -> Any:
        keys = [f"key {n}" for n in range(size)] + list(range(size))
        return kind(keys) if kind is not dict else dict.fromkeys(keys)

    value: list[int] = []
    m = ShardMap.fromkeys(source(), value)
    m._check()
    assert list(m.items()) == list(dict.fromkeys(source(), value).items())
    assert all(each is value for each in m.values())


def test_fromkeys_takes_repeated_keys_and_stops_where_a_hash_raises() -> None:
    assert list(ShardMap.fromkeys([n % 30 for n in range(100)])) == list(range(30))
    keys = [*range(20), HashKey("x", on_hash=boom), *range(20)]
    for source in (keys, iter(keys)):
        with pytest.raises(Boom):
            ShardMap.fromkeys(source)
    with pytest.raises(TypeError, match="unhashable"):
        ShardMap.fromkeys([*range(20), []])


def test_fromkeys_asks_what_a_subclass_overrides() -> None:
    class Doubling(ShardMap[Any, Any]):
        def __setitem__(self, key: Any, value: Any) -> None:
            super().__setitem__(key, (value, value))

    assert Doubling.fromkeys(dict.fromkeys(range(30)), 1) == dict.fromkeys(range(30), (1, 1))

    class Given(ShardMap[Any, Any]):
        def __new__(cls, *args: Any) -> Any:
            return given

    given: Any = ShardMap(a=1)
    assert Given.fromkeys(dict.fromkeys(range(30))) is given and len(given) == 31
    given = {}
    assert Given.fromkeys("ab") is given and given == {"a": None, "b": None}


# --- | ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(0, 40), (40, 0), (40, 40), (20, 900), (300, 40), (40, 1)])
@pytest.mark.parametrize("source", SOURCES)
def test_a_union_is_what_dict_makes_of_it(make_map: Make, kind: str, sizes: tuple[int, int], source: str) -> None:
    left = entries(kind, sizes[0])
    right = {KINDS[kind](n): (n,) for n in range(sizes[0] // 2, sizes[0] // 2 + sizes[1])}
    mine = make_map(left)
    other = SOURCES[source](make_map, right)
    wanted = left | right
    assert_filled(mine | other, wanted)
    assert mine == left and other == right
    if source != "snapshot":
        reverse = right | left
        assert list((other | mine).items()) == list(reverse.items())
    mine |= other
    assert list(mine.items()) == list(wanted.items())


def test_a_union_after_removals_keeps_the_order(make_map: Make) -> None:
    left, right = entries("str", 100), {f"key {n}": n for n in range(50, 150)}
    mine, other = make_map(left), make_map(right)
    for n in range(0, 100, 3):
        del left[f"key {n}"], mine[f"key {n}"]
    for n in range(60, 150, 4):
        del right[f"key {n}"], other[f"key {n}"]
    assert list((mine | other).items()) == list((left | right).items())
    assert list((mine | right).items()) == list((left | right).items())
