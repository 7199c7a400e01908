"""What shardmap does, in a minute: counting with threads, a shared cache, and the program that this project began
with.

    python examples/demo.py [--parts counting,entries,cache] [--output build/demo]

Prints a table and what it shows for each part, and writes the figures to DIR, where demo_chart.py finds them. `make
demo` runs it on the Python at hand and on a free-threaded one. Needs only the standard library and shardmap.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import seed_program
import shared_cache
import wordcount

LOOP = 2_000_000  # steps
LOOP_ROUNDS = 5
ROUNDS = 3
SOURCES = 12.0  # megabytes: a round takes about four seconds


def empty_loop(threads: int) -> float:
    """How many times as fast as one thread so many threads run an empty loop each: what machine and GIL allow."""

    def spin() -> None:
        for _ in range(LOOP):
            pass

    def seconds(count: int) -> float:
        workers = [threading.Thread(target=spin) for _ in range(count)]
        began = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return time.perf_counter() - began

    return statistics.median(threads * seconds(1) / seconds(threads) for _ in range(LOOP_ROUNDS))


def headline(python: dict[str, Any], threads: int, scaling: float) -> str:
    """Which interpreter this is, and what it can show."""
    name = f"{python['implementation']} {python['version']}"
    what = f"An empty loop in {threads} threads runs {scaling:.2f} times as fast as in one: more is not to be had here."
    if python["gil_enabled"]:
        return f"{name}, with a GIL: one thread at a time runs Python.\n{what}"
    return f"{name}, free-threaded: threads run Python at the same time.\n{what}"


def row_of(results: dict[str, Any], way: str, variant: str | None = None) -> dict[str, Any]:
    rows: list[dict[str, Any]] = results["results"]
    return next(row for row in rows if row["way"] == way and row.get("variant") == variant)


def count_words(show: Callable[[str], None], limit_mb: float) -> dict[str, Any]:
    files = wordcount.find_files(limit_mb)
    results = wordcount.measured(files, wordcount.usable_cores(), ROUNDS, seconds=20, quiet=False)
    print(wordcount.table(results))
    ours = row_of(results, "shardmap", "counting")["median"]
    counters, lock = (row_of(results, way, "counting")["median"] / ours for way in ("counters", "lock"))
    print(
        f"\n=> Counting into one ShardCounter is {counters:.1f} times as fast as a Counter per thread, "
        f"{lock:.1f} times as fast as one Counter and a lock."
    )
    return results


def share_cache(show: Callable[[str], None], limit_mb: float) -> dict[str, Any]:
    results = shared_cache.measured(threads=32, rounds=3, show=show)
    print(shared_cache.table(results))
    ours, plain, locked = (row_of(results, way) for way in ("shardmap", "lru_cache", "lock"))
    print(
        f"\n=> @cached queries each page once ({ours['queries']:.0f} queries; lru_cache: {plain['queries']:.0f}). "
        f"It is {locked['seconds'] / ours['seconds']:.1f} times as fast as lru_cache and a lock,\n"
        f"   and its hits are {ours['million_hits'] / plain['million_hits']:.1f} times as fast as lru_cache's."
    )
    return results


def share_entries(show: Callable[[str], None], limit_mb: float) -> dict[str, Any]:
    print("Ten threads make an entry each (50 ms) and work on it alone (1 s).\n")
    rows = []
    for way in reversed(seed_program.WAYS):  # ours first: a dict with one lock takes ten seconds
        show(seed_program.WAYS[way][0])
        rows.append(seed_program.measured(way))
        print(seed_program.line(rows[-1]), flush=True)
    rows.append(seed_program.least())
    print(seed_program.line(rows[-1]))
    ours = row_of({"results": rows}, "shardmap")["seconds"]
    waited = (ours - rows[-1]["seconds"]) * 1000
    print(f"\n=> With ShardMap, the ten threads take {waited:.0f} ms longer together than one takes alone.")
    return {"results": rows}


PARTS: dict[str, tuple[str, Callable[[Callable[[str], None], float], dict[str, Any]]]] = {
    "counting": ("Counting: threads count into one place", count_words),
    "entries": ("A map shared without locking all of it: an entry for each thread", share_entries),
    "cache": ("A cache: threads ask for the same slow pages", share_cache),
}


def show_step(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="\r", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="default: %(default)s")
    limit_help = "count the words of about so many megabytes of sources; default: %(default)s"
    parser.add_argument("--limit-mb", type=float, default=SOURCES, metavar="MB", help=limit_help)
    parser.add_argument("--output", type=Path, default=Path("build/demo"), metavar="DIR", help="%(default)s")
    options = parser.parse_args(arguments)
    names = options.parts.split(",")
    if unknown := set(names) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not options.limit_mb > 0:
        parser.error("--limit-mb must be more than 0")
    if problem := wordcount.cannot_write(options.output):
        parser.error(problem)
    python, threads = wordcount.describe_python(), wordcount.usable_cores()
    scaling = empty_loop(threads)
    print(headline(python, threads, scaling), flush=True)
    results: dict[str, Any] = {"python": python, "usable_cores": threads, "empty_loop": scaling, "parts": {}}
    for number, name in enumerate(names, 1):
        title, part = PARTS[name]
        print(f"\n{number}. {title}\n", flush=True)
        results["parts"][name] = part(show_step, options.limit_mb)
    kind = "gil" if python["gil_enabled"] else "free-threaded"
    path = options.output / f"{kind}.json"
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
