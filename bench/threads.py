"""The speed of each map with 1 to 16 threads: the picture on the first page.

    python bench/threads.py [--rounds 9] [--output build/bench]

Reads, and overwrites, of 1,000 `str` keys. Each thread has key objects of its own, equal to the keys in the map. The
map is a global variable (keys.py and loops.py say why). Every map with every number of threads is measured once in
each round, and so is an empty loop, which shows what the machine gives to threads that share nothing. More threads
than CPUs are part of it: servers have them. Takes about three minutes. Writes threads.json for plot.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from environment import RESULTS, environment, headline
from goals import LOOP, entry
from maps import DICT, competitors
from rounds import SHORTEST, Calibrated, Region, as_json, paired_rounds, spread
from workloads import EmptyLoop, Mix

THREADS = (1, 2, 4, 8, 16)
WORK = {"reads": Mix(reads=100), "9 reads to 1 write": Mix(reads=90), "overwrites": Mix(reads=0)}


def measures_of(work: Mix, rounds_of: float) -> dict[str, Calibrated]:
    def measurement(one: Mix | EmptyLoop, make: Callable[[], Any], threads: int) -> Callable[[int], Region]:
        return lambda repetitions: one.measure(make, threads, repetitions)

    measures = {
        entry(one.name, threads): Calibrated(measurement(work, one.make, threads), shortest=rounds_of)
        for one in competitors()[0]
        for threads in THREADS
    }
    for threads in THREADS:
        measures[entry(LOOP, threads)] = Calibrated(measurement(EmptyLoop(), dict, threads), shortest=rounds_of)
    return measures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--work", action="append", choices=WORK, help="only this; may be given several times")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    where, (maps, missing) = environment(), competitors()
    print(headline(where), *missing, sep="\n", flush=True)
    written: list[dict[str, Any]] = []
    for title, work in WORK.items():
        if options.work and title not in options.work:
            continue

        def progress(said: str, title: str = title) -> None:
            if sys.stderr.isatty():
                print(f"\r\x1b[K{title}, {said}", end="\r", file=sys.stderr, flush=True)

        series = paired_rounds(measures_of(work, SHORTEST), options.rounds, progress=progress)
        print(f"\n{title}: million a second, median of {len(series.regions[entry(LOOP, 1)])} rounds (ratio to {DICT})")
        print(f"  {'threads':24}" + "".join(f"{threads:>15}" for threads in THREADS))
        for name in [*(one.name for one in maps), LOOP]:
            cells = []
            for threads in THREADS:
                own = entry(name, threads)
                ratios = series.ratios(own, entry(LOOP, 1) if name == LOOP else entry(DICT, threads))
                cells.append(f"{series.rate(own):7.1f} ({spread(ratios)[0]:.2f})")
                result = {"work": title, "map": name, "threads": threads, "ratios": ratios}
                written.append(result | as_json(series, own))
            print(f"  {name:24}" + "".join(f"{cell:>15}" for cell in cells), flush=True)
        print(f"  ({LOOP}: ratio to itself with one thread)")
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "threads.json"
    file.write_text(json.dumps({"environment": where, "results": written}, indent=1) + "\n")
    print(f"\n{file}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
