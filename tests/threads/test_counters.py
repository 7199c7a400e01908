"""add: numbers that stand unboxed in their entries, which nobody can tell, and that lose no update."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from harness.keys import HashKey
from harness.threads import meanwhile, run_alike, switching_often
from shardmap import MISSING, ShardMap

pytestmark = pytest.mark.concurrent

MakeMap = Callable[..., ShardMap]

BITS = (0, 30, 31, 61, 62, 63, 64, 100)
EDGES = sorted({sign * 2**bits + off for bits in BITS for sign in (1, -1) for off in (-1, 0, 1)})


# --- Arithmetic: as Python's ---


def test_add_returns_the_sum_and_stores_it(make_map: MakeMap) -> None:
    m = make_map()
    assert m.add("k") == 1 and m.add("k") == 2 and m.add("k", 5) == 7 and m.add("k", -10) == -3 == m["k"]
    assert m.add("other", 2, 40) == 42 and m.add("other", 2, 40) == 44 and m.add("zero", 0) == 0 and "zero" in m
    assert m == {"k": -3, "other": 44, "zero": 0}


@pytest.mark.parametrize("start", EDGES)
def test_sums_at_the_edges_of_63_bits_are_exact(start: int) -> None:
    m = ShardMap.with_capacity(shards=1)
    for delta in EDGES:
        m["stored"] = start
        assert m.add("stored", delta) == start + delta == m["stored"]
        assert m.add("unboxed", start - m.get("unboxed", 0)) == start == m["unboxed"]
        assert m.add("unboxed", delta) == start + delta == m["unboxed"]
        m.pop("default", None)
        assert m.add("default", delta, start) == start + delta == m["default"]
        assert all(type(value) is int for value in m.values())
    m._check()


NUMBERS = [0, 7, -7, 2**62 - 1, -(2**62), 2**53 + 1, 2**70, 0.5, -0.0, 1e300, float("inf"), True, 2j, Fraction(1, 3)]


@pytest.mark.parametrize("delta", NUMBERS, ids=repr)
@pytest.mark.parametrize("start", NUMBERS, ids=repr)
def test_mixed_numbers_add_as_in_python(start: Any, delta: Any) -> None:
    m = ShardMap.with_capacity(shards=1)
    expected = start + delta
    m["stored"] = start
    m.add("unboxed", start)
    for name in ("stored", "unboxed", "default"):
        total = m.add(name, delta, start)
        assert repr(total) == repr(m[name]) == repr(expected if name != "unboxed" else 0 + start + delta)
        assert type(total) is type(m[name]) is type(expected)


def test_not_a_number_stays_one(make_map: MakeMap) -> None:
    m = make_map()
    m.add("k", float("nan"))
    assert m.add("k", 1) != m["k"]


@pytest.mark.parametrize(
    ("start", "delta"),
    [("a", "b"), (b"a", b"b"), ((1,), (2,)), ([1], [2]), (Decimal(1), Decimal(2))],
    ids=lambda value: repr(value),
)
def test_anything_with_plus_can_be_added(make_map: MakeMap, start: Any, delta: Any) -> None:
    m = make_map()
    assert m.add("k", delta, start) == start + delta == m["k"]
    assert m.add("k", delta) == start + delta + delta == m["k"]


def test_a_default_keeps_its_value(make_map: MakeMap) -> None:
    m = make_map()
    default = [1]
    m.add("k", [2], default)
    m.add("k", [3], default)
    assert default == [1] and m["k"] == [1, 2, 3]
    start = 1.5
    m.add("float", 1.0, start)
    m.add("other", 1.0, start)
    assert start == 1.5 and m["float"] == m["other"] == 2.5


def test_a_float_that_was_read_does_not_change(make_map: MakeMap) -> None:
    m = make_map()
    seen = [m.add("k", 0.5) for _ in range(5)]
    assert seen == [0.5, 1.0, 1.5, 2.0, 2.5]


class Int(int):
    """An int whose addition is its own."""

    def __add__(self, other: int) -> Int:
        return Int(int(self) + 100 * other)

    def __radd__(self, other: int) -> str:
        return "radd"


def test_subclasses_of_int_add_in_their_own_way(make_map: MakeMap) -> None:
    m = make_map(k=Int(1))
    assert m.add("k", 1) == 101 and type(m["k"]) is Int
    assert m.add("n", 1) == 1 and m.add("n", Int(1)) == "radd" == m["n"]


@pytest.mark.parametrize("start", [None, "text", object()], ids=["None", "str", "object"])
def test_what_cannot_be_added_is_a_type_error_and_changes_nothing(make_map: MakeMap, start: Any) -> None:
    m = make_map(k=start)
    for delta in (1, 0.5, 2**70):
        with pytest.raises(TypeError):
            m.add("k", delta)
        with pytest.raises(TypeError):
            m.add("new", delta, start)
    m.add("n")
    with pytest.raises(TypeError):
        m.add("n", "text")
    assert m == {"k": start, "n": 1}


# --- Unboxed numbers look like ints everywhere ---

BIG = 123_456_789_012


def counted(make_map: MakeMap) -> ShardMap:
    m = make_map()
    for key, number in (("a", 1), ("b", -5), ("c", BIG)):
        m.add(key, number)
    return m


SAME = {"a": 1, "b": -5, "c": BIG}


def test_every_way_of_reading_gives_ints(make_map: MakeMap) -> None:
    m = counted(make_map)
    assert m["c"] == m.get("c") == m.get("c", 5) == m.setdefault("c", 7) == BIG and "c" in m
    assert m.compute_if_absent("c", lambda key: 7) == BIG
    assert dict(m) == SAME == dict(m.items()) and m == SAME
    assert list(m.values()) == [1, -5, BIG] and list(reversed(m.values())) == [BIG, -5, 1]
    assert list(m.items()) == list(SAME.items()) and ("c", BIG) in m.items() and BIG in m.values()
    assert m.items() & {("a", 1), ("a", 2)} == {("a", 1)}
    assert repr(m) == f"ShardMap({SAME!r})" and sorted(m.values()) == [-5, 1, BIG]
    iterator = iter(m.items())
    next(iterator)
    assert list(pickle.loads(pickle.dumps(iterator))) == [("b", -5), ("c", BIG)]
    assert all(type(value) is int for value in m.values())
    with m.lock("c") as entry:
        assert entry.value == entry.get() == BIG


def test_every_copy_has_ints(make_map: MakeMap) -> None:
    m = counted(make_map)
    snapshot = m.snapshot()
    for other in (
        snapshot,
        m.copy(),
        copy.copy(m),
        copy.deepcopy(m),
        pickle.loads(pickle.dumps(m)),
        pickle.loads(pickle.dumps(snapshot)),
        ShardMap(m),
        ShardMap(snapshot),
        m | {},
        {} | m,
    ):
        assert other == SAME == dict(other) and other["c"] == other.get("c") == BIG and m == other
    m.add("a")
    m.pop("b")
    assert snapshot == SAME and m == {"a": 2, "c": BIG}
    other = m.copy()
    other.add("a", 10)
    assert m["a"] == 2 and other["a"] == 12


def test_every_way_of_taking_out_gives_ints(make_map: MakeMap) -> None:
    for shared in (False, True):
        m = counted(make_map)
        snapshot = m.snapshot() if shared else None
        assert m.popitem() == ("c", BIG) and m.pop("b") == -5 and m.exchange("a", "x") == 1 and m == {"a": "x"}
        m = counted(make_map)
        assert m.replace("c", None) == BIG and m.compare_and_delete("b", -5) and m.compare_and_set("a", 1, 2)
        assert m == {"a": 2, "c": None}
        m = counted(make_map)
        del m["a"]
        m["b"] = "x"
        assert m.retain(lambda key, value: type(value) is not int) == 1 and m == {"b": "x"}
        m = counted(make_map)
        m.clear()
        assert m == {} and (snapshot is None or snapshot == SAME)


def test_compound_operations_see_ints(make_map: MakeMap) -> None:
    m = counted(make_map)
    assert m.compute("c", lambda key, value: value + 1) == BIG + 1
    m.add("c", -1)
    assert m.merge("c", 1, lambda old, one: old + one) == BIG + 1 and m.add("c", -1) == BIG
    assert m.compute_if_present("c", lambda key, value: value) == BIG
    assert m.update_max("c", 5) == BIG and m.update_min("c", 2 * BIG) == BIG and m.update_max("c", BIG + 1) == BIG + 1
    assert not m.compare_and_set("a", MISSING, 0) and not m.compare_and_set("a", 2, 0)
    seen: list[Any] = []
    m.retain(lambda key, value: not seen.append(value))  # type: ignore[func-returns-value]
    assert seen == [1, -5, BIG + 1]


def test_the_garbage_collector_passes_numbers_by(make_map: MakeMap) -> None:
    m = counted(make_map)
    m["self"] = m
    gc.collect()
    assert not any(type(each) is int for table in gc.get_referents(m) for each in gc.get_referents(table))
    del m["self"]
    assert m == SAME


def test_a_counter_takes_no_memory_beside_its_entry() -> None:
    m = ShardMap.with_capacity(shards=1)
    m["k"] = 0
    before = sys.getsizeof(m)
    for _ in range(100):
        m.add("k", 2**40)
    assert sys.getsizeof(m) == before


# --- Many threads ---


@pytest.mark.parametrize("count", [1, 16, 10_000])
def test_totals_of_eight_threads_are_exact(count: int) -> None:
    m = ShardMap()
    rounds = 20_000

    def work(number: int) -> list[int]:
        return [m.add((i * 7 + number) % count) for i in range(rounds)]

    with switching_often():
        results = run_alike(8, work)
    expected = [0] * count
    for number in range(8):
        for i in range(rounds):
            expected[(i * 7 + number) % count] += 1
    assert m == {key: total for key, total in enumerate(expected) if total}
    if count == 1:  # each sum was seen by one caller
        assert sorted(total for result in results for total in result) == list(range(1, 8 * rounds + 1))
    m._check()


@pytest.mark.parametrize("delta", [0.25, 2**60, Fraction(1, 4), True], ids=["float", "overflowing", "Fraction", "bool"])
@pytest.mark.parametrize("key", ["k", HashKey("k")], ids=["str", "compared by Python"])
def test_totals_of_other_numbers_are_exact(make_map: MakeMap, delta: Any, key: Any) -> None:
    m = make_map()
    with switching_often(), meanwhile(m.snapshot):
        run_alike(4, lambda number: [m.add(key, delta if i % 2 else 1) for i in range(100)])
    assert m[key] == 200 + 200 * delta


def test_threads_that_add_and_take_away_lose_nothing(make_map: MakeMap) -> None:
    m = make_map()
    keys = ("a", "b", HashKey("c"))

    def work(number: int) -> int:
        taken = 0
        for i in range(600):
            key = keys[i % 3]
            m.add(key)
            if i % 5 == number:
                taken += m.pop(key, 0)
            elif i % 7 == number:
                taken += m.exchange(key, 0) or 0
            elif i % 11 == number:
                with m.lock(key) as entry:
                    taken += entry.get(0)
                    entry.delete()
            elif i % 13 == number:
                with suppress(KeyError):
                    taken += m.popitem()[1]
        return taken

    with switching_often():
        taken = sum(run_alike(4, work))
    assert taken + sum(m.values()) == 4 * 600
