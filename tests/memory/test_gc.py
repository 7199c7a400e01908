"""The garbage collector, and all else that stops the world, while threads use maps."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import Finalized, HashKey
from harness.process import run_python
from harness.stops import collect_and_pause, pausing
from harness.threads import Trap, meanwhile, run_alike
from shardmap import ShardMap

pytestmark = [pytest.mark.memory, pytest.mark.usefixtures("many_switches")]

MakeMap = Callable[..., ShardMap]


@pytest.fixture(autouse=True)
def few_objects_again() -> None:
    """For one of these tests unfreezes, and collections are to be many and short."""
    gc.collect()
    gc.freeze()


class Node:
    """A value that the garbage collector tracks and weak references may point to."""

    def __init__(self, content: Any = None) -> None:
        self.content = content


def everything(m: ShardMap, number: int) -> None:
    """Every operation, on keys of this thread's and on keys of all."""
    for i in range(20):
        m[number, i] = Node(m)
        m[i] = Node([m])
        assert isinstance(m[number, i], Node)
        m.setdefault(i, Node())
        m.get(i)
        assert (number, i) in m
        m.pop(i, None)
        m.add(("sum", number))
    m.update({(number, "u", i): Node() for i in range(20)})
    key = HashKey(number, hashed=3)
    m[key] = Node()
    assert key in m
    del m[HashKey(number, hashed=3)]
    assert len(m.snapshot()) >= 20
    assert len(list(m.items())) >= 20 and len(m.copy()) >= 20 and len(m) >= 20
    for i in range(20):
        del m[number, i], m[number, "u", i]
    for _ in range(3):
        m["bag"][object()] = Node(m)
        m["bag"].popitem()


def stop_the_world() -> None:
    frames = sys._current_frames()
    assert threading.get_ident() in frames
    del frames


def look_at_all_objects(m: ShardMap) -> Callable[[], None]:
    def look() -> None:
        for table in gc.get_referents(m):
            for o in gc.get_referents(table):
                assert not isinstance(o, Node) or hasattr(o, "content")
        found = [o for o in gc.get_objects() if isinstance(o, ShardMap)]
        assert any(o is m for o in found)
        gc.get_referrers(m)

    return look


def trace_all_threads() -> None:
    if hasattr(threading, "settrace_all_threads"):
        threading.settrace_all_threads(lambda *_: None)
        threading.settrace_all_threads(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["collect", "collect twice", "frames", "objects", "trace", "freeze"])
def test_stopping_the_world_during_every_operation(make_map: MakeMap, what: str) -> None:
    if what == "trace" and sys.version_info < (3, 14):
        pytest.skip("settrace_all_threads() crashes free-threaded CPython 3.13 without any map")
    m = make_map(bag=make_map())
    look = look_at_all_objects(m)
    stops: dict[str, list[Callable[[], Any]]] = {
        "collect": [gc.collect],
        "collect twice": [gc.collect, gc.collect],
        "frames": [stop_the_world],
        "objects": [look],
        "trace": [trace_all_threads],
        "freeze": [lambda: (gc.freeze(), gc.collect(), gc.unfreeze())],
    }

    def work(number: int) -> None:
        for _ in range(4):
            everything(m, number)

    with meanwhile(*map(pausing, stops[what])):
        run_alike(3, work)
    assert [m["sum", number] for number in range(3)] == [80, 80, 80]
    assert len(m["bag"]) == 0
    m.clear()
    assert len(m) == 0


def test_cycles_through_maps_are_collected_while_threads_make_more(shards: int) -> None:
    alive: list[weakref.ref[Any]] = []

    def make_cycles(number: int) -> None:
        for i in range(50):
            m = ShardMap.with_capacity(shards=shards)
            node = Node(m)
            m["self"] = m
            m[node] = node
            m["snapshot"] = m.snapshot()
            m["copy"] = m.copy()
            m["iterator"] = iter(m.items())
            m["view"] = m.keys()
            if i % 10 == 0:
                alive.append(weakref.ref(m))
                alive.append(weakref.ref(node))

    with meanwhile(collect_and_pause):
        run_alike(3, make_cycles)
    for _ in range(2):
        gc.collect()
    assert len(alive) == 30
    assert [r for r in alive if r() is not None] == []


def test_a_map_that_a_second_thread_has_used_is_collected(shards: int) -> None:
    finalized: list[int] = []
    maps = []
    for i in range(20):
        m = ShardMap.with_capacity(shards=shards)
        m["value"] = Finalized(lambda i=i: finalized.append(i))
        maps.append(m)

    def use(_: int) -> None:
        for m in maps:
            assert "value" in m
            m["other"] = m.setdefault("more", 1)

    run_alike(2, use)
    references = [weakref.ref(m) for m in maps]
    maps.clear()
    del m
    gc.collect()
    assert [r for r in references if r() is not None] == []
    assert sorted(finalized) == list(range(20))


def test_a_map_of_one_thread_dies_at_once() -> None:
    gc.disable()
    try:
        m = ShardMap(a=Node())
        reference, value = weakref.ref(m), weakref.ref(m["a"])
        del m
        assert reference() is None and value() is None
    finally:
        gc.enable()


