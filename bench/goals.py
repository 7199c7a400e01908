"""The goals of the project, each measured on this machine: reached or not, one line for each.

    python bench/goals.py [--quick] [--only reads,insert] [--output build/bench]

Every ratio compares two measurements of the same round, in one process, each on a fresh map. A line shows the median of
the rounds' ratios, and the lowest and highest (see rounds.py). Rounds that the machine disturbed are discarded and
counted. "M/s" is million operations a second of the map that the line is about. "cores" is the processor time of its
threads divided by the wall time. "loop" is the speed-up of an empty loop with that many threads, in the same rounds:
threads that share nothing got this speed-up from the machine.

Lines with a number are the goals. The indented lines below a goal measure the same with other key objects, or with the
map in a local variable, because the result depends on these (keys.py, loops.py). They have the same bar, but do not
count as goals. In short:

- "same" keys: every thread has a list of its own, in an order of its own, of the same key objects. So the loop itself
  counts references on cache lines that both threads share. This cost is equal for all maps and hides a part of theirs.
- "interned" keys are the same objects, and immortal. "equal" keys are objects of each thread's own. With both, the loop
  writes nothing that threads share.
- Values are None, unless the line says otherwise. With every map, threads that read the same value write its reference
  count.
- The map is a module's global. With a local variable, the loop counts no reference to the dict itself. That count, and
  not the table, is the main reason why dict does not scale when threads read the same few keys.

--quick takes about a minute and a half, and its results are only rough. Without it, the script takes about ten minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from environment import cpu_count, gil_enabled
from maps import CEREGGII, DICT, SHARDMAP, Competitor, competitors
from reporting import Line, Report, Scale, read_options
from rounds import Calibrated, Series, as_json, paired_rounds, spread
from workloads import EmptyLoop, FillAndLookUp, Insert, Iterate, Mix

Work = Mix | Insert | Iterate | FillAndLookUp
LOOP = "empty loop"


@dataclass(frozen=True)
class Bar:
    """A required ratio to one other measurement."""

    to: str  # name of a map, measured with `threads`
    threads: int
    ratio: float
    of_time: bool = False  # True: a ratio of times, at most `ratio`; False: a ratio of speeds, at least `ratio`

    def value(self, series: Series, of: tuple[str, int]) -> list[float]:
        ratios = series.ratios(entry(*of), entry(self.to, self.threads))
        return [1 / ratio for ratio in ratios] if self.of_time else ratios

    def met_by(self, ratio: float) -> bool:
        return ratio <= self.ratio if self.of_time else ratio >= self.ratio

    def __str__(self) -> str:
        whom = f"its own {self.threads} thread" if self.to == SHARDMAP else self.to
        return f"at most {self.ratio:g}x {whom}'s time" if self.of_time else f"{self.ratio:g}x {whom}"


@dataclass(frozen=True)
class Goal:
    name: str
    title: str
    work: Work
    threads: int
    bars: tuple[Bar, ...]
    beside: tuple[tuple[str, Work], ...] = ()  # variants of the measurement
    gil: bool | None = False  # False: needs the GIL off; True: on; None: either


def entry(name: str, threads: int) -> str:
    return f"{name}, {threads} thread{'s' * (threads > 1)}"


def _besides(work: Mix, *changes: dict[str, Any]) -> tuple[tuple[str, Work], ...]:
    """Variants of the work, each with one change and a name that says which."""
    return tuple(
        (", ".join(f"{name} {value}" for name, value in change.items()), replace(work, **change)) for change in changes
    )


def faster(ratio: float, than: str = DICT) -> Bar:
    return Bar(than, 2, ratio)


# All threads read the same keys. Each has key objects of its own, as in programs whose keys were read, received or
# computed. With the same objects, the loop itself would spend most of the time counting references to them (keys.py).
_READ = Mix(identity="equal")
_HOT = Mix(keys=1, draw="hot", identity="interned")
_OWN = Mix(identity="same", lookup="local", own=True)
_LOOKUP = {"lookup": "local"}
_EQUAL = {"identity": "equal"}
_INTERNED = {"identity": "interned"}
_SAME = {"identity": "same"}
_KEYS = (_SAME, _INTERNED)

GOALS = (
    Goal(
        "reads",
        "2 threads, reads of the same 1,000 str keys, None values",
        _READ,
        2,
        (faster(5), faster(4, CEREGGII), Bar(SHARDMAP, 1, 1.7)),
        _besides(_READ, *_KEYS, _LOOKUP, _SAME | _LOOKUP, _INTERNED | _LOOKUP),
    ),
    Goal(
        "reads-large",
        "2 threads, reads of 1,000,000 str keys, distinct object values",
        replace(_READ, keys=1_000_000, objects=True),
        2,
        (faster(1.6),),
        _besides(replace(_READ, keys=1_000_000, objects=True), _SAME),
    ),
    Goal("hot", "2 threads, one hot key", _HOT, 2, (faster(6),), _besides(_HOT, _EQUAL, _SAME, _LOOKUP)),
    Goal(
        "overwrite",
        "2 threads, overwrite, 200,000 keys",
        replace(_READ, reads=0, keys=200_000),
        2,
        (faster(2.2), faster(1.2, CEREGGII)),
        _besides(replace(_READ, reads=0, keys=200_000), _SAME),
    ),
    Goal(
        "insert",
        "2 threads, insert from empty to 1,000,000",
        Insert(),
        2,
        (faster(2), faster(1.4, CEREGGII)),
    ),
    *(
        Goal(
            f"mixed-{reads}",
            f"2 threads, {reads} % reads, 1,000 keys",
            replace(_READ, reads=reads),
            2,
            (faster(ratio),),
            _besides(replace(_READ, reads=reads), *_KEYS, _LOOKUP),
        )
        for reads, ratio in ((90, 3.5), (75, 2.5))
    ),
    *(
        Goal(
            f"alone-{name}",
            f"1 thread, its own map, 1,000 keys: {name}",
            replace(_OWN, reads=reads),
            1,
            (Bar(DICT, 1, ratio, of_time=True),),
            _besides(replace(_OWN, reads=reads), _EQUAL),
        )
        for name, reads, ratio in (("get", 100, 1.25), ("set", 0, 1.6))
    ),
    Goal(
        "alone-large-str",
        "1 thread, 1,000,000 str keys: get",
        replace(_OWN, keys=1_000_000),
        1,
        (Bar(DICT, 1, 1.2, of_time=True),),
        _besides(replace(_OWN, keys=1_000_000), {"draw": "ordered"}),
    ),
    Goal(
        "alone-large-int",
        "1 thread, 1,000,000 sequential int keys: get",
        replace(_OWN, keys=1_000_000, kind="int", draw="ordered"),
        1,
        (Bar(DICT, 1, 1.2, of_time=True),),
        _besides(replace(_OWN, keys=1_000_000, kind="int", draw="ordered"), {"draw": "uniform"}),
    ),
    *(
        Goal(
            f"gil-{name}",
            f"GIL build, 1 thread, 1,000 keys: {name}",
            replace(_OWN, reads=reads),
            1,
            (Bar(DICT, 1, ratio, of_time=True),),
            _besides(replace(_OWN, reads=reads), _EQUAL),
            gil=True,
        )
        for name, reads, ratio in (("get", 100, 1.3), ("set", 0, 1.6))
    ),
    Goal(
        "iterate",
        "iterate 1,000,000 items in insertion order",
        Iterate(),
        1,
        (Bar(DICT, 1, 2, of_time=True),),
        gil=None,
    ),
    # The bars of the first version. They are lower than the bars above.
    Goal("first-reads", "first version: 2 threads, reads, 1,000 keys", _READ, 2, (faster(2),)),
    Goal(
        "first-overwrite",
        "first version: 2 threads, overwrite, 1,000 keys",
        replace(_READ, reads=0),
        2,
        (faster(1.5),),
        _besides(replace(_READ, reads=0), _SAME),
    ),
)


def why_not(goal: Goal) -> str | None:
    """Why a goal cannot be measured with this interpreter or machine."""
    if goal.gil is not None and goal.gil != gil_enabled():
        return "is for a Python with the GIL" if goal.gil else "is for a Python without the GIL"
    if goal.threads > cpu_count():
        return f"needs {goal.threads} CPUs"
    return None


def measure(
    goal: Goal, work: Work, maps: dict[str, Competitor], scale: Scale, progress: Callable[[str], None]
) -> Series:
    """Measures everything that the goal's bars compare, in paired rounds."""
    wanted = dict.fromkeys([(SHARDMAP, goal.threads), *((bar.to, bar.threads) for bar in goal.bars if bar.to in maps)])

    def measurement(work: Work | EmptyLoop, make: Callable[[], Any], threads: int) -> Calibrated:
        return Calibrated(
            lambda repetitions: work.measure(make, threads, repetitions),
            shortest=scale.shortest,
            most=getattr(work, "most", None),
        )

    measures = {entry(name, threads): measurement(work, maps[name].make, threads) for name, threads in wanted}
    if goal.threads > 1:
        loops = {entry(LOOP, threads): measurement(EmptyLoop(), dict, threads) for threads in (1, goal.threads)}
        measures |= loops
    return paired_rounds(measures, scale.rounds, attempts=scale.attempts, progress=progress)


