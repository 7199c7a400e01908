"""Measures maps side by side: one process, rounds interleaved, medians of the rounds' ratios to dict.

    python bench/run.py [--threads 1,2] [--rounds 7] [--only read,overwrite] [--output build/bench]

Writes results.json for bench/plot.py. These machines are noisy: look at the spread, and at the cores that
were really used (where fewer than the threads, something else ran, and the threads contended less).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import sysconfig
from pathlib import Path
from typing import Any

from maps import competitors
from workloads import WORKLOADS, measure


def environment() -> dict[str, Any]:
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return {
        "python": platform.python_version(),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil": gil,
        "cpu": cpu_name(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0],
        "platform": platform.platform(),
    }


def cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, lowest, highest."""
    return statistics.median(values), min(values), max(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="names of workloads, with commas")
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    numbers = [int(number) for number in options.threads.split(",")]
    chosen = [w for w in WORKLOADS if not options.only or w.name in options.only.split(",")]
    everybody, missing = competitors()
    where = environment()
    gil = "on" if where["gil"] else "off"
    print(f"Python {where['python']}, GIL {gil}, {where['cpus']} CPUs ({where['cpu']})")
    for sentence in missing:
        print(sentence)
    results = []
    for workload in chosen:
        maps = [m for m in everybody if (m.tally if workload.counting else m.store)]
        baseline = "dict + Lock" if workload.counting else "dict"
        for threads in [8] if workload.counting else numbers:
            rates: dict[str, list[float]] = {m.name: [] for m in maps}
            busy: dict[str, list[float]] = {m.name: [] for m in maps}
            for round_number in range(options.rounds):
                progress = f"{workload.title}, {threads} threads, round {round_number + 1}"
                print(f"\r{progress} ", end="", file=sys.stderr)
                # Paired: each round has every map once; the order turns, so that nobody is always first.
                turn = round_number % len(maps)
                for m in maps[turn:] + maps[:turn]:
                    measured = measure(workload, m, threads)
                    rates[m.name].append(measured.rate)
                    busy[m.name].append(measured.busy)
            print("\r" + " " * 70 + "\r", end="", file=sys.stderr)
            print(f"\n{workload.title}, {threads} thread{'s' * (threads > 1)}")
            print(f"  {'':24}{'M ops/s':>9}   {f'ratio to {baseline} (spread)':33}cores used")
            for m in maps:
                ratios = [mine / base for mine, base in zip(rates[m.name], rates[baseline], strict=True)]
                ratio, low, high = spread(ratios)
                said = f"{ratio:5.2f} ({low:.2f} to {high:.2f})"
                rate, used = statistics.median(rates[m.name]), statistics.median(busy[m.name])
                print(f"  {m.name:24}{rate:9.2f}   {said:33}{used:.2f}")
                results.append(
                    {
                        "workload": workload.name,
                        "title": workload.title,
                        "baseline": baseline,
                        "threads": threads,
                        "map": m.name,
                        "version": m.version,
                        "rates": rates[m.name],
                        "ratios": ratios,
                        "cores_used": busy[m.name],
                    }
                )
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "results.json"
    file.write_text(json.dumps({"environment": where, "missing": missing, "results": results}, indent=1))
    print(f"\n{file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
