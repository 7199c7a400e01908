"""Operations on arrays of integers give back each reference and the buffer, wherever memory runs out."""

from __future__ import annotations

import array
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.references import assert_counts_stay
from shardmap import ShardMap, ShardSet, _core

NUMBERS = [5, 2**40, -(2**62), *range(1000, 1600)]


class Thing:
    """Whose references are counted."""


DEFAULT, VALUE = Thing(), Thing()
WORKS: dict[str, Callable[[ShardMap[Any, Any], Any], Any]] = {
    "get_many": lambda m, keys: m.get_many(keys, DEFAULT),
    "get_many, few": lambda m, keys: m.get_many(keys[:9], DEFAULT),
    "contains_many": lambda m, keys: m.contains_many(keys),
    "set_many": lambda m, keys: m.set_many(keys, [VALUE] * len(keys)),
    "set_many, too few": lambda m, keys: m.set_many(keys, iter([VALUE] * 9)),
    "count": lambda m, keys: m.count(keys),
    "add_many": lambda m, keys: m.add_many(keys, 7),
    "delete_many": lambda m, keys: m.delete_many(keys[::2]),
    "pop_many": lambda m, keys: m.pop_many(keys[::2], DEFAULT),
    "a set": lambda m, keys: ShardSet(keys).discard_many(keys),
}


def start(name: str) -> ShardMap[Any, Any]:
    m: ShardMap[Any, Any] = ShardMap()
    for n in NUMBERS[::2]:
        m[n] = 1 if name in ("count", "add_many") else VALUE
    return m


@pytest.mark.parametrize("name", WORKS)
def test_each_reference_is_given_back(name: str) -> None:
    keys = array.array("q", NUMBERS)
    held = memoryview(keys)  # so that slices are not the same object twice

    def run() -> None:
        m = start(name)
        m[float(NUMBERS[3])] = VALUE if name not in ("count", "add_many") else 1
        if name == "set_many, too few":
            with pytest.raises(ValueError, match="more keys than values"):
                WORKS[name](m, held)
        else:
            WORKS[name](m, held)
        m._check()

    assert_counts_stay([DEFAULT, VALUE, keys, *NUMBERS[1:3]], run)


@pytest.mark.parametrize("name", WORKS)
@pytest.mark.usefixtures("failing")
def test_without_table_memory_each_key_is_done_or_as_it_was(name: str) -> None:
    fail_everywhere(name, FailingTable)


@pytest.mark.parametrize("name", WORKS)
def test_without_memory_for_objects_each_key_is_done_or_as_it_was(name: str) -> None:
    testcapi = pytest.importorskip("_testcapi")
    if not hasattr(testcapi, "set_nomemory") or not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("CPython cannot let allocations fail here")
    fail_everywhere(name, lambda nth: FailingObjects(testcapi, nth))


class FailingTable:
    def __init__(self, nth: int) -> None:
        self.nth = nth

    def __enter__(self) -> None:
        _core._fail_allocation(self.nth)

    def __exit__(self, *_: object) -> None:
        _core._fail_allocation(0)


class FailingObjects:
    def __init__(self, testcapi: Any, nth: int) -> None:
        self.testcapi, self.nth = testcapi, nth

    def __enter__(self) -> None:
        self.testcapi.set_nomemory(self.nth, self.nth + 1)

    def __exit__(self, *_: object) -> None:
        self.testcapi.remove_mem_hooks()


def fail_everywhere(name: str, failing_at: Callable[[int], Any]) -> None:
    work = WORKS[name]
    wanted = start(name)
    try:
        work(wanted, array.array("q", NUMBERS))
    except ValueError:
        assert name == "set_many, too few"
    before = start(name).to_dict()
    for nth in steps():
        m = start(name)
        keys = array.array("q", NUMBERS)
        failed = False
        try:
            with failing_at(nth):
                work(m, keys)
        except MemoryError:
            failed = True
        except ValueError:
            assert name == "set_many, too few"
        m._check()
        keys.append(1)  # the buffer is not held any more
        assert {type(key) for key in m} <= {int}
        for n in NUMBERS:
            assert m.get(n) == wanted.get(n) or (failed and m.get(n) == before.get(n))
        if not failed:
            assert m == wanted
            return


def steps() -> Iterator[int]:
    """The first allocations one by one, then fewer and fewer of them."""
    nth = 1.0
    for _ in itertools.count():
        yield int(nth)
        nth = nth + 1 if nth < 40 else nth * 1.1
