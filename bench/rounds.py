"""Timing threads, and distinguishing a noisy machine from a slow map.

A *region* is the timed part, from the start of the first thread to the end of the last one. It is calibrated to last at
least a tenth of a second, because threads that do not overlap do not contend.

A *round* measures every map once, one after another, each time with a fresh map. The order of the maps rotates from
round to round. The result is the ratio of two maps within one round (paired). So if a machine slows down for a second,
it slows down both. The reports have the median of these ratios, the lowest and the highest.

*Noise.* A region has two numbers of cores. `used` is the threads' processor time divided by the wall time. If a lock
makes threads sleep, it is low; the map causes that. `available` is the number of cores that the threads could have
used. It excludes the time in which a thread could have run but something else ran (run-queue delay, from the kernel's
/proc/thread-self/schedstat), and the time that the hypervisor gave to others (steal, /proc/stat). If less than nine
tenths of the cores (1.8 of 2) are available in any region, the round is discarded, counted and repeated. With more
threads than cores, most of the delay comes from the other threads of the benchmark. Then the time of other processes
comes from /proc/stat, which counts in hundredths of a second. Without /proc, no round is discarded.
"""

from __future__ import annotations

import gc
import math
import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from environment import cpu_count

SHORTEST = 0.1  # seconds of a region
AVAILABLE = 0.9  # of the cores; a round with less does not count

_TICK = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01


def is_quiet(available: float | None, wanted: float) -> bool:
    """Whether other programs left nearly all of the wanted processors. True if that is not known."""
    return available is None or available >= AVAILABLE * wanted


class Region(NamedTuple):
    seconds: float
    operations: int  # of all threads together
    used: float  # cores
    available: float | None  # cores; None: unknown on this system
    wanted: float  # cores that the threads could use at most

    @property
    def rate(self) -> float:
        """Million operations a second."""
        return self.operations / self.seconds / 1e6

    @property
    def quiet(self) -> bool:
        return is_quiet(self.available, self.wanted)


class Machine(NamedTuple):
    """Readings of the whole machine's clocks, in seconds of processor time."""

    busy: float
    steal: float

    @classmethod
    def read(cls) -> Machine | None:
        try:
            fields = Path("/proc/stat").read_text().split(None, 9)[1:9]
        except OSError:
            return None
        user, nice, system, _idle, _wait, irq, softirq, steal = (int(field) * _TICK for field in fields)
        return cls(user + nice + system + irq + softirq, steal)


