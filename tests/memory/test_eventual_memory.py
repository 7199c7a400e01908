"""EventualMap: who lets old versions go, and that they do go."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from harness.locks import LONG
from harness.threads import run_threads
from shardmap import EventualMap, Snapshot

FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()


class Value:
    pass


def test_snapshots_of_a_version_outlive_it_in_every_form() -> None:
    m = EventualMap((n, n) for n in range(100))
    reader = m.reader()
    first, second = reader.snapshot(), reader.snapshot()
    iterator, items, parts = iter(reader.items()), first.items(), first.partitions(3)
    for n in range(100):
        m.update(n, -n)
    m.refresh()
    reader.renew()
    old = {n: (n,) for n in range(100)}
    assert first == second == old and dict(iterator) == dict(items) == old
    assert dict(pair for part in parts for pair in part) == old
    thawed = first.thaw()
    del first, second, items, parts
    gc.collect()
    assert thawed == old and len(thawed.shards) == len(m._working.shards)
    thawed.clear()
    thawed._check()
    assert reader == {n: (-n,) for n in range(100)}


@pytest.mark.skipif(not FREE_THREADED, reason="with a GIL an object is freed by whoever lets it go last")
@pytest.mark.parametrize(
    "take",
    [
        lambda reader: reader,
        lambda reader: reader.snapshot(),
        lambda reader: iter(reader.items()),
        lambda reader: reader.snapshot().values(),
        lambda reader: reader.snapshot().partitions(2),
    ],
    ids=["reader", "snapshot", "iterator", "values", "partitions"],
)
def test_the_thread_that_published_a_version_takes_it_apart(take: Callable[[Any], Any]) -> None:
    """Whoever held it last. Else each of its tables, bags and keys goes through its owner's queue, which took a writer
    with a few readers from tens of thousands of refreshes a second to some hundred."""
    m = EventualMap((n, str(n)) for n in range(10))
    freed_by: list[int] = []
    published = weakref.ref(m._published.load().content, lambda _: freed_by.append(threading.get_ident()))
    taken, replaced = threading.Event(), threading.Event()

    def read() -> None:
        reader = m.reader()
        held = take(reader)
        del reader  # what is held may be all that refers to the version when the writer replaces it
        taken.set()
        assert replaced.wait(LONG)
        assert published() is not None
        del held

    runner = threading.Thread(target=read)
    runner.start()
    assert taken.wait(LONG)
    m.update(1, "new")
    m.refresh()
    replaced.set()
    runner.join(LONG)
    gc.collect()
    assert freed_by == [threading.get_ident()]


def test_versions_go_while_readers_take_snapshots() -> None:
    """Of thousands of versions there are never more than threads hold, and those that were just let go."""
    m: EventualMap[str, Any] = EventualMap({"value": Value()})
    values: list[weakref.ref[Value]] = []
    stop = threading.Event()

    def read() -> None:
        reader = m.reader()
        while not stop.is_set():
            snapshot = reader.snapshot()
            assert reader.get_one("value") is snapshot["value"][0]
            reader.renew()

    def write() -> None:
        try:
            for _ in range(2_000):
                value = Value()
                values.append(weakref.ref(value))
                m.update("value", value)
                m.refresh()
                del value
        finally:
            stop.set()

    run_threads(write, read, read)
    gc.collect()
    assert [value() is not None for value in values] == [False] * (len(values) - 1) + [True]


def test_versions_do_not_wait_for_the_collector() -> None:
    """With it off, and snapshots held and let go by another thread."""
    m = EventualMap({"value": Value()})
    go, done = threading.Semaphore(0), threading.Semaphore(0)
    ended = False

    def read() -> None:
        reader = m.reader()
        while go.acquire() and not ended:
            reader.renew()
            held = reader.snapshot()
            assert type(held) is Snapshot and len(held) == 1
            done.release()

    values: list[weakref.ref[Value]] = []
    runner = threading.Thread(target=read)
    runner.start()
    gc.collect()
    gc.disable()
    try:
        for _ in range(300):
            m.update("value", Value())
            m.refresh()
            values.append(weakref.ref(m.reader().get_one("value")))
            go.release()
            assert done.acquire(timeout=LONG)
            assert sum(value() is not None for value in values) <= 3
    finally:
        gc.enable()
        ended = True
        go.release()
        runner.join(LONG)
