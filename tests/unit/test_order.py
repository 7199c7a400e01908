"""Insertion order over all shards, whatever happens to the map and wherever stamps come from."""

from __future__ import annotations

import copy
import os
import pickle
import platform
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.process import run_python
from harness.threads import LONG, run_alike, run_threads
from shardmap import ShardMap, _core

pytestmark = pytest.mark.concurrent

Make = Callable[..., ShardMap]

CYCLES: dict[str, Callable[[ShardMap], ShardMap]] = {
    "copy": ShardMap.copy,
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda m: pickle.loads(pickle.dumps(m)),
    "pickle of a snapshot": lambda m: ShardMap(pickle.loads(pickle.dumps(m.snapshot()))),
    "constructor": ShardMap,
    "from a dict": lambda m: ShardMap(dict(m)),
    "from items": lambda m: ShardMap(m.items()),
    "or": lambda m: m | {},
    "or into a dict": lambda m: {} | m,
    "more shards": lambda m: ShardMap.with_capacity(10, shards=128).__ior__(m),
}


def test_iteration_is_in_insertion_order_forward_and_backward(make_map: Make) -> None:
    keys: list[Any] = [*range(300), *map(str, range(300)), *[(n,) for n in range(300)]]
    random.Random(1).shuffle(keys)
    m = make_map()
    for key in keys:
        m[key] = [key]
    assert list(m) == list(m.keys()) == keys
    assert list(m.values()) == [[key] for key in keys]
    assert list(m.items()) == [(key, [key]) for key in keys]
    assert list(reversed(m)) == list(reversed(m.keys())) == keys[::-1]
    assert list(reversed(m.values())) == [[key] for key in keys[::-1]]
    assert list(reversed(m.items())) == [(key, [key]) for key in keys[::-1]]


@pytest.mark.parametrize(
    "overwrite",
    [
        lambda m, k: m.__setitem__(k, "new"),
        lambda m, k: m.update({k: "new"}),
        lambda m, k: m.__ior__([(k, "new")]),
        lambda m, k: m.setdefault(k, "new"),
        lambda m, k: m.add(k, "new", ""),
    ],
    ids=["[]", "update", "|=", "setdefault", "add"],
)
@pytest.mark.parametrize("shared", [False, True])
def test_overwriting_keeps_the_place(make_map: Make, overwrite: Callable[..., Any], shared: bool) -> None:
    m = make_map((str(n), "") for n in range(100))
    snapshot = m.snapshot() if shared else None
    for n in range(99, -1, -3):
        overwrite(m, str(n))
    assert list(m) == [str(n) for n in range(100)]
    assert snapshot is None or set(snapshot.values()) == {""}


def test_deleting_and_inserting_again_moves_to_the_end(make_map: Make) -> None:
    m, keys = make_map((n, n) for n in range(100)), list(range(100))
    pick = random.Random(2)
    for _ in range(500):
        key = pick.choice(keys)
        keys.remove(key)
        keys.append(key)
        m[key] = m.pop(key)
    assert list(m) == keys


def test_popitem_takes_the_last_in_first_out(make_map: Make) -> None:
    m, expected = make_map(), []
    pick = random.Random(3)
    for n in range(3000):
        if pick.random() < 0.6:
            m[n] = -n
            expected.append((n, -n))
        elif expected:
            assert m.popitem() == expected.pop()
    while expected:
        assert m.popitem() == expected.pop()
    with pytest.raises(KeyError, match="empty"):
        m.popitem()
    m["again"] = 1
    assert m.popitem() == ("again", 1)


def test_taking_the_first_again_and_again_takes_them_in_order(make_map: Make) -> None:
    m = make_map((n, n) for n in range(2000))
    for n in range(2000):
        assert m.pop(next(iter(m))) == n
        if n % 3 == 0:
            m[-n - 1] = n
    assert list(m) == [-n - 1 for n in range(0, 2000, 3)]


