"""Measures the approaches of docs/which-one.md, and the numbers promised there.

    python bench/ladder.py [--seconds 0.5] [--rounds 7] [--only AtomicRef,Snapshot] [--write]

--write puts the tables, with a line about the machine, into docs/which-one.md. Threads run for a fixed time. Each
number is the median of the rounds. Ratios are taken within a round. Spreads are printed. Check the number of cores that
were used: if it is smaller than the number of threads, other programs ran, and there was no contention.
"""

from __future__ import annotations

import argparse
import bisect
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import approaches
from approaches import APPROACHES, KEYS, Approach, Batch, own_keys
from environment import environment
from shardmap import EventualMap, ShardMap

PAGE = Path(__file__).resolve().parent.parent / "docs" / "which-one.md"
BEGIN, END = "<!-- measured: python bench/ladder.py --write -->", "<!-- end of what was measured -->"

# --- Measuring ---


class Measured(NamedTuple):
    rate: float  # operations a second, of all threads together
    cores: float  # that were used, on average


def measure(threads: int, prepare: Callable[[int], Batch], seconds: float) -> Measured:
    counts, used = [0] * threads, [0.0] * threads
    ready, over = threading.Barrier(threads + 1), threading.Event()
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            batch = prepare(number)
            batch()
            ready.wait()
            began = time.thread_time()
            while not over.is_set():
                counts[number] += batch()
            used[number] = time.thread_time() - began
        except BaseException as error:
            errors.append(error)
            ready.abort()

    crew = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in crew:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    time.sleep(seconds)
    over.set()
    for thread in crew:
        thread.join()
    if errors:
        raise errors[0]
    took = time.perf_counter() - began
    return Measured(sum(counts) / took, sum(used) / took)


def undisturbed(threads: int, prepare: Callable[[int], Batch], seconds: float) -> list[float]:
    """Nanoseconds of an operation, for operations that never wait. Counts only turns in which every thread ran all the
    time (wall clock and thread clock agree), so that other programs on the machine do not influence the result."""
    logs: list[list[Turn]] = [[] for _ in range(threads)]
    ready, over = threading.Barrier(threads), threading.Event()

    def run(number: int) -> None:
        batch, log = prepare(number), logs[number]
        batch()
        ready.wait()
        while not over.is_set():
            used, begin = time.thread_time_ns(), time.perf_counter_ns()
            done = batch() + batch() + batch()
            end = time.perf_counter_ns()
            log.append(Turn(begin, end, time.thread_time_ns() - used, done))

    crew = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in crew:
        thread.start()
    time.sleep(seconds)
    over.set()
    for thread in crew:
        thread.join()
    clean = [[turn for turn in log if turn.used >= 0.97 * (turn.end - turn.begin)] for log in logs]
    return [
        (turn.end - turn.begin) / turn.done
        for number, turns in enumerate(clean)
        for turn in turns
        if all(covered(turn, other) for n, other in enumerate(clean) if n != number)
    ]


class Turn(NamedTuple):
    begin: int
    end: int
    used: int
    done: int


def covered(turn: Turn, others: list[Turn]) -> bool:
    """Whether another thread's turns, without gaps, cover the whole time of this turn."""
    at = bisect.bisect_right(others, turn.begin, key=lambda other: other.begin) - 1
    if at < 0 or others[at].end < turn.begin:
        return False
    while others[at].end < turn.end:
        at += 1
        if at == len(others) or others[at].begin - others[at - 1].end > 5_000:
            return False
    return True


def while_refreshing(work: Callable[[], list[float]], per_second: int, changed: int) -> tuple[list[float], float]:
    """Runs `work` while a writer refreshes, each time with `changed` changed keys. Also returns the true rate."""
    over, refreshed = threading.Event(), 0

    def write() -> None:
        nonlocal refreshed
        keys = own_keys(-1)
        due = time.perf_counter()
        while not over.is_set():
            for n in range(changed):
                approaches.shared.update(keys[(refreshed * changed + n) % KEYS], None)
            approaches.shared.refresh()
            refreshed += 1
            due = max(due + 1 / per_second, time.perf_counter())
            time.sleep(max(0.0, due - time.perf_counter()))

    writer = threading.Thread(target=write)
    began = time.perf_counter()
    writer.start()
    try:
        measured = work()
    finally:
        over.set()
        writer.join()
    return measured, refreshed / (time.perf_counter() - began)


def best_of(work: Callable[[], Any], times: int = 5) -> float:
    """Seconds of the fastest of several runs."""
    fastest = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        result = work()
        fastest = min(fastest, time.perf_counter() - began)
        del result
    return fastest


def spread(values: list[float], form: str = ".2f") -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def nanoseconds(rates: list[float]) -> str:
    cost = 1e9 / statistics.median(rates)
    return f"{cost:,.0f} ns" if cost < 10_000 else f"{cost / 1000:,.0f} µs"