def test_maps_come_and_go_in_all_threads_at_once(shards: int) -> None:
    shared = ShardMap.with_capacity(shards=shards)

    def pass_on(number: int) -> None:
        for i in range(200):
            m = ShardMap.with_capacity(shards=shards)
            m[i] = number
            shared[i % 5] = m
            other = shared.get((i + 1) % 5)
            if other is not None:
                other[number, i] = m if i % 7 == 0 else None
                len(other)

    with meanwhile(collect_and_pause):
        run_alike(4, pass_on)
    for m in shared.values():
        m._check()


def test_weak_references_to_a_dying_map_give_a_usable_map_or_none(shards: int) -> None:
    box: list[Any] = [None]

    def make() -> None:
        for i in range(50):
            m = ShardMap.with_capacity(shards=shards)
            m.update({j: j for j in range(10)})
            box[0] = weakref.ref(m)
            if i % 2:
                m["self"] = m
            del m

    def use(_: int) -> None:
        for _ in range(1000):
            reference = box[0]
            m = reference() if reference is not None else None
            if m is not None:
                assert all(m.get(j, j) == j for j in range(10))
                m[11] = 11
                assert len(m.snapshot()) >= 11

    with meanwhile(make, collect_and_pause):
        run_alike(2, use)


def test_weak_reference_callbacks_and_finalizers_use_the_map(make_map: MakeMap) -> None:
    m = make_map()
    called = itertools.count()

    def note(_: Any = None) -> None:
        n = next(called)
        m[n % 50] = Node()
        m.pop((n + 1) % 50, None)
        m.add("called")
        len(m)
        list(m)

    def work(number: int) -> None:
        for i in range(80):
            node = Node()
            node.content = node
            m["weak", number, i % 5] = (node, weakref.ref(node, note))
            m["final", number, i % 5] = Finalized(note)
        for i in range(5):
            del m["weak", number, i], m["final", number, i]

    with meanwhile(collect_and_pause):
        run_alike(3, work)
    gc.collect()
    assert m["called"] >= 240


def test_finalizers_that_clear_the_map_they_are_in(make_map: MakeMap) -> None:
    m = make_map()

    def fill(number: int) -> None:
        for i in range(50):
            m[number, i] = Finalized(m.clear)
            if i % 10 == 0:
                m[number, i] = Finalized(lambda: m.update({1: 1}))
                m.pop((number, i), None)

    with meanwhile(collect_and_pause):
        run_alike(3, fill)
    while m:
        m.clear()


def test_a_collection_in_the_middle_of_a_slow_comparison(make_map: MakeMap) -> None:
    m = make_map()

    def collect_and_change() -> None:
        for _ in range(3):
            gc.collect()
            m[HashKey("other")] = Node(m)
            m.clear()
            m[HashKey("k")] = "new"

    trap = Trap(collect_and_change)
    m[HashKey("k", on_eq=trap)] = Node(m)
    assert m.get(HashKey("k")) == "new"
    trap.assert_sprung()


@pytest.mark.parametrize("threshold", [1, 5])
def test_collections_at_nearly_every_allocation(make_map: MakeMap, threshold: int) -> None:
    before = gc.get_threshold()
    gc.set_threshold(threshold)
    try:
        m = make_map(bag=make_map())
        run_alike(2, lambda number: everything(m, number))
    finally:
        gc.set_threshold(*before)
    assert m["sum", 0] == 20 and m["sum", 1] == 20


@pytest.mark.parametrize(
    "make",
    [
        "iter(ShardMap({0: value}))",
        "iter(ShardMap({0: value}).items())",
        "iter(ShardMap({0: value}).snapshot())",
        "ShardMap({0: value}).lock(value)",
        "ShardMap({0: value})",
        "ShardMap({0: value}).snapshot()",
        "ShardMap({0: value}).keys()",
        "AtomicRef(value)",
        "EventualMap({0: value})",
        "ShardMap({0: value}).partitions(2)",
    ],
)
def test_nothing_is_deallocated_while_the_world_is_stopped(make: str) -> None:
    """The last reference to an object was given back by another thread than its maker, so the collector finds it with
    none. If it counted references to what it visits, the value's finalizer would run with the world stopped."""
    run_python(
        f"""
        import gc, threading
        from shardmap import AtomicRef, EventualMap, ShardMap

        gc.disable()
        asked, answered = threading.Event(), False

        def answer():
            global answered
            while not asked.is_set():  # runs Python all the time: not while the world is stopped
                pass
            answered = True

        class Value:
            def __del__(self):
                asked.set()
                while not answered:
                    pass

        made, end = threading.Event(), threading.Event()
        box = []

        def work():
            value = Value()
            box.append({make})
            del value
            made.set()
            end.wait()  # does not look at what others have given back

        threads = [threading.Thread(target=target) for target in (answer, work)]
        for thread in threads:
            thread.start()
        made.wait()
        box.clear()
        gc.collect()
        asked.set()
        end.set()
        for thread in threads:
            thread.join()
        """,
        timeout=60,
    )
