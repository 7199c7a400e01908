"""The cost of a map without contention, compared with a dict: bytes and times, each with its goal.

    python bench/beside_dict.py [--quick] [--only bytes-10-2,deepcopy] [--output build/bench]

The aim is that a map costs little more than a dict until threads contend for it, on every machine. "On 64 CPUs" is
measured on this machine, with the defaults of a machine that has 64 CPUs. Bytes are the result of sys.getsizeof. For
graphs, they are the growth of a process. Times are of one thread and a map that it made itself, in paired rounds as in
goals.py. The end of a line has the time of a dict. Indented lines measure a variant of the line above. They do not
count as goals.

goals.py has two more goals of this kind: `insert` (two threads insert), `alone-large-int` (get of integers in a row).
--quick takes about two minutes, and its results are only rough.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import alone
import graphs
from alone import MILLION, Timed, filled
from maps import DICT, SHARDMAP, competitors
from reporting import Line, Report, Scale, amount, read_options
from rounds import Calibrated, paired_rounds, spread
from shardmap import ShardMap
from shardmap._cpus import usable_cpus
from shardmap._map import _set_cpus

CPUS = (2, 16, 64)
Unit = Literal["x", "bytes", "us"]


@contextmanager
def default_of(cpus: int | None) -> Iterator[None]:
    """Maps get the defaults of a machine with so many CPUs."""
    if cpus is None:
        yield
        return
    _set_cpus(cpus)
    try:
        yield
    finally:
        _set_cpus(usable_cpus())


@dataclass(frozen=True)
class Bytes:
    """The bytes of a map by sys.getsizeof. They are exact, so they are measured once."""

    size: int
    kind: str = "int"
    unit = "bytes"

    def of(self, name: str, make: Callable[..., Any]) -> int:
        return sys.getsizeof(filled(make, self.kind, self.size))


@dataclass(frozen=True)
class Growth:
    """The growth of a process that makes a graph."""

    kind: str = "Graph"
    unit = "bytes"

    def of(self, name: str, make: Callable[..., Any]) -> int:
        return graphs.growth_of_a_process(name, self.kind)


@dataclass(frozen=True)
class Goal:
    name: str
    title: str
    most: float
    work: Timed | Bytes | Growth
    unit: Unit = "x"  # of the bar. x: a factor of dict's result
    cpus: int | None = None  # None: those of this machine
    shards: int | None = None  # with_capacity(shards=)
    beside: tuple[tuple[str, dict[str, Any]], ...] = ()  # variants: a name, and the fields that differ
    networkx: bool = False

    @property
    def bar(self) -> str:
        if self.unit != "x":
            return f"at most {amount(self.most, self.unit)}"
        return f"at most {self.most:g}x dict's {'time' if isinstance(self.work, Timed) else 'bytes'}"

    def variants(self, beside: bool) -> Iterator[tuple[str, Goal]]:
        yield "", self
        for label, otherwise in self.beside if beside else ():
            yield label, replace(self, **otherwise)

    def make(self) -> Callable[..., Any]:
        return ShardMap if self.shards is None else partial(ShardMap.with_capacity, shards=self.shards)


def _on(*numbers: int) -> tuple[tuple[str, dict[str, Any]], ...]:
    return tuple((f"on {cpus} CPUs", {"cpus": cpus}) for cpus in numbers)


def _graph(name: str, title: str, most: float, work: Timed | Growth, of_multigraph: Timed | Growth) -> Goal:
    title = f"networkx, 40,000 nodes, 200,000 edges: {title}"
    return Goal(f"graph-{name}", title, most, work, networkx=True, beside=(("MultiGraph", {"work": of_multigraph}),))


def _graph_time(name: str, title: str, most: float, operation: Callable[..., Any]) -> Goal:
    return _graph(name, title, most, Timed(operation), Timed(partial(operation, kind="MultiGraph")))


GOALS = (
    *(Goal(f"bytes-10-{cpus}", f"10 entries, bytes, on {cpus} CPUs", 700, Bytes(10), "bytes", cpus) for cpus in CPUS),
    *(Goal(f"bytes-empty-{cpus}", f"empty, bytes, on {cpus} CPUs", 400, Bytes(0), "bytes", cpus) for cpus in CPUS),
    Goal("bytes-1000", "1,000 str keys, bytes", 1.5, Bytes(1_000, "str"), beside=_on(*CPUS)),
    Goal(
        "bytes-million",
        "1,000,000 str keys, bytes",
        1.15,
        Bytes(MILLION, "str"),
        beside=(
            *_on(*CPUS),
            ("int keys", {"work": Bytes(MILLION)}),
        ),
    ),
    Goal("make", "make a map, fill it with 10 entries", 1.6, Timed(alone.make_and_fill), beside=_on(*CPUS)),
    Goal("list", "list() of 10 entries", 2.5, Timed(alone.listed), beside=_on(*CPUS)),
    Goal("iterate-keys", "iterate 1,000,000 str keys", 1.1, Timed(alone.iterated), beside=_on(*CPUS)),
    *(
        Goal(f"iterate-{number}", f"the same, split over {number} shards", most, Timed(alone.iterated), shards=number)
        for number, most in ((64, 1.8), (256, 2.2))
    ),
    Goal(
        "queue",
        "the first of 1,000,000 entries deleted, a new one inserted",
        2,
        Timed(alone.first_for_new, most=1_000),
        "us",
        beside=(("20,000 times", {"work": Timed(alone.first_for_new, most=20_000)}),),
    ),
    Goal("construct", "1,000,000 entries: ShardMap(dict)", 2.5, Timed(alone.constructed)),
    Goal("equal", "1,000,000 entries: ==", 1.3, Timed(alone.compared)),
    Goal("union", "1,000,000 entries: m | m", 2, Timed(alone.united)),
    Goal("values", "1,000,000 entries: list(values())", 1.2, Timed(alone.values_listed)),
    Goal(
        "popitem",
        "1,000,000 entries: a copy, and 10,000 popitem() on it",
        1.6,
        Timed(alone.popped),
        beside=(("without the copy", {"work": Timed(alone.popped_alone, most=50)}),),
    ),
    Goal("deepcopy", "100,000 entries: deepcopy", 1.3, Timed(alone.deeply_copied)),
    _graph("memory", "memory", 1.7, Growth(), Growth("MultiGraph")),
    _graph_time("build", "build", 1.6, alone.graph_built),
    _graph_time("search", "breadth-first search", 1.4, alone.graph_searched),
    _graph_time("copy", "copy", 1.6, alone.graph_copied),
)


class Outcome(NamedTuple):
    """Results of the rounds that count, in bytes or in microseconds."""

    mine: list[float]
    dicts: list[float]
    discarded: int = 0
    noisy: bool = False


def measure(goal: Goal, scale: Scale, progress: Callable[[str], None]) -> Outcome:
    work = goal.work
    makes: dict[str, Callable[..., Any]] = {DICT: dict, SHARDMAP: goal.make()}
    with default_of(goal.cpus):
        if isinstance(work, Timed):
            measures = {
                name: Calibrated(partial(work.measure, make), shortest=scale.shortest, most=work.most)
                for name, make in makes.items()
            }
            series = paired_rounds(measures, scale.rounds, attempts=scale.attempts, progress=progress)
            mine, dicts = ([1 / one.rate for one in series.regions[name]] for name in (SHARDMAP, DICT))
            return Outcome(mine, dicts, series.discarded, series.noisy)
        rounds = 1 if isinstance(work, Bytes) else min(3, scale.rounds)
        both = [[float(work.of(name, make)) for name, make in makes.items()] for _ in range(rounds)]
        dicts, mine = (list(values) for values in zip(*both, strict=True))
        return Outcome(mine, dicts)


def line_of(goal: Goal, label: str, outcome: Outcome) -> Line:
    values = outcome.mine
    if goal.unit == "x":
        values = [mine / base for mine, base in zip(outcome.mine, outcome.dicts, strict=True)]
    value, low, high = spread(values)
    unit = "us" if isinstance(goal.work, Timed) else "bytes"
    mine, base = (amount(statistics.median(of), unit) for of in (outcome.mine, outcome.dicts))
    return {
        **about(goal, label),
        "ratio": value,
        "unit": goal.unit,
        "low": low,
        "high": high,
        "reached": None if outcome.noisy else value <= goal.most,
        "detail": f"{mine}, dict {base}",
        "rounds": len(values),
        "discarded": outcome.discarded,
        "noisy": outcome.noisy,
    }


def about(goal: Goal, label: str = "") -> Line:
    return {"goal": goal.name, "title": goal.title, "beside": label, "bar": goal.bar}


def main() -> int:
    options, scale = read_options(__doc__.splitlines()[0], [goal.name for goal in GOALS])
    report = Report(competitors()[1])
    for number, goal in enumerate(GOALS, 1):
        if goal.name not in options.only:
            continue
        if goal.networkx and not graphs.installed():
            report.add(about(goal) | {"reached": None, "why": "networkx is not installed"}, number)
            continue
        for label, variant in goal.variants(scale.beside):
            try:
                outcome = measure(variant, scale, report.progress(f"{goal.name} {label}"))
            except graphs.Impossible as why:
                report.add(about(goal, label) | {"reached": None, "why": str(why)}, number)
                continue
            report.add(line_of(variant, label, outcome), number)
            report.raw.append(about(goal, label) | outcome._asdict())
    return report.finish("beside-dict", options.output)


if __name__ == "__main__":
    sys.exit(main())
