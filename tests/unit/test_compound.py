"""What compound operations do, compare by, call, return, and leave behind when something raises."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import Finalized, HashKey
from harness.threads import meanwhile, run_alike, run_threads
from shardmap import MISSING, ShardMap

MakeMap = Callable[..., ShardMap]


class Boom(Exception):
    """What tests raise."""


def boom(*_: Any) -> Any:
    raise Boom


def never(*_: Any) -> Any:
    raise AssertionError("called")


# --- What each does ---


def test_missing_is_one_false_object() -> None:
    import copy
    import pickle

    assert not MISSING and repr(MISSING) == "MISSING"
    assert copy.deepcopy(MISSING) is copy.copy(MISSING) is pickle.loads(pickle.dumps(MISSING)) is MISSING


def test_compute(make_map: MakeMap) -> None:
    m = make_map(k=1)
    assert m.compute("k", lambda key, value: (key, value)) == ("k", 1) == m["k"]
    assert m.compute("new", lambda key, value: (key, value)) == ("new", MISSING) == m["new"]
    assert m.compute("k", lambda key, value: MISSING) is MISSING and "k" not in m
    assert m.compute("k", lambda key, value: MISSING) is MISSING and "k" not in m
    assert m.compute("k", lambda key, value: None) is None and m["k"] is None


def test_compute_if_absent(make_map: MakeMap) -> None:
    m = make_map(k=None)
    assert m.compute_if_absent("k", never) is None
    assert m.compute_if_absent("new", lambda key: [key]) == ["new"] == m["new"]
    assert m.compute_if_absent("not", lambda key: MISSING) is MISSING and "not" not in m


def test_compute_if_present(make_map: MakeMap) -> None:
    m = make_map(k=1)
    assert m.compute_if_present("new", never) is MISSING and "new" not in m
    assert m.compute_if_present("k", lambda key, value: (key, value)) == ("k", 1) == m["k"]
    assert m.compute_if_present("k", lambda key, value: MISSING) is MISSING and "k" not in m


def test_merge(make_map: MakeMap) -> None:
    m = make_map(k=1)
    assert m.merge("k", 2, lambda old, new: (old, new)) == (1, 2) == m["k"]
    assert m.merge("new", 2, never) == 2 == m["new"]
    assert m.merge("k", 3, lambda old, new: MISSING) is MISSING and "k" not in m
    with pytest.raises(ValueError, match="MISSING"):
        m.merge("k", MISSING, never)
    assert "k" not in m


def test_replace_and_exchange(make_map: MakeMap) -> None:
    m = make_map(k=1)
    assert m.replace("k", 2) == 1 and m["k"] == 2
    assert m.replace("new", 2) is MISSING and "new" not in m
    assert m.exchange("k", 3) == 2 and m["k"] == 3
    assert m.exchange("new", 4) is MISSING and m["new"] == 4
    value = object()
    m["k"] = value
    assert m.exchange("k", value) is value and m.replace("k", value) is value and m["k"] is value


def test_compare_and_set(make_map: MakeMap) -> None:
    m = make_map(k=1)
    assert not m.compare_and_set("k", 2, 3) and m["k"] == 1
    assert m.compare_and_set("k", 1.0, 3) and m["k"] == 3
    assert not m.compare_and_set("new", None, 3) and "new" not in m
    assert not m.compare_and_set("k", MISSING, 4) and m["k"] == 3
    assert m.compare_and_set("new", MISSING, 4) and m["new"] == 4
    assert m.compare_and_set("new", 4, MISSING) and "new" not in m
    assert m.compare_and_set("new", MISSING, MISSING) and not m.compare_and_set("k", MISSING, MISSING)
    assert m == {"k": 3}


def test_compare_and_delete(make_map: MakeMap) -> None:
    m = make_map(k=1)
    assert not m.compare_and_delete("k", 2) and not m.compare_and_delete("new", 1)
    assert not m.compare_and_delete("k", MISSING) and not m.compare_and_delete("new", MISSING)
    assert m == {"k": 1}
    assert m.compare_and_delete("k", 1) and m == {}


def test_expected_is_the_same_object_or_equal_to_it(make_map: MakeMap) -> None:
    nan = float("nan")
    m = make_map(k=nan)
    assert not m.compare_and_set("k", float("nan"), 1)
    assert m.compare_and_set("k", nan, nan) and m.compare_and_delete("k", nan)
    m["k"] = [1]
    assert m.compare_and_set("k", [1], 2)


def test_update_max_and_update_min(make_map: MakeMap) -> None:
    m = make_map()
    assert [m.update_max("max", n) for n in (3, 1, 5, 5, 4)] == [3, 3, 5, 5, 5] and m["max"] == 5
    assert [m.update_min("min", n) for n in (3, 5, 1, 1, 4)] == [3, 3, 1, 1, 1] and m["min"] == 1
    first, equal = [1], [1]
    m["list"] = first
    assert m.update_max("list", equal) is first and m.update_min("list", equal) is first
    with pytest.raises(TypeError):
        m.update_max("list", 1)
    assert m["list"] is first


def test_retain(make_map: MakeMap) -> None:
    m = make_map({i: i * i for i in range(50)})
    assert m.retain(lambda key, value: key % 2 and value == key * key) == 25
    assert m == {i: i * i for i in range(1, 50, 2)} and list(m) == sorted(m)
    assert m.retain(lambda key, value: True) == 0
    with pytest.raises(Boom):
        m.retain(lambda key, value: boom() if key == 5 else False)
    assert list(m) == list(range(5, 50, 2))
    assert m.retain(lambda key, value: False) == 23 and m == {} and m.retain(never) == 0


def test_retain_asks_again_about_a_value_stored_meanwhile(make_map: MakeMap) -> None:
    m = make_map(k=1, gone=1)
    asked = []

    def predicate(key: str, value: int) -> bool:
        asked.append((key, value))
        if value == 1:
            m["k"] = 2
            m.pop("gone", None)
        return key == "k" and value == 2

    assert m.retain(predicate) == 0
    assert asked == [("k", 1), ("k", 2)] and m == {"k": 2}


# --- What all share ---

UNARY = ("compute", "compute_if_absent", "compute_if_present")
FUNCTIONS: dict[str, Callable[[ShardMap, Any, Any], Any]] = {
    **{name: (lambda m, key, fn, name=name: getattr(m, name)(key, fn)) for name in UNARY},
    "merge": lambda m, key, fn: m.merge(key, 1, fn),
    "retain": lambda m, key, fn: m.retain(fn),
}
OTHERS: dict[str, Callable[[ShardMap, Any, Any], Any]] = {
    "exchange": lambda m, key, value: m.exchange(key, value),
    "replace": lambda m, key, value: m.replace(key, value),
    "compare_and_set": lambda m, key, value: m.compare_and_set(key, m.get(key, MISSING), value),
    "compare_and_delete": lambda m, key, value: m.compare_and_delete(key, m.get(key, MISSING)),
    "add": lambda m, key, value: m.add(key, value, value),
    "update_max": lambda m, key, value: m.update_max(key, value),
    "update_min": lambda m, key, value: m.update_min(key, value),
}
UNDER_THE_LOCK = ("compute", "compute_if_absent", "compute_if_present", "merge")


def there(name: str) -> dict[str, int]:
    """What the map has so that the operation calls its function for "k"."""
    return {} if name == "compute_if_absent" else {"k": 1}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_raises_changes_nothing(make_map: MakeMap, name: str) -> None:
    m = make_map(there(name))
    with pytest.raises(Boom):
        FUNCTIONS[name](m, "k", boom)
    assert m == there(name)
    run_threads(lambda: m.lock("k", timeout=0).__enter__())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_no_function_is_a_type_error(make_map: MakeMap, name: str) -> None:
    m = make_map(there(name))
    with pytest.raises(TypeError):
        FUNCTIONS[name](m, "k", 5)
    assert m == there(name)
    run_threads(lambda: m.lock("k", timeout=0).__enter__())


@pytest.mark.parametrize("name", [*OTHERS, *FUNCTIONS])
def test_an_unhashable_key_is_a_type_error(make_map: MakeMap, name: str) -> None:
    if name == "retain":
        return
    m = make_map()
    with pytest.raises(TypeError, match="unhashable"):
        {**OTHERS, **FUNCTIONS}[name](m, [], never)
    assert m == {}


WRITES_BACK: dict[str, Callable[[ShardMap, Any], Any]] = {
    "set": lambda m, key: m.__setitem__(key, 5),
    "pop": lambda m, key: m.pop(key, 0),
    "setdefault": lambda m, key: m.setdefault(key, 5),
    "add": lambda m, key: m.add(key),
    "exchange": lambda m, key: m.exchange(key, 5),
    "update": lambda m, key: m.update({key: 5}),
    "clear": lambda m, key: m.clear(),
    "compute": lambda m, key: m.compute(key, lambda key, value: 5),
    "compute_if_absent": lambda m, key: m.pop(key, 0) and m.compute_if_absent(key, lambda key: 5),
    "merge": lambda m, key: m.merge(key, 5, lambda old, new: 5),
    "lock": lambda m, key: m.lock(key).__enter__(),
    "lock_many": lambda m, key: m.lock_many([key]).__enter__(),
    "update_max": lambda m, key: m.update_max(key, 10),
}


@pytest.mark.parametrize("back", WRITES_BACK)
@pytest.mark.parametrize("name", UNDER_THE_LOCK)
def test_a_function_that_writes_its_own_key_gets_an_error(make_map: MakeMap, name: str, back: str) -> None:
    if back == "compute_if_absent" and name == "compute_if_absent":
        back = "compute"
    m = make_map(there(name))
    with pytest.raises(RuntimeError):
        FUNCTIONS[name](m, "k", lambda *_: WRITES_BACK[back](m, "k"))
    assert m == there(name)
    run_threads(lambda: m.lock("k", timeout=0).__enter__())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_may_read_its_key_and_use_all_others(make_map: MakeMap, name: str) -> None:
    m = make_map(there(name))

    def function(*_: Any) -> int:
        assert m.get("k") == there(name).get("k") and len(m) == len(there(name)) and dict(m) == there(name)
        for write in WRITES_BACK.values():
            if write is not WRITES_BACK["clear"]:
                write(m, ("other", id(write)))
        m.add("calls")
        assert m.compute("deeper", lambda key, value: m.compute("deepest", lambda key, value: 7)) == 7
        return 9

    FUNCTIONS[name](m, "k", function)
    assert m["calls"] == 1 and m["deepest"] == 7
    if name in UNDER_THE_LOCK:
        assert m["k"] == 9


def test_recursion_over_keys(make_map: MakeMap) -> None:
    m = make_map()

    def fibonacci(n: int) -> int:
        return n if n < 2 else m.compute_if_absent(n - 1, fibonacci) + m.compute_if_absent(n - 2, fibonacci)

    assert m.compute_if_absent(60, fibonacci) == 1548008755920
    endless = make_map()

    def recurse(n: int) -> Any:
        return endless.compute_if_absent(n + 1, recurse)

    with pytest.raises(RecursionError):
        endless.compute_if_absent(0, recurse)
    assert endless == {}
    run_threads(lambda: endless.lock_many(range(50), timeout=0).__enter__())


@pytest.mark.parametrize("name", [*OTHERS, *FUNCTIONS])
def test_values_and_keys_whose_end_comes_back_to_the_map(make_map: MakeMap, name: str) -> None:
    m = make_map()

    class Value(Finalized):
        def __add__(self, other: Any) -> Value:
            return Value(back)

        def __lt__(self, other: Any) -> bool:
            return True

    ends = [0]

    def back() -> None:
        ends[0] += 1
        m["k"] = ends[0]
        m.add("n")
        m.compute("other", lambda key, value: ends[0])
        with contextlib.suppress(RuntimeError), m.lock("k"):  # while it is replaced, the lock is held
            m.pop("k", None)

    for key in ("k", HashKey("k")):
        m.pop(key, None)
        if name != "compute_if_absent":
            m[key] = Value(back)
        if name in OTHERS:
            OTHERS[name](m, key, Value(back))
        else:
            FUNCTIONS[name](m, key, lambda *_: MISSING if name == "retain" else Value(back))
        m.pop(key, None)
    gc.collect()
    assert ends[0] >= 2 and m["n"] >= 1
    run_threads(lambda: m.lock_many(["k", "other", HashKey("k")], timeout=0).__enter__())


@pytest.mark.parametrize("name", [*OTHERS, *FUNCTIONS])
def test_keys_whose_comparison_comes_back_to_the_map(make_map: MakeMap, name: str) -> None:
    m = make_map()
    depth, calls = [0], [0]

    def back() -> None:
        calls[0] += 1
        if depth[0] < 2 and calls[0] < 20:  # not for ever: each gives the map a new table, so it starts over, as dict
            depth[0] += 1
            try:
                m[HashKey("other")] = 1
                m.add(HashKey("n"))
                m.snapshot()
                m.pop(HashKey("other"), 0)
                with contextlib.suppress(RuntimeError):  # if this is its own comparison
                    m.compute(HashKey("third"), lambda key, value: 1)
            finally:
                depth[0] -= 1

    def key() -> HashKey:
        return HashKey("k", on_eq=back)

    m[key()] = 1
    if name in OTHERS:
        OTHERS[name](m, key(), 2)
    elif name == "retain":
        m.retain(lambda key, value: False)
    else:
        FUNCTIONS[name](m, key(), lambda *_: 2)
    m._check()
    run_threads(lambda: m.lock_many([HashKey(n) for n in ("k", "other", "n", "third")], timeout=0).__enter__())


@pytest.mark.parametrize("name", ["compare_and_set", "compare_and_delete", "update_max", "update_min", "add"])
def test_values_whose_comparison_writes_the_entry_are_asked_again(make_map: MakeMap, name: str) -> None:
    m = make_map()
    asked = [0]

    class Value:
        def __eq__(self, other: object) -> bool:
            asked[0] += 1
            if asked[0] < 5:
                m["k"] = Value()
            return True

        def __lt__(self, other: object) -> bool:
            return self == other

        def __add__(self, other: object) -> Value:
            assert self == other
            return Value()

    m["k"] = Value()
    {
        "compare_and_set": lambda: m.compare_and_set("k", 1, 2),
        "compare_and_delete": lambda: m.compare_and_delete("k", 1),
        "update_max": lambda: m.update_max("k", Value()),
        "update_min": lambda: m.update_min("k", Value()),
        "add": lambda: m.add("k", 1),
    }[name]()
    assert asked[0] == 5


class Sub(ShardMap):
    """A subclass in Python, with attributes."""

    def __missing__(self, key: Any) -> Any:
        return never()


def test_a_subclass_has_them_too() -> None:
    m = Sub()
    m.note = "x"  # type: ignore[attr-defined]
    assert m.compute_if_absent("k", lambda key: 1) == 1
    assert m.compute("k", lambda key, value: value + 1) == 2 and m.add("k") == 3
    assert m.merge("k", 4, max) == 4 and m.exchange("new", 1) is MISSING
    with m.lock("k") as entry:
        entry.value += 1
    assert m == {"k": 5, "new": 1}


# --- Exactly once ---


def test_a_thousand_threads_at_one_compute_if_absent_make_one_call() -> None:
    m = ShardMap()
    calls = []
    size = threading.stack_size(256 * 1024)
    try:

        def make(key: str) -> object:
            calls.append(key)
            time.sleep(0.05)
            return object()

        results = run_alike(1000, lambda number: m.compute_if_absent("k", make))
    finally:
        threading.stack_size(size)
    assert calls == ["k"] and set(map(id, results)) == {id(m["k"])}


def test_when_it_raises_one_of_those_who_wait_tries_next(make_map: MakeMap) -> None:
    m = make_map()
    calls = []

    def make(key: str) -> str:
        calls.append(key)
        time.sleep(0.001)
        if len(calls) < 4:
            raise Boom
        return "made"

    def ask(number: int) -> str:
        try:
            return str(m.compute_if_absent("k", make))
        except Boom:
            return "raised"

    assert sorted(run_alike(12, ask)) == ["made"] * 9 + ["raised"] * 3
    assert len(calls) == 4 and m == {"k": "made"}


@pytest.mark.parametrize("keys", [("k",), ("k", "l", HashKey("k"), HashKey("l"))], ids=["1", "4"])
def test_functions_of_many_threads_take_turns(make_map: MakeMap, keys: tuple[Any, ...]) -> None:
    m = make_map()
    inside: dict[Any, int] = dict.fromkeys(keys, 0)

    def function(key: Any, value: Any) -> Any:
        inside[key] += 1
        assert inside[key] == 1
        result = (value or 0) + 1
        inside[key] -= 1
        return result

    def work(number: int) -> None:
        for i in range(120):
            key = keys[(i + number) % len(keys)]
            if number % 4 == 0:
                m.compute(key, function)
            elif number % 4 == 1:
                m.merge(key, 1, lambda old, one: function(key, old))
            elif number % 4 == 2:
                m.add(key)
            else:
                with m.lock(key) as entry:
                    entry.set(function(key, entry.get()))

    with meanwhile(m.snapshot):
        run_alike(8, work)
    assert sum(m.values()) == 8 * 120


def test_compare_and_set_wins_once(make_map: MakeMap) -> None:
    m = make_map(k=0)

    def work(number: int) -> int:
        won = 0
        while (value := m["k"]) < 400:
            won += m.compare_and_set("k", value, value + 1)
        return won

    assert sum(run_alike(4, work)) == m["k"]


def test_extremes_of_many_threads(make_map: MakeMap) -> None:
    m = make_map()

    def work(number: int) -> None:
        for i in range(300):
            m.update_max("max", (i * 7919 + number * 31) % 1009)
            m.update_min("min", (i * 7919 + number * 31) % 1009)

    run_alike(4, work)
    numbers = [(i * 7919 + number * 31) % 1009 for i in range(300) for number in range(4)]
    assert m == {"max": max(numbers), "min": min(numbers)}
