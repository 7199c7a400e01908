"""Compares operations on many keys with the code that they replace: interleaved rounds, medians of ratios.

    python bench/bulk.py [--rounds 7] [--size 2000000] [--only get,count,update,set,delete] [--limit-mb 12]

get      get_many of 10,000 keys at a time, against the loop with m[k]; one thread and two. Also two processes, which
         share only the machine: two threads can reach at most their speed
count    count() of the words of the standard library's sources, against add() for each, and a Counter for each thread
update   update() from a dict of 1,000,000, against dict.update into a dict that is not empty (into an empty dict,
         CPython copies the table as it is)
set      set_many of 10,000 keys at a time, against the loop; the keys are in the map
delete   delete_many of 10,000 keys at a time, against the loop

The keys are separate objects, equal to the map's keys but not the same objects.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shardmap import ShardMap

MANY = 10_000
Work = Callable[[], object]


def seconds(*works: Work) -> float:
    """Seconds from the first thread's start to the last one's end. All threads start at once."""
    start = threading.Barrier(len(works))
    times: list[tuple[float, float]] = []

    def run(work: Work) -> None:
        start.wait()
        began = time.perf_counter()
        work()
        times.append((began, time.perf_counter()))

    crew = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    return max(end for _, end in times) - min(began for began, _ in times)


def show(title: str, rounds: int, unit: int, ways: dict[str, Callable[[], float]], ratios: Sequence[str]) -> None:
    """`ways` return seconds for `unit` keys. `ratios`: "a / b" with names of ways."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()
            taken[name].append(ways[name]())
    print(f"\n{title}")
    for name, values in taken.items():
        each = [value / unit * 1e9 for value in values]
        print(f"  {name:44}{statistics.median(each):8.1f} ns a key ({min(each):.1f} to {max(each):.1f})")
    for ratio in ratios:
        upper, lower = ratio.split(" / ")
        values = [a / b for a, b in zip(taken[upper], taken[lower], strict=True)]
        print(f"  {ratio:44}{statistics.median(values):8.2f}          ({min(values):.2f} to {max(values):.2f})")


def fresh(numbers: Sequence[int]) -> list[str]:
    return [f"key {number}" for number in numbers]


def batches(size: int, count: int, seed: int) -> list[list[str]]:
    choose = random.Random(seed)
    return [fresh(choose.sample(range(size), MANY)) for _ in range(count)]


class Twin:
    """A forked process that does `work` on request."""

    def __init__(self, work: Work) -> None:
        (read_start, self.start), (self.end, write_end) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.start)
            while os.read(read_start, 1):
                work()
                os.write(write_end, b"e")
            os._exit(0)
        os.close(read_start)
        self.seconds_beside(work)  # the first run copies the pages that it shares with this process

    def seconds_beside(self, work: Work) -> float:
        began = time.perf_counter()
        os.write(self.start, b"s")
        work()
        os.read(self.end, 1)
        return time.perf_counter() - began

    def finish(self) -> None:
        os.close(self.start)
        os.waitpid(self.pid, 0)


def bench_get(rounds: int, size: int) -> None:
    m = ShardMap((key, number) for number, key in enumerate(fresh(range(size))))
    count = 50
    mine = [batches(size, count, seed) for seed in range(2)]

    def loop(keys: list[list[str]]) -> None:
        for batch in keys:
            for key in batch:
                m[key]

    def many(keys: list[list[str]]) -> None:
        for batch in keys:
            m.get_many(batch)

    twin = Twin(lambda: many(mine[1]))
    show(
        f"get_many: {MANY:,} keys at a time of {size:,}; of two threads or processes, both do all",
        rounds,
        count * MANY,
        {
            "loop": lambda: seconds(lambda: loop(mine[0])),
            "get_many": lambda: seconds(lambda: many(mine[0])),
            "loop, 2 threads": lambda: seconds(*[lambda keys=keys: loop(keys) for keys in mine]) / 2,
            "get_many, 2 threads": lambda: seconds(*[lambda keys=keys: many(keys) for keys in mine]) / 2,
            "get_many, 2 processes": lambda: twin.seconds_beside(lambda: many(mine[0])) / 2,
        },
        [
            "loop / get_many",
            "get_many / get_many, 2 threads",
            "get_many / get_many, 2 processes",
            "loop / loop, 2 threads",
        ],
    )
    twin.finish()


def bench_set(rounds: int, size: int) -> None:
    m: ShardMap[str, int] = ShardMap((key, number) for number, key in enumerate(fresh(range(size))))
    mine = batches(size, 10, 1)
    values = list(range(MANY))

    def loop() -> None:
        for batch in mine:
            for key, value in zip(batch, values, strict=True):
                m[key] = value

    def many() -> None:
        for batch in mine:
            m.set_many(batch, values)

    show(
        f"set_many: {MANY:,} keys at a time of {size:,}",
        rounds,
        10 * MANY,
        {"loop": lambda: seconds(loop), "set_many": lambda: seconds(many)},
        ["loop / set_many"],
    )


