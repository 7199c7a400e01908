"""Comparisons with other libraries, with one thread and with two: a table for each title, and a file of results."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from environment import RESULTS, environment, headline
from rounds import Calibrated, paired_rounds, spread


def compare_with_threads(
    description: str, file: str, titles: Mapping[str, Mapping[str, Calibrated]], ratios_to: str | None = None
) -> int:
    """Measures functions named "name | threads" in paired rounds. `ratios_to`: the tables also have the ratios to this
    name, within each round."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    print(headline(environment()))
    results: dict[str, Any] = {"environment": environment()}
    for title, measures in titles.items():
        series = paired_rounds(measures, options.rounds)
        print(f"\n{title}: million a second, median (lowest to highest)\n")
        beside = [] if ratios_to is None else [f"to {ratios_to}, {threads}" for threads in (1, 2)]
        columns = ["", "1 thread", "2 threads", "gain", *beside]
        print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        for name in dict.fromkeys(name.rsplit(" | ", 1)[0] for name in measures):
            cells = []
            for threads in (1, 2):
                median, least, most = spread([one.rate for one in series.regions[f"{name} | {threads}"]])
                cells.append(f"{median:.2f} ({least:.2f} to {most:.2f})")
                results.setdefault(title, {}).setdefault(name, {})[threads] = [median, least, most]
            gain, _, _ = spread(series.ratios(f"{name} | 2", f"{name} | 1"))
            cells.append(f"{gain:.2f}")
            for threads in (1, 2) if ratios_to is not None else ():
                ratio, least, most = spread(series.ratios(f"{name} | {threads}", f"{ratios_to} | {threads}"))
                cells.append(f"{ratio:.2f} ({least:.2f} to {most:.2f})")
                results[title][name][f"{threads} to {ratios_to}"] = [ratio, least, most]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        if series.noisy:
            print("\nNo round was quiet: other programs ran on this machine.")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / file).write_text(json.dumps(results, indent=1))
    return 0
