"""Count every word of the standard library's sources with threads, by three means.

    python examples/wordcount.py [--threads N] [--rounds N] [--limit-mb MB] [--output DIR]

The same files are counted into one dict behind a lock, into one ShardMap, and into one
Counter per thread merged at the end. Each result must equal a single thread's plain count
exactly. Everything is timed twice: the whole work (read, split, count), and the counting
alone, with the words split beforehand. Needs only the standard library and shardmap.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import os
import platform
import queue
import re
import statistics
import sys
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shardmap import ShardMap

Counts = Mapping[str, int]
CountWords = Callable[[list[str]], None]

MEANS = {
    "single": "1 thread, dict",
    "lock": "dict with a lock",
    "shardmap": "one ShardMap",
    "counters": "Counter per thread, merged",
}
VARIANTS = {"whole": "Whole work: read, split, count", "counting": "Counting alone"}

find_words = re.compile(r"[A-Za-z_]+").findall


# The means. The loops are plain functions of local variables: a variable shared in a closure
# would be one more thing for free-threaded threads to contend for.


def count_into_dict(words: list[str], counts: dict[str, int]) -> None:
    for word in words:
        counts[word] = counts.get(word, 0) + 1


def count_with_lock(words: list[str], counts: dict[str, int], lock: threading.Lock) -> None:
    for word in words:
        with lock:
            counts[word] = counts.get(word, 0) + 1


def count_into_shardmap(words: list[str], counts: ShardMap[str, int]) -> None:
    for word in words:
        counts.add(word)


def merge(counters: Sequence[Counter[str]]) -> Counts:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def prepare(means: str, threads: int) -> tuple[list[CountWords], Callable[[], Counts]]:
    """One counting function for each thread, and what gives the result in the end."""
    if means == "counters":  # Counter.update(words) is what users write; it loops in C
        counters: list[Counter[str]] = [Counter() for _ in range(threads)]
        return [counter.update for counter in counters], lambda: merge(counters)
    if means == "shardmap":
        shared: ShardMap[str, int] = ShardMap()
        return [functools.partial(count_into_shardmap, counts=shared)] * threads, lambda: shared
    counts: dict[str, int] = {}
    if means == "single":
        return [functools.partial(count_into_dict, counts=counts)], lambda: counts
    lock = threading.Lock()
    return [functools.partial(count_with_lock, counts=counts, lock=lock)] * threads, lambda: counts


# The corpus.


def find_files(limit_mb: float | None = None) -> list[Path]:
    """The standard library's .py files, largest first; only the first `limit_mb` MB or so."""
    root = Path(sysconfig.get_path("stdlib"))
    sizes: dict[Path, int] = {}
    total = 0
    for path in sorted(root.rglob("*.py")):
        if {"site-packages", "dist-packages"}.isdisjoint(path.relative_to(root).parts):
            if limit_mb is not None and total >= limit_mb * 1e6:
                break
            sizes[path] = path.stat().st_size
            total += sizes[path]
    return sorted(sizes, key=lambda path: -sizes[path])


def work_list(files: Sequence[Path]) -> queue.SimpleQueue[Path]:
    work: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for path in files:
        work.put(path)
    return work


def take_and_split(work: queue.SimpleQueue[Path]) -> Iterator[list[str]]:
    """Take files from the work list until it is empty; read each and split it into words."""
    while True:
        try:
            path = work.get_nowait()
        except queue.Empty:
            return
        yield find_words(path.read_bytes().decode("utf-8", "replace"))


# Running and checking.


class Run(NamedTuple):
    seconds: float
    merge_seconds: float  # part of the above
    counts: dict[str, int]