@pytest.mark.parametrize("how", CYCLES)
def test_copies_have_the_order_and_go_on_in_it(make_map: Make, how: str) -> None:
    keys = [f"key {n * 7919 % 1000}" for n in range(1000)]
    m = make_map(((key, n) for n, key in enumerate(keys)))
    for key in keys[::3]:
        del m[key]
    left = [key for n, key in enumerate(keys) if n % 3]
    for _ in range(3):
        m = CYCLES[how](m)
        m["new"] = None
        left.append("new")
        assert list(m) == left
        left.remove(left[5])
        m.pop(list(m)[5])
        assert m.popitem() == ("new", None)
        left.pop()
    m._check()


def test_the_order_survives_growing_and_shrinking(make_map: Make) -> None:
    m = make_map()
    for count in (10, 20_000):
        for n in range(count):
            m[n] = None
        assert list(m) == list(range(count))
        kept = list(range(0, count, count // 10))
        for n in set(range(count)) - set(kept):
            del m[n]
        assert list(m) == kept
        m["last"] = None
        assert list(reversed(m)) == ["last", *kept[::-1]]
        m._check()
        m.clear()


def test_each_thread_s_insertions_are_in_its_order(make_map: Make) -> None:
    m = make_map()

    def insert(thread: int) -> None:
        for n in range(2000):
            m[thread, n] = None

    run_alike(4, insert)
    for thread in range(4):
        assert [n for t, n in m if t == thread] == list(range(2000))
    assert list(reversed(m)) == list(m)[::-1]


def test_an_insertion_that_ended_before_another_thread_s_began_comes_first(make_map: Make) -> None:
    m, rounds = make_map(), 1500
    turns = [threading.Semaphore(n == 0) for n in range(3)]

    def insert(thread: int) -> None:
        for n in range(thread, rounds, 3):
            assert turns[thread].acquire(timeout=LONG)
            m[n] = thread
            turns[(thread + 1) % 3].release()

    run_alike(3, insert)
    assert list(m) == list(range(rounds))
    assert [m.popitem()[0] for _ in range(rounds)] == list(range(rounds))[::-1]


def test_what_a_thread_inserts_after_seeing_an_entry_comes_after_it(make_map: Make) -> None:
    m, rounds = make_map(), 1000

    def ask() -> None:
        for n in range(rounds):
            m["ask", n] = None
            while ("answer", n) not in m:
                time.sleep(0)

    def answer() -> None:
        for n in range(rounds):
            while ("ask", n) not in m:
                time.sleep(0)
            m["answer", n] = None

    run_threads(ask, answer)
    assert list(m) == [(word, n) for n in range(rounds) for word in ("ask", "answer")]


def test_stamps_come_from_the_processor_s_counter_where_it_has_one_for_all_cores() -> None:
    sources = ("cntvct_el0",) if platform.machine() in ("aarch64", "arm64") else ("tsc", "counter")
    asked_for = os.environ.get("SHARDMAP_STAMP", "").partition(":")[0]
    assert _core._stamp_source() in ((asked_for,) if asked_for else sources)


def test_stamps_can_be_made_to_come_from_a_counter() -> None:
    run_python("from shardmap import _core; assert _core._stamp_source() == 'counter'", env=COUNTER)


COUNTER = {"SHARDMAP_STAMP": "counter"}


SLOW = {"SHARDMAP_STAMP": "slow:10"}  # a clock that ticks every microsecond, as coarse ones of arm64 do every 40 ns


@pytest.mark.parametrize("variables", [COUNTER, SLOW], ids=["counter", "slow"])
def test_the_order_is_right_with_stamps_from_elsewhere(variables: dict[str, str]) -> None:
    if "SHARDMAP_STAMP" in os.environ:
        pytest.skip("all tests here run that way")
    run_python(
        f"""
        import subprocess, sys
        sys.exit(subprocess.call(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", {__file__!r},
             "-k", "not counter and not elsewhere"]
        ))
        """,
        timeout=LONG,
        env=variables,
    )


def test_items_that_are_hashed_as_they_come_have_the_hash_of_their_own(make_map: Make) -> None:
    # The iterator uses its tuple again if nobody has kept it, and 3.14 keeps a tuple's hash in it.
    m = make_map({f"key {i}": i for i in range(200)})
    assert {hash(item) for item in m.items()} == {hash((f"key {i}", i)) for i in range(200)}
    assert set(m.items()) == {(f"key {i}", i) for i in range(200)}
