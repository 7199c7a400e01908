"""Measures the time to move a cache line between two cores of this machine.

    python bench/cache_line.py [--cpus 0,1] [--rounds 11] [--output build/bench]

Compiles cache_line.c with the C compiler of the system. Writes cache_line.json, which scaling.py uses for its
estimates. Takes a few seconds. It prints the median of the rounds, with the lowest and highest. If another program runs
on one of the cores, a round is meaningless, not just slower. So use the median only if the spread is small.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from shutil import which

from environment import RESULTS, environment, headline
from rounds import spread

SOURCE = Path(__file__).with_name("cache_line.c")
MEASURED = {
    "handover": "a line goes from one core to the other",
    "shared": "an atomic addition to a line that the other core adds to as well",
    "spaced": "the same with other work in between, as in a program",
    "apart": "an atomic addition to a line of the core's own",
    "read": "a read of a line that both cores read",
}
PATIENCE = 30.0  # seconds; after them, the rounds so far are enough, because something else uses the cores


class Impossible(Exception):
    """Why this cannot be measured here."""


def two_cpus() -> tuple[int, int]:
    if not hasattr(os, "sched_getaffinity"):
        raise Impossible("this system cannot bind threads to CPUs")
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise Impossible("there is only one CPU: no line ever moves")
    return available[0], available[-1]


def compiler() -> list[str]:
    for candidate in (os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"):
        words = shlex.split(candidate or "")
        if words and which(words[0]):
            return words[:1]
    raise Impossible("there is no C compiler")


def measure(cpus: tuple[int, int], rounds: int) -> dict[str, list[float]]:
    """Nanoseconds, of each round."""
    took: dict[str, list[float]] = {name: [] for name in MEASURED}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "cache_line"
        command = [*compiler(), "-O2", "-std=gnu11", "-pthread", str(SOURCE), "-o", str(program)]
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode != 0:
            raise Impossible(f"{shlex.join(command)} failed:\n{built.stderr}")
        deadline = time.monotonic() + PATIENCE
        for _ in range(rounds):
            left = deadline - time.monotonic()
            try:
                ran = subprocess.run([program, *map(str, cpus)], capture_output=True, text=True, timeout=max(left, 0.1))
            except subprocess.TimeoutExpired:
                break  # the two threads hardly ever run at the same time
            if ran.returncode == 5:
                continue  # something else used the cores
            if ran.returncode != 0:
                raise Impossible(f"could not run on CPUs {cpus[0]} and {cpus[1]} (exit status {ran.returncode})")
            for name, said in zip(MEASURED, ran.stdout.split(), strict=True):
                took[name].append(float(said))
    if not took["handover"]:
        raise Impossible("something else used the two cores all the time")
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpus", help="two CPUs, with a comma; else the first and the last that may be used")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    where = environment()
    print(headline(where))
    try:
        first, second = [int(cpu) for cpu in options.cpus.split(",")] if options.cpus else two_cpus()
        took = measure((first, second), options.rounds)
    except Impossible as why:
        print(f"cannot measure this: {why}")
        return 0
    print(f"CPUs {first} and {second}, nanoseconds:")
    for name, meaning in MEASURED.items():
        middle, low, high = spread(took[name])
        print(f"  {middle:8.2f}  ({low:.2f} to {high:.2f})  {meaning}")
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "cache_line.json"
    file.write_text(json.dumps({"environment": where, "cpus": [first, second], "nanoseconds": took}, indent=1))
    print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
