"""Locks of keys, many threads: fairness, several locks at once, deadlocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from harness.locks import assert_free, assert_waits, thread
from harness.threads import LONG, run_alike, run_threads
from shardmap import ShardMap

pytestmark = pytest.mark.concurrent

MakeMap = Callable[..., ShardMap]


# --- Fairness ---


def test_lockers_and_writers_in_a_loop_do_not_starve_each_other(make_map: MakeMap) -> None:
    m = make_map(k=0)
    done = [0] * 6
    stop = threading.Event()

    def lock() -> None:
        with m.lock("k") as entry:
            entry.value += 1

    def write() -> None:
        m.add("k")

    def compute() -> None:
        m.compute("k", lambda key, value: value + 1)

    def work(number: int) -> None:
        until = time.monotonic() + LONG / 2
        while not stop.is_set() and time.monotonic() < until:
            (lock, write, compute)[number % 3]()
            done[number] += 1
            if min(done) >= 50:
                stop.set()

    run_alike(len(done), work)
    assert min(done) >= 50 and m["k"] == sum(done)


def test_slow_comparisons_while_locks_come_and_go() -> None:
    """A writer compares its key with locks that are gone by the time it has."""
    m = ShardMap.with_capacity(shards=1)

    def key(name: str) -> HashKey:
        return HashKey(name, hashed=3, on_eq=lambda: time.sleep(0.0002))

    m[key("a")] = m[key("b")] = 0

    def work(number: int) -> None:
        for i in range(25):
            name = "ab"[(i + number) % 2]
            if number % 4 == 0:
                with m.lock(key(name)) as entry:
                    entry.value += 1
            elif number % 4 == 1:
                m.add(key(name))
            elif number % 4 == 2:
                m.compute(key(name), lambda k, value: value + 1)
            else:
                with m.lock_many([key("a"), key("b")]) as entries:
                    entries[key(name)].value += 1

    run_alike(6, work)
    assert sum(m.values()) == 150
    assert_free(m, key("a"), key("b"))


def test_keys_that_change_their_mind_leave_no_lock_behind() -> None:
    m = ShardMap.with_capacity(shards=1)
    all_equal = [True]

    class Key:
        def __hash__(self) -> int:
            return 5

        def __eq__(self, other: object) -> bool:
            return self is other or all_equal[0]

    a, b = Key(), Key()
    entry, other = m.lock(a), m.lock(b)
    entry.__enter__()
    with thread(lambda: m.__setitem__(b, 1)) as writing:
        assert_waits(writing)  # for a's lock
        all_equal[0] = False
        other.__enter__()
        entry.__exit__()
        writing.join(0.1)
        other.__exit__()
    assert_free(m, a, b)


def test_an_eq_that_raises_while_looking_at_locks(make_map: MakeMap) -> None:
    m = make_map()

    def boom() -> None:
        raise ZeroDivisionError

    held, bad = HashKey("a"), HashKey("a", on_eq=boom)

    def ask() -> None:
        for use in (
            lambda: m.__setitem__(bad, 1),
            lambda: m.lock(bad).__enter__(),
            lambda: m.add(bad),
            lambda: m.exchange(bad, 1),
            lambda: m.compute(bad, lambda key, value: 1),
        ):
            held.on_eq = boom
            with pytest.raises(ZeroDivisionError):
                use()
            held.on_eq = None

    with m.lock(held):
        run_threads(ask)
    assert m == {}
    assert_free(m, held)


def test_an_eq_that_uses_the_map_while_looking_at_locks(make_map: MakeMap) -> None:
    m = make_map()
    depth = [0]

    def back() -> None:
        if depth[0] < 3:
            depth[0] += 1
            try:
                m[HashKey("b", hashed=0)] = m.add("n")
                with m.lock(HashKey("c", hashed=0)):
                    pass
            finally:
                depth[0] -= 1

    with m.lock(HashKey("a", on_eq=back)):
        run_threads(lambda: m.__setitem__(HashKey("d"), 1))
    assert m[HashKey("d")] == 1 and m["n"] >= 1
    assert_free(m, *[HashKey(name) for name in "abcd"])


# --- Several at once ---


def test_lock_many_gives_each_entry_in_the_order_asked(make_map: MakeMap) -> None:
    m = make_map(a=1)
    with m.lock_many(["b", "a", "b", "c"]) as entries:
        assert list(entries) == ["b", "a", "c"]
        assert [entry.exists for entry in entries.values()] == [False, True, False]
        entries["b"].set(entries["a"].value + 1)
    assert m == {"a": 1, "b": 2}
    with m.lock_many([]) as entries:
        assert entries == {}


@pytest.mark.parametrize(
    "keys", [list("abcdefgh"), [HashKey(i, hashed=i % 2) for i in range(6)], [-1, -2, 1, 2]], ids=["str", "hash", "-1"]
)
def test_threads_that_lock_the_same_keys_in_any_order_do_not_deadlock(make_map: MakeMap, keys: list[Any]) -> None:
    m = make_map(dict.fromkeys(keys, 0))

    def work(number: int) -> None:
        order = keys[number % len(keys) :] + keys[: number % len(keys)]
        for i in range(60):
            chosen = order[:: 1 if i % 2 else -1][: 2 + i % 5]
            with m.lock_many(chosen) as entries:
                for entry in entries.values():
                    entry.value += 1

    run_alike(5, work)
    assert sum(m.values()) == 5 * sum(min(2 + i % 5, len(keys)) for i in range(60))
    assert_free(m, *keys)


def test_lock_many_entered_twice_or_left_without_is_an_error(make_map: MakeMap) -> None:
    m = make_map()
    many = m.lock_many("ab")
    with pytest.raises(RuntimeError):
        many.__exit__(None, None, None)
    with many, pytest.raises(RuntimeError):
        many.__enter__()
    with many:
        pass
    assert_free(m, *"ab")


@pytest.mark.parametrize("taken", ["a", "b"])
def test_several_that_are_still_being_entered_cannot_be_left(taken: str) -> None:
    m = ShardMap.with_capacity(shards=1)
    many = m.lock_many("ab")
    with m.lock(taken) as entry, thread(many.__enter__) as entering:
        assert_waits(entering)
        for use in (lambda: many.__exit__(None, None, None), many.__enter__):
            with pytest.raises(RuntimeError, match="held"):
                use()
        assert_waits(entering)
        entry.__exit__()
        entering.join(LONG)
        many.__exit__(None, None, None)
        with pytest.raises(RuntimeError, match="not held"):
            many.__exit__(None, None, None)
        entry.__enter__()
    assert_free(m, "a", "b")


# --- Deadlocks ---


def hold_or_compute(m: ShardMap, how: str, key: Any, inside: Callable[[], Any]) -> None:
    if how == "lock":
        with m.lock(key):
            inside()
    elif how == "lock_many":
        with m.lock_many([key]):
            inside()
    else:

        def function(*arguments: Any) -> int:
            inside()
            return 1

        {
            "compute": lambda: m.compute(key, function),
            "compute_if_absent": lambda: m.compute_if_absent(key, function),
            "merge": lambda: m.merge(key, 1, function),
        }[how]()


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("inner", ["lock", "compute", "set", "clear"])
@pytest.mark.parametrize("outer", ["lock", "lock_many", "compute", "compute_if_absent", "merge"])
def test_a_circle_of_threads_that_wait_for_each_other_is_broken(outer: str, inner: str, threads: int) -> None:
    m = ShardMap.with_capacity(shards=2)
    if outer != "compute_if_absent":
        m.update(dict.fromkeys(range(threads), 0))
    all_hold = threading.Barrier(threads)
    errors: list[RuntimeError] = []

    def work(number: int) -> None:
        following = (number + 1) % threads

        def inside() -> None:
            all_hold.wait(LONG)
            if inner == "lock":
                with m.lock(following):
                    pass
            elif inner == "compute":
                m.compute(following, lambda key, value: 2)
            elif inner == "set":
                m[following] = 2
            else:
                m.clear()

        try:
            hold_or_compute(m, outer, number, inside)
        except RuntimeError as error:
            errors.append(error)

    run_alike(threads, work)
    if inner != "clear":
        assert len(errors) == 1 and "deadlock" in str(errors[0])
    elif outer in ("lock", "lock_many"):
        assert 1 <= len(errors) < threads
    assert_free(m, *range(threads))
    m._check()


def test_long_chains_of_waiting_threads_are_no_deadlock(make_map: MakeMap) -> None:
    """Nested locks taken in one order, by many threads: nobody is refused."""
    m = make_map()

    def work(number: int) -> None:
        for i in range(30):
            low, high = sorted([(number + i) % 7, (number * 3 + i) % 7])
            with m.lock(low):
                if low != high:
                    with m.lock(high):
                        m[high] = i
                m.compute((low, high), lambda key, value: i)

    run_alike(8, work)
    assert_free(m, *range(7))


def test_a_wait_with_a_time_out_is_no_deadlock(make_map: MakeMap) -> None:
    m = make_map()
    both = threading.Barrier(2)

    def work(number: int) -> str:
        with m.lock(number):
            both.wait(LONG)
            try:
                with m.lock(1 - number, timeout=0.05 if number else LONG):
                    return "got"
            except TimeoutError:
                return "late"

    assert run_alike(2, work)[0] == "got"
    assert_free(m, 0, 1)


def test_deadlocks_across_maps_are_found() -> None:
    maps = [ShardMap.with_capacity(shards=1) for _ in range(2)]
    both = threading.Barrier(2)
    errors = []

    def work(number: int) -> None:
        with maps[number].lock("k"):
            both.wait(LONG)
            try:
                maps[1 - number]["k"] = 1
            except RuntimeError as error:
                errors.append(error)

    run_alike(2, work)
    assert len(errors) == 1
