"""Measures what docs/many-machines.md says of one process, the processes of one machine, and a Dask cluster.

    python bench/many_machines.py [--rounds 7] [--updates 20000] [--write]

Needs Dask (pip install shardmap[dask]). All ways take turns in each round, on this machine: four processes, no network.
Each number is the median of the rounds, in parentheses the lowest and the highest. --write puts the table, with a line
about the machine, into docs/many-machines.md.
"""

from __future__ import annotations

import argparse
import operator
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import Manager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from environment import environment
from shardmap import ShardMap, ShardWorkers
from shardmap.dask import DaskWorkers

PAGE = Path(__file__).resolve().parent.parent / "docs" / "many-machines.md"
BEGIN, END = "<!-- measured: python bench/many_machines.py --write -->", "<!-- end of what was measured -->"
OWNERS = 4
WORK = 1_000  # microseconds of each task of the rows with work


def add(own: dict[str, int], key: str) -> int:
    own[key] = own.get(key, 0) + 1
    return own[key]


def add_after_work(own: dict[str, int], key: str) -> int:
    end = time.thread_time() + WORK / 1e6
    while time.thread_time() < end:
        pass
    return add(own, key)


def value_of(key: str, value: int) -> int:
    return value


class Ways:
    """Each row's name and what takes its time: a function that returns the number of operations it did."""

    def __init__(self, client: Client, direct: Client, processes: ProcessPoolExecutor, updates: int) -> None:
        self.keys = [f"word {number % 5_000}" for number in range(updates)]
        self.few = self.keys[:: max(1, updates // 200)]
        self.client = client
        self.direct = direct
        self.processes = processes
        self.stack = ExitStack()
        self.managed = self.stack.enter_context(Manager()).dict()
        self.map = ShardMap((f"word {number}", number) for number in range(updates))

    def rows(self) -> dict[str, Callable[[], int]]:
        def here() -> ShardWorkers[str, int]:
            return ShardWorkers(OWNERS)

        def there() -> DaskWorkers[str, int]:
            return DaskWorkers(self.client, OWNERS)

        def straight() -> DaskWorkers[str, int]:
            return DaskWorkers(self.direct, OWNERS)

        return {
            "an update: `ShardMap.add`": self.added_to_a_map,
            "an update: `ShardWorkers.submit`": lambda: self.submitted(here, add, self.keys),
            "an update: `DaskWorkers.submit`": lambda: self.submitted(there, add, self.keys),
            "an update: `DaskWorkers.submit`, direct connections": lambda: self.submitted(straight, add, self.keys),
            "an update: `multiprocessing.Manager().dict()`, a read and a write": self.managed_updates,
            "an answer: `ShardWorkers.submit(...).result()`": lambda: self.answered(here),
            "an answer: `DaskWorkers.submit(...).result()`": lambda: self.answered(there),
            "an answer: the same with direct connections": lambda: self.answered(straight),
            "an answer: `ProcessPoolExecutor.submit(...).result()`": self.pool_answers,
            "an answer: Dask's `client.submit(...).result()`": self.dask_answers,
            f"an update after {WORK:,} µs of Python: `ShardWorkers`": lambda: self.submitted(
                here, add_after_work, self.few
            ),
            f"an update after {WORK:,} µs of Python: `DaskWorkers`": lambda: self.submitted(
                there, add_after_work, self.few
            ),
            "an entry: `map_reduce` with threads": lambda: self.reduced(None),
            "an entry: `map_reduce` on Dask's executor": lambda: self.reduced(self.client.get_executor()),
        }

    def added_to_a_map(self) -> int:
        m: ShardMap[str, int] = ShardMap()
        for key in self.keys:
            m.add(key)
        return len(self.keys)

    def submitted(self, make: Callable[[], ShardWorkers[str, int]], function: Any, keys: list[str]) -> int:
        with make() as workers:
            for key in keys:
                workers.submit(key, function)
            assert workers.reduce(lambda own: sum(own.values()), operator.add) == len(keys), "an update is lost"
        return len(keys)

    def answered(self, make: Callable[[], ShardWorkers[str, int]]) -> int:
        with make() as workers:
            for key in self.few:
                workers.submit(key, add).result()
        return len(self.few)

    def managed_updates(self) -> int:
        for key in self.few:
            self.managed[key] = self.managed.get(key, 0) + 1
        return len(self.few)

    def pool_answers(self) -> int:
        for key in self.few:
            self.processes.submit(add, {}, key).result()
        return len(self.few)

    def dask_answers(self) -> int:
        for key in self.few[:20]:
            self.client.submit(add, {}, key, pure=False).result()
        return len(self.few[:20])

    def reduced(self, executor: Any) -> int:
        total = self.map.map_reduce(value_of, operator.add, executor=executor)
        assert total == len(self.map) * (len(self.map) - 1) // 2
        return len(self.map)


def shown(microseconds: list[float]) -> str:
    def text(value: float) -> str:
        return f"{value:,.0f}" if value >= 20 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"

    return f"{text(statistics.median(microseconds))} ({text(min(microseconds))} to {text(max(microseconds))})"


def measured(rounds: int, updates: int) -> list[str]:
    """The table's lines."""
    found: dict[str, list[float]] = {}
    # The profiler of the workers probably crashes free-threaded builds, now and then.
    dask.config.set({"distributed.worker.profile.enabled": False})
    with (
        LocalCluster(n_workers=OWNERS, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
        Client(cluster, direct_to_workers=True, set_as_default=False) as direct,
        ProcessPoolExecutor(OWNERS) as processes,
    ):
        ways = Ways(client, direct, processes, updates)
        with ways.stack:
            for turn in range(rounds + 1):
                for name, run in ways.rows().items():
                    started = time.perf_counter()
                    done = run()
                    microseconds = (time.perf_counter() - started) / done * 1e6
                    if turn:  # the first round starts processes and imports modules
                        found.setdefault(name, []).append(microseconds)
    return ["| what | µs |", "|---|---|", *(f"| {name} | {shown(each)} |" for name, each in found.items())]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    where = environment()
    gil = "on" if where["gil"] else "off"
    said = f"Python {where['python']}, GIL {gil}, {where['cpus']} CPUs ({where['cpu']}), load {os.getloadavg()[0]:.1f}"
    lines = measured(options.rounds, options.updates)
    lines = [f"{said}; {OWNERS} processes, {options.updates:,} updates, {options.rounds} rounds.", "", *lines]
    print("\n".join(lines))
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