def bench_delete(rounds: int, size: int) -> None:
    keys = fresh(range(size))
    half = fresh(range(0, size, 2))
    random.Random(1).shuffle(half)
    mine = [half[begin : begin + MANY] for begin in range(0, len(half), MANY)]

    def measure(remove: Callable[[ShardMap[str, int], list[str]], object]) -> float:
        m: ShardMap[str, int] = ShardMap.with_capacity(size)
        m.update((key, 1) for key in keys)
        return seconds(lambda: [remove(m, batch) for batch in mine])

    def loop(m: ShardMap[str, int], batch: list[str]) -> None:
        for key in batch:
            del m[key]

    show(
        f"delete_many: {MANY:,} keys at a time, half of {size:,}",
        rounds,
        len(half),
        {"loop": lambda: measure(loop), "delete_many": lambda: measure(lambda m, batch: m.delete_many(batch))},
        ["loop / delete_many"],
    )


def bench_update(rounds: int, size: int) -> None:
    for name, source in (
        ("str keys", {key: number for number, key in enumerate(fresh(range(size)))}),
        ("int keys in a row", {number: number for number in range(size)}),
    ):

        def into_dict(source: Any = source) -> float:
            made: dict[Any, Any] = {None: None}
            return seconds(lambda: made.update(source))

        def into_map(source: Any = source) -> float:
            made: ShardMap[Any, Any] = ShardMap()
            return seconds(lambda: made.update(source))

        def by_loop(source: Any = source) -> float:
            made: ShardMap[Any, Any] = ShardMap()

            def loop() -> None:
                for key, value in source.items():
                    made[key] = value

            return seconds(loop)

        show(
            f"update from a dict of {size:,}, {name}",
            rounds,
            size,
            {"dict.update": into_dict, "ShardMap.update": into_map, "ShardMap, loop": by_loop},
            ["ShardMap.update / dict.update", "ShardMap, loop / ShardMap.update"],
        )


def bench_count(rounds: int, limit_mb: float) -> None:
    sys.path.append(str(Path(__file__).resolve().parent.parent / "examples"))
    demo = importlib.import_module("wordcount")
    files = demo.find_files(limit_mb)
    for threads in (1, 2):
        # Each thread has words of its own: strings are cheapest for the thread that made them.
        shares = [
            [demo.find_words(file.read_bytes().decode("utf-8", "replace")) for file in files[number::threads]]
            for number in range(threads)
        ]
        total = sum(len(words) for share in shares for words in share)

        def count(shares: Any = shares) -> float:
            m: ShardMap[str, int] = ShardMap()

            def loop(share: list[list[str]]) -> None:
                for words in share:
                    m.count(words)

            return seconds(*[lambda share=share: loop(share) for share in shares])

        def add(shares: Any = shares) -> float:
            m: ShardMap[str, int] = ShardMap()

            def loop(share: list[list[str]]) -> None:
                for words in share:
                    for word in words:
                        m.add(word)

            return seconds(*[lambda share=share: loop(share) for share in shares])

        def counters(shares: Any = shares) -> float:
            mine: list[Counter[str]] = [Counter() for _ in shares]
            taken = seconds(
                *[
                    lambda share=share, counter=counter: [counter.update(words) for words in share]
                    for share, counter in zip(shares, mine, strict=True)
                ]
            )
            began = time.perf_counter()
            merged: Counter[str] = Counter()
            for counter in mine:
                merged.update(counter)
            return taken + time.perf_counter() - began

        show(
            f"count: {total:,} words, {threads} thread{'s' * (threads > 1)}",
            rounds,
            total,
            {"count": count, "add": add, "a Counter for each thread, merged": counters},
            ["add / count", "a Counter for each thread, merged / count"],
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=2_000_000, help="entries of the map, for get, set and delete")
    parser.add_argument("--only", default="get,count,update,set,delete", help="with commas")
    parser.add_argument("--limit-mb", type=float, default=12)
    options = parser.parse_args()
    gil = "on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "off"
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"Python {sys.version.split()[0]}, GIL {gil}, {cpus} CPUs, load {os.getloadavg()[0]:.1f}")
    parts: dict[str, Work] = {
        "get": lambda: bench_get(options.rounds, options.size),
        "count": lambda: bench_count(options.rounds, options.limit_mb),
        "update": lambda: bench_update(options.rounds, min(options.size, 1_000_000)),
        "set": lambda: bench_set(options.rounds, options.size),
        "delete": lambda: bench_delete(options.rounds, min(options.size, 500_000)),
    }
    for name in options.only.split(","):
        parts[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
