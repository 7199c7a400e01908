"""A lock per key: who waits for whom, for how long, and what ends a wait."""

from __future__ import annotations

import gc
import math
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from harness.keys import Finalized, HashKey
from harness.locks import assert_free, assert_waits, thread
from harness.threads import LONG, meanwhile, run_alike, run_threads
from shardmap import ShardMap

pytestmark = [pytest.mark.concurrent, pytest.mark.first_use]

MakeMap = Callable[..., ShardMap]


# --- The entry ---


def test_an_entry_reads_stores_and_deletes(make_map: MakeMap) -> None:
    m = make_map()
    with m.lock("k") as entry:
        assert entry.key == "k" and not entry.exists
        assert entry.get() is None and entry.get(5) == 5
        with pytest.raises(KeyError) as caught:
            entry.value  # noqa: B018
        assert caught.value.args == ("k",)
        assert not entry.delete()
        entry.set(1)
        assert entry.exists and entry.value == entry.get(5) == m["k"] == 1
        entry.value = 2
        assert m["k"] == 2
        assert entry.delete() and "k" not in m
        entry.value = 3
    assert m == {"k": 3}


def test_the_holder_may_use_the_map_for_the_same_key(make_map: MakeMap) -> None:
    m = make_map()
    with m.lock("k") as entry:
        m["k"] = 1
        assert entry.value == 1 and m.add("k") == 2 and m.exchange("k", 5) == 2 and m.pop("k") == 5
        assert m.setdefault("k", 6) == 6 and m.compare_and_set("k", 6, 7) and m.replace("k", 8) == 7
        assert m.popitem() == ("k", 8)
        m["k"] = 9
        m.clear()
        assert not entry.exists
    assert_free(m, "k")


def test_a_thread_that_asks_for_a_lock_it_holds_gets_an_error(make_map: MakeMap) -> None:
    m = make_map(k=1)
    with m.lock("k") as entry:
        for ask in (
            lambda: m.lock("k").__enter__(),
            lambda: m.lock("k", timeout=0.01).__enter__(),
            lambda: m.lock_many(["a", "k"]).__enter__(),
            entry.__enter__,
            lambda: m.compute("k", lambda key, value: 2),
            lambda: m.compute_if_present("k", lambda key, value: 2),
            lambda: m.merge("k", 2, lambda old, new: 2),
        ):
            with pytest.raises(RuntimeError):
                ask()
        assert_free(m, "a")
    assert m == {"k": 1}
    assert_free(m, "k")


def test_an_entry_out_of_its_block_is_an_error(make_map: MakeMap) -> None:
    entry = make_map(k=1).lock("k")
    for _ in range(2):
        for use in (
            lambda: entry.value,
            lambda: entry.exists,
            entry.get,
            lambda: entry.set(1),
            entry.delete,
            entry.__exit__,
        ):
            with pytest.raises(RuntimeError, match="not held"):
                use()
        with entry as same:  # and may be entered again
            assert same is entry and entry.value == 1


def test_a_held_entry_may_be_used_and_left_in_other_threads(make_map: MakeMap) -> None:
    m = make_map(k=1)
    entry = m.lock("k")
    entry.__enter__()

    def use() -> None:
        assert entry.value == 1 and entry.get() == 1 and entry.exists
        entry.set(2)
        with pytest.raises(RuntimeError, match="already held"):
            entry.__enter__()

    run_threads(use)
    assert entry.value == 2
    run_threads(entry.__exit__)
    with pytest.raises(RuntimeError, match="not held"):
        entry.__exit__()
    assert_free(m, "k")


def test_two_threads_may_share_an_entry_that_neither_holds(make_map: MakeMap) -> None:
    m = make_map()
    entry = m.lock("k")
    done = [0]

    def use(number: int) -> None:
        for _ in range(200):
            with suppress(RuntimeError), entry:
                done[0] += 1
                assert entry.get() is None
            with suppress(RuntimeError):
                entry.exists  # noqa: B018

    run_alike(4, use)
    assert done[0] > 0
    assert_free(m, "k")


