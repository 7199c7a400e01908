"""Draws the history of versions: the speed of shardmap relative to what Python itself has, in the same rounds.

Each panel has some tasks, each block of panels one Python on one kind of machine. A point is the median of the ratios
of one version, and its line goes from the lower to the upper quartile. Versions that lack a class have no point.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from plot import DARK, LIGHT, Palette, style
from results import Ratio, Results

TITLE = "Versions of shardmap: speed relative to what Python itself has, measured in the same rounds"
COLUMNS = 2
WIDE, HIGH, BELOW = 3.85, 2.2, 1.1  # inches: a panel, and the room for its title, names and legend
FEWEST_VERSIONS = 2  # for a block of panels


class Line(NamedTuple):
    label: str
    task: str  # or a beginning of it
    ours: str
    peer: str
    threads: int


class Panel(NamedTuple):
    title: str
    lines: tuple[Line, ...]


PANELS = (
    Panel("2 threads, beside one dict", (
        Line("reads", "reads,", "ShardMap", "dict", 2),
        Line("9 reads to 1 write", "9 reads", "ShardMap", "dict", 2),
        Line("overwrites", "overwrites,", "ShardMap", "dict", 2),
        Line("inserts", "inserts", "ShardMap", "dict", 2),
    )),
    Panel("1 thread, beside a dict", (
        Line("m[k], str", "m[k], 1,000 str", "ShardMap", "dict", 1),
        Line("m[k], tuple", "m[k], 1,000 tuple", "ShardMap", "dict", 1),
        Line("m[k] = v, str", "m[k] = v, 1,000 str", "ShardMap", "dict", 1),
        Line("m[k], date", "m[k], 1,000 date", "ShardMap", "dict", 1),
    )),
    Panel("1 thread, whole maps, beside a dict", (
        Line("iterate 100,000 keys", "iteration", "ShardMap", "dict", 1),
        Line("create, 10 inserts", "creation", "ShardMap", "dict", 1),
        Line("list(m), 10 entries", "list(m)", "ShardMap", "dict", 1),
    )),
    Panel("2 threads, beside the standard library", (
        Line("add() / Counter and lock", "counts of single", "ShardMap.add", "Counter + Lock", 2),
        Line("ShardCounter / merged Counters", "counts of texts", "ShardCounter", "a Counter each, merged", 2),
        Line("@cached / lru_cache, hits", "hits of a cached", "@cached", "lru_cache", 2),
        Line("@cached / lru_cache, misses", "a cached function", "@cached", "lru_cache", 2),
    )),
)  # fmt: skip
# Each line of a panel has its own colour and its own mark: the colours alone would not do for everybody.
LINE_COLOURS = {False: ("#2468b2", "#b35900", "#2f7d32", "#7a4fb5"), True: ("#58a6ff", "#f0963c", "#56b870", "#b08cf0")}
MARKS = "osD^"


def ratio_of(results: Results, line: Line) -> Ratio | None:
    for case in results.samples:
        if case.task.startswith(line.task) and (case.library, case.threads) == (line.ours, line.threads):
            peer = results.find(case.task, line.peer, line.threads)
            return results.ratio(case, peer) if peer else None
    return None


def rows_of(found: list[Results]) -> list[list[Results]]:
    """The results of one Python and machine each. If there are rows of several versions, only these are drawn."""
    rows: dict[tuple[str, str], list[Results]] = {}
    for results in found:
        rows.setdefault((results.about["python_tag"], results.about["machine"]), []).append(results)
    long = [row for row in rows.values() if len(row) >= FEWEST_VERSIONS] or list(rows.values())
    return sorted(long, key=lambda row: (not row[0].about["python_tag"].endswith("t"), row[0].about["machine"]))


def plain(value: float, _position: object = None) -> str:
    return f"{value:g}"


def draw_panel(axes: Axes, row: list[Results], panel: Panel, names: list[str], palette: Palette) -> None:
    colours = LINE_COLOURS[palette is DARK]
    reached: list[float] = [1.0]
    for number, line in enumerate(panel.lines):
        points = [
            (names.index(results.about["shardmap_version"]), ratio)
            for results in row
            if (ratio := ratio_of(results, line)) is not None
        ]
        if not points:
            continue
        shift = (number - (len(panel.lines) - 1) / 2) * 0.08  # so that quartiles do not cover each other
        places = [place + shift for place, _ in points]
        colour = colours[number % len(colours)]
        middle = [ratio.median for _, ratio in points]
        axes.plot(places, middle, MARKS[number] + "-", color=colour, markersize=4.5, linewidth=1.5, label=line.label)
        for place, (_, ratio) in zip(places, points, strict=True):
            axes.plot([place, place], [ratio.low, ratio.high], color=colour, linewidth=1.2)
            reached += [ratio.low, ratio.high]
    axes.axhline(1, color=palette.faint, linewidth=1, linestyle="--")
    axes.set_yscale("log")
    axes.set_ylim(min(reached) / 1.15, max(reached) * 1.15)
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 1.5, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter(FuncFormatter(plain))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.4, len(names) - 0.6)
    axes.set_xticks(range(len(names)), [re.sub(r"\s+", "\n", name) for name in names], fontsize=7.5)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_title(panel.title, fontsize=9.5)


def where(row: list[Results]) -> str:
    about = row[-1].about
    dates = sorted({str(results.about["date"])[:10] for results in row})
    days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    rounds = min(results.rounds for results in row)
    found = [ratio_of(results, line) for results in row for panel in PANELS for line in panel.lines]
    points = [ratio for ratio in found if ratio is not None]
    disturbed = sum(ratio.disturbed for ratio in points)
    caveat = f"; OTHER PROGRAMS RAN: {disturbed} of {len(points)} points are disturbed" * bool(disturbed)
    return (
        f"Python {about['python']}, GIL {about['gil']}, {about['cpu_count']} CPUs ({about['cpu_model_name']}), {days}, "
        f"{rounds} rounds or more{caveat}"
    )


def figure_of(rows: list[list[Results]], palette: Palette) -> Figure:
    """The places of all parts are computed, in inches: measuring all texts, as tight_layout does, takes seconds."""
    each = -(-len(PANELS) // COLUMNS)  # lines of panels for one row
    width, height = 0.15 + COLUMNS * (WIDE + 0.65), 0.45 + len(rows) * (0.45 + each * (HIGH + BELOW))
    figure = pyplot.figure(figsize=(width, height))
    figure.text(0.15 / width, 1 - 0.3 / height, TITLE, fontsize=10, fontweight="bold")
    top = 0.45
    for row in rows:
        names = list(dict.fromkeys(str(results.about["shardmap_version"]) for results in row))
        figure.text(0.15 / width, 1 - (top + 0.2) / height, where(row), fontsize=7.5, color=palette.faint)
        top += 0.45
        for number, panel in enumerate(PANELS):
            line, column = divmod(number, COLUMNS)
            bottom = height - top - line * (HIGH + BELOW) - HIGH - 0.1
            left = 0.55 + column * (WIDE + 0.65)
            axes = figure.add_axes((left / width, bottom / height, WIDE / width, HIGH / height))
            draw_panel(axes, row, panel, names, palette)
            if axes.get_legend_handles_labels()[1]:
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=7.5, columnspacing=1.2)
            if column == 0:
                axes.set_ylabel("speed; 1: as fast", color=palette.text, fontsize=8)
        top += each * (HIGH + BELOW)
    return figure


def draw(found: list[Results], folder: Path) -> list[Path]:
    """history.svg and history-dark.svg; nothing if there are no results."""
    rows = rows_of(found)
    if not rows:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for palette, suffix in ((LIGHT, ""), (DARK, "-dark")):
        with pyplot.rc_context(style(palette)):
            figure = figure_of(rows, palette)
            file = folder / f"history{suffix}.svg"
            figure.savefig(file, metadata={"Date": None})
            pyplot.close(figure)
        drawn.append(file)
    return drawn
