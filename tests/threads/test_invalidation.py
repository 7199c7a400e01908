"""What was being computed when a removal was called is not found after the removal has returned."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from harness.locks import assert_free, assert_waits, thread
from harness.threads import LONG, run_alike
from shardmap import MISSING, ShardMap

pytestmark = pytest.mark.concurrent

MakeMap = Callable[..., ShardMap]

COMPUTE: dict[str, Callable[[ShardMap, Any, Callable[..., Any]], Any]] = {
    "compute": lambda m, key, load: m.compute(key, lambda key, value: load()),
    "compute_if_absent": lambda m, key, load: m.compute_if_absent(key, lambda key: load()),
    "compute_if_present": lambda m, key, load: m.compute_if_present(key, lambda key, value: load()),
    "merge": lambda m, key, load: m.merge(key, 0, lambda old, new: load()),
}
NEEDS_ENTRY = ("compute_if_present", "merge")


class Loader:
    """A function that says when it runs, and goes on when it is told to."""

    def __init__(self) -> None:
        self.runs, self.go_on = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.runs.set()
        assert self.go_on.wait(LONG)
        return "loaded before"


def with_computation(m: ShardMap, name: str, key: Any) -> tuple[Loader, Callable[[], None], list[Any]]:
    """A loader, what runs it, and where its caller's result will be."""
    if name in NEEDS_ENTRY:
        m[key] = "stale"
    loader, results = Loader(), []
    return loader, lambda: results.append(COMPUTE[name](m, key, loader)), results


@pytest.mark.parametrize("name", COMPUTE)
@pytest.mark.parametrize("key", ["k", HashKey("k")], ids=["plain", "compared by Python"])
def test_clear_neither_waits_for_what_is_computed_nor_finds_it_afterwards(
    make_map: MakeMap, name: str, key: Any
) -> None:
    m = make_map(other=1)
    loader, work, results = with_computation(m, name, key)
    with thread(work):
        loader.runs.wait(LONG)
        m.clear()
        assert m == {} and not results
        loader.go_on.set()
    assert results == ["loaded before"]  # for its caller it is as if it came just before
    assert key not in m and m == {}
    assert_free(m, key, "other")


def test_who_waits_for_an_overtaken_computation_computes_anew(make_map: MakeMap) -> None:
    m = make_map()
    loader, work, results = with_computation(m, "compute_if_absent", "k")
    with thread(work):
        loader.runs.wait(LONG)
        m.clear()
        with thread(lambda: results.append(m.compute_if_absent("k", lambda key: "loaded after"))) as second:
            assert_waits(second)
            loader.go_on.set()
    assert sorted(results) == ["loaded after", "loaded before"] and m == {"k": "loaded after"}


@pytest.mark.parametrize("name", COMPUTE)
def test_a_clear_that_came_before_the_value_was_read_overtakes_nothing(make_map: MakeMap, name: str) -> None:
    m = make_map(k=1)
    m.clear()
    if name in NEEDS_ENTRY:
        m["k"] = 2
    assert COMPUTE[name](m, "k", lambda: "new") == "new" == m["k"]


def test_an_overtaken_removal_removes_nothing_that_came_later(make_map: MakeMap) -> None:
    m = make_map(k=1)
    runs, go_on = threading.Event(), threading.Event()

    def remove(key: Any, value: Any) -> Any:
        runs.set()
        go_on.wait(LONG)
        return MISSING

    with thread(lambda: m.compute("k", remove)):
        runs.wait(LONG)
        m.clear()
        with thread(lambda: m.__setitem__("k", "after")) as writing:
            assert_waits(writing)
            go_on.set()
    assert m == {"k": "after"}


