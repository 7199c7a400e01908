"""The thread sweep: the speed of each map with different numbers of threads, also relative to a dict.

    python bench/sweep.py [--quick] [--threads 1,2,4] [--reads 100,90] [--shape uniform,hot] [--output build/bench]

Shapes of access: `uniform` (each of 1,000 keys equally often), `large` (the same with 200,000 keys), `zipf` (some keys
far more often), `disjoint` (uniform, but each thread has keys of its own), `hot` (all threads use one key). Without
--quick, also `count`, and `insert` into an empty map. Each thread has key objects of its own, equal to the keys in the
map. The map is a global variable. (keys.py and loops.py say why; goals.py also measures other ways.)

--quick takes about half a minute, and its results are only rough. Without it, the script takes about half an hour.
Writes sweep.json for plot.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counting import Counting, counters
from environment import RESULTS, environment, headline
from loops import READS
from maps import DICT, LOCKED, competitors
from rounds import SHORTEST, Calibrated, Region, as_json, paired_rounds, spread
from workloads import Insert, Mix

SHAPES: dict[str, dict[str, Any]] = {
    "uniform": {},
    "large": {"keys": 200_000},
    "zipf": {"draw": "zipf"},
    "disjoint": {"disjoint": True},
    "hot": {"keys": 1, "draw": "hot"},
}
COUNTED = (1, 16, 10_000)  # numbers of keys
EXTRA = ("insert", "count")

Measure = Callable[[int], Region]  # of a number of repetitions


@dataclass(frozen=True)
class Point:
    """One set of measurements that are compared with each other."""

    title: str
    shape: str
    reads: int | None
    threads: int
    baseline: str
    measures: dict[str, tuple[str, Measure]]  # name of the map: version, measurement
    most: int | None = None  # repetitions


def points(shapes: list[str], reads: list[int], threads: list[int]) -> Iterator[Point]:
    for shape in shapes:
        for number in threads:
            if shape == "count":
                yield from (counting_point(Counting(keys), number) for keys in COUNTED)
            elif shape == "insert":
                yield point("insert 1,000,000 from empty", shape, None, number, Insert())
            else:
                for share in reads:
                    mix = Mix(reads=share, **SHAPES[shape])
                    yield point(f"{share} % reads, {shape}", shape, share, number, mix)


def point(title: str, shape: str, reads: int | None, threads: int, work: Mix | Insert) -> Point:
    def measurement(make: Callable[[], Any]) -> Measure:
        return lambda repetitions: work.measure(make, threads, repetitions)

    measures = {one.name: (one.version, measurement(one.make)) for one in competitors()[0]}
    return Point(title, shape, reads, threads, DICT, measures, getattr(work, "most", None))


def counting_point(work: Counting, threads: int) -> Point:
    def measurement(make: Callable[[], Any], tally: Callable[[Any, list[Any]], None]) -> Measure:
        return lambda repetitions: work.measure(make, tally, threads, repetitions)

    measures = {one.name: (one.version, measurement(one.make, tally)) for one, tally in counters()}
    return Point(f"count {work.keys:,} keys", f"count-{work.keys}", None, threads, LOCKED, measures)


def numbers(said: str) -> list[int]:
    return [int(number) for number in said.split(",")]


def show(point: Point, results: list[dict[str, Any]], discarded: int, noisy: bool) -> None:
    print(f"\n{point.title}, {point.threads} thread{'s' * (point.threads > 1)}", end="")
    print(f": {discarded} rounds discarded" * bool(discarded) + ", none was quiet" * noisy)
    print(f"  {'':24}{'M ops/s':>9}   {f'ratio to {point.baseline} (spread)':33}cores used")
    for result in results:
        rate, used = spread(result["rates"])[0], spread(result["cores_used"])[0]
        ratio, low, high = spread(result["ratios"])
        print(f"  {result['map']:24}{rate:9.2f}   {f'{ratio:5.2f} ({low:.2f} to {high:.2f})':33}{used:.2f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few points, few rounds")
    parser.add_argument("--threads", type=numbers, help="numbers of threads, with commas")
    parser.add_argument("--reads", type=numbers, help=f"per cent of reads, of {READS}")
    parser.add_argument("--shape", help="with commas, of " + ", ".join([*SHAPES, *EXTRA]))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    quick = options.quick
    threads = options.threads or ([1, 2, 4] if quick else [1, 2, 4, 8, 16])
    reads = options.reads or ([100, 90, 0] if quick else list(READS))
    shapes = options.shape.split(",") if options.shape else (["uniform"] if quick else [*SHAPES, *EXTRA])
    rounds = options.rounds or (3 if quick else 7)
    if unknown := set(shapes) - {*SHAPES, *EXTRA}:
        parser.error(f"no such shape: {', '.join(sorted(unknown))}")
    if unknown := set(reads) - set(READS):
        parser.error(f"no loop for these reads: {sorted(unknown)}")
    where, (_, missing) = environment(), competitors()
    print(headline(where), *missing, sep="\n", flush=True)
    began = time.monotonic()
    results = []
    for one in points(shapes, reads, threads):

        def progress(said: str, one: Point = one) -> None:
            if sys.stderr.isatty():
                print(f"\r{one.title}, {one.threads} threads, {said} ", end="", file=sys.stderr, flush=True)

        shortest = SHORTEST if quick else 2 * SHORTEST
        measures = {
            name: Calibrated(measure, shortest=shortest, most=one.most) for name, (_, measure) in one.measures.items()
        }
        attempts = rounds + 1 if quick else 2 * rounds
        series = paired_rounds(measures, rounds, attempts=attempts, progress=progress)
        if sys.stderr.isatty():
            print("\r" + " " * 79 + "\r", end="", file=sys.stderr)
        measured = [
            {
                "title": one.title,
                "shape": one.shape,
                "reads": one.reads,
                "threads": one.threads,
                "baseline": one.baseline,
                "map": name,
                "version": version,
                "ratios": series.ratios(name, one.baseline),
                **as_json(series, name),
            }
            for name, (version, _) in one.measures.items()
        ]
        show(one, measured, series.discarded, series.noisy)
        results += measured
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "sweep.json"
    file.write_text(json.dumps({"environment": where, "missing": missing, "results": results}, indent=1))
    print(f"\n{file}, in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
