"""Whatever threads do at once, one order of their operations explains all results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.history import (
    ABSENT,
    BULK,
    COMPOUND,
    ONE_BY_ONE,
    READS,
    WRITES,
    Operation,
    Recorder,
    by_key,
    one_key,
    overlapping,
    recorded,
    violation,
    whole_map,
)
from harness.keys import HashKey
from harness.threads import meanwhile, run_alike
from shardmap import ShardMap

pytestmark = [pytest.mark.concurrent, pytest.mark.usefixtures("many_switches")]

MakeMap = Callable[..., ShardMap]


def at_once(m: Any, names: tuple[str, ...], keys: Any, threads: int, count: int) -> list[Operation]:
    """A history from an empty map; another one if hardly any operations were at once."""
    until = time.monotonic() + 5
    while True:
        history = recorded(m, names, keys, threads=threads, count=count)
        if overlapping(history) >= len(history) // 100:
            return history
        if time.monotonic() > until:
            pytest.skip(ONE_BY_ONE)
        for key in keys:
            m.pop(key, None)


def assert_each_key_linearizable(history: list[Operation], keys: Any) -> None:
    for key, operations in by_key(history, keys).items():
        wrong = violation(operations, one_key, ABSENT)
        assert wrong is None, f"key {key!r}: {wrong}"


# --- The map ---


@pytest.mark.parametrize("keys", [(1,), (1, "two", HashKey("three"), HashKey("four"))], ids=["1", "4"])
@pytest.mark.parametrize("numbers", [("add",), ()], ids=["numbers", "objects"])
def test_compound_operations_are_linearizable(make_map: MakeMap, keys: Any, numbers: tuple[str, ...]) -> None:
    names = (*READS, *WRITES[:4], *numbers, *COMPOUND, "lock", "compute")
    history = at_once(make_map(), names, keys, threads=4, count=1000)
    assert_each_key_linearizable(history, keys)


def test_compound_operations_beside_those_on_the_whole_map_are_linearizable(make_map: MakeMap) -> None:
    keys = (1, "two", "three")
    names = (*READS, *WRITES, *COMPOUND, *COMPOUND, "popitem", "clear", "snapshot", "iterate", "copy")
    history = at_once(make_map(), names, keys, threads=3, count=1000)
    assert_each_key_linearizable(history, keys)


@pytest.mark.parametrize("keys", [(1,), (1, "two", b"three"), tuple(range(20))], ids=["1", "3", "20"])
def test_operations_on_one_key_are_linearizable(make_map: MakeMap, keys: Any) -> None:
    history = at_once(make_map(), READS + WRITES, keys, threads=4, count=2500)
    assert_each_key_linearizable(history, keys)


@pytest.mark.parametrize("keys", [(1,), (1, "two", b"three", HashKey("four")), tuple(range(20))], ids=["1", "4", "20"])
def test_operations_on_many_keys_are_linearizable_for_each(make_map: MakeMap, keys: Any) -> None:
    names = (*READS, *WRITES, "clear", "snapshot", *BULK, *BULK)
    history = at_once(make_map(), names, keys, threads=4, count=500 if len(keys) > 4 else 1500)
    assert_each_key_linearizable(history, keys)


def test_keys_compared_by_python_are_linearizable(make_map: MakeMap) -> None:
    keys = [HashKey(name, hashed=7) for name in "abc"]
    history = at_once(make_map(), READS + WRITES, keys, threads=3, count=2000)
    assert_each_key_linearizable(history, keys)


def test_equal_keys_that_are_other_objects_are_linearizable(make_map: MakeMap) -> None:
    class Fresh(Recorder):
        def __call__(self, name: str, *arguments: Any) -> Any:
            key, *others = arguments
            result = super().__call__(name, HashKey(key), *others)
            last = self.operations[-1]
            self.operations[-1] = Operation(name, arguments, result, last.start, last.end)
            return result

    history = recorded(make_map(), READS + WRITES, (1, 2), threads=3, count=1500, recorder=Fresh)
    assert_each_key_linearizable(history, (1, 2))
    if not overlapping(history):
        pytest.skip(ONE_BY_ONE)


def test_writers_that_copy_for_snapshots_are_linearizable(make_map: MakeMap) -> None:
    m = make_map({f"ballast {i}": i for i in range(200)})
    keys = (1, 2, 3)
    with meanwhile(m.snapshot):
        history = at_once(m, READS + WRITES, keys, threads=3, count=1500)
    assert_each_key_linearizable(history, keys)


def test_operations_while_the_table_grows_and_shrinks_are_linearizable(make_map: MakeMap) -> None:
    m = make_map()

    def grow_and_shrink() -> None:
        for i in range(300):
            m[f"ballast {i}"] = i
        for i in range(300):
            del m[f"ballast {i}"]

    keys = (1, 2, 3)
    with meanwhile(grow_and_shrink):
        history = at_once(m, READS + WRITES, keys, threads=3, count=2000)
    assert_each_key_linearizable(history, keys)


def test_whole_map_operations_are_linearizable_as_each_key_sees_them(make_map: MakeMap) -> None:
    keys = (1, 2, "three", 4, 5, "six")
    names = (*READS, *WRITES, *WRITES, "popitem", "clear", "snapshot", "iterate", "copy")
    history = at_once(make_map(), names, keys, threads=4, count=2000)
    assert_each_key_linearizable(history, keys)


NAMES = ("set", "set", "setdefault", "add", "del", "get", "len", "len", "snapshot", "popitem", "iterate", "clear")


@pytest.mark.parametrize("names", [NAMES, ("set", "del", "len", "len"), ("set", "del", "len", "iterate")])
def test_whole_map_operations_are_linearizable_with_the_rest(make_map: MakeMap, names: tuple[str, ...]) -> None:
    overlapped = 0
    for seed in range(20):
        history = recorded(make_map(), names, (1, 2, "three", "four"), threads=3, count=60, seed=seed)
        overlapped += overlapping(history)
        wrong = violation(history, whole_map, ())
        assert wrong is None, f"seed {seed}: {wrong}"
    if overlapped < 20:
        pytest.skip(ONE_BY_ONE)


# --- The checker ---


def operation(name: str, *arguments: Any, result: Any = None, during: tuple[int, int]) -> Operation:
    return Operation(name, arguments, result, *during)


def test_the_checker_takes_operations_one_after_the_other_in_their_order() -> None:
    set_1 = operation("set", "k", 1, during=(0, 1))
    assert violation([set_1, operation("get", "k", result=1, during=(2, 3))], one_key, ABSENT) is None
    assert violation([set_1, operation("get", "k", result=ABSENT, during=(2, 3))], one_key, ABSENT)


def test_the_checker_lets_overlapping_operations_take_any_order() -> None:
    set_1 = operation("set", "k", 1, during=(0, 10))
    for seen in (ABSENT, 1):
        assert violation([set_1, operation("get", "k", result=seen, during=(5, 6))], one_key, ABSENT) is None


def test_the_checker_finds_a_read_that_goes_back_in_time() -> None:
    history = [
        operation("set", "k", 1, during=(0, 10)),
        operation("get", "k", result=1, during=(2, 3)),
        operation("get", "k", result=ABSENT, during=(4, 5)),
    ]
    assert violation(history, one_key, ABSENT)


def test_the_checker_finds_a_lost_addition() -> None:
    history = [
        operation("add", "k", 1, result=1, during=(0, 10)),
        operation("add", "k", 1, result=1, during=(5, 15)),
    ]
    assert violation(history, one_key, ABSENT)


def test_the_checker_finds_two_winners_of_one_value() -> None:
    for name, arguments, result in (
        ("exchange", (2,), 1),
        ("compare_and_set", (1, 2), True),
        ("compare_and_delete", (1,), True),
        ("compute", (3,), 4),
        ("merge", (3,), 4),
        ("lock", (3,), 4),
    ):
        both = [operation(name, "k", *arguments, result=result, during=(n, n + 10)) for n in (0, 5)]
        assert violation(both, one_key, 1), name
        assert violation(both[:1], one_key, 1) is None, name


def test_the_checker_finds_two_winners_of_one_entry() -> None:
    for name in ("pop", "del"):
        won = {"pop": 1, "del": None}[name]
        history = [operation(name, "k", result=won, during=(0, 10)), operation(name, "k", result=won, during=(5, 15))]
        assert violation(history, one_key, 1)


def test_the_checker_goes_back_when_its_first_choice_was_wrong() -> None:
    history = [
        operation("set", "k", 1, during=(0, 100)),
        operation("set", "k", 2, during=(0, 100)),
        operation("set", "k", 3, during=(0, 100)),
        operation("get", "k", result=2, during=(10, 20)),
        operation("get", "k", result=3, during=(30, 40)),
        operation("get", "k", result=1, during=(50, 60)),
    ]
    assert violation(history, one_key, ABSENT) is None
    stale = operation("get", "k", result=2, during=(70, 80))
    assert violation([*history, stale], one_key, ABSENT)


def test_the_checker_finds_a_snapshot_that_is_no_point_in_time() -> None:
    history = [
        operation("set", "a", 1, during=(0, 1)),
        operation("set", "b", 1, during=(2, 3)),
        operation("snapshot", result=(("b", 1),), during=(0, 10)),
    ]
    assert violation(history, whole_map, ())
    assert violation([*history[:2], operation("snapshot", result=(("a", 1),), during=(0, 10))], whole_map, ()) is None


class Torn:
    """A dict whose compound operations are two steps, in the middle of which all threads meet once."""

    def __init__(self, threads: int) -> None:
        self.entries: dict[Any, Any] = {}
        self.meeting = threading.Barrier(threads)
        self.met = threading.local()

    def _meet(self) -> None:
        if not hasattr(self.met, "once"):
            self.met.once = True
            self.meeting.wait(10)

    def add(self, key: Any, delta: int) -> int:
        total = int(self.entries.get(key, 0)) + delta
        self._meet()
        self.entries[key] = total
        return total

    def setdefault(self, key: Any, value: Any) -> Any:
        found = self.entries.get(key, ABSENT)
        self._meet()
        if found == ABSENT:
            self.entries[key] = found = value
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def get(self, key: Any, default: Any) -> Any:
        if not hasattr(self.met, "cached"):
            self.met.cached = self.entries.get(key, default)
            self._meet()
        return self.met.cached


@pytest.mark.parametrize("name", ["add", "setdefault"])
def test_the_checker_finds_compound_operations_in_two_steps(name: str) -> None:
    history = recorded(Torn(2), (name,), ("k",), threads=2, count=30)
    assert violation(history, one_key, ABSENT)


def test_the_checker_finds_stale_cached_reads() -> None:
    m = Torn(2)

    def work(number: int) -> list[Operation]:
        record = Recorder(m)
        record("get", "k")
        if number == 0:
            record("set", "k", 1)
        record("get", "k")
        return record.operations

    history = [o for operations in run_alike(2, work) for o in operations]
    assert violation(history, one_key, ABSENT)


def test_the_checker_accepts_a_dict_with_a_lock() -> None:
    class Locked:
        def __init__(self) -> None:
            self.entries: dict[Any, Any] = {}
            self.lock = threading.Lock()

        def add(self, key: Any, delta: int) -> int:
            with self.lock:
                self.entries[key] = total = self.entries.get(key, 0) + delta
                return int(total)

        def __getattr__(self, name: str) -> Any:
            def call(*arguments: Any) -> Any:
                with self.lock:
                    return getattr(self.entries, name)(*arguments)

            return call

    names = ("get", "setdefault", "pop", "add", "popitem", "clear")
    history = recorded(Locked(), names, (1, 2, 3), threads=4, count=1000)
    assert_each_key_linearizable(history, (1, 2, 3))
    short = recorded(Locked(), names, (1, 2, 3), threads=3, count=60)
    assert violation(short, whole_map, ()) is None