def run_delay() -> float | None:
    """Seconds for which the calling thread was ready to run and something else ran."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) * 1e-9
    except (OSError, IndexError, ValueError):
        return None


class Part(NamedTuple):
    """The measurements of one thread."""

    began: float
    ended: float
    processor: float
    delay: float | None


def available_cores(
    parts: list[Part], seconds: float, before: Machine | None, after: Machine | None, processor: float
) -> float | None:
    cores = cpu_count()
    wanted = min(len(parts), cores)
    if before is None or after is None:
        return None
    steal = after.steal - before.steal
    first = min(part.began for part in parts)
    # All threads were ready to start at the same time. A thread that began later waited for a core.
    delays = [part.delay + part.began - first for part in parts if part.delay is not None]
    if len(parts) <= cores and len(delays) == len(parts):
        lost = sum(delays)
    else:
        # The count in ticks may be wrong by one tick for each core.
        lost = max(0.0, after.busy - before.busy - processor - cores * _TICK)
    return max(0.0, wanted - (lost + steal) / seconds)


def region(prepare: Callable[[int], Callable[[], int]], threads: int) -> Region:
    """Calls `prepare(number)` in each thread. It returns a function that does the thread's part and returns the number
    of its operations. region() times these functions. It raises the exceptions of the threads."""
    clocks: list[tuple[Machine | None, float]] = []

    def read_clocks() -> None:
        clocks.append((Machine.read(), time.process_time()))

    start = threading.Barrier(threads, read_clocks)  # read by the last to arrive, when all are ready
    parts: list[Part] = []
    done: list[int] = []
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            part = prepare(number)
            start.wait()
            delay = run_delay()
            processor, began = time.thread_time(), time.perf_counter()
            operations = part()
            ended, processor = time.perf_counter(), time.thread_time() - processor
            late = run_delay()
            parts.append(Part(began, ended, processor, None if delay is None or late is None else late - delay))
            done.append(operations)
        except BaseException as error:
            failed.append(error)
            start.abort()

    crew = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # its pauses come at random times, and no map causes them
    try:
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
    finally:
        if collecting:
            gc.enable()
    read_clocks()
    for error in failed:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    (before, used_before), (after, used_after) = clocks
    seconds = max(part.ended for part in parts) - min(part.began for part in parts)
    return Region(
        seconds,
        sum(done),
        sum(part.processor for part in parts) / seconds,
        available_cores(parts, seconds, before, after, used_after - used_before),
        min(threads, cpu_count()),
    )


class Calibrated:
    """A measurement with a number of repetitions that makes its region long enough. `measure(repetitions)` makes a
    fresh map, times one region and checks the map."""

    def __init__(
        self, measure: Callable[[int], Region], *, shortest: float = SHORTEST, most: int | None = None
    ) -> None:
        self.measure = measure
        self.shortest = shortest
        self.most = most  # repetitions; more would need too much memory
        self.repetitions = 1

    def grow(self, measured: Region) -> bool:
        """Whether the region was long enough. If not, increases the number of repetitions."""
        if measured.seconds >= self.shortest or self.repetitions == self.most:
            return True
        # The first short run is slower than later ones, so the number grows at most a hundredfold at once.
        factor = min(100.0, 1.25 * self.shortest / max(measured.seconds, 1e-9))
        self.repetitions = math.ceil(self.repetitions * max(factor, 1.1))
        if self.most is not None:
            self.repetitions = min(self.repetitions, self.most)
        return False

    def __call__(self) -> Region:
        while True:
            measured = self.measure(self.repetitions)
            if self.grow(measured):
                return measured


class Series(NamedTuple):
    """The rounds that count."""

    regions: dict[str, list[Region]]
    discarded: int  # rounds
    noisy: bool  # no round was quiet, so the disturbed rounds are used

    def ratios(self, of: str, to: str) -> list[float]:
        return [mine.rate / base.rate for mine, base in zip(self.regions[of], self.regions[to], strict=True)]

    def rate(self, name: str) -> float:
        return statistics.median(measured.rate for measured in self.regions[name])

    def used(self, name: str) -> float:
        return statistics.median(measured.used for measured in self.regions[name])


def paired_rounds(
    measures: Mapping[str, Callable[[], Region]],
    rounds: int,
    *,
    attempts: int | None = None,
    progress: Callable[[str], None] = lambda said: None,
) -> Series:
    """Runs rounds in which each of `measures` is called once, until `rounds` of them were quiet. Runs at most
    `attempts` (default: three times `rounds`). If none was quiet, all count, and the series is noisy."""
    names = list(measures)
    good: list[dict[str, Region]] = []
    bad: list[dict[str, Region]] = []
    attempts = 3 * rounds if attempts is None else attempts
    while len(good) < rounds and len(good) + len(bad) < attempts:
        progress(f"round {len(good) + 1} of {rounds}" + f", {len(bad)} discarded" * bool(bad))
        turn = (len(good) + len(bad)) % len(names)
        measured = {name: measures[name]() for name in names[turn:] + names[:turn]}
        (good if all(one.quiet for one in measured.values()) else bad).append(measured)
    counted = good or bad
    return Series({name: [one[name] for one in counted] for name in names}, len(bad), not good)


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, lowest, highest."""
    return statistics.median(values), min(values), max(values)


def as_json(series: Series, name: str) -> dict[str, Any]:
    regions = series.regions[name]
    return {
        "rates": [measured.rate for measured in regions],
        "seconds": [measured.seconds for measured in regions],
        "cores_used": [measured.used for measured in regions],
        "cores_available": [measured.available for measured in regions],
        "discarded": series.discarded,
        "noisy": series.noisy,
    }
