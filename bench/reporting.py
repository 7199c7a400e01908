"""Reports goals on the terminal, in a table and in a file, for goals.py and beside_dict.py.

A *line* is about one bar: what was measured, and whether the bar is reached. It is a dict, because it is also written
to a file of results.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from environment import RESULTS, environment, headline
from rounds import SHORTEST

Line = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    rounds: int
    attempts: int
    shortest: float  # seconds of a region
    beside: bool


QUICK = Scale(3, 4, SHORTEST, False)
FULL = Scale(11, 33, 2 * SHORTEST, True)


def read_options(description: str, names: Sequence[str]) -> tuple[argparse.Namespace, Scale]:
    """`only` has the names of the goals to measure."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, the goals' own lines only")
    parser.add_argument("--only", default="", help="names of goals, with commas: " + ", ".join(names))
    parser.add_argument("--beside", action=argparse.BooleanOptionalAction, help="the indented lines too")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    if options.rounds:
        scale = replace(scale, rounds=options.rounds, attempts=3 * options.rounds)
    if options.beside is not None:
        scale = replace(scale, beside=options.beside)
    options.only = options.only.split(",") if options.only else list(names)
    if unknown := set(options.only) - set(names):
        parser.error(f"no such goal: {', '.join(sorted(unknown))}")
    return options, scale


def verdict(line: Line) -> str:
    return {True: "reached", False: "NOT REACHED", None: "too noisy"}[line["reached"]]


def amount(value: float, unit: str) -> str:
    """`value` with its unit. Microseconds are converted if the number would be very large or small."""
    if unit == "us" and not 0.1 <= value < 10_000:
        return f"{value * 1e3:.3g} ns" if value < 1 else f"{value / 1e3:,.0f} ms"
    return {"x": f"{value:.2f}x", "bytes": f"{value:,.0f} bytes"}.get(unit) or f"{value:,.3g} {unit}"


def measured(line: Line) -> str:
    """The median, and the spread where there is one."""
    unit = line.get("unit", "x")
    median = f"{amount(line['ratio'], unit):>6}"
    if line["low"] == line["high"]:
        return median
    low, high = (f"{line[end]:.2f}" if unit == "x" else amount(line[end], unit) for end in ("low", "high"))
    return f"{median} ({low} to {high})"


def said(line: Line, number: int) -> str:
    title = f"    {line['beside']}" if line["beside"] else f"{number:2}. {line['title']}"
    if "why" in line:
        return f"{title:67}{line['bar']:28}not measured: {line['why']}"
    noise = f"{line['discarded']} of {line['discarded'] + line['rounds'] * (not line['noisy'])} rounds discarded"
    said = f"{title:67}{line['bar']:28}{measured(line):24}{verdict(line):13}{line['detail']}"
    return f"{said}  {noise}" if line["discarded"] else said


def as_markdown(lines: list[Line], where: dict[str, Any]) -> str:
    rows = [headline(where), "", "| workload | goal | measured (spread) | |", "|---|---|---|---|"]
    for line in lines:
        title = f"&emsp;{line['beside']}" if line["beside"] else line["title"]
        if "why" in line:
            rows.append(f"| {title} | {line['bar']} | not measured: {line['why']} | |")
        else:
            rows.append(f"| {title} | {line['bar']} | {measured(line).strip()} | {verdict(line)} |")
    return "\n".join(rows) + "\n"


class Report:
    """Prints each line as soon as it is measured, and writes all lines at the end."""

    def __init__(self, missing: list[str]) -> None:
        self.where = environment()
        self.missing = missing
        self.lines: list[Line] = []
        self.raw: list[dict[str, Any]] = []  # all measurements, for the file
        self.began = time.monotonic()
        print(headline(self.where), *missing, sep="\n", flush=True)

    def progress(self, what: str) -> Callable[[str], None]:
        def show(said: str) -> None:
            if sys.stderr.isatty():
                print(f"\r{what} {said} ", end="", file=sys.stderr, flush=True)

        return show

    def add(self, line: Line, number: int) -> None:
        if sys.stderr.isatty():
            print("\r" + " " * 79 + "\r", end="", file=sys.stderr, flush=True)
        self.lines.append(line)
        print(said(line, number), flush=True)

    def finish(self, name: str, output: Path) -> int:
        counted = [line for line in self.lines if not line["beside"] and line["reached"] is not None]
        reached = sum(line["reached"] for line in counted)
        noisy = sum(line.get("noisy", False) for line in self.lines if not line["beside"])
        print(f"\n{reached} of {len(counted)} measured bars reached, in {time.monotonic() - self.began:.0f} s")
        if noisy:
            print(f"{noisy} could not be measured: the machine was never quiet for a whole round. Try without load.")
        output.mkdir(parents=True, exist_ok=True)
        file = output / f"{name}-{'gil' if self.where['gil'] else 'free-threaded'}.json"
        written = {"environment": self.where, "missing": self.missing, "lines": self.lines, "measurements": self.raw}
        file.write_text(json.dumps(written, indent=1))
        file.with_suffix(".md").write_text(as_markdown(self.lines, self.where))
        print(file)
        return 0