def table_of_approaches(chosen: list[Approach], seconds: float, rounds: int) -> list[str]:
    lines = [
        "| approach | a read, 1 thread | reads of 2 threads to those of 1 | a write, 1 thread | writes of 2 to 1 |",
        "|---|---|---|---|---|",
    ]
    for each in chosen:
        cells = [each.name]
        for prepare in (each.read, each.write):
            if prepare is None:
                cells += ["—", "—"]
                continue
            single, ratios, cores = list[float](), list[float](), list[float]()
            for _ in range(rounds):
                each.set_up()
                one, two = measure(1, prepare, seconds), measure(2, prepare, seconds)
                each.tear_down()
                single.append(one.rate)
                ratios.append(two.rate / one.rate)
                cores.append(two.cores)
            what = "read" if prepare is each.read else "write"
            print(f"{each.name:46} {what:5} {nanoseconds(single):>9}, 2 to 1: {spread(ratios)}, {spread(cores)} cores")
            cells += [nanoseconds(single), f"{statistics.median(ratios):.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def promises(seconds: float, rounds: int) -> list[str]:
    lines = ["| what | measured |", "|---|---|"]

    def note(what: str, measured: str) -> None:
        print(f"{what}: {measured}", flush=True)
        lines.append(f"| {what} | {measured} |")

    million = {f"key {n}": n for n in range(1_000_000)}
    large = ShardMap(million)
    copied, taken = best_of(million.copy), best_of(large.snapshot, 100)
    note(
        "`snapshot()` of 1,000,000 entries, beside `dict.copy()`",
        f"{taken * 1e6:,.1f} µs, {copied * 1e3:,.1f} ms: {copied / taken:,.0f} times faster",
    )
    firsts = []
    for number in range(5):
        kept = large.snapshot()
        began = time.perf_counter()
        large[f"key {number}"] = -1
        firsts.append(time.perf_counter() - began)
        del kept
    first = min(firsts)
    note(
        f"the first write after it (copies one of {len(large.shards)} shards)",
        f"{first * 1e3:.2f} ms, {first / copied * 100:.0f} % of `dict.copy()`",
    )
    del large, million

    for name in ("`Snapshot`", "`EventualMap`, `reader[key]`", "`EventualMap`, `get_one(key)`"):
        (each,) = (each for each in APPROACHES if each.name == name)
        each.set_up()
        ratios = []
        for _ in range(rounds):
            one, two = undisturbed(1, each.read, seconds), undisturbed(2, each.read, 2 * seconds)
            if one and two:
                ratios.append(2 * statistics.median(one) / statistics.median(two))
        what = f"{name}: reads of 2 threads divided by reads of 1, in turns in which both threads ran all the time"
        note(what, spread(ratios) if ratios else "never the case")

    for changed in (1, 10, 100):
        approaches.set_eventual()
        slowed, rates = list[float](), list[float]()
        for _ in range(rounds):
            alone = undisturbed(1, approaches.read_eventual, seconds)
            beside, rate = while_refreshing(lambda: undisturbed(1, approaches.read_eventual, seconds), 100, changed)
            if alone and beside:
                slowed.append(statistics.fmean(alone) / statistics.fmean(beside))
                rates.append(rate)
        often = statistics.median(rates) if rates else 0.0
        note(
            f"a reader beside a writer that refreshes 100 times a second, {changed} of {KEYS:,} keys changed each time",
            f"{spread(slowed)} of its rate alone, at {often:.0f} refreshes a second" if slowed else "never the case",
        )

    for keys in (1_000, 1_000_000):
        m: EventualMap[int, None] = EventualMap((n, None) for n in range(keys))
        for changed in (1, 100):
            choose, costs = random.Random(1), list[float]()
            for _ in range(30):
                for key in choose.sample(range(keys), changed):
                    m.update(key, None)
                began = time.perf_counter()
                m.refresh()
                costs.append(time.perf_counter() - began)
            note(
                f"`refresh()` of {keys:,} keys, {changed} of them changed",
                f"{statistics.median(costs) * 1e6:,.0f} µs",
            )
        del m
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="parts of approaches' names, with commas; leaves the promises out")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args()
    if options.only and options.write:
        parser.error("--write needs everything measured")
    where = environment()
    gil = "on" if where["gil"] else "off"
    said = f"Python {where['python']}, GIL {gil}, {where['cpus']} CPUs ({where['cpu']}), load {os.getloadavg()[0]:.1f}"
    print(said, flush=True)
    wanted = options.only.split(",")
    chosen = [each for each in APPROACHES if any(part in each.name for part in wanted)]
    lines = [said + f"; {KEYS:,} keys, medians of {options.rounds} rounds.", ""]
    lines += table_of_approaches(chosen, options.seconds, options.rounds)
    if not options.only:
        lines += ["", *promises(options.seconds, options.rounds)]
    said = f"1 minute's load at the end {os.getloadavg()[0]:.1f}"
    print(said)
    lines[0] = lines[0][:-1] + f"; {said}."
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text("\n".join([before + BEGIN, "", *lines, "", END + after]), encoding="utf-8")
        print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