REMOVALS: dict[str, Callable[[ShardMap], Any]] = {
    "pop": lambda m: m.pop("k", MISSING),
    "del": lambda m: m.__delitem__("k"),
    "delete_many": lambda m: m.delete_many(["a", "k", "b"]),
    "pop_many": lambda m: m.pop_many(["a", "k", "b"]),
    "pop_many, few shards": lambda m: m.pop_many([str(i) for i in range(2000)] + ["k"]),
    "retain": lambda m: m.retain(lambda key, value: False),
    "retain, by value": lambda m: m.retain(lambda key, value: value != "loaded before"),
}


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
@pytest.mark.parametrize("name", COMPUTE)
def test_other_removals_wait_for_what_is_computed_and_remove_it(
    make_map: MakeMap, name: str, remove: Callable[[ShardMap], Any]
) -> None:
    m = make_map(other=1)
    loader, work, results = with_computation(m, name, "k")
    with thread(work):
        loader.runs.wait(LONG)
        with thread(lambda: remove(m)) as removing:
            assert_waits(removing)
            loader.go_on.set()
    assert results == ["loaded before"] and "k" not in m
    assert_free(m, "k")


def test_retain_asks_about_all_that_is_computed_when_it_is_called(make_map: MakeMap) -> None:
    """Of more keys than are looked at in one go; a computation that fails leaves nothing to ask about."""
    m = make_map(there=0)
    count = 40
    go_on = threading.Event()
    all_run = threading.Barrier(count + 1)

    def work(number: int) -> None:
        def load(key: Any) -> int:
            all_run.wait(LONG)
            go_on.wait(LONG)
            return 1 // (number % 10) * 0 + number

        try:
            m.compute_if_absent(number, load)
        except ZeroDivisionError:
            assert number % 10 == 0

    asked = []

    def predicate(key: Any, value: Any) -> bool:
        asked.append(key)
        return bool(value % 2)

    def retain() -> None:
        all_run.wait(LONG)
        with thread(lambda: m.retain(predicate)) as retaining:
            assert_waits(retaining)
            assert asked == ["there"]
            go_on.set()

    with thread(retain):
        run_alike(count, work)
    assert sorted(asked[1:]) == [n for n in range(count) if n % 10]
    assert sorted(m) == [n for n in range(count) if n % 2]


def test_retain_finds_what_is_being_written_after_its_function_has_returned() -> None:
    """Writing compares keys in Python, and the table was shared meanwhile, so that it looks for the key again."""
    m = ShardMap.with_capacity(shards=1)
    there = HashKey("there")
    m[there] = "keep"
    snapshots, removed = [], []
    retaining: list[threading.Thread] = []

    def retain() -> None:
        removed.append(m.retain(lambda key, value: value == "keep"))

    def function(key: Any) -> str:
        snapshots.append(m.snapshot())
        there.on_eq = compared
        return "stale"

    compared_before: list[int] = []

    def compared() -> None:
        compared_before.append(1)
        if len(compared_before) == 2:
            retaining.append(threading.Thread(target=retain, daemon=True))
            retaining[0].start()
            assert_waits(retaining[0])

    m.compute_if_absent(HashKey("new"), function)
    there.on_eq = None
    retaining[0].join(LONG)
    assert removed == [1] and m == {there: "keep"}
    assert_free(m, there, HashKey("new"))


def test_retain_within_a_function_that_computes(make_map: MakeMap) -> None:
    m = make_map(a=1, b=2)
    assert m.compute("new", lambda key, value: m.retain(lambda key, value: value > 1)) == 1
    assert m == {"b": 2, "new": 1}


def test_loads_and_clears_by_many_threads(make_map: MakeMap) -> None:
    """A value's version is that of the source when its load began. After a clear() that came after a change of the
    source, no older version is found."""
    m = make_map()
    source = [0]
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            m.compute_if_absent("k", lambda key: source[0])

    def invalidate() -> None:
        try:
            for version in range(1, 300):
                source[0] = version
                m.clear()
                assert m.get("k", version) == version
        finally:
            done.set()

    with thread(read), thread(read):
        invalidate()
