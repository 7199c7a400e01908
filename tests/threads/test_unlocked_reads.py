"""Reads without a mutex, against writers that take away what is being read."""

from __future__ import annotations

import gc
import itertools
import os
import sys
import sysconfig
import threading
from collections.abc import Callable
from typing import Any

import pytest

from harness.process import fork_and_wait, run_python
from harness.threads import meanwhile, run_alike, run_threads
from shardmap import ShardMap, _core

pytestmark = pytest.mark.concurrent

MakeMap = Callable[..., ShardMap]

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
LIMBO = 126  # removed keys that a shard may hold on to (core/read_key.pyx)


class Value:
    """Knows whose value it is."""

    def __init__(self, key: Any) -> None:
        self.key = key


def fresh(number: int) -> str:
    """An equal but new str each time."""
    return "".join(["key ", str(number)])


def expected_way() -> str:
    if not FREE_THREADED:
        return "unlocked"
    return "asymmetric" if sys.platform == "linux" else "fenced"


# --- What is read is right ---


WRITERS: dict[str, Callable[[ShardMap, int], Any]] = {
    "overwrite": lambda m, n: m.__setitem__(fresh(n), Value(fresh(n))),
    "delete and insert": lambda m, n: (m.pop(fresh(n), None), m.__setitem__(fresh(n), Value(fresh(n)))),
    "grow and clear": lambda m, n: (m.update({fresh(i): Value(fresh(i)) for i in range(n, n + 30)}), m.clear()),
    "snapshot and write": lambda m, n: (m.snapshot(), m.__setitem__(fresh(n), Value(fresh(n)))),
    "popitem": lambda m, n: (m.__setitem__(fresh(n), Value(fresh(n))), m.popitem() if len(m) > 10 else None),
    "computed": lambda m, n: m.compute(fresh(n), lambda key, value: Value(key)),
    "copied": lambda m, n: m.copy().__setitem__(fresh(n), Value("of the copy")),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_reader_gets_the_value_of_its_key_or_none(make_map: MakeMap, write: Callable[[ShardMap, int], Any]) -> None:
    m = make_map()
    numbers = itertools.cycle(range(40))
    seen: set[bool] = set()

    def read(number: int) -> None:
        for turn in range(1500):
            key = fresh((turn * 7 + number) % 40)
            value = m.get(key)
            seen.add(value is not None)
            assert value is None or value.key == key
            if key in m:
                seen.add(True)

    with meanwhile(lambda: write(m, next(numbers)), lambda: m.__setitem__(fresh(5), Value(fresh(5)))):
        run_alike(2, read)
    assert seen


def test_counters_are_read_as_they_grow(make_map: MakeMap) -> None:
    m = make_map()

    def read() -> list[int]:
        return [m.get("n", 0) for _ in range(3000)]

    first, second, _ = run_threads(read, read, lambda: [m.add("n") for _ in range(3000)])
    assert first == sorted(first) and second == sorted(second)
    assert m["n"] == 3000


@pytest.mark.parametrize("key", ["text", "ünicode", 10**30, -1, 2**40, b"bytes", (1, "t"), 1.5, True, None])
def test_equal_keys_and_values_of_other_threads_are_found(make_map: MakeMap, key: Any) -> None:
    m = make_map()
    value = object()
    run_threads(lambda: m.__setitem__(key, value))
    same = eval(repr(key))

    def look() -> list[Any]:
        return [m[same], m.get(same), same in m, m[key], m.setdefault(same, None), m.get(["x"][0])]

    assert run_threads(look, look) == [[value, value, True, value, value, None]] * 2


# --- What is removed is let go ---


def references_of(keys: list[Any]) -> list[int]:
    return [sys.getrefcount(key) for key in keys]


REMOVALS: dict[str, Callable[[ShardMap, list[Any]], Any]] = {
    "del": lambda m, keys: [m.__delitem__(key) for key in keys],
    "pop": lambda m, keys: [m.pop(key) for key in keys],
    "popitem": lambda m, keys: [m.popitem() for _ in keys],
    "clear": lambda m, keys: m.clear(),
    "compare_and_delete": lambda m, keys: [m.compare_and_delete(key, 0) for key in keys],
    "retain": lambda m, keys: m.retain(lambda key, value: False),
}


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_removed_keys_are_not_kept_for_longer_than_the_map(
    shards: int, remove: Callable[[ShardMap, list[Any]], Any]
) -> None:
    keys = [fresh(i) for i in range(1000)] + [10**20 + i for i in range(50)] + [bytes([i]) * 30 for i in range(50)]
    before = references_of(keys)

    def fill_and_remove(m: ShardMap) -> None:
        # By threads that did not make the map.
        run_threads(lambda: m.update(dict.fromkeys(keys, 0)), lambda: m.get("none"))
        run_threads(lambda: remove(m, keys))
        assert len(m) == 0
        kept = sum(now > then for now, then in zip(references_of(keys), before, strict=True))
        assert kept <= (0 if remove is REMOVALS["clear"] else LIMBO * shards)

    m = ShardMap.with_capacity(shards=shards)
    fill_and_remove(m)
    fill_and_remove(m)
    m._check()
    del m
    gc.collect()
    assert references_of(keys) == before


def test_large_removed_keys_are_let_go_at_once(make_map: MakeMap) -> None:
    keys = [bytes([i]) * 100_000 for i in range(20)] + ["x" * 50_000 + str(i) for i in range(20)]
    before = references_of(keys)
    m = make_map()
    run_threads(lambda: m.update(dict.fromkeys(keys)), lambda: m.get("none"))
    run_threads(lambda: [m.pop(key) for key in keys])
    assert references_of(keys) == before


def test_values_are_let_go_at_once(make_map: MakeMap) -> None:
    m = make_map()
    gone: list[int] = []

    class Counted:
        def __init__(self, number: int) -> None:
            self.number = number

        def __del__(self) -> None:
            gone.append(self.number)

    def work(number: int) -> None:
        for i in range(200):
            m[number, i] = Counted(i)
            assert m[number, i].number == i
            m[number, i] = None
            m[str(i)] = Counted(i)
            m.pop(str(i), None)

    run_alike(3, work)
    assert len(gone) == 3 * 400


def test_no_memory_to_put_removed_keys_aside_loses_nothing(make_map: MakeMap) -> None:
    keys = [fresh(i) for i in range(300)]
    m = make_map()
    run_threads(lambda: m.update(dict.fromkeys(keys)), lambda: m.get("none"))

    def remove() -> None:
        for key in keys:
            _core._fail_allocation(1)
            assert m.pop(key, "lost") is None
            _core._fail_allocation(0)

    run_threads(remove)
    assert len(m) == 0


# --- Threads and processes ---


def test_threads_that_have_read_and_are_gone_keep_nobody_waiting(make_map: MakeMap) -> None:
    m = make_map({fresh(i): i for i in range(100)})
    for turn in range(5):
        run_alike(8, lambda number, turn=turn: m[fresh(number + turn)])  # type: ignore[misc]
        run_threads(lambda: [m.pop(fresh(i), None) for i in range(100)] and m.clear())
        m.update({fresh(i): i for i in range(100)})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_readers_of_its_parent(make_map: MakeMap) -> None:
    m = make_map({fresh(i): i for i in range(500)})

    def child() -> None:
        for i in range(500):
            assert m.pop(fresh(i)) == i
        m.clear()
        done: list[int] = []
        thread = threading.Thread(target=lambda: done.append(len(m)))
        thread.start()
        thread.join()
        assert done == [0]

    def read(m: ShardMap = m) -> None:  # not the variable of the child: fork_and_wait
        for i in range(0, 500, 7):
            assert m[fresh(i)] == i

    with meanwhile(read, read, read):
        for _ in range(5):
            fork_and_wait(child)
    assert len(m) == 500


# --- Which way ---


@pytest.mark.parametrize("way", [None, "locked", "fenced"])
def test_the_way_of_reading_can_be_chosen(way: str | None) -> None:
    expected = expected_way()
    if way == "locked" or (way == "fenced" and expected == "asymmetric"):
        expected = way
    if expected == "asymmetric" and _core._reads() == "fenced":
        pytest.skip("this system has no membarrier()")
    done = run_python(
        """
        import threading
        from shardmap import ShardMap, _core
        m = ShardMap({str(i): i for i in range(200)})
        def work():
            for turn in range(20):
                for i in range(200):
                    assert m.get(str(i), i) == i
                    if i % 3 == 0:
                        m.pop(str(i), None)
                        m[str(i)] = i
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
        m._check()
        assert len(m) == 200
        print(_core._reads())
        """,
        env={"SHARDMAP_READS": way or ""},
    )
    assert done.stdout.split() == [expected]
