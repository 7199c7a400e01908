"""Draws what threads.py, sweep.py and goals.py measured as SVG, each light and dark.

    python bench/plot.py [build/bench] [--output docs/benchmarks]

threads.svg: operations per second by number of threads. goals.svg: the goals' ratios and their bars. mixes.svg: ratios
to dict by mix, with as many threads as CPUs. Needs matplotlib. It may run on another interpreter than the measured one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.figure import Figure

from environment import RESULTS


class Palette(NamedTuple):
    background: str
    text: str
    faint: str
    grid: str
    maps: dict[str, str]


LIGHT = Palette(
    "#ffffff",
    "#1f2328",
    "#59636e",
    "#e4e7eb",
    {
        "ShardMap": "#2468b2",
        "ShardMap.count": "#7fb0e6",
        "dict": "#59636e",
        "dict + Lock": "#a3abb5",
        "Counter + Lock": "#c9ced5",
        "cereggii AtomicDict": "#d4731c",
        "ft_utils ConcurrentDict": "#3d8b40",
    },
)
DARK = Palette(
    "#0d1117",
    "#e6edf3",
    "#9aa4af",
    "#262c36",
    LIGHT.maps | {"ShardMap": "#58a6ff", "dict": "#c9d1d9", "dict + Lock": "#6e7681", "cereggii AtomicDict": "#f0963c"},
)
SPARE = "#8250df"  # for other maps
Results = list[dict[str, Any]]


def where_line(where: dict[str, Any]) -> str:
    gil = "on" if where["gil"] else "off"
    return f"Python {where['python']}, GIL {gil}, {where['cpus']} CPUs ({where['cpu']}), {where['when'][:10]}"


def caveat(results: Results) -> str:
    noisy = sum(bool(result.get("noisy")) for result in results)
    return f"; {noisy} of {len(results)} without a quiet round" * bool(noisy)


def style(palette: Palette) -> Any:
    return {
        "svg.fonttype": "none",  # text stays text: small, and can be searched
        "svg.hashsalt": "shardmap",
        "font.family": "sans-serif",
        "font.size": 9,
        "figure.facecolor": palette.background,
        "axes.facecolor": palette.background,
        "axes.edgecolor": palette.faint,
        "axes.labelcolor": palette.text,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": palette.grid,
        "text.color": palette.text,
        "xtick.color": palette.faint,
        "ytick.color": palette.text,
        "legend.frameon": False,
    }


def names_in_order(results: Results) -> list[str]:
    return list(dict.fromkeys(result["map"] for result in results))


def quartiles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def draw_threads(data: dict[str, Any], palette: Palette) -> Figure | None:
    """Lines: million operations a second by number of threads. Dashed: ShardMap's speed with one thread, times the
    speed-up of an empty loop, which is what the machine allows."""
    results: Results = data["results"]
    works = list(dict.fromkeys(result["work"] for result in results))
    figure, panels = pyplot.subplots(1, len(works), figsize=(3.7 * len(works), 3.7), squeeze=False)
    for axes, work in zip(panels[0], works, strict=True):
        rates = {(one["map"], one["threads"]): one["rates"] for one in results if one["work"] == work}
        numbers = sorted({threads for _, threads in rates})
        maps = [name for name in dict.fromkeys(name for name, _ in rates) if name != "empty loop"]
        for name in maps:
            colour = palette.maps.get(name, SPARE)
            middle = [statistics.median(rates[name, number]) for number in numbers]
            width = 2.6 if name == "ShardMap" else 1.5
            axes.plot(numbers, middle, "o-", color=colour, linewidth=width, markersize=4.5, label=name)
            for number, value in zip(numbers, middle, strict=True):
                low, high = quartiles(rates[name, number])
                axes.plot([number, number], [low, high], color=colour, linewidth=1, alpha=0.8)
                if name in ("ShardMap", "dict") and number == numbers[-1]:
                    axes.annotate(
                        f"{value:.0f}", (number, value), xytext=(7, -3), textcoords="offset points", color=colour
                    )
        alone = statistics.median(rates["ShardMap", 1])
        loop = [statistics.median(rates["empty loop", number]) for number in numbers]
        allowed = [alone * each / loop[0] for each in loop]
        axes.plot(numbers, allowed, "--", color=palette.faint, linewidth=1, label="an empty loop, scaled to ShardMap")
        axes.set_title(work, fontsize=10)
        axes.set_xscale("log", base=2)
        axes.set_xticks(numbers, [str(number) for number in numbers])
        axes.minorticks_off()
        axes.set_xlabel("threads")
        axes.set_ylim(bottom=0)
    panels[0][0].set_ylabel("million a second, all threads; 1,000 keys")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, bbox_to_anchor=(0.5, 0.04))
    said = where_line(data["environment"]) + caveat(results)
    figure.text(0.5, 0.01, said, ha="center", fontsize=7.5, color=palette.faint)
    title = "Threads that share a dict slow each other down. A ShardMap keeps its speed."
    figure.text(0.02, 0.955, title, fontsize=11, fontweight="bold")
    figure.tight_layout(rect=(0, 0.14, 1, 0.95))
    return figure


def draw_mixes(data: dict[str, Any], palette: Palette) -> Figure | None:
    """Bars: the ratio to the baseline by mix, at as many threads as there are CPUs."""
    numbers = {result["threads"] for result in data["results"]}
    most = max((number for number in numbers if number <= max(2, data["environment"]["cpus"])), default=0)
    results: Results = [result for result in data["results"] if result["threads"] == most]
    titles = list(dict.fromkeys(result["title"] for result in results))
    if not titles:
        return None
    maps = names_in_order(results)
    figure, axes = pyplot.subplots(figsize=(8, 1.5 + 0.16 * len(titles) * (len(maps) + 1)))
    height = 0.84 / len(maps)
    for row, title in enumerate(titles):
        mine = [result for result in results if result["title"] == title]
        for number, result in enumerate(mine):
            ratios, name = result["ratios"], result["map"]
            middle, place = statistics.median(ratios), row + number * height
            error = [[middle - min(ratios)], [max(ratios) - middle]]
            label = name if name not in axes.get_legend_handles_labels()[1] else None
            colour = palette.maps.get(name, SPARE)
            axes.barh(place, middle, height * 0.9, xerr=error, color=colour, ecolor=palette.faint, label=label)
            axes.text(max(ratios), place, f" {middle:.2f}", va="center", fontsize=6.5, color=palette.faint)
    axes.axvline(1, color=palette.faint, linewidth=0.8, linestyle=":")
    axes.set_yticks([row + 0.42 - height / 2 for row in range(len(titles))], titles)
    axes.invert_yaxis()
    axes.set_xlabel(f"speed relative to one dict (counting: dict + Lock), {most} threads")
    axes.set_title(where_line(data["environment"]) + caveat(results), fontsize=8, color=palette.faint)
    axes.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    return figure


def draw_goals(data: dict[str, Any], palette: Palette) -> Figure | None:
    """Bars: which part of each goal is reached. 1 is the goal, both for speeds (at least) and for times (at most)."""
    lines: Results = [line for line in data["lines"] if "why" not in line and not line["beside"]]
    if not lines:
        return None
    figure, axes = pyplot.subplots(figsize=(8, 1.3 + 0.34 * len(lines)))
    for row, line in enumerate(lines):
        bar = float(line["bar"].removeprefix("at most ").split("x")[0])
        ratios = (line["ratio"], line["low"], line["high"])
        part = [bar / r if line["bar"].startswith("at most") else r / bar for r in ratios]
        # The colour says whether the goal is reached. It is pale if the machine was too noisy.
        alpha = 0.4 if line["noisy"] else 1.0
        error = [[part[0] - min(part)], [max(part) - part[0]]]
        axes.barh(row, part[0], 0.7, xerr=error, color=palette.maps["ShardMap"], ecolor=palette.faint, alpha=alpha)
        axes.text(max(part), row, f"  {line['ratio']:.2f}x", va="center", fontsize=7.5)
    axes.axvline(1, color=palette.maps["cereggii AtomicDict"], linewidth=1.4)
    axes.set_yticks(range(len(lines)), [f"{line['title']}:\n{line['bar']}" for line in lines], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("part of the goal reached (1 is the goal); the number is the ratio measured")
    axes.set_title(where_line(data["environment"]) + caveat(lines), fontsize=8, color=palette.faint)
    figure.tight_layout()
    return figure


DRAWINGS: dict[str, tuple[str, Callable[[dict[str, Any], Palette], Figure | None]]] = {
    "threads": ("threads.json", draw_threads),
    "mixes": ("sweep.json", draw_mixes),
    "goals": ("goals-free-threaded.json", draw_goals),
    "goals-gil": ("goals-gil.json", draw_goals),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS)
    parser.add_argument("--output", type=Path, help="folder for the charts; else that of the results")
    options = parser.parse_args()
    output: Path = options.output or options.results
    output.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for name, (source, draw) in DRAWINGS.items():
        file = options.results / source
        if not file.is_file():
            continue
        data = json.loads(file.read_text())
        for palette, suffix in ((LIGHT, ""), (DARK, "-dark")):
            with pyplot.rc_context(style(palette)):
                figure = draw(data, palette)
                if figure is None:
                    break
                target = output / f"{name}{suffix}.svg"
                figure.savefig(target, metadata={"Date": None}, bbox_inches="tight", pad_inches=0.15)
                pyplot.close(figure)
                print(target)
                drawn += 1
    if not drawn:
        print(f"nothing to draw in {options.results}: run bench/sweep.py or bench/goals.py first", file=sys.stderr)
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main())
