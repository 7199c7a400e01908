"""A snapshot that is held while others write stays exactly what it was, whoever reads it and however often."""

from __future__ import annotations

import gc
import hashlib
import random
import weakref
from collections.abc import Callable
from typing import Any

from harness.threads import meanwhile, run_threads
from shardmap import ShardMap, Snapshot

Make = Callable[..., ShardMap]


def digest(snapshot: Snapshot) -> str:
    """Of everything it holds, in its order."""
    return hashlib.sha256(repr(list(snapshot.items())).encode()).hexdigest()


def test_its_content_does_not_change_while_writers_run(make_map: Make) -> None:
    m = make_map((n, [n]) for n in range(600))
    m.update((f"counter {n}", 0) for n in range(50))
    for n in range(50):
        m.add(f"counter {n}", n)
    snapshot = m.snapshot()
    before, hashed = digest(snapshot), {key: str(snapshot[key]) for key in snapshot}

    def write() -> None:
        for n in random.sample(range(900), 100):
            m[n] = "new"
            m.pop(n - 300, None)
            m.add(f"counter {n % 50}")
        if random.random() < 0.2:
            m.clear()

    with meanwhile(write, write, m.snapshot):
        for _ in range(10):
            assert digest(snapshot) == before
            assert {key: str(snapshot[key]) for key in snapshot} == hashed
    m.clear()
    assert digest(snapshot) == before == digest(snapshot.thaw().snapshot())


def read_often(snapshot: Snapshot, number: int) -> Callable[[], list[Any]]:
    def read() -> list[Any]:
        found = []
        for _ in range(60):
            found = [snapshot[n] for n in range(100)]
            assert all(n in snapshot and snapshot.get(n) is found[n] for n in range(number, 100, 7))
        return found

    return read


def test_one_that_threads_read_often_is_right_and_is_collected(make_map: Make) -> None:
    """After thousands of reads by other threads, references to it are counted in another way."""

    class Value:
        pass

    snapshot = make_map({n: Value() for n in range(100)}).snapshot()
    value = weakref.ref(snapshot[0])

    first, second, third = run_threads(*[read_often(snapshot, number) for number in range(3)])
    assert first == second == third == list(snapshot.values())
    del first, second, third
    gone = weakref.ref(snapshot)
    del snapshot
    for _ in range(2):
        gc.collect()
    assert gone() is None
    assert value() is not None  # the map has it