def run(means: str, variant: str, files: Sequence[Path], threads: int) -> Run:
    """Count the words of all files once, and time it.

    For the counting alone each thread splits a fixed share of the files before the clock
    starts: in a free-threaded build, strings are cheapest for the thread that made them.
    """
    counting, finish = prepare(means, threads)
    threads = len(counting)
    works = [work_list(files)] * threads
    if variant == "counting":
        works = [work_list(files[start::threads]) for start in range(threads)]
    split: list[list[list[str]]] = [[] for _ in counting]  # freed when the clock is off
    errors: list[BaseException] = []
    times: list[float] = []
    barrier = threading.Barrier(threads, action=lambda: times.append(time.perf_counter()))

    def work_in_thread(number: int) -> None:
        count, work, texts = counting[number], works[number], split[number]
        try:
            if variant == "counting":
                texts.extend(take_and_split(work))
            barrier.wait()
            for words in texts or take_and_split(work):
                count(words)
        except BaseException as error:  # raised again in the main thread
            errors.append(error)
            barrier.abort()

    gc.collect()
    workers = [threading.Thread(target=work_in_thread, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]
    times.append(time.perf_counter())
    result = finish()
    times.append(time.perf_counter())
    return Run(times[2] - times[0], times[2] - times[1], dict(result.items()))


class WrongCount(Exception):
    """A result differs from the reference."""


def check(label: str, reference: Counts, counts: Counts, show: int = 5) -> None:
    """Raise WrongCount, with the first differences, unless the counts are equal."""
    wrong = [
        f"{word!r}: {counts.get(word)} instead of {reference.get(word)}"
        for word in sorted(reference.keys() | counts.keys())
        if counts.get(word) != reference.get(word)
    ]
    if wrong:
        lines = [f"{label}: {len(wrong)} words counted wrongly, first:", *wrong[:show]]
        raise WrongCount("\n  ".join(lines))


def show_progress(step: int, steps: int, text: str, first: bool) -> None:
    """One line that changes on a terminal; elsewhere one line for each round."""
    if sys.stderr.isatty():
        line = f"[{step}/{steps}] {text}"[:79] if step <= steps else ""
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    elif first:
        print(text.partition(":")[0], file=sys.stderr, flush=True)


def measure(
    files: Sequence[Path], threads: int, rounds: int, seconds: float, quiet: bool
) -> tuple[Counts, list[dict[str, Any]]]:
    """The reference, and a row for every means in every variant, in interleaved rounds. No round is begun after
    `seconds`: a contended lock can cost minutes."""
    steps = [
        (number, variant, means)
        for number in range(rounds)
        for variant in VARIANTS  # and another means goes first in each round:
        for means in (list(MEANS) * 2)[number % len(MEANS) :][: len(MEANS)]
    ]
    rows: dict[tuple[str, str], dict[str, Any]] = {
        (variant, means): {
            "variant": variant,
            "means": means,
            "label": MEANS[means],
            "threads": 1 if means == "single" else threads,
            "seconds": [],
            "merge_seconds": [],
        }
        for variant in VARIANTS
        for means in MEANS
    }
    show = show_progress if not quiet else lambda *_: None
    show(0, len(steps), "reference: one thread, not timed, also fills the file cache", True)
    reference = run("single", "whole", files, 1).counts
    began = time.perf_counter()
    for step, (number, variant, means) in enumerate(steps):
        if step % (len(steps) // rounds) == 0 and step and time.perf_counter() - began > seconds:
            break
        label = f"{VARIANTS[variant]}, {MEANS[means]}"
        text = f"round {number + 1} of {rounds}: {label}"
        show(step + 1, len(steps), text, step % (len(steps) // rounds) == 0)
        one = run(means, variant, files, threads)
        check(label, reference, one.counts)
        row = rows[variant, means]
        row["seconds"].append(one.seconds)
        row["merge_seconds"].append(one.merge_seconds)
        row["counted_words"] = sum(one.counts.values())
        row["distinct_words"] = len(one.counts)
    show(len(steps) + 1, len(steps), "", False)
    for (variant, _), row in rows.items():
        row["median"] = statistics.median(row["seconds"])
        row["min"], row["max"] = min(row["seconds"]), max(row["seconds"])
        lock = statistics.median(rows[variant, "lock"]["seconds"])
        row["relative_to_lock"] = row["median"] / lock
        row["million_words_per_second"] = row["counted_words"] / row["median"] / 1e6
    return reference, list(rows.values())


# Reporting.


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe(files: Sequence[Path], reference: Counts) -> dict[str, Any]:
    """What was counted, and by which interpreter."""
    return {
        "python": {
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "gil_enabled": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        },
        "usable_cores": usable_cores(),
        "corpus": {
            "path": sysconfig.get_path("stdlib"),
            "megabytes": sum(path.stat().st_size for path in files) / 1e6,
            "files": len(files),
            "words": sum(reference.values()),
            "distinct_words": len(reference),
            "top": Counter(reference).most_common(5),
        },
    }


def table(results: dict[str, Any]) -> str:
    """The results as plain text."""
    python, corpus, rows = results["python"], results["corpus"], results["results"]
    build = "free-threaded build" if python["free_threaded_build"] else "build with a GIL"
    gil = "on" if python["gil_enabled"] else "off"
    lines = [
        f"Interpreter  {python['implementation']} {python['version']}, {build}, GIL {gil}",
        f"Machine      {results['usable_cores']} usable cores; {results['threads']} threads, "
        f"rounds: {results['rounds']} (median, min .. max)",
        f"Corpus       {corpus['megabytes']:.1f} MB, {corpus['files']:,} files, "
        f"{corpus['words']:,} words, {corpus['distinct_words']:,} distinct",
        "Top words    " + ", ".join(f"{word} {count:,}" for word, count in corpus["top"]),
    ]
    for variant, title in VARIANTS.items():
        lines += ["", f"{title:<32} seconds  {'(min .. max)':<20} time/lock  M words/s"]
        for row in rows:
            if row["variant"] == variant:
                spread = f"({row['min']:.3f} .. {row['max']:.3f})"
                lines.append(
                    f"  {row['label']:<29} {row['median']:8.3f}  {spread:<20}"
                    f" {row['relative_to_lock']:9.3f}  {row['million_words_per_second']:9.2f}"
                )
    merging = statistics.median(
        seconds for row in rows if row["means"] == "counters" for seconds in row["merge_seconds"]
    )
    lines += [
        "",
        "Every result equals the single thread's reference exactly. time/lock: below 1 is faster.",
        "The Counters count by Counter.update(words), a loop in C, the others by a Python loop;",
        f"merging them is included (median {merging:.3f} s).",
    ]
    if python["gil_enabled"]:
        lines.append(
            "The GIL is on: threads take turns, so more threads cannot count faster than one, and\n"
            "the ratios show only the overhead of each means."
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    add = parser.add_argument
    add("--threads", type=int, default=usable_cores(), help="default: usable cores")
    add("--rounds", type=int, default=3, help="default: %(default)s")
    add("--seconds", type=float, default=60, help="begin no round after this; default: %(default)s")
    add("--limit-mb", type=float, metavar="MB", help="count only about so much")
    add("--output", type=Path, default=Path("build/demo"), metavar="DIR", help="%(default)s")
    add("--quiet", action="store_true", help="no progress, only the table")
    options = parser.parse_args(arguments)
    if options.threads < 1 or options.rounds < 1:
        parser.error("--threads and --rounds must be at least 1")
    files = find_files(options.limit_mb)
    if not files:
        parser.error(f"nothing to count in {sysconfig.get_path('stdlib')}")
    try:
        reference, rows = measure(files, options.threads, options.rounds, options.seconds, options.quiet)
    except WrongCount as error:
        print(f"\nwrong count: {error}", file=sys.stderr)
        return 1
    results = describe(files, reference)
    results.update(threads=options.threads, rounds=len(rows[0]["seconds"]), results=rows)
    path = options.output / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(table(results))
    if not options.quiet:
        print(f"\nWritten: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
