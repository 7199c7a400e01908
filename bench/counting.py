"""Counting with many threads: each map with its own operation, against a dict and a lock. A bare dict loses counts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from environment import gil_enabled, version_of
from keys import of_thread, shuffled
from maps import CEREGGII, LOCKED, SHARDMAP, Competitor, LockedDict, competitors
from rounds import Region, region
from shardmap import ShardMap
from workloads import Wrong


class LockedCounter:
    """A Counter and a lock around each count."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: Counter[Any] = Counter()

    def __getitem__(self, key: Any) -> int:
        return self.counts[key]


def into_locked_dict(m: LockedDict, keys: list[Any]) -> None:
    lock, counts = m.lock, m.dict
    for key in keys:
        with lock:
            counts[key] = counts.get(key, 0) + 1


def into_locked_counter(m: LockedCounter, keys: list[Any]) -> None:
    lock, counts = m.lock, m.counts
    for key in keys:
        with lock:
            counts[key] += 1


def by_add(m: ShardMap[Any, int], keys: list[Any]) -> None:
    for key in keys:
        m.add(key)


def by_count(m: ShardMap[Any, int], keys: list[Any]) -> None:
    m.count(keys)


def by_reduce(m: Any, keys: list[Any]) -> None:
    m.reduce_count(keys)


@dataclass(frozen=True)
class Counting:
    """All threads count the same keys."""

    keys: int

    @property
    def name(self) -> str:
        return f"count keys={self.keys}"

    def measure(
        self, make: Callable[[], Any], tally: Callable[[Any, list[Any]], None], threads: int, repetitions: int
    ) -> Region:
        keys = [f"key {number}" for number in range(self.keys)]
        copies = max(1, 10_000 // self.keys)
        m = make()

        def prepare(number: int) -> Callable[[], int]:
            batch = shuffled(of_thread(keys, "equal") * copies, number)

            def part() -> int:
                for _ in range(repetitions):
                    tally(m, batch)
                return len(batch) * repetitions

            return part

        measured = region(prepare, threads)
        for key in keys:
            if m[key] != threads * repetitions * copies:
                raise Wrong(f"{self.name}: {type(m).__name__} counted {m[key]} of {key!r}")
        return measured


Tally = tuple[Competitor, Callable[[Any, list[Any]], None]]


def counters() -> list[Tally]:
    """The ways to count with the installed libraries; dict with a lock comes first."""
    maps = {one.name: one for one in competitors()[0]}
    found: list[Tally] = [
        (maps[LOCKED], into_locked_dict),
        (Competitor("Counter + Lock", LockedCounter, "built in"), into_locked_counter),
        (maps[SHARDMAP], by_add),
        (Competitor(f"{SHARDMAP}.count", ShardMap, version_of("shardmap") or "source tree"), by_count),
    ]
    # Where Python has a GIL, reduce_count of cereggii 1.0.1 crashes after some hundred thousand counts.
    if CEREGGII in maps and maps[CEREGGII].has("reduce_count") and not gil_enabled():
        found.append((maps[CEREGGII], by_reduce))
    return found
