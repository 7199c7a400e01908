"""Draws build/bench/results.json: ratios to dict for each workload, light and dark.

python bench/plot.py [build/bench]
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt

COLOURS = ["#8a8f98", "#b9bec6", "#d9480f", "#1c7ed6", "#2b8a3e"]


def draw(data: dict[str, Any], threads: int, dark: bool, file: Path) -> None:
    results = [r for r in data["results"] if r["threads"] == threads]
    titles = list(dict.fromkeys(r["title"] for r in results))
    maps = list(dict.fromkeys(r["map"] for r in results))
    where = data["environment"]
    with plt.style.context("dark_background" if dark else "default"):
        figure, axes = plt.subplots(figsize=(9, 0.62 * len(titles) * max(1, len(maps) / 4) + 1.4))
        height = 0.8 / len(maps)
        for number, name in enumerate(maps):
            mine = {r["title"]: r["ratios"] for r in results if r["map"] == name}
            middles = [statistics.median(mine[t]) for t in titles]
            places = [row + number * height for row in range(len(titles))]
            errors = [
                [m - min(mine[t]) for m, t in zip(middles, titles, strict=True)],
                [max(mine[t]) - m for m, t in zip(middles, titles, strict=True)],
            ]
            colour = COLOURS[number % len(COLOURS)]
            axes.barh(places, middles, height, xerr=errors, color=colour, ecolor="#888", label=name)
            for place, middle in zip(places, middles, strict=True):
                axes.text(middle, place, f" {middle:.2f}", va="center", fontsize=7)
        axes.axvline(1, color="#888", linewidth=0.8, linestyle=":")
        axes.set_yticks([row + 0.4 - height / 2 for row in range(len(titles))], titles)
        axes.invert_yaxis()
        axes.set_xlabel("operations per second, relative to one dict (median; spread of the rounds)")
        gil = "on" if where["gil"] else "off"
        axes.set_title(
            f"{threads} thread{'s' * (threads > 1)} on one map: Python {where['python']}, GIL {gil}, "
            f"{where['cpus']} CPUs",
            fontsize=10,
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, loc="lower right", frameon=False)
        figure.tight_layout()
        figure.savefig(file, transparent=dark)
        plt.close(figure)
    print(file)


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/bench")
    data = json.loads((folder / "results.json").read_text())
    for threads in sorted({r["threads"] for r in data["results"]}):
        for dark in (False, True):
            draw(data, threads, dark, folder / f"threads-{threads}{'-dark' if dark else ''}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
