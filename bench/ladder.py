"""Measures the approaches of docs/which-one.md side by side, and the promises made there.

    python bench/ladder.py [--seconds 0.5] [--rounds 7] [--only AtomicRef,Snapshot] [--write]

--write puts the tables into docs/which-one.md, where they say which machine they come from. Threads run for a fixed
time; every figure is the median of the rounds, ratios are taken within a round, spreads are printed. Look at the cores
that were really used: where fewer than the threads, something else ran, and nothing was contended.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from run import environment
from shardmap import AtomicRef, EventualMap, ShardMap, ShardWorkers

KEYS = 1_000
PAGE = Path(__file__).resolve().parent.parent / "docs" / "which-one.md"
BEGIN, END = "<!-- measured: python bench/ladder.py --write -->", "<!-- end of what was measured -->"

Batch = Callable[[], int]
"""One turn of a thread's loop; returns the operations it did."""

# What the threads share, as globals of a module are what programs share.
lock: Any
shared: Any


class Account:
    """A value with a lock of its own."""

    __slots__ = ("balance", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.balance = 0


def own_keys(number: int) -> list[str]:
    """Every thread has key objects of its own, in an order of its own."""
    keys = [str(f"key {n}".encode(), "ascii") for n in range(KEYS)]
    random.Random(number).shuffle(keys)
    return keys


def pairs() -> list[tuple[str, Any]]:
    return [(f"key {n}", None) for n in range(KEYS)]  # None: the structures are measured, not a value's count


# --- The approaches: each sets `shared` up, and gives a thread its loop for reading and for writing ---


def set_dict() -> None:
    global shared, lock
    shared, lock = dict(pairs()), threading.Lock()


def read_locked_dict(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            with lock:
                shared[key]
        return KEYS

    return batch


def write_locked_dict(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            with lock:
                shared[key] = True
        return KEYS

    return batch


def set_map() -> None:
    global shared
    shared = ShardMap(pairs())


def read_items(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            shared[key]
        return KEYS

    return batch


def write_items(number: int) -> Batch:
    keys = own_keys(number)
    values = [None, True]

    def batch() -> int:
        values.reverse()
        value = values[0]
        for key in keys:
            shared[key] = value
        return KEYS

    return batch


def write_under_key_lock(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            with shared.lock(key) as entry:
                entry.value = number
        return KEYS

    return batch


def set_handles() -> None:
    global shared
    shared = ShardMap((key, Account()) for key, _ in pairs())


def read_handles(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            account = shared[key]
            with account.lock:
                account.balance  # noqa: B018
        return KEYS

    return batch


def write_handles(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            account = shared[key]
            with account.lock:
                account.balance += 1
        return KEYS

    return batch


def set_ref() -> None:
    global shared
    shared = AtomicRef(dict(pairs()))


def read_ref(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            shared.load()[key]
        return KEYS

    return batch


def read_version(number: int) -> Batch:
    """Loads once for many reads, as one should."""
    keys = own_keys(number)

    def batch() -> int:
        version = shared.load()
        for key in keys:
            version[key]
        return KEYS

    return batch


def write_ref(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys[:10]:
            shared.rcu(lambda old, key=key: {**old, key: True})
        return 10

    return batch


def set_snapshot() -> None:
    global shared
    shared = ShardMap(pairs()).snapshot()


def set_workers() -> None:
    global shared
    shared = ShardWorkers(2)
    for _ in shared.map(dict.__setitem__, [key for key, _ in pairs()], [None] * KEYS):
        pass


def ask_workers(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys[:100]:
            shared.submit(key, dict.get).result()
        return 100

    return batch


def tell_workers(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            shared.submit(key, dict.__setitem__, True)
        return KEYS

    return batch


def end_workers() -> None:
    shared.shutdown()


def set_parts() -> None:
    global shared
    shared = ShardMap(pairs())


def read_parts(number: int) -> Batch:
    part = shared.partitions(2)[number % 2]

    def batch() -> int:
        for _ in part:
            pass
        return len(part)

    return batch


def set_eventual() -> None:
    global shared
    shared = EventualMap(pairs())


def read_eventual(number: int) -> Batch:
    keys, reader = own_keys(number), shared.reader()

    def batch() -> int:
        reader.renew()
        for key in keys:
            reader[key]
        return KEYS

    return batch


def read_one_eventual(number: int) -> Batch:
    keys, reader = own_keys(number), shared.reader()

    def batch() -> int:
        reader.renew()
        for key in keys:
            reader.get_one(key)
        return KEYS

    return batch


def write_eventual(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            shared.update(key, None)
        shared.refresh()
        return KEYS

    return batch


class Approach(NamedTuple):
    name: str
    set_up: Callable[[], None]
    read: Callable[[int], Batch]
    write: Callable[[int], Batch] | None
    tear_down: Callable[[], None] = lambda: None


APPROACHES = [
    Approach("`dict` and one `Lock`", set_dict, read_locked_dict, write_locked_dict),
    Approach("`ShardMap`", set_map, read_items, write_items),
    Approach("`m.lock(key)`", set_map, read_items, write_under_key_lock),
    Approach("handles with a lock of their own", set_handles, read_handles, write_handles),
    Approach("`AtomicRef` of a `dict`, a `load()` each", set_ref, read_ref, write_ref),
    Approach("`AtomicRef` of a `dict`, one `load()` for many", set_ref, read_version, None),
    Approach("`Snapshot`", set_snapshot, read_items, None),
    Approach("`ShardWorkers`", set_workers, ask_workers, tell_workers, end_workers),
    Approach("`partitions(2)`, iterated", set_parts, read_parts, None),
    Approach("`EventualMap`, `reader[key]`", set_eventual, read_eventual, write_eventual),
    Approach("`EventualMap`, `get_one(key)`", set_eventual, read_one_eventual, None),
]


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


def while_refreshing(work: Callable[[], Measured], per_second: int, changed: int) -> tuple[Measured, float]:
    """`work` beside a writer that refreshes so often, each time with so many changed keys; and its true rate."""
    over, refreshed = threading.Event(), 0

    def write() -> None:
        nonlocal refreshed
        keys = own_keys(-1)
        due = time.perf_counter()
        while not over.is_set():
            for n in range(changed):
                shared.update(keys[(refreshed * changed + n) % KEYS], None)
            shared.refresh()
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
    global shared
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
    kept = large.snapshot()
    began = time.perf_counter()
    large["key 0"] = -1
    first = time.perf_counter() - began
    note(
        f"the first write after it (copies one of {len(large.shards)} shards)",
        f"{first * 1e3:.2f} ms, {first / copied * 100:.0f} % of `dict.copy()`",
    )
    del kept, large, million

    for changed in (1, 10, 100):
        set_eventual()
        alone, slowed, rates = list[float](), list[float](), list[float]()
        for _ in range(rounds):
            alone.append(measure(1, read_eventual, seconds).rate)
            beside, rate = while_refreshing(lambda: measure(1, read_eventual, seconds), 100, changed)
            slowed.append(beside.rate / alone[-1])
            rates.append(rate)
        note(
            f"a reader beside a writer that refreshes 100 times a second, {changed} of {KEYS:,} keys changed each time",
            f"{spread(slowed)} of its rate alone, at {statistics.median(rates):.0f} refreshes a second",
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
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text("\n".join([before + BEGIN, "", *lines, "", END + after]), encoding="utf-8")
        print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