def test_a_block_left_by_an_exception_lets_the_lock_go(make_map: MakeMap) -> None:
    m = make_map()
    with pytest.raises(ZeroDivisionError), m.lock("k") as entry:
        entry.set(1 / 0)
    with pytest.raises(ZeroDivisionError), m.lock_many("abk"):
        1 / 0  # noqa: B018
    assert_free(m, *"abk")


def test_an_entry_that_is_dropped_lets_the_lock_go(make_map: MakeMap) -> None:
    m = make_map()
    entry: Any = m.lock("k")
    entry.__enter__()
    many: Any = m.lock_many(["a", "b"])
    many.__enter__()
    del entry, many
    gc.collect()
    assert_free(m, *"abk")


def test_a_held_entry_in_a_cycle_with_its_map_does_no_harm() -> None:
    for shards in (1, 65536):
        m = ShardMap.with_capacity(shards=shards)
        entry = m.lock("k")
        entry.__enter__()
        m["entry"] = entry
        entry = m.lock("other")
        m["entry that is not held"] = entry
        del m, entry
        gc.collect()


def test_an_entry_and_its_map_are_collected_once_it_is_let_go(make_map: MakeMap) -> None:
    m = ShardMap.with_capacity(shards=2)
    with m.lock("k") as entry:
        m["entry"] = entry
    died = weakref.ref(m)
    del m, entry
    gc.collect()
    assert died() is None


@pytest.mark.parametrize("key", [[], {}], ids=["list", "dict"])
def test_an_unhashable_key_is_a_type_error(make_map: MakeMap, key: Any) -> None:
    m = make_map()
    for ask in (m.lock, lambda key: m.lock_many([key])):
        with pytest.raises(TypeError, match="unhashable"):
            ask(key)


# --- Time-outs ---


def test_a_time_out_is_a_timeout_error(make_map: MakeMap) -> None:
    m = make_map()
    with m.lock("k"):

        def ask() -> None:
            for timeout in (0, 0.01, True and 0.01):
                with pytest.raises(TimeoutError, match="'k'"), m.lock("k", timeout=timeout):
                    pass
                with pytest.raises(TimeoutError), m.lock_many(["a", "k"], timeout):
                    pass

        run_threads(ask)
    assert_free(m, "a", "k")


@pytest.mark.parametrize("timeout", [None, LONG, 1e9, 1e30, math.inf, 10**400, -1, -1.0])
def test_a_lock_within_the_time_is_got(make_map: MakeMap, timeout: Any) -> None:
    m = make_map()
    with m.lock("k", timeout):
        pass

    def ask() -> None:
        with m.lock("k", timeout):
            pass

    with m.lock("k") as entry, thread(ask) as asking:
        assert_waits(asking)
        entry.__exit__()
        asking.join(LONG)
        entry.__enter__()


@pytest.mark.parametrize(
    ("timeout", "error"), [*[(no, ValueError) for no in (math.nan, -2, -0.5, -math.inf)], ("1", TypeError)]
)
def test_what_is_no_time_is_an_error(make_map: MakeMap, timeout: Any, error: type[Exception]) -> None:
    for ask in (lambda: make_map().lock("k", timeout), lambda: make_map().lock_many("k", timeout)):
        with pytest.raises(error):
            ask()


def test_who_timed_out_leaves_the_queue_whole(make_map: MakeMap) -> None:
    m = make_map()
    got = []

    def ask(timeout: float | None) -> None:
        try:
            with m.lock("k", timeout):
                got.append(timeout)
        except TimeoutError:
            got.append("late")

    with m.lock("k") as entry:
        waiting = []
        for timeout in (None, 0.05, None, 0.02, 0.08):
            waiting.append(threading.Thread(target=ask, args=(timeout,), daemon=True))
            waiting[-1].start()
        for late in (waiting[1], waiting[3], waiting[4]):
            late.join(LONG)
        assert got == ["late"] * 3
        entry.__exit__()
        for other in waiting:
            other.join(LONG)
        assert got == ["late"] * 3 + [None] * 2
        entry.__enter__()
    assert_free(m, "k")


