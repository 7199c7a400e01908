"""Count every word of the standard library's sources with threads, in four ways.

    python examples/wordcount.py [--threads N] [--rounds N] [--limit-mb MB] [--output DIR]

Every way calls `counts.update(words)` for each file. What differs is what `counts` is: one Counter in one thread, one
Counter behind a lock, one Counter per thread (merged at the end), one ShardCounter. Each result must equal the single
thread's exactly. Everything is timed twice: the whole job (read, split, count), and the counting alone, with the words
split beforehand. Needs only the standard library and shardmap.
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

from shardmap import ShardCounter
from starting import start_and_join

Counts = Mapping[str, int]
CountWords = Callable[[list[str]], None]

WAYS = {
    "single": "1 thread, one Counter",
    "lock": "one Counter and a lock",
    "counters": "a Counter per thread, merged",
    "shardmap": "one ShardCounter",
}
VARIANTS = {"whole": "The whole job: read, split, count", "counting": "The counting alone"}

find_words = re.compile(r"[A-Za-z_]+").findall


def update_with_lock(words: list[str], counts: Counter[str], lock: threading.Lock) -> None:
    with lock:
        counts.update(words)


def merge(counters: Sequence[Counter[str]]) -> Counts:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def prepare(way: str, threads: int) -> tuple[list[CountWords], Callable[[], Counts]]:
    """One counting function for each thread, and what gives the result in the end."""
    if way == "shardmap":
        shared: ShardCounter[str] = ShardCounter()
        return [shared.update] * threads, lambda: shared
    if way == "lock":
        counts: Counter[str] = Counter()
        return [functools.partial(update_with_lock, counts=counts, lock=threading.Lock())] * threads, lambda: counts
    counters: list[Counter[str]] = [Counter() for _ in range(1 if way == "single" else threads)]
    return [counter.update for counter in counters], lambda: merge(counters)


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


def run(way: str, variant: str, files: Sequence[Path], threads: int) -> Run:
    """Count the words of all files once, and time it.

    For the counting alone each thread splits a fixed share of the files before the clock
    starts: in a free-threaded build, strings are cheapest for the thread that made them.
    """
    counting, finish = prepare(way, threads)
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
    start_and_join(workers, barrier)
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


def show_first_figure(way: str, million: float) -> None:
    """So that whoever waits for the table has something to look at."""
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    text = f"    first round: {WAYS[way]:<32} {million:6.1f} million words a second"
    print(f"{start}{text}", file=sys.stderr, flush=True)


def measure(
    files: Sequence[Path], threads: int, rounds: int, seconds: float, quiet: bool
) -> tuple[Counts, list[dict[str, Any]]]:
    """The reference, and a row for each way in each variant, in interleaved rounds. No round begins after `seconds`."""
    steps = [
        (number, variant, way)
        for number in range(rounds)
        for variant in VARIANTS  # and another way goes first in each round:
        for way in (list(WAYS) * 2)[number % len(WAYS) :][: len(WAYS)]
    ]
    rows: dict[tuple[str, str], dict[str, Any]] = {
        (variant, way): {
            "variant": variant,
            "way": way,
            "label": WAYS[way],
            "threads": 1 if way == "single" else threads,
            "seconds": [],
            "merge_seconds": [],
        }
        for variant in VARIANTS
        for way in WAYS
    }
    show = show_progress if not quiet else lambda *_: None
    show(0, len(steps), "reference: one thread, not timed, also fills the file cache", True)
    reference = run("single", "whole", files, 1).counts
    began = time.perf_counter()
    for step, (number, variant, way) in enumerate(steps):
        if step % (len(steps) // rounds) == 0 and step and time.perf_counter() - began > seconds:
            break
        label = f"{VARIANTS[variant]}, {WAYS[way]}"
        text = f"round {number + 1} of {rounds}: {label}"
        show(step + 1, len(steps), text, step % (len(steps) // rounds) == 0)
        one = run(way, variant, files, threads)
        check(label, reference, one.counts)
        row = rows[variant, way]
        row["seconds"].append(one.seconds)
        row["merge_seconds"].append(one.merge_seconds)
        row["counted_words"] = sum(one.counts.values())
        row["distinct_words"] = len(one.counts)
        if number == 0 and variant == "counting" and not quiet:
            show_first_figure(way, row["counted_words"] / one.seconds / 1e6)
    show(len(steps) + 1, len(steps), "", False)
    for (variant, _), row in rows.items():
        row["median"] = statistics.median(row["seconds"])
        row["min"], row["max"] = min(row["seconds"]), max(row["seconds"])
        alone = rows[variant, "single"]["seconds"]
        row["speedup"] = statistics.median(one / own for one, own in zip(alone, row["seconds"], strict=True))
        row["million_words_per_second"] = row["counted_words"] / row["median"] / 1e6
    return reference, list(rows.values())


def measured(files: Sequence[Path], threads: int, rounds: int, seconds: float, quiet: bool) -> dict[str, Any]:
    """All that table() and the chart need. Raises WrongCount."""
    reference, rows = measure(files, threads, rounds, seconds, quiet)
    return describe(files, reference) | {"threads": threads, "rounds": len(rows[0]["seconds"]), "results": rows}


# Reporting.


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_python() -> dict[str, Any]:
    return {
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil_enabled": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
    }


def describe(files: Sequence[Path], reference: Counts) -> dict[str, Any]:
    """What was counted, and by which interpreter."""
    return {
        "python": describe_python(),
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
    corpus, rows = results["corpus"], results["results"]
    lines = [
        f"From Python's standard library: {corpus['words']:,} words ({corpus['distinct_words']:,} distinct) in "
        f"{corpus['files']:,} files.",
        f"Each way calls counts.update(words) for each file. {results['threads']} threads, {results['rounds']} rounds.",
    ]
    for variant, title in VARIANTS.items():
        lines += ["", f"  {title:<34} seconds  {'(min .. max)':<18} speed"]
        for row in rows:
            if row["variant"] == variant:
                spread = f"({row['min']:.3f} .. {row['max']:.3f})"
                lines.append(f"    {row['label']:<32} {row['median']:7.3f}  {spread:<18} {row['speedup']:5.2f} x")
    lines += ["", "Every result equals the single thread's, word by word. Speed: 1 thread with one Counter is 1."]
    if results["python"]["gil_enabled"]:
        lines.append("This interpreter has a GIL, so threads take turns. ShardCounter takes fewer steps for each word.")
    return "\n".join(lines)


def cannot_write(directory: Path) -> str | None:
    """Makes the directory. Returns what keeps results out of it, to be known before minutes of measuring."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"cannot make {directory}: {error.strerror}"
    return None if os.access(directory, os.W_OK) else f"cannot write to {directory}"


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
    if problem := cannot_write(options.output):
        parser.error(problem)
    try:
        results = measured(files, options.threads, options.rounds, options.seconds, options.quiet)
    except WrongCount as error:
        print(f"\nwrong count: {error}", file=sys.stderr)
        return 1
    path = options.output / "wordcount.json"
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(table(results))
    if not options.quiet:
        print(f"\nWritten: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
