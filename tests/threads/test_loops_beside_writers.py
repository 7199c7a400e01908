"""Loops beside writers: each shows one point in time, whoever changes the map meanwhile, however often it is split."""

from __future__ import annotations

import operator
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.threads import meanwhile, run_threads
from shardmap import ShardMap

pytestmark = [pytest.mark.concurrent, pytest.mark.usefixtures("many_switches")]

MakeMap = Callable[..., ShardMap]
LASTING = 200


def churn(m: ShardMap, seed: int) -> Callable[[], None]:
    """Values tell their keys. Lasting keys are overwritten, others come and go."""
    choose = random.Random(seed)

    def work() -> None:
        for _ in range(300):
            number = choose.randrange(LASTING)
            m[number] = (number, choose.random())
            passing = ("passing", choose.randrange(LASTING))
            if choose.random() < 0.5:
                m[passing] = (passing, 0)
            else:
                m.pop(passing, None)

    return work


def check_loop(iterator: Any, backward: bool) -> None:
    expected = iterator.__length_hint__()
    seen = list(iterator)
    keys = [key for key, _ in seen]
    assert len(seen) == expected == len(set(keys))
    assert all(value[0] == key for key, value in seen)
    lasting = [key for key in keys if isinstance(key, int)]
    assert lasting == (list(range(LASTING - 1, -1, -1)) if backward else list(range(LASTING)))


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_loops_beside_writers_see_every_lasting_key_once_and_in_order(make_map: MakeMap, backward: bool) -> None:
    m = make_map((n, (n, 0)) for n in range(LASTING))
    with meanwhile(churn(m, 1), churn(m, 2)):
        for _ in range(60):
            check_loop(reversed(m.items()) if backward else iter(m.items()), backward)


def test_threads_that_share_a_loop_beside_writers_get_each_entry_once(make_map: MakeMap) -> None:
    m = make_map((n, (n, 0)) for n in range(LASTING))
    with meanwhile(churn(m, 3), churn(m, 4)):
        for _ in range(10):
            iterator: Iterator[Any] = iter(m.items())
            expected = iterator.__length_hint__()  # type: ignore[attr-defined]
            parts: list[list[Any]] = [[], [], []]
            run_threads(*(lambda part=part: part.extend(iterator) for part in parts))  # type: ignore[misc]
            keys = [key for part in parts for key, _ in part]
            assert len(keys) == len(set(keys)) == expected


def test_threads_that_share_what_wraps_a_loop_get_each_entry_once(make_map: MakeMap) -> None:
    """map() has the only reference to the iterator, and both threads are in it at once."""
    m = make_map((n, (n, 0)) for n in range(LASTING))
    for _ in range(20):
        shared = map(operator.itemgetter(0), m.items())
        parts: list[list[Any]] = [[], []]
        run_threads(*(lambda part=part: part.extend(shared) for part in parts))  # type: ignore[misc]
        assert sorted(parts[0] + parts[1]) == list(range(LASTING))


def test_loops_that_are_made_in_one_thread_and_dropped_in_another(make_map: MakeMap) -> None:
    m = make_map((n, (n, 0)) for n in range(LASTING))
    handed: list[Any] = []
    lock = threading.Lock()

    def make() -> None:
        for _ in range(30):
            iterator = iter(m.items())
            next(iterator)
            with lock:
                handed.append(iterator)

    def drop() -> None:
        for _ in range(30):
            with lock:
                iterator = handed.pop() if handed else None
            if iterator is not None:
                assert sum(1 for key, _ in iterator if isinstance(key, int)) == LASTING - 1

    with meanwhile(churn(m, 5), make, drop):
        for _ in range(20):
            check_loop(iter(m.items()), False)
    handed.clear()
    before = m.stats().copies
    for n in range(LASTING):
        m[n] = (n, 1)
    assert m.stats().copies == before  # nothing is pinned or shared any more
