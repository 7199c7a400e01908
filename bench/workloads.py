"""What the threads do: each workload prepares keys and a map, and gives every thread the same loop.

As in a program, not as in a loop made for the purpose: the map is a module's global (a local variable of each
thread would spare dict the counting of references to itself), and every thread has key objects of its own,
equal to those in the map but not the same, in an order of its own (threads that walk the same objects in step
would mostly measure those objects' reference counts).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from maps import Competitor

Work = Callable[[list[str], Any], None]

shared: Any = None  # the map


def read(keys: list[str], value: Any) -> None:
    for key in keys:
        shared[key]


def overwrite(keys: list[str], value: Any) -> None:
    for key in keys:
        shared[key] = value


def read_mostly(keys: list[str], value: Any) -> None:
    """Nine reads, one write."""
    for number, key in enumerate(keys):
        if number % 10:
            shared[key]
        else:
            shared[key] = value


class Workload(NamedTuple):
    name: str
    title: str
    work: Work
    keys: int  # distinct keys
    operations: int  # of each thread in a round, about
    filled: bool = True  # the map holds all keys before the clock starts
    disjoint: bool = False  # each thread has keys of its own
    counting: bool = False  # each map's own way of counting; compared with dict + Lock, for dict loses counts


WORKLOADS = [
    Workload("read", "read, 1,000 keys", read, 1_000, 4_000_000),
    Workload("read-large", "read, 200,000 keys", read, 200_000, 2_000_000),
    Workload("hot", "read, one hot key", read, 1, 4_000_000),
    Workload("overwrite", "overwrite, 1,000 keys", overwrite, 1_000, 4_000_000),
    Workload("overwrite-large", "overwrite, 200,000 keys", overwrite, 200_000, 2_000_000),
    Workload("mixed", "90 % reads, 1,000 keys", read_mostly, 1_000, 4_000_000),
    Workload("count-1", "count one key", overwrite, 1, 400_000, False, counting=True),
    Workload("count-16", "count 16 keys", overwrite, 16, 400_000, False, counting=True),
    Workload("count-10000", "count 10,000 keys", overwrite, 10_000, 400_000, False, counting=True),
    Workload("insert", "insert 1,000,000 from empty", overwrite, 1_000_000, 1_000_000, False, True),
]


class Wrong(Exception):
    """A map that does not hold what was put in."""


class Measured(NamedTuple):
    rate: float  # million operations a second, of all threads together
    busy: float  # cores that were really used, on average


def measure(workload: Workload, competitor: Competitor, threads: int) -> Measured:
    """One round on a fresh map, from the first thread's start to the last one's end. Rounds are long, tenths
    of a second, because threads that do not overlap do not contend, and would flatter every map."""
    keys = [f"key {number}" for number in range(workload.keys)]
    values = [None, True]  # immortal: the maps are measured, not the reference count of one object
    global shared
    shared = m = competitor.make()
    if workload.filled:
        for key in keys:
            m[key] = values[0]
    shares = [keys[number::threads] for number in range(threads)] if workload.disjoint else [keys] * threads
    repeats = 1 if workload.disjoint else max(1, workload.operations // workload.keys)
    start = threading.Barrier(threads)
    times: list[tuple[float, float, float]] = []  # begun, ended, processor time
    work = workload.work

    def run(share: list[str]) -> None:
        share = [str(key.encode(), "ascii") for key in share]
        random.Random(threading.get_ident()).shuffle(share)
        # Few keys are repeated in one long list, so that the loop around the loop costs nothing.
        batch, turns = (share * 1_000, max(1, repeats // 1_000)) if len(share) < 100 else (share, repeats)
        start.wait()
        began, used = time.perf_counter(), time.thread_time()
        for turn in range(turns):
            if workload.counting:
                competitor.tally(m, batch)  # type: ignore[misc]
            else:
                work(batch, values[turn % 2])
        times.append((began, time.perf_counter(), time.thread_time() - used))

    crew = [threading.Thread(target=run, args=(share,)) for share in shares]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    for key in keys:
        right = m[key] == threads * repeats if workload.counting else any(m[key] is value for value in values)
        if not right:
            raise Wrong(f"{workload.name}: {competitor.name} holds {m[key]!r} for {key!r}")
    seconds = max(end for _, end, _ in times) - min(began for began, _, _ in times)
    return Measured(
        sum(len(share) for share in shares) * repeats / seconds / 1e6, sum(used for _, _, used in times) / seconds
    )
