"""Large numbers of updates through AtomicRef, ShardWorkers and EventualMap: every one counts, memory stays bounded."""

from __future__ import annotations

import operator
import os
import threading

import pytest

from harness.process import resident
from harness.threads import run_alike, run_threads
from shardmap import AtomicRef, EventualMap, ShardWorkers

pytestmark = pytest.mark.skipif("SHARDMAP_STRESS_SECONDS" not in os.environ, reason="make stress runs this")


def test_rcu_from_eight_threads_a_hundred_thousand_increments_each() -> None:
    ref = AtomicRef(0)

    def work(_: int) -> None:
        for _ in range(100_000):
            ref.rcu(lambda n: n + 1)

    run_alike(8, work, timeout=600)
    assert ref.load() == 800_000


def test_a_million_updates_from_four_producers_in_bounded_memory() -> None:
    def add(own: dict[int, int], key: int) -> None:
        own[key] = own.get(key, 0) + 1

    most, waiting = 0, 0
    with ShardWorkers[int, int](2, queue_size=100) as workers:

        def work(number: int) -> None:
            nonlocal most, waiting
            for i in range(250_000):
                workers.submit(i % 1_000, add)
                if i % 1_000 == 0:
                    most = max(most, resident())
                    waiting = max(waiting, *(inbox.tasks.qsize() for inbox in workers._inboxes))

        before = resident()
        run_alike(4, work, timeout=1_200)
        assert workers.reduce(dict.copy, operator.or_) == dict.fromkeys(range(1_000), 1_000)
    assert waiting <= 100
    assert most - before < 32 * 2**20


def test_a_hundred_thousand_refreshes_in_bounded_memory() -> None:
    m: EventualMap[int, int] = EventualMap((n, 0) for n in range(1_000))
    stop, sizes = threading.Event(), list[int]()

    def write() -> None:
        try:
            for number in range(1, 100_001):
                m.update(number % 1_000, number)
                m.meta = number
                m.refresh()
                if number % 10_000 == 0:
                    sizes.append(resident())
        finally:
            stop.set()

    def read() -> None:
        reader, latest = m.reader(), 0
        while not stop.is_set():
            reader.renew()
            number = reader.meta or 0
            assert number >= latest
            assert number == 0 or reader[number % 1_000] == (number,)
            latest = number

    run_threads(write, read, read, timeout=1_200)
    assert m.version == 100_001
    assert sizes[-1] - sizes[1] < 64 * 2**20
