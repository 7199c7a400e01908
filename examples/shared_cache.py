"""A cache in front of a slow database, asked by many threads: functools.lru_cache, the same behind a lock, @cached.

    python examples/shared_cache.py [--threads N] [--rounds N]

The cache is empty at the start, as after a restart, and a few pages are wanted by nearly everybody. A page takes a
query of 5 ms, and the database runs four queries at a time. lru_cache lets every thread that misses load the page. A
lock around it makes all wait for every load. @cached loads each page once: who wants the same page waits, who wants
another does not. After that the same cached function is called with pages that are all there. Every page is checked.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from shardmap import cached
from starting import start_and_join

PAGES = 400
REQUESTS = 150  # of each thread
HITS = 400_000  # of all threads, at least so many each round
QUERY = 0.005  # seconds
CONNECTIONS = 4

GetPage = Callable[[int], str]
WAYS = {
    "lru_cache": "functools.lru_cache",
    "lock": "lru_cache and a lock",
    "shardmap": "shardmap's @cached",
}


class Database:
    """Counts its queries; each keeps one of the connections for QUERY seconds."""

    def __init__(self) -> None:
        self.connections = threading.Semaphore(CONNECTIONS)
        self.lock = threading.Lock()
        self.queries = 0

    def load(self, number: int) -> str:
        with self.lock:
            self.queries += 1
        with self.connections:
            time.sleep(QUERY)
        return content(number)


def content(number: int) -> str:
    return f"<h1>page {number}</h1>"


def cached_load(way: str, load: GetPage) -> GetPage:
    if way == "shardmap":
        return cached(maxsize=PAGES)(load)
    get_page = functools.lru_cache(maxsize=PAGES)(load)
    if way == "lru_cache":
        return get_page
    lock = threading.Lock()

    def get_page_alone(number: int) -> str:
        with lock:
            return get_page(number)

    return get_page_alone


def requests(threads: int, seed: int) -> list[list[int]]:
    """For each thread the pages it asks for: page n is asked for about 1/n as often as page 1 (Zipf's law)."""
    chosen = random.Random(seed)
    weights = [1 / rank for rank in range(1, PAGES + 1)]
    return [chosen.choices(range(PAGES), weights, k=REQUESTS) for _ in range(threads)]


class WrongPage(Exception):
    """A cache returned another page than the one asked for."""


def run_threads(work: Callable[[Sequence[int]], None], wanted: Sequence[Sequence[int]]) -> float:
    """Seconds until all threads are done with the pages they want. Raises what a thread raised."""
    times: list[float] = []
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(wanted), action=lambda: times.append(time.perf_counter()))

    def work_in_thread(numbers: Sequence[int]) -> None:
        try:
            barrier.wait()
            work(numbers)
        except BaseException as error:  # raised again in the main thread
            errors.append(error)

    threads = [threading.Thread(target=work_in_thread, args=(numbers,)) for numbers in wanted]
    start_and_join(threads, barrier)
    if errors:
        raise errors[0]
    return time.perf_counter() - times[0]


class Run(NamedTuple):
    seconds: float  # from the empty cache on
    queries: int
    distinct: int  # pages asked for: the fewest queries that suffice
    million_hits: float  # per second, all threads


def run(way: str, threads: int, seed: int) -> Run:
    database = Database()
    get_page = cached_load(way, database.load)
    wanted = requests(threads, seed)
    distinct = len(set(itertools.chain(*wanted)))
    passes = -(-HITS // (threads * REQUESTS))

    def ask(numbers: Sequence[int]) -> None:
        for number in numbers:
            if (page := get_page(number)) != content(number):
                raise WrongPage(f"{page!r} for page {number}")

    def hit(numbers: Sequence[int]) -> None:
        for _ in range(passes):
            for number in numbers:
                get_page(number)

    seconds = run_threads(ask, wanted)
    queries = database.queries
    if way != "lru_cache" and queries != distinct:
        raise RuntimeError(f"{WAYS[way]}: {queries} queries for {distinct} pages")
    hits = passes * REQUESTS * threads
    million_hits = hits / run_threads(hit, wanted) / 1e6
    return Run(seconds, queries, distinct, million_hits)


def measured(threads: int, rounds: int, show: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """A row for each way: medians over rounds in which each way answers the same requests."""
    runs: dict[str, list[Run]] = {way: [] for way in WAYS}
    for number in range(rounds):
        show(f"round {number + 1} of {rounds}")
        for way in WAYS:
            runs[way].append(run(way, threads, number))
    rows = []
    for way, label in WAYS.items():
        row: dict[str, Any] = {"way": way, "label": label}
        for name in Run._fields:
            values = [getattr(each, name) for each in runs[way]]
            row[name], row[f"{name}_spread"] = statistics.median(values), [min(values), max(values)]
        rows.append(row)
    return {"threads": threads, "rounds": rounds, "requests": threads * REQUESTS, "results": rows}


def table(results: dict[str, Any]) -> str:
    rows = results["results"]
    lines = [
        f"{results['threads']} threads ask for {results['requests']:,} pages, the cache is empty at first; "
        f"{results['rounds']} rounds.",
        f"A query takes {QUERY * 1000:.0f} ms, the database runs {CONNECTIONS} at a time. "
        f"{rows[0]['distinct']:.0f} different pages are asked for.",
        "",
        "                                  queries  seconds  (min .. max)     hits, when all is cached",
    ]
    for row in rows:
        spread = "({:.2f} .. {:.2f})".format(*row["seconds_spread"])
        lines.append(
            f"    {row['label']:<28} {row['queries']:8.0f}  {row['seconds']:7.2f}  {spread:<16}"
            f" {row['million_hits']:5.1f} million a second"
        )
    return "\n".join([*lines, "", "Every page was the right one."])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--threads", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    options = parser.parse_args(arguments)
    if options.threads < 1 or options.rounds < 1:
        parser.error("--threads and --rounds must be at least 1")
    print(table(measured(options.threads, options.rounds)))


if __name__ == "__main__":
    main()
