"""Draw the results of wordcount.py as bar charts: wordcount.svg and wordcount-dark.svg.

    python examples/wordcount_chart.py [build/demo/results.json]

The charts are written next to the results. Needs matplotlib, so it may well run on another
interpreter than the one that was measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes

TITLES = {"whole": "Whole work: read, split, count", "counting": "Counting alone"}


class Palette(NamedTuple):
    background: str
    text: str
    faint: str
    grid: str
    bar: str
    accent: str


PALETTES = {
    "wordcount.svg": Palette("#ffffff", "#1f2328", "#59636e", "#e4e7eb", "#b3bcc7", "#2468b2"),
    "wordcount-dark.svg": Palette("#0d1117", "#e6edf3", "#9aa4af", "#262c36", "#4d5866", "#58a6ff"),
}


def row_label(row: dict[str, Any]) -> str:
    threads = row["threads"]
    if row["means"] == "single":
        return str(row["label"])
    return f"{threads} thread{'s' * (threads > 1)}, {row['label']}"


def draw_variant(axes: Axes, title: str, rows: list[dict[str, Any]], palette: Palette) -> None:
    """One panel: a bar for each means, the speed in the median round, with the spread."""
    places = range(len(rows))
    speeds = [row["million_words_per_second"] for row in rows]
    slowest = [speed * row["median"] / row["max"] for speed, row in zip(speeds, rows, strict=True)]
    fastest = [speed * row["median"] / row["min"] for speed, row in zip(speeds, rows, strict=True)]
    spread = [
        [speed - slow for speed, slow in zip(speeds, slowest, strict=True)],
        [fast - speed for speed, fast in zip(speeds, fastest, strict=True)],
    ]
    colors = [palette.accent if row["means"] == "shardmap" else palette.bar for row in rows]
    axes.barh(places, speeds, height=0.62, color=colors, zorder=2)
    axes.errorbar(
        speeds,
        places,
        xerr=spread,
        fmt="none",
        ecolor=palette.text,
        elinewidth=1.1,
        capsize=3,
        zorder=3,
    )
    for place, speed, end, row in zip(places, speeds, fastest, rows, strict=True):
        axes.annotate(
            f"{speed:.2f}  ({row['median']:.2f} s)",
            (end, place),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=palette.text,
        )
    axes.set_title(title, loc="left", fontsize=11, color=palette.text, pad=8)
    axes.set_yticks(places, [row_label(row) for row in rows], fontsize=10, color=palette.text)
    axes.set_xlabel("million words per second, longer is better", fontsize=9, color=palette.faint)
    axes.tick_params(axis="x", labelsize=9, colors=palette.faint, length=0)
    axes.tick_params(axis="y", length=0, pad=7)
    axes.grid(axis="x", color=palette.grid, linewidth=0.8, zorder=0)
    axes.set_facecolor(palette.background)
    axes.spines[:].set_visible(False)


def draw(results: dict[str, Any], path: Path, palette: Palette) -> None:
    python, corpus = results["python"], results["corpus"]
    build = ", free-threaded build" if python["free_threaded_build"] else ""
    gil = "on" if python["gil_enabled"] else "off"
    title = (
        f"Counting the words of the standard library: {python['implementation']} "
        f"{python['version']}{build}, GIL {gil}, {results['usable_cores']} cores"
    )
    below = (
        f"{corpus['words']:,} words ({corpus['distinct_words']:,} distinct) in "
        f"{corpus['files']:,} files, {corpus['megabytes']:.1f} MB. Bars: median of "
        f"{results['rounds']} rounds; lines: fastest to slowest. "
        "Counters count by Counter.update(), a loop in C."
    )
    if python["gil_enabled"]:
        below += "\nThe GIL is on: threads take turns, so the bars show overhead, not scaling."
    figure, panels = pyplot.subplots(1, 2, figsize=(11.5, 3.9), sharex=True, sharey=True)
    figure.set_facecolor(palette.background)
    for axes, (variant, panel_title) in zip(panels, TITLES.items(), strict=True):
        rows = [row for row in results["results"] if row["variant"] == variant]
        draw_variant(axes, panel_title, rows, palette)
    longest = max(corpus["words"] / row["min"] / 1e6 for row in results["results"])
    panels[0].set_xlim(0, longest * 1.35)  # room for the text at the bars
    panels[0].invert_yaxis()
    figure.text(0.012, 0.94, title, fontsize=13, fontweight="bold", color=palette.text)
    figure.text(0.012, 0.025, below, fontsize=8.5, color=palette.faint)
    figure.tight_layout(rect=(0, 0.09, 1, 0.93), w_pad=2)
    figure.savefig(path, facecolor=palette.background, metadata={"Date": None})
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    default = Path("build/demo/results.json")
    parser.add_argument("results", type=Path, nargs="?", default=default, help="%(default)s")
    options = parser.parse_args(arguments)
    try:
        results = json.loads(options.results.read_text(encoding="utf-8"))
    except FileNotFoundError:
        parser.error(f"no {options.results}: run wordcount.py first")
    matplotlib.rcParams["svg.hashsalt"] = "wordcount"  # the same results give the same file
    for name, palette in PALETTES.items():
        path = options.results.with_name(name)
        draw(results, path, palette)
        print(f"Written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
