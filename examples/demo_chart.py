"""Draw the results of demo.py: demo.svg and demo-dark.svg.

    python examples/demo_chart.py [build/demo]

One row of panels for each interpreter that the demo ran on. Needs matplotlib, so it may well run on another
interpreter than those that were measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

try:
    import matplotlib
except ImportError:
    sys.exit("no chart: matplotlib is not installed")

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes

RESULTS = ("gil.json", "free-threaded.json")


class Palette(NamedTuple):
    background: str
    text: str
    faint: str
    grid: str
    bar: str
    accent: str


PALETTES = {
    "demo.svg": Palette("#ffffff", "#1f2328", "#59636e", "#e4e7eb", "#b3bcc7", "#2468b2"),
    "demo-dark.svg": Palette("#0d1117", "#e6edf3", "#9aa4af", "#262c36", "#4d5866", "#58a6ff"),
}


class Bar(NamedTuple):
    label: str
    value: float
    low: float
    high: float
    ours: bool
    text: str


class Panel(NamedTuple):
    title: str
    unit: str
    bars: list[Bar]


def counting_panel(results: dict[str, Any]) -> Panel:
    bars = []
    for row in results["results"]:
        if row["variant"] == "counting":
            speed = row["million_words_per_second"]
            low, high = speed * row["median"] / row["max"], speed * row["median"] / row["min"]
            bars.append(Bar(row["label"], speed, low, high, row["way"] == "shardmap", f"{speed:.1f}"))
    title = f"Counting words, {results['threads']} threads"
    return Panel(title, "million words a second; longer is better", bars)


def cache_panel(results: dict[str, Any]) -> Panel:
    bars = []
    for row in results["results"]:
        low, high = row["million_hits_spread"]
        text = f"{row['million_hits']:.1f}"
        bars.append(Bar(row["label"], row["million_hits"], low, high, row["way"] == "shardmap", text))
    title = f"Hits in a shared cache, {results['threads']} threads"
    return Panel(title, "million hits a second; longer is better", bars)


def entries_panel(results: dict[str, Any]) -> Panel:
    bars = []
    for row in results["results"]:
        seconds = row["seconds"]
        bars.append(Bar(row["label"], seconds, seconds, seconds, row["way"] == "shardmap", f"{seconds:.2f} s"))
    return Panel("Ten threads, an entry each", "seconds; shorter is better", bars)


PANELS = {"counting": counting_panel, "entries": entries_panel, "cache": cache_panel}


def draw_panel(axes: Axes, panel: Panel, palette: Palette) -> None:
    places = range(len(panel.bars))
    values = [bar.value for bar in panel.bars]
    spread = [[bar.value - bar.low for bar in panel.bars], [bar.high - bar.value for bar in panel.bars]]
    colors = [palette.accent if bar.ours else palette.bar for bar in panel.bars]
    axes.barh(places, values, height=0.62, color=colors, zorder=2)
    if any(spread[0]) or any(spread[1]):
        axes.errorbar(values, places, xerr=spread, fmt="none", ecolor=palette.text, elinewidth=1.1, capsize=3, zorder=3)
    for place, bar in zip(places, panel.bars, strict=True):
        axes.annotate(
            bar.text,
            (bar.high, place),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=palette.text,
        )
    axes.set_title(panel.title, loc="left", fontsize=11, color=palette.text, pad=8)
    axes.set_yticks(places, [bar.label for bar in panel.bars], fontsize=9.5, color=palette.text)
    axes.set_xlabel(panel.unit, fontsize=9, color=palette.faint)
    axes.set_xlim(0, max(bar.high for bar in panel.bars) * 1.25)  # room for the text at the bars
    axes.tick_params(axis="x", labelsize=9, colors=palette.faint, length=0)
    axes.tick_params(axis="y", length=0, pad=7)
    axes.grid(axis="x", color=palette.grid, linewidth=0.8, zorder=0)
    axes.invert_yaxis()


def heading(results: dict[str, Any]) -> str:
    python = results["python"]
    kind = "with a GIL" if python["gil_enabled"] else "free-threaded"
    return (
        f"{python['implementation']} {python['version']}, {kind}: an empty loop in {results['usable_cores']} threads "
        f"runs {results['empty_loop']:.2f} times as fast as in one"
    )


def draw(all_results: Sequence[dict[str, Any]], path: Path, palette: Palette) -> None:
    # A part that only the first interpreter ran is in the first row only.
    names = [name for name in PANELS if any(name in results["parts"] for results in all_results)]
    rows = len(all_results)
    figure, grid = pyplot.subplots(rows, len(names), figsize=(5.2 * len(names), 2.9 * rows), squeeze=False)
    figure.set_facecolor(palette.background)
    for line, results in zip(grid, all_results, strict=True):
        for axes, name in zip(line, names, strict=True):
            axes.set_facecolor(palette.background)
            axes.spines[:].set_visible(False)
            if name in results["parts"]:
                draw_panel(axes, PANELS[name](results["parts"][name]), palette)
            else:
                axes.axis("off")
    top = 1 - 0.09 / rows
    figure.tight_layout(rect=(0, 0, 1, top), w_pad=2, h_pad=5)
    for line, results in zip(grid, all_results, strict=True):
        above = line[0].get_position().y1 + 0.15 / rows
        figure.text(0.012, above, heading(results), fontsize=12, fontweight="bold", color=palette.text)
    figure.savefig(path, facecolor=palette.background, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("directory", type=Path, nargs="?", default=Path("build/demo"), help="%(default)s")
    options = parser.parse_args(arguments)
    paths = [path for name in RESULTS if (path := options.directory / name).is_file()]
    if not paths:
        parser.error(f"no results in {options.directory}: run demo.py first")
    all_results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    matplotlib.rcParams["svg.hashsalt"] = "demo"  # the same results give the same file
    for name, palette in PALETTES.items():
        draw(all_results, options.directory / name, palette)
        print(f"chart: {options.directory / name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