def lines(goal: Goal, label: str, series: Series, maps: dict[str, Competitor]) -> Iterator[Line]:
    """One line for each bar."""
    mine = entry(SHARDMAP, goal.threads)
    loop: dict[str, float] = {}
    if goal.threads > 1:
        loop = {"loop_scaling": spread(series.ratios(entry(LOOP, goal.threads), entry(LOOP, 1)))[0]}
    for bar in goal.bars:
        line: Line = {"goal": goal.name, "title": goal.title, "beside": label, "bar": str(bar)}
        if bar.to not in maps:
            yield line | {"reached": None, "why": f"{bar.to} is not installed"}
            continue
        ratio, low, high = spread(bar.value(series, (SHARDMAP, goal.threads)))
        detail = f"{series.rate(mine):6.1f} M/s {series.used(mine):4.2f} cores"
        yield (
            line
            | loop
            | {
                "ratio": ratio,
                "low": low,
                "high": high,
                # If no round was quiet, the line has the numbers, but does not say whether the goal is reached.
                "reached": None if series.noisy else bar.met_by(ratio),
                "rate": series.rate(mine),
                "cores_used": series.used(mine),
                "detail": detail + "".join(f", loop {scaled:.2f}x" for scaled in loop.values()),
                "rounds": len(series.regions[mine]),
                "discarded": series.discarded,
                "noisy": series.noisy,
            }
        )


def main(goals: tuple[Goal, ...] = GOALS, about_them: str = __doc__ or "", file: str = "goals") -> int:
    options, scale = read_options(about_them.splitlines()[0], [goal.name for goal in goals])
    found, missing = competitors()
    maps = {one.name: one for one in found}
    report = Report(missing)
    for number, goal in enumerate(goals, 1):
        if goal.name not in options.only:
            continue
        why = why_not(goal)
        if why:
            for bar in goal.bars:
                line = {"goal": goal.name, "title": goal.title, "beside": "", "bar": str(bar), "reached": None}
                report.add(line | {"why": why}, number)
            continue
        for label, work in (("", goal.work), *(goal.beside if scale.beside else ())):
            series = measure(goal, work, maps, scale, report.progress(f"{goal.name} {label}"))
            for line in lines(goal, label, series, maps):
                report.add(line, number)
            about = {"goal": goal.name, "beside": label, "work": work.name}
            report.raw += [about | {"of": entry} | as_json(series, entry) for entry in series.regions]
    return report.finish(file, options.output)


if __name__ == "__main__":
    sys.exit(main())
