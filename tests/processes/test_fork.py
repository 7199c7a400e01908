"""fork in the middle of heavy use: in the child every live map is usable and whole."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from harness.process import fork_and_wait, start_child, wait_for_child
from harness.stops import collect_and_pause
from harness.threads import LONG, meanwhile, run_alike, run_threads
from shardmap import ShardMap

pytestmark = [
    pytest.mark.memory,
    pytest.mark.usefixtures("many_switches"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    # CPython 3.12 and later warn of what is tested here.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

MakeMap = Callable[..., ShardMap]
LASTING = {("lasting", i): i for i in range(100)}
ROUNDS = 10 if os.environ.get("SHARDMAP_STRESS_SECONDS") else 2


def assert_usable(m: ShardMap) -> None:
    """Every operation, and what was to last is there."""
    m._check()
    assert {key: value for key, value in m.items() if key in LASTING} == LASTING
    before = m.snapshot()
    assert len(before) == len(m) == len(list(m)) == len(m.copy())
    assert before == m
    m["new"] = 1
    assert m["new"] == m.get("new") == m.setdefault("new", 2) == 1 and "new" in m
    assert m.add("new") == 2 and m.popitem() == ("new", 2)
    m.update({i: i for i in range(100)})
    for i in range(100):
        del m[i]
    key = HashKey("key", hashed=5)
    m[key] = 1
    assert m.pop(HashKey("key", hashed=5)) == 1
    assert m.pop("new", None) is None
    assert pickle.loads(pickle.dumps(before)).get(("lasting", 0)) == 0
    m._check()
    m.clear()
    assert len(m) == 0 and len(before) >= 100


def use_in_child(m: ShardMap) -> Callable[[], None]:
    def child() -> None:
        others = m.copy()
        assert_usable(m)
        # New threads, too, and contended.
        run_alike(3, lambda number: [others.add(("sum", number % 2)) for _ in range(100)], timeout=LONG / 2)
        assert others["sum", 0] + others["sum", 1] >= 300
        gc.collect()
        others._check()

    return child


def churn(m: ShardMap, number: int) -> Callable[[], None]:
    def work() -> None:
        for i in range(100):
            m[number, i] = i
            m[i] = number
            m.get(("lasting", i))
        for i in range(100):
            del m[number, i]
            m.pop(i, None)
        m["lasting", number] = number

    return work


def hostile(m: ShardMap) -> Callable[[], None]:
    def work() -> None:
        for i in range(10):
            m[HashKey(i, hashed=7)] = i
        for i in range(10):
            m.pop(HashKey(i, hashed=7), None)

    return work


def fork_during(works: list[Callable[[], Any]], child: Callable[[], None], timeout: float = LONG) -> None:
    """Forks while threads do the works, and has them stop then: all they could do to the child is to take its time."""
    with meanwhile(*works, timeout=timeout):
        forked = start_child(child)
    wait_for_child(forked, timeout)


KINDS: dict[str, Callable[[ShardMap], list[Callable[[], Any]]]] = {
    "single keys": lambda m: [churn(m, 1), churn(m, 2), churn(m, 3)],
    "one hot key": lambda m: [lambda: [m.add("hot") for _ in range(200)] for _ in range(6)],
    "len": lambda m: [churn(m, 1), lambda: len(m), lambda: len(m)],
    "snapshot": lambda m: [churn(m, 1), m.snapshot, lambda: list(m)],
    "popitem": lambda m: [
        churn(m, 1),
        lambda: m.update([m.popitem()] if len(m) > 5000 else []) or m.add(("x", 1)),
        lambda: [m.__setitem__(threading.get_ident(), 1), m.pop(threading.get_ident())],
    ],
    "copies": lambda m: [lambda: churn(m.copy(), 1)(), lambda: assert_usable(m.copy())],
    "hostile keys": lambda m: [hostile(m), hostile(m), m.snapshot],
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_child_forked_in_the_middle_has_a_whole_map(
    make_map: MakeMap, kind: Callable[[ShardMap], list[Callable[[], Any]]]
) -> None:
    m = make_map(LASTING)
    for _ in range(ROUNDS):
        fork_during(kind(m), use_in_child(m))
    # And the parent goes on.
    assert_usable(m)


def test_clear_and_popitem_at_the_time_of_fork(shards: int) -> None:
    maps = [ShardMap.with_capacity(shards=shards) for _ in range(2)]

    def work(m: ShardMap) -> Callable[[], None]:
        def fill_and_clear() -> None:
            for i in range(50):
                m[i] = i
            for _ in range(10):
                if len(m) > 1:
                    m.popitem()
            m.clear()

        return fill_and_clear

    def child() -> None:
        for m in maps:
            m._check()
            # Filled, popped from the end, or cleared at one point in time.
            assert list(m) == list(range(len(m)))
            m.update(LASTING)
            assert_usable(m)

    for _ in range(ROUNDS):
        fork_during([work(m) for m in maps], child)


def test_a_child_of_many_threads_waiting_for_one_shard() -> None:
    m = ShardMap.with_capacity(shards=1)
    m.update(LASTING)
    for _ in range(ROUNDS):
        fork_during([*[churn(m, number) for number in range(12)], m.snapshot, m.snapshot], use_in_child(m))
    assert_usable(m)


def test_snapshots_and_iterators_made_before_fork_go_on_in_the_child(make_map: MakeMap) -> None:
    m = make_map(LASTING)
    with meanwhile(churn(m, 1), churn(m, 2)):
        for _ in range(ROUNDS):
            snapshot, forward, backward = m.snapshot(), iter(m.items()), reversed(m)
            view, first = m.keys(), next(forward)

            def child() -> None:
                assert LASTING.items() <= dict(snapshot).items()
                assert LASTING.items() <= dict([first, *forward]).items()
                assert LASTING.keys() <= set(backward)
                assert ("lasting", 1) in view and LASTING.keys() <= set(view)
                m.clear()
                assert len(view) == 0 and len(snapshot) >= 100

            fork_and_wait(child)


def test_children_of_children(make_map: MakeMap) -> None:
    m = make_map(LASTING)

    def in_child_of(depth: int) -> Callable[[], None]:
        def child() -> None:
            m._check()
            if depth:
                fork_during([churn(m, 3), churn(m, 4)], in_child_of(depth - 1), timeout=LONG * depth / 3)
            assert_usable(m)

        return child

    for _ in range(ROUNDS):
        fork_during([churn(m, 1), churn(m, 2)], in_child_of(2))


def test_several_threads_fork_at_once(make_map: MakeMap) -> None:
    m = make_map(LASTING)

    def fork_often(_: int) -> None:
        for _ in range(1 + ROUNDS):
            fork_and_wait(use_in_child(m))

    with meanwhile(churn(m, 1)):
        run_alike(2, fork_often)


def test_maps_being_born_and_dying_at_the_time_of_fork(shards: int) -> None:
    kept = ShardMap.with_capacity(shards=shards)
    kept.update(LASTING)

    def make(kept: ShardMap = kept, shards: int = shards) -> None:  # not the child's variables: fork_and_wait
        for i in range(20):
            m = ShardMap.with_capacity(shards=shards)
            m[i] = kept
            kept["other"] = m.copy()

    def child() -> None:
        for _ in range(20):
            m = ShardMap.with_capacity(shards=shards)
            m["in child"] = 1
            m["self"] = m
        gc.collect()
        assert_usable(kept)

    for _ in range(ROUNDS):
        fork_during([make, make, collect_and_pause], child)


def test_fork_inside_a_comparison_while_others_use_the_shard(make_map: MakeMap) -> None:
    m = make_map(LASTING)
    forked: list[bool] = []

    def fork_once() -> None:
        stored.on_eq = None
        fork_and_wait(use_in_child(m))
        forked.append(True)

    stored = HashKey("k", hashed=123_456)
    m[stored] = 1
    with meanwhile(churn(m, 1), hostile(m)):
        for i in range(ROUNDS):
            stored.on_eq = fork_once
            assert m.add(HashKey("k", hashed=123_456)) == 2 + i
    assert len(forked) == ROUNDS


def test_the_child_of_a_comparison_finishes_it(make_map: MakeMap) -> None:
    m = make_map(LASTING)
    parent = os.getpid()

    def fork_once() -> None:
        stored.on_eq = None
        pid = os.fork()
        if pid:
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == 0

    stored = HashKey("k", hashed=123_456, on_eq=fork_once)
    m[stored] = 1
    with meanwhile(churn(m, 1)):
        try:
            found = m.setdefault(HashKey("k", hashed=123_456), 2)
            assert found == 1
            if os.getpid() != parent:
                assert_usable(m)
                os._exit(0)
        finally:
            if os.getpid() != parent:
                os._exit(1)


def test_fork_from_a_thread_that_is_not_the_main_one(make_map: MakeMap) -> None:
    m = make_map(LASTING)
    with meanwhile(churn(m, 1)):
        for _ in range(ROUNDS):
            run_threads(lambda: fork_and_wait(use_in_child(m)))


def test_a_process_forked_by_multiprocessing_gets_the_map(make_map: MakeMap) -> None:
    m = make_map(LASTING)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def child(passed: ShardMap) -> None:
        assert_usable(passed.copy())
        passed["child"] = 1
        answers.put(passed.copy())

    with meanwhile(churn(m, 1), churn(m, 2)):
        process = context.Process(target=child, args=(m,))
        process.start()
        answer = answers.get()
        process.join(LONG)
    assert process.exitcode == 0
    assert answer["child"] == 1 and LASTING.items() <= dict(answer.items()).items()
    assert "child" not in m


@pytest.mark.skipif(sys.platform != "linux", reason="needs a C library to load by name")
def test_a_child_of_the_c_functions_fork_has_a_usable_map() -> None:
    import ctypes

    m = ShardMap(LASTING)
    # PyDLL: called while holding the GIL, as C extensions do it; no other thread is running.
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        status = 1
        try:
            m._check()
            m["new"] = 1
            status = 0 if len(m) == 101 else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
