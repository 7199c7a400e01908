"""A loop shows one point in time, and makes no writer copy a table: what it still needs is kept in an undo log."""

from __future__ import annotations

import copy
import gc
import random
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.keys import HashKey
from shardmap import ShardMap, _core

pytestmark = pytest.mark.concurrent

MakeMap = Callable[..., ShardMap]


def copies(m: ShardMap) -> int:
    return m.stats().copies


def test_to_remove_the_first_entry_again_and_again_copies_nothing(make_map: MakeMap) -> None:
    m = make_map((n, n) for n in range(1000))
    before = copies(m)
    for turn in range(500):
        for key in m:
            del m[key]
            break
        m[1000 + turn] = turn
    assert list(m) == list(range(500, 1500)) and copies(m) == before


@pytest.mark.parametrize("write", ["overwrite", "delete", "popitem", "add", "reinsert"])
def test_a_loop_over_a_map_that_is_changed_under_it_sees_what_was_there(make_map: MakeMap, write: str) -> None:
    m = make_map((n, n) for n in range(100))
    writes: dict[str, Callable[[int], Any]] = {
        "overwrite": lambda n: m.__setitem__((n + 50) % 100, "new"),
        "delete": lambda n: m.pop((n * 37 + 1) % 100, None),
        "popitem": lambda n: m.popitem(),
        "add": lambda n: m.add((n + 1) % 100, 5),
        "reinsert": lambda n: (m.pop((n + 30) % 100, None), m.__setitem__((n + 30) % 100, "again")),
    }
    seen = []
    for n, value in m.items():
        seen.append((n, value))
        writes[write](n)
    assert seen == [(n, n) for n in range(100)]


@pytest.mark.parametrize("seed", range(12))
def test_many_iterators_of_different_moments_each_see_their_own(make_map: MakeMap, seed: int) -> None:
    """One thread makes iterators, forward and backward, of keys, values and items, advances and drops them, and changes
    the map. Each must go on as a list taken when it was made."""
    choose = random.Random(seed)
    keys: list[Any] = [*range(20), *map(str, range(20)), *(HashKey(n, n % 3) for n in range(6))]
    m, d = make_map(), dict[Any, Any]()
    going: list[tuple[Iterator[Any], list[Any]]] = []
    for step in range(1500):
        key = choose.choice(keys)
        turn = choose.random()
        if turn < 0.35:
            m[key] = d[key] = step
        elif turn < 0.5:
            assert m.pop(key, None) == d.pop(key, None)
        elif turn < 0.53 and d:
            assert m.popitem() == d.popitem()
        elif turn < 0.56 and isinstance(d.get(key, 0), int):
            d[key] = d.get(key, 0) + 3
            assert m.add(key, 3) == d[key]
        elif turn < 0.565:
            m.clear()
            d.clear()
        elif turn < 0.57:
            m.snapshot()
        elif turn < 0.65 and len(going) < 8:
            view, reference = choose.choice(
                [(m.keys(), list(d)), (m.values(), list(d.values())), (m.items(), list(d.items()))]
            )
            if choose.random() < 0.5:
                going.append((iter(view), reference))
            else:
                going.append((reversed(view), reference[::-1]))
        elif going:
            iterator, reference = going[choose.randrange(len(going))]
            if choose.random() < 0.1:
                going = [each for each in going if each[0] is not iterator]
            elif choose.random() < 0.1:
                copied = iterator.__reduce__()[1][0]  # type: ignore[index]
                assert copied == reference
            elif reference:
                assert iterator.__length_hint__() == len(reference)  # type: ignore[attr-defined]
                assert next(iterator) == reference.pop(0)
            else:
                assert next(iterator, "end") == "end"
    for iterator, reference in going:
        assert list(iterator) == reference
    assert list(m.items()) == list(d.items())


def test_a_loop_that_is_given_up_keeps_nothing_alive(make_map: MakeMap) -> None:
    class Value:
        pass

    m = make_map((n, Value()) for n in range(50))
    iterator = iter(m.values())
    old = weakref.ref(m[30])
    m[30] = None
    assert old() is not None
    del iterator
    gc.collect()
    assert old() is None


def test_an_old_iterator_does_not_let_memory_grow(make_map: MakeMap) -> None:
    """Old values are kept once for each iterator, however often they are replaced."""
    m = make_map((n, object()) for n in range(100))
    old = iter(m.values())
    next(old)
    sizes = []
    for turn in range(30):
        newer = iter(m.values())
        next(newer)
        for n in range(100):
            m[n] = object()
        gc.collect()
        sizes.append(sum(type(each) is object for each in gc.get_objects()) + sys.getsizeof(m))
        if turn == 15:
            settled = sizes[-1]
    assert sizes[-1] <= 1.5 * settled
    assert len(list(old)) == 99


def test_an_iterator_outlives_its_map() -> None:
    m = ShardMap((n, n) for n in range(100))
    iterator, backward = iter(m.items()), reversed(m)
    m[5] = "x"
    del m[50], m
    gc.collect()
    assert list(iterator) == [(n, n) for n in range(100)] and list(backward) == list(range(99, -1, -1))


def test_the_log_is_seen_by_the_collector() -> None:
    class Value:
        iterator: Any = None

    m = ShardMap()
    value = Value()
    m["a"], m["b"] = 1, value
    value.iterator = iter(m.values())
    gone = weakref.ref(value)
    m["b"] = 2  # the log has the value, which has the iterator, which has the table with the log
    del value, m
    gc.collect()
    assert gone() is None


def test_without_memory_for_the_log_a_writer_copies(make_map: MakeMap) -> None:
    for nth in range(1, 8):
        m = make_map((n, n) for n in range(20))
        iterator = iter(m.items())
        _core._fail_allocation(nth)
        try:
            m[10] = "new"
        except MemoryError:
            assert m[10] == 10
        else:
            assert m[10] == "new"
        finally:
            _core._fail_allocation(0)
        assert list(iterator) == [(n, n) for n in range(20)]
        m._check()


def test_an_iterator_without_memory_is_a_memory_error_and_pins_nothing(make_map: MakeMap) -> None:
    for nth in range(1, 8):
        m = make_map((n, n) for n in range(20))
        _core._fail_allocation(nth)
        try:
            iterator = iter(m)
        except MemoryError:
            iterator = iter(range(20))
        finally:
            _core._fail_allocation(0)
        before = copies(m)
        m[3] = 5
        assert list(iterator) == list(range(20)) and copies(m) == before


@pytest.mark.parametrize("backward", [False, True])
def test_many_iterators_that_have_passed_the_entry(make_map: MakeMap, backward: bool) -> None:
    """A write looks at few of them, and keeps what perhaps nobody needs."""
    m = make_map((n, n) for n in range(30))
    order = list(range(30))[:: -1 if backward else 1]
    going: list[tuple[Iterator[Any], list[Any]]] = []
    for turn in range(500):
        iterator = reversed(m.items()) if backward else iter(m.items())
        left = list(reversed(m.items()) if backward else m.items())
        for _ in range(turn % 7):
            assert next(iterator) == left.pop(0)
        going.append((iterator, left))
        m[order[turn % 5]] = turn
    for iterator, left in going[::3]:
        rest = copy.copy(iterator)
        m[order[20]] = -len(left)
        assert list(rest) == left
    del going[::3]
    for iterator, left in going:
        assert list(iterator) == left
