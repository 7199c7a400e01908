"""DaskWorkers while processes of the cluster are killed at random moments, for a tenth of SHARDMAP_STRESS_SECONDS
(`make stress`); and a million updates over four processes."""

from __future__ import annotations

import itertools
import operator
import os
import queue
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

pytest.importorskip("distributed")

from harness.cluster import local_cluster, wait_for_workers
from harness.threads import LONG, run_threads
from shardmap.dask import DaskWorkers, OwnerLost

SECONDS = float(os.environ.get("SHARDMAP_STRESS_SECONDS") or 0) / 10

pytestmark = [
    pytest.mark.skipif(not SECONDS, reason="set SHARDMAP_STRESS_SECONDS, or run `make stress`"),
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL"),
]


def add(own: dict[int, int], key: int) -> int:
    own[key] = own.get(key, 0) + 1
    return own[key]


def test_a_million_updates_are_exact() -> None:
    with local_cluster(4) as client, DaskWorkers[int, int](client) as workers:
        for number in range(1_000_000):
            workers.submit(number % 10_007, add)
        assert workers.reduce(lambda own: sum(own.values()), operator.add) == 1_000_000
        assert workers.snapshot() == Counter(number % 10_007 for number in range(1_000_000))


def submit_until(stop: threading.Event, workers: DaskWorkers[int, int], seed: int) -> list[tuple[int, Future[int]]]:
    choose = random.Random(seed)
    futures: list[tuple[int, Future[int]]] = []
    while not stop.is_set():
        key = choose.randrange(300)
        try:
            futures.append((key, workers.submit(key, add)))
        except (OwnerLost, queue.Full):
            pass
        except RuntimeError as error:
            assert "shut down" in str(error)
            break
    return futures


def start(client: Any, choose: random.Random) -> tuple[list[int], DaskWorkers[int, int]] | None:
    """Returns the pids of the cluster's processes and a new DaskWorkers; None if the cluster is worn out."""
    try:
        wait_for_workers(client, 2, timeout=10)
        processes = list(client.run(os.getpid).values())
        size, timeout = choose.choice([1, 16, 1024]), choose.choice([None, None, 0.01])
        return processes, DaskWorkers(client, queue_size=size, timeout=timeout)
    except (TimeoutError, OSError, OwnerLost):
        return None


def one_turn(processes: list[int], workers: DaskWorkers[int, int], choose: random.Random) -> None:
    stop = threading.Event()

    def disturb() -> None:
        time.sleep(choose.random() / 2)
        if choose.random() < 0.7:
            os.kill(choose.choice(processes), signal.SIGKILL)
        time.sleep(choose.random() / 4)
        try:
            if choose.random() < 0.5:
                workers.snapshot()
        except (OwnerLost, queue.Full):
            pass
        if choose.random() < 0.3:
            workers.shutdown(wait=False, cancel_futures=choose.random() < 0.5)
        stop.set()

    submitters = [lambda seed=seed: submit_until(stop, workers, seed) for seed in range(3)]
    *submitted, _ = run_threads(*submitters, disturb)
    results: dict[int, list[int]] = {}
    for key, future in itertools.chain.from_iterable(submitted):
        try:
            results.setdefault(key, []).append(future.result(LONG))
        except OwnerLost as error:
            assert error.owns(key) and error.keys is not None and key in error.keys
        except CancelledError:
            pass
    for found in results.values():  # each ran once, and what has a result was not lost before
        assert sorted(found) == list(range(1, len(found) + 1))
    workers.shutdown()


def test_processes_that_are_killed_at_random() -> None:
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    choose = random.Random(seed)
    end, turns = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        # A nanny gives up a process that is killed while it starts, so a cluster does not last.
        with local_cluster(3) as client:
            for _ in range(8):
                if (started := start(client, choose)) is None:
                    break
                one_turn(*started, choose)
                turns += 1
    assert turns
