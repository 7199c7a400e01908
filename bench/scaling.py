"""Estimates the speed with more cores than this machine has, from measurements on this machine.

    python bench/scaling.py [--sweep build/bench/sweep.json] [--lines build/bench/cache_line.json] [--cores 2,8,64,256]

This is a model, not a measurement. docs/scaling.md says where its inputs come from and what it leaves out. N threads,
one on each core, repeat an operation. A thread needs the time `work` for it, which is measured with one thread. In
addition, the operation visits cache lines that other cores write, too. Each such line is a server with a queue, because
one core has it at a time. A visit takes the time to move the line from core to core. If the line is a lock, it also
takes the time for which the lock is held (which then does not count as work). This is a closed queueing network. Mean
value analysis (Reiser and Lavenberg 1980) solves it exactly:

    R_k(n) = s_k * (1 + Q_k(n - 1))        one visit to line k, with n threads
    X(n)   = n / (work + sum of v_k R_k)   operations per second, v_k visits per operation
    Q_k(n) = X(n) v_k R_k                  mean number of threads at line k

So X(n) first grows like n / (work + visits), and its limit is 1 / max(v_k s_k): the line that is written most decides.
The model has the form of Amdahl's law (the lines are the serial part), and adds the queueing that the law leaves out.
The universal scalability law has a coherence term, by which many cores are slower than few. Here only s_k contains it:
on a larger machine a line takes longer to move, and that time is not known here. So there are two columns. `spaced` is
the cost of an addition to a line that one other core writes, too (cache_line.py). `handover` is the full time to move
the line, as if every visit found the line on another core. With two cores, the true value is near the first; with many,
near the second.
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

SHARDS_PER_CPU, MOST_SHARDS = 8, 256  # as in shardmap/_map.py
CORES = (2, 8, 64, 256)
FT_UTILS_DICTS = 17
HELD = 0.5  # the part of a write's work that is done while the lock is held


@dataclass(frozen=True)
class Lines:
    """Cache lines of one kind that several cores write."""

    what: str
    visits: float  # of one operation, to any of them
    among: int = 1  # how many such lines there are, used evenly
    held: float = 0.0  # the part of the work that is done while no other core may have the line


def shards(cores: int) -> int:
    """ShardMap's default."""
    return min(MOST_SHARDS, 1 << (SHARDS_PER_CPU * cores - 1).bit_length())


def lines_of(name: str, reads: bool, cores: int, keys: int) -> list[Lines] | None:
    """The cache lines that one operation writes, as docs/scaling.md derives them from the sources: the map is a global,
    each thread has key objects of its own, values are immortal. None: not known for this map."""
    head = Lines("reference count of the map", 2)
    stored = Lines("reference count of the stored key", 2, keys)
    if name == DICT:
        # Lock and reference count are in one cache line, the object's head.
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
    """The limit for any number of cores, in operations per nanosecond, and the line that causes it."""
    demands = [(line.visits * (way + work * line.held) / line.among, line.what) for line in lines if line.visits]
    if not demands:
        return None
    most, what = max(demands)
    return 1 / most, what


def measured(sweep: dict[str, Any], shape: str, reads: int) -> tuple[dict[str, float], dict[str, float]]:
    """For each map: nanoseconds of processor time of an operation with one thread, on which other load has little
    influence; and million operations a second with two threads."""
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
        print(f"there is no {' and no '.join(missing)}: run bench/sweep.py and bench/cache_line.py first")
        return 0
    took = json.loads(options.lines.read_text())["nanoseconds"]
    ways = {name: statistics.median(took[name]) for name in ("spaced", "handover")}
    print("\n".join(report(json.loads(options.sweep.read_text()), ways, options.cores)).strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
