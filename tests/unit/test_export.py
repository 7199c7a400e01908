"""to_dict(), and what unpacks a map while others delete from it."""

from __future__ import annotations

import collections
import gc
import itertools
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from harness.keys import Finalized, HashKey
from harness.threads import meanwhile
from shardmap import EventualMap, ShardMap, Snapshot

Make = Callable[..., ShardMap]


def accept(**entries: Any) -> dict[str, Any]:
    return entries


# Each asks a mapping for its keys, and then for the value of each.
UNPACKING: dict[str, Callable[[Any], Any]] = {
    "dict": dict,
    "display": lambda m: {**m},
    "call": lambda m: accept(**m),
    "update": lambda m: {}.update(m),
    "Counter": collections.Counter,
    "OrderedDict": collections.OrderedDict,
    "defaultdict": lambda m: collections.defaultdict(int, m),
    "UserDict": collections.UserDict,
    "ChainMap": lambda m: dict(collections.ChainMap(m)),
}


def test_it_is_a_dict_of_the_entries_in_insertion_order(make_map: Make) -> None:
    entries: list[tuple[Any, Any]] = [*((f"k{n}", n) for n in range(200)), (None, []), ((1, 2), "pair"), (1.5, None)]
    m = make_map(reversed(entries))
    for n in range(0, 200, 3):
        del m[f"k{n}"]
    m["k0"] = "again"
    for source in (m, m.snapshot(), m.copy()):
        made = source.to_dict()
        assert type(made) is dict
        assert list(made.items()) == list(m.items())
        assert made[None] is m[None]
    made["new"] = 1
    assert "new" not in m
    assert make_map().to_dict() == make_map().snapshot().to_dict() == Snapshot().to_dict() == {}


def test_numbers_that_the_core_keeps_unboxed_come_out_as_ints(make_map: Make) -> None:
    m = make_map()
    numbers = [0, 1, -1, 2**31, -(2**31), 2**62 - 1, -(2**62), 2**62, 10**30]
    for n, number in enumerate(numbers):
        m.add(n, number)
    made = m.to_dict()
    assert list(made.values()) == numbers
    assert {type(value) for value in made.values()} == {int}
    m.add(0)
    assert made[0] == 0


def test_of_a_subclass_it_holds_what_is_stored() -> None:
    class Odd(ShardMap):
        def __getitem__(self, key: object) -> str:
            return "own"

        def __iter__(self) -> Any:
            return iter(["own"])

        keys = items = values = __len__ = __iter__

    m = Odd(a=1, b=2)
    assert type(m.to_dict()) is dict
    assert m.to_dict() == {"a": 1, "b": 2}


def test_of_a_reader_it_holds_the_version_the_reader_sees() -> None:
    routes: EventualMap[str, int] = EventualMap([("a", 1), ("b", 2), ("a", 3)])
    reader = routes.reader()
    routes.insert("c", 4)
    routes.refresh()
    assert reader.to_dict() == {"a": (1, 3), "b": (2,)}
    assert reader.renew()
    assert reader.to_dict() == {"a": (1, 3), "b": (2,), "c": (4,)}


def test_json_takes_it_for_maps_inside_of_maps(make_map: Make) -> None:
    m = make_map(a=make_map(b=[make_map(c=1), make_map(d=2).snapshot()]), n=None)
    m.add("count", 2**40)
    text = '{"a": {"b": [{"c": 1}, {"d": 2}]}, "n": null, "count": 1099511627776}'
    assert json.dumps(m, default=ShardMap.to_dict) == text
    assert json.dumps({"m": [m]}, default=ShardMap.to_dict) == f'{{"m": [{text}]}}'
    for other in ({"a"}, b"", object()):
        with pytest.raises(TypeError, match=f"EventualReader, not '{type(other).__name__}'"):
            json.dumps({"a": other}, default=ShardMap.to_dict)


def test_a_key_whose_code_raises_breaks_it_off_and_nothing_leaks(make_map: Make) -> None:
    armed = False

    def boom() -> None:
        if armed:
            raise ZeroDivisionError

    value = object()
    keys = [HashKey(n, 1, on_hash=boom) for n in range(3)]
    m = make_map([("first", value), *((key, value) for key in keys), ("last", value)])
    things = [value, *keys]
    before = [sys.getrefcount(thing) for thing in things]
    armed = True
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            m.to_dict()
    armed = False
    keys[1].on_eq = keys[2].on_eq = lambda: 1 / 0
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            m.snapshot().to_dict()
    keys[1].on_eq = keys[2].on_eq = None
    gc.collect()
    assert [sys.getrefcount(thing) for thing in things] == before
    assert len(m.to_dict()) == 5


def test_a_key_s_code_may_change_the_map_meanwhile(make_map: Make) -> None:
    changing = False

    def change() -> None:
        if changing:
            m.clear()
            m["new"] = 1

    m = make_map()
    key = HashKey("k", 1, on_hash=change)
    m.update([("a", 1), (key, 2), ("b", 3)])
    before = m.snapshot()
    changing = True
    assert list(m.to_dict().values()) == [1, 2, 3]
    changing = False
    assert list(m) == ["new"]
    assert len(before) == 3


@pytest.mark.parametrize("name", UNPACKING)
def test_what_unpacks_a_map_asks_key_by_key_and_a_snapshot_never_raises(make_map: Make, name: str) -> None:
    class Deleting(str):
        """Deletes the entries after it, as another thread might, when it is hashed."""

        def __hash__(self) -> int:
            if armed:
                for key in ("b", "c", "d"):
                    m.pop(key, None)
            return str.__hash__(self)

    armed = False
    m = make_map({Deleting("a"): 1}, b=2, c=3, d=4)
    entries = m.to_dict()
    snapshot = m.snapshot()
    armed = True
    assert m.to_dict() == entries
    m.update(entries)
    # A call takes the KeyError for one of its own, from 3.13 on: "got multiple values for keyword argument".
    with pytest.raises((KeyError, TypeError), match="'b'"):
        UNPACKING[name](m)
    m.update(entries)
    UNPACKING[name](snapshot)
    assert list(m) == ["a"]
    assert snapshot == entries == {"a": 1, "b": 2, "c": 3, "d": 4}
    armed = False


@pytest.mark.usefixtures("many_switches")
def test_while_others_delete_it_is_of_one_point_in_time(make_map: Make) -> None:
    m = make_map((f"k{n}", n) for n in range(50))

    def move() -> None:
        """There is never more than one missing, and what comes back comes last."""
        for n in range(50):
            m.pop(f"k{n}", None)
            m[f"k{n}"] = n

    with meanwhile(move):
        for _ in range(40):
            made = m.to_dict()
            assert len(made) in (49, 50)
            assert all(key == f"k{value}" for key, value in made.items())
            values = list(made.values())
            assert sum(one > other for one, other in itertools.pairwise(values)) <= 1
            for unpack in UNPACKING.values():
                unpack(m.snapshot())
            with suppress(KeyError):
                dict(m)


def test_in_a_finalizer_of_the_same_garbage_it_does_no_harm(make_map: Make) -> None:
    seen = []
    m = ShardMap(a=1)
    m["finalized"] = Finalized(lambda m=m: seen.append(len(m.to_dict())))
    m["cycle"] = m.snapshot()
    del m
    gc.collect()
    assert seen == [3]
