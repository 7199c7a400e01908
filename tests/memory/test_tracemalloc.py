"""tracemalloc sees the memory of tables and shards."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.threads import run_alike
from shardmap import ShardMap, _core

MakeMap = Callable[..., ShardMap]


@pytest.fixture(autouse=True)
def tracing() -> Iterator[None]:
    was_tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    yield
    if not was_tracing:
        tracemalloc.stop()


def traced() -> int:
    """Bytes of ours that it knows of."""
    traces = tracemalloc.take_snapshot().traces
    return sum(trace.size for trace in traces if trace.domain == _core._TRACE_DOMAIN)


def insert(m: ShardMap) -> None:
    for n in range(3000):
        m[n] = None


FILL: dict[str, Callable[[ShardMap], Any]] = {
    "one by one": insert,
    "update": lambda m: m.update(dict.fromkeys(range(3000))),
    "set_many": lambda m: m.set_many(range(3000), range(3000)),
    "count": lambda m: m.count(list(range(3000))),
    "large": lambda m: m.update(dict.fromkeys(range(300_000))),
}


@pytest.mark.parametrize("fill", FILL.values(), ids=FILL)
def test_what_a_map_takes_is_what_is_traced(make_map: MakeMap, fill: Callable[[ShardMap], Any]) -> None:
    before = traced()
    m = ShardMap.with_capacity(shards=4)
    fill(m)
    # sys.getsizeof counts the objects that own the blocks as well.
    owners = object.__sizeof__(m) + 4 * _core.Table.__basicsize__
    assert abs(traced() - before - (m.__sizeof__() - owners)) <= 64
    m.clear()
    assert traced() - before < 4096
    del m
    gc.collect()
    assert traced() == before


def test_copies_and_snapshots(make_map: MakeMap) -> None:
    before = traced()
    m = ShardMap.with_capacity(shards=1)
    insert(m)
    one = traced()
    snapshot, copy = m.snapshot(), m.copy()
    assert traced() - one < 1024  # the tables are shared
    m[0] = 1
    copy[0] = 2
    assert traced() - before > 2.5 * (one - before)
    del m, copy, snapshot
    gc.collect()
    assert traced() == before


def insert_and_delete_by_threads(m: ShardMap) -> None:
    def work(number: int) -> None:
        for n in range(2000):
            m[n * 4 + number] = n
            if n % 500 == 0:
                tracemalloc.take_snapshot()
        for n in range(2000):
            del m[n * 4 + number]

    run_alike(4, work)


def test_threads_that_share_a_map_while_it_is_traced() -> None:
    before = traced()
    m = ShardMap.with_capacity(shards=2)
    insert_and_delete_by_threads(m)
    m.clear()
    del m
    gc.collect()
    assert traced() == before


def test_it_may_start_and_stop_while_maps_live() -> None:
    m = ShardMap(dict.fromkeys(range(1000)))
    tracemalloc.stop()
    m.update(dict.fromkeys(range(5000)))
    tracemalloc.start()
    before = traced()
    del m
    gc.collect()
    assert traced() == before == 0
