"""Threads that share one iterator, whose turns are without a lock as long as one thread has it."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.threads import run_alike, run_threads
from shardmap import ShardMap

pytestmark = pytest.mark.concurrent

ENTRIES = 2_000

Make = Callable[..., ShardMap]


def take_some(iterator: Iterator[Any], count: int) -> list[Any]:
    return list(itertools.islice(iterator, count))


@pytest.mark.parametrize("wrap", [iter, lambda m: map(int, m)], ids=["iter", "map"])
def test_each_entry_goes_to_one_thread(make_map: Make, wrap: Callable[[Any], Iterator[Any]]) -> None:
    """The thread that made the iterator is in the middle of it when the others come."""
    m = make_map((n, n) for n in range(ENTRIES))
    made: list[Iterator[Any]] = []
    is_made = threading.Event()

    def make() -> list[Any]:
        iterator = wrap(m)
        first = take_some(iterator, 10)
        made.append(iterator)
        is_made.set()
        return first + list(iterator)

    def join() -> list[Any]:
        is_made.wait()
        return list(made[0])

    parts = run_threads(make, join, join)
    assert sorted(itertools.chain(*parts)) == list(range(ENTRIES))
    assert all(part == sorted(part) for part in parts)


def test_it_goes_from_hand_to_hand(make_map: Make) -> None:
    """Each thread takes the next, and ends; the next thread may have its place in memory."""
    m = make_map((n, n) for n in range(200))
    iterator, seen = iter(m.items()), list[Any]()
    for _ in range(200):
        run_threads(lambda: seen.append(next(iterator)))
    assert seen == [(n, n) for n in range(200)] and next(iterator, None) is None


def test_the_thread_that_made_it_has_ended(make_map: Make) -> None:
    m = make_map((n, n) for n in range(ENTRIES))
    [iterator] = run_threads(lambda: iter(m))
    parts = run_alike(3, lambda _: list(iterator))
    assert sorted(itertools.chain(*parts)) == list(range(ENTRIES))


def test_others_ask_for_its_length_and_copy_it(make_map: Make) -> None:
    m = make_map((n, n) for n in range(ENTRIES))
    iterator = iter(m.items())
    going = threading.Event()

    def take() -> list[Any]:
        seen = []
        for item in iterator:
            seen.append(item)
            going.set()
        return seen

    def look() -> None:
        going.wait()
        for _ in range(20):
            left = iterator.__length_hint__()  # type: ignore[attr-defined]
            [rest] = iterator.__reduce__()[1]  # type: ignore[misc]
            assert len(rest) <= left
            assert rest == [(n, n) for n in range(ENTRIES - len(rest), ENTRIES)]

    seen, _, _ = run_threads(take, look, lambda: [gc.collect() for _ in range(5)])
    assert seen == [(n, n) for n in range(ENTRIES)]