# --- Who waits, and who does not ---

WRITES: dict[str, Callable[[ShardMap], Any]] = {
    "set": lambda m: m.__setitem__("k", 2),
    "del": lambda m: m.__delitem__("k"),
    "pop": lambda m: m.pop("k"),
    "popitem": lambda m: m.popitem(),
    "clear": lambda m: m.clear(),
    "update": lambda m: m.update(k=2),
    "update with pairs": lambda m: m.update([("k", 2)]),
    "|=": lambda m: m.__ior__({"k": 2}),
    "setdefault": lambda m: m.setdefault("k", 2),
    "add": lambda m: m.add("k", 2),
    "add a float": lambda m: m.add("k", 0.5),
    "add a Fraction": lambda m: m.add("k", 1j),
    "exchange": lambda m: m.exchange("k", 2),
    "replace": lambda m: m.replace("k", 2),
    "compare_and_set": lambda m: m.compare_and_set("k", 1, 2),
    "compare_and_delete": lambda m: m.compare_and_delete("k", 1),
    "update_max": lambda m: m.update_max("k", 2),
    "update_min": lambda m: m.update_min("k", 0),
    "retain": lambda m: m.retain(lambda key, value: False),
    "compute": lambda m: m.compute("k", lambda key, value: 2),
    "compute_if_present": lambda m: m.compute_if_present("k", lambda key, value: 2),
    "merge": lambda m: m.merge("k", 2, lambda old, new: 2),
    "lock": lambda m: m.lock("k").__enter__().__exit__(),
    "lock with a time-out": lambda m: m.lock("k", LONG).__enter__().__exit__(),
    "lock_many": lambda m: m.lock_many("abk").__enter__(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("unboxed", [False, True], ids=["object", "number"])
def test_who_writes_a_locked_key_waits(write: Callable[[ShardMap], Any], unboxed: bool) -> None:
    m = ShardMap.with_capacity(shards=2)
    if unboxed:
        m.add("k", 1)
    else:
        m["k"] = 1
    with m.lock("k") as entry, thread(lambda: write(m)) as writing:
        assert_waits(writing)
        assert entry.value == 1 and m == {"k": 1}
        entry.__exit__()
        writing.join(LONG)
        gc.collect()
        entry.__enter__()
    m._check()
    assert_free(m, "k")


READS: dict[str, Callable[[ShardMap], Any]] = {
    "[]": lambda m: m["k"],
    "get": lambda m: m.get("k"),
    "in": lambda m: "k" in m,
    "len": lambda m: len(m),
    "iterate": lambda m: list(m.items()),
    "snapshot": lambda m: m.snapshot()["k"],
    "copy": lambda m: m.copy().pop("k"),
    "==": lambda m: m == {"k": 1},
    "repr": lambda m: repr(m),
    "compute_if_absent, present": lambda m: m.compute_if_absent("k", lambda key: 2),
    "compare_and_set, other": lambda m: m.compare_and_set("k", 5, 2),
    "compare_and_delete, other": lambda m: m.compare_and_delete("k", 5),
    "update_max, less": lambda m: m.update_max("k", 0),
    "retain, all": lambda m: m.retain(lambda key, value: True),
    "stats": lambda m: m.stats(),
    "_check": lambda m: m._check(),
}


def test_who_reads_a_locked_key_does_not_wait(make_map: MakeMap) -> None:
    m = make_map(k=1)
    with m.lock("k"):
        run_threads(*[lambda read=read: read(m) for read in READS.values()])
    assert m == {"k": 1}


@pytest.mark.parametrize("write", [w for name, w in WRITES.items() if name not in ("clear", "popitem", "retain")])
def test_other_keys_are_not_delayed(make_map: MakeMap, write: Callable[[ShardMap], Any]) -> None:
    m = make_map(k=1)
    with m.lock("other"), m.lock(("more",)), m.lock(5):
        run_threads(lambda: write(m))


def test_popitem_takes_no_notice_of_locks_of_other_entries(make_map: MakeMap) -> None:
    m = make_map(k=1, last=2)
    with m.lock("k"):
        assert run_threads(lambda: m.popitem()) == [("last", 2)]


@pytest.mark.parametrize("other", [("a key", "another"), (-1, -2), (HashKey("a"), HashKey("b"))])
def test_keys_of_one_hash_have_locks_of_their_own(make_map: MakeMap, other: tuple[Any, Any]) -> None:
    one, two = other
    m = make_map({one: 1, two: 2})
    with m.lock(one) as entry:

        def use_two() -> None:
            m[two] = 3
            with m.lock(two, timeout=0):
                assert m.add(two) == 4
            assert m.compute(two, lambda key, value: value) == 4 and m.pop(two) == 4
            with pytest.raises(TimeoutError), m.lock(one, timeout=0):
                pass

        run_threads(use_two)
        assert entry.value == 1
    assert_free(m, one, two)


@pytest.mark.parametrize("equal", [(1, 1.0), (1, True), (HashKey("a"), HashKey("a")), ("ab", "".join(["a", "b"]))])
def test_equal_keys_have_one_lock(make_map: MakeMap, equal: tuple[Any, Any]) -> None:
    one, two = equal
    m = make_map({one: 1})
    with m.lock(one):
        with pytest.raises(RuntimeError), m.lock(two):
            pass
        m[two] = 5

        def ask() -> None:
            with pytest.raises(TimeoutError), m.lock(two, timeout=0):
                pass

        run_threads(ask)
    assert list(m.items()) == [(one, 5)]


def test_popitem_that_waited_takes_what_is_then_the_last(make_map: MakeMap) -> None:
    for n in range(20):
        m = make_map(last=1)
        popped = []
        with m.lock("last") as entry:
            with thread(lambda: popped.append(m.popitem())) as popping:
                assert popping.is_alive() or n
                if n < 3:
                    assert_waits(popping)
                m[n] = 2
                entry.__exit__()
            entry.__enter__()
        assert popped == [(n, 2)] or popped == [("last", 1)]
        assert_free(m, "last", n)


def test_clear_gets_its_turn_among_threads_that_compute_new_keys(make_map: MakeMap) -> None:
    m = make_map(there=1)
    count = iter(range(10**9))

    def compute() -> None:
        m.compute_if_absent(("new", next(count)), lambda key: time.sleep(0.002))
        with m.lock(("also new", next(count))):
            time.sleep(0.002)

    with meanwhile(*[compute] * 6):
        run_threads(m.clear)
    assert "there" not in m


def test_clear_waits_for_a_holder_who_wrote(make_map: MakeMap) -> None:
    m = make_map(a=1)
    with m.lock("new") as entry:
        entry.set(1)
        entry.delete()
        with thread(m.clear) as clearing:
            assert_waits(clearing)
            entry.set(2)
            assert "a" in m
            entry.__exit__()
        entry.__enter__()
    assert m == {}


def test_clear_does_not_wait_for_a_holder_of_an_absent_key(make_map: MakeMap) -> None:
    m = make_map(a=1)
    with m.lock("new") as entry:
        run_threads(m.clear)
        assert m == {}
        entry.set(2)
    assert m == {"new": 2}


def test_memory_for_locks_goes(make_map: MakeMap) -> None:
    m = make_map()
    key = HashKey("k")
    before = sys.getrefcount(key)
    with m.lock(key):
        with pytest.raises(TimeoutError):
            run_threads(lambda: m.lock(HashKey("k"), timeout=0.01).__enter__())
        assert sys.getrefcount(key) > before
    assert sys.getrefcount(key) == before
    died: list[int] = []
    for _ in range(3):
        with m.lock(Finalized(lambda: died.append(1))):
            pass
    assert died == [1, 1, 1]


def test_a_key_whose_end_comes_back_to_the_map(make_map: MakeMap) -> None:
    m = make_map()

    def back() -> None:
        with m.lock("k"):
            m["k"] = m.add("n")
        m.compute("k", lambda key, value: value)

    for _ in range(3):
        with m.lock(Finalized(back)):
            pass
    assert m == {"n": 3, "k": 3}
