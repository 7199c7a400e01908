"""What to expect with more cores than this machine has, from what can be measured on it.

    python bench/scaling.py [--sweep build/bench/sweep.json] [--lines build/bench/cache_line.json] [--cores 2,8,64,256]

A model, not a measurement; docs/scaling.md says where its inputs come from and what it leaves out. N threads, one on
each core, repeat an operation. It costs a thread `work`: its time with one thread, measured. On top of that it visits
cache lines that other cores write as well. Each such line is a server with a queue: one core has it at a time. A visit
takes the line's way from core to core, and, where the line is a lock, the time the lock is held (which the work then
does not count twice). That is a closed queueing network, and mean value analysis (Reiser and Lavenberg 1980)
solves it exactly:

    R_k(n) = s_k * (1 + Q_k(n - 1))        one visit to line k, with n threads
    X(n)   = n / (work + sum of v_k R_k)   operations per second, v_k visits per operation
    Q_k(n) = X(n) v_k R_k                  mean number of threads at line k

so X(n) goes with n / (work + visits) at first and ends at 1 / max(v_k s_k): the line that is written most decides.
It has the form of Amdahl's law (the lines are the serial part) with the queueing that the law leaves out. The universal
scalability law's coherence term, by which more cores end up slower than fewer, is in s_k only: the way of a line on a
larger machine is longer, and is not known here. Hence two columns: `spaced`, what an addition to a line costs that one
other core writes too (cache_line.py), and `handover`, the line's full way, as if every single visit found the line
elsewhere. With two cores it is near the first, with many near the second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environment import RESULTS
from maps import CEREGGII, DICT, FT_UTILS, SHARDMAP

CORES = (2, 8, 64, 256)
MOST_SHARDS = 256
FT_UTILS_DICTS = 17
HELD = 0.5  # of the work of a write, done while the lock is held


@dataclass(frozen=True)
class Lines:
    """Lines of one sort that cores other than this one write as well."""

    what: str
    visits: float  # of one operation, to any of them
    among: int = 1  # how many such lines there are, used evenly
    held: float = 0.0  # of the work: the part done while nobody else may have the line


def shards(cores: int) -> int:
    """ShardMap's default."""
    return min(MOST_SHARDS, 1 << (4 * cores - 1).bit_length())


def lines_of(name: str, reads: bool, cores: int, keys: int) -> list[Lines] | None:
    """What one operation writes, as docs/scaling.md derives it from the sources: the map a global, keys equal to those
    in the map but each thread's own, values immortal. None: not known for this map."""
    head = Lines("reference count of the map", 2)
    stored = Lines("reference count of the stored key", 2, keys)
    if name == DICT:
        # Lock and reference count are in one line: the object's head.
        return [head, stored] if reads else [Lines("head of the dict: reference count and lock", 3, 1, HELD / 3)]
    if name == CEREGGII:
        return [head] if reads else [head, Lines("entry", 1, keys)]
    if name == FT_UTILS:
        return [head, stored] if reads else [head, Lines("lock of a dict", 1, FT_UTILS_DICTS, HELD)]
    if name == SHARDMAP:
        return [] if reads else [Lines("lock of a shard", 1, shards(cores), HELD)]
    return None


def throughput(cores: int, work: float, lines: Sequence[Lines], way: float) -> float:
    """Operations per nanosecond of `cores` threads by mean value analysis; `work` and `way` in nanoseconds."""
    if cores == 1:
        return 1 / work
    private = work * (1 - sum(line.held * line.visits for line in lines))
    service = [way + work * line.held for line in lines]
    queues = [0.0] * len(lines)  # at one line of each sort
    answer = 0.0
    for threads in range(1, cores + 1):
        visits = [line.visits * s * (1 + q) for line, s, q in zip(lines, service, queues, strict=True)]
        answer = threads / (private + sum(visits))
        queues = [answer * spent / line.among for line, spent in zip(lines, visits, strict=True)]
    return answer


def limit(lines: Sequence[Lines], work: float, way: float) -> tuple[float, str] | None:
    """Operations per nanosecond that no number of cores exceeds, and the line that sets it."""
    demands = [(line.visits * (way + work * line.held) / line.among, line.what) for line in lines if line.visits]
    if not demands:
        return None
    most, what = max(demands)
    return 1 / most, what


def measured(sweep: dict[str, Any], shape: str, reads: int) -> tuple[dict[str, float], dict[str, float]]:
    """Of each map: nanoseconds of processor time of an operation with one thread, which other load on the machine
    hardly changes; and million operations a second with two threads."""
    work, two = {}, {}
    for result in sweep["results"]:
        if result["shape"] == shape and result["reads"] == reads:
            rates, used = result["rates"], result["cores_used"]
            if result["threads"] == 1:
                work[result["map"]] = statistics.median(1e3 * u / r for r, u in zip(rates, used, strict=True))
            elif result["threads"] == 2:
                two[result["map"]] = statistics.median(rates)
    return work, two


def report(sweep: dict[str, Any], ways: dict[str, float], cores: Sequence[int]) -> list[str]:
    rows = []
    for shape, keys in (("uniform", 1_000), ("hot", 1)):
        for reads, title in ((100, "reads"), (0, "overwrites")):
            alone, together = measured(sweep, shape, reads)
            if not alone:
                continue
            rows += [
                "",
                f"{title}, {keys:,} keys: million operations a second, with each visit of a shared line taking "
                + " to ".join(f"{way:.0f} ns ({name})" for name, way in ways.items()),
                "",
                f"| map | work, ns | measured, 2 threads | {' | '.join(f'{n} cores' for n in cores)} "
                f"| limit at {max(cores)} cores, handover |",
                "|---|---|---|" + "---|" * (len(cores) + 1),
            ]
            for name, work in alone.items():
                found = [lines_of(name, reads == 100, n, keys) for n in cores]
                if any(one is None for one in found):
                    continue
                cells = []
                for number, lines in zip(cores, found, strict=True):
                    # One hot key is in one shard, or one of the inner dicts.
                    used = [Lines(x.what, x.visits, min(x.among, keys), x.held) for x in lines or []]
                    speeds = sorted({round(throughput(number, work, used, way) * 1e3, 1) for way in ways.values()})
                    cells.append(" to ".join(f"{speed:,.0f}" for speed in speeds))
                bound = limit(used, work, max(ways.values()))
                two = together.get(name)
                said = "none: nothing shared is written" if bound is None else f"{bound[0] * 1e3:,.0f}: {bound[1]}"
                rows.append(
                    f"| {name} | {work:.0f} | {'' if two is None else f'{two:.0f}'} | {' | '.join(cells)} | {said} |"
                )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweep", type=Path, default=RESULTS / "sweep.json")
    parser.add_argument("--lines", type=Path, default=RESULTS / "cache_line.json")
    parser.add_argument("--cores", type=lambda said: tuple(int(n) for n in said.split(",")), default=CORES)
    options = parser.parse_args()
    missing = [str(file) for file in (options.sweep, options.lines) if not file.is_file()]
    if missing:
        print(f"nothing to go by: {' and '.join(missing)} not there; run bench/sweep.py and bench/cache_line.py first")
        return 0
    took = json.loads(options.lines.read_text())["nanoseconds"]
    ways = {name: statistics.median(took[name]) for name in ("spaced", "handover")}
    print("\n".join(report(json.loads(options.sweep.read_text()), ways, options.cores)).strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
