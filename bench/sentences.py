"""What a run of bench/run.py showed, in sentences. All of them are computed from the results.

A comparison is the ratio of two speeds, measured in the same rounds. It is *ahead* or *behind* if its difference from 1
is larger than its spread (from the lower to the upper quartile, both as factors), and *equal* if both quartiles are
within five per cent of 1. Otherwise the comparison says nothing, and the report says so.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from results import FEWEST, LOOP, Case, Ratio, Results

EQUAL = 0.05
WIDTH = 110
QUARTILES = "Each number is the median of the rounds, with the lower and the upper quartile in brackets."
FREE = 0.75  # of the CPUs: a machine that gives an empty loop less is not free

Outcome = Literal["ahead", "behind", "equal", "unclear"]


class Comparison(NamedTuple):
    ours: Case
    peer: Case
    ratio: Ratio  # of the speeds

    @property
    def outcome(self) -> Outcome:
        if self.ratio.rounds >= FEWEST and self.ratio.low >= 1 - EQUAL and self.ratio.high <= 1 + EQUAL:
            return "equal"
        if self.ratio.unclear:
            return "unclear"
        return "ahead" if self.ratio.median > 1 else "behind"


def comparisons(results: Results) -> list[Comparison]:
    """Each case of shardmap beside each other library that did the same task with as many threads."""
    return [
        Comparison(ours, peer, results.ratio(ours, peer))
        for ours in results.samples
        if ours.role == "ours"
        for peer in results.samples
        if peer.role == "peer" and (peer.section, peer.task, peer.threads) == (ours.section, ours.task, ours.threads)
    ]


def times(value: float) -> str:
    """A factor with as many digits as one can use."""
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 3 else f"{value:.2f}"


def spread(ratio: Ratio) -> str:
    return f"({times(ratio.low)} to {times(ratio.high)})"


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def listed(parts: Iterable[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def machine(results: Results) -> str:
    about = results.about
    commit = f", commit {about['commit']}" if "commit" in about else ""
    return (
        f"This is Python {about['python']} with the GIL {'on' if about['gil'] == 'on' else 'off'}, "
        f"on {plural(about['cpu_count'], 'CPU')} ({about['cpu_model_name']}). "
        f"shardmap {about['shardmap_version']}{commit} was measured in {plural(results.rounds, 'round')}."
    )


def scaling(results: Results, library: str, number: int, task: str | None = None) -> Ratio | None:
    """What more threads gain over one thread, in the rounds of one task or of all tasks."""
    values: list[float] = []
    disturbed = False
    for case in results.samples:
        alone = results.find(case.task, library, 1)
        if (case.library, case.threads) == (library, number) and task in (None, case.task) and alone is not None:
            found, noisy = results.ratios(case, alone)
            values += found
            disturbed |= noisy
    return Ratio.of(values, disturbed) if values else None


def limits(results: Results) -> Iterator[str]:
    """What an empty loop gained from more threads, which is what the machine gives."""
    numbers = sorted({case.threads for case in results.samples if case.library == LOOP} - {1})
    gains = {number: gain for number in numbers if (gain := scaling(results, LOOP, number))}
    if not gains:
        return
    said = listed(f"{times(gain.median)} {spread(gain)} with {number} threads" for number, gain in gains.items())
    yield f"An empty loop, whose threads share nothing, was faster than with one thread by these factors: {said}."
    if results.about["gil"] == "on":
        yield "With the GIL, one thread at a time runs Python code. So a second thread is not expected to help."
        return
    cpus = results.about["cpu_count"]
    yield "Threads that share a map cannot be expected to gain more, on this machine and in these rounds."
    for number, gain in gains.items():
        if 1 < number <= cpus and gain.median < FREE * number:
            yield (
                f"{number} threads did not get {number} whole CPUs: other programs ran, or the CPUs share a core. "
                f"On a machine with {number} free CPUs, the factors for {number} threads would be larger."
            )
            break


def gains(results: Results) -> Iterator[str]:
    """What each library gained from a second thread, task by task."""
    tasks = dict.fromkeys(case.task for case in results.samples if case.library == LOOP)
    for task in tasks:
        libraries = dict.fromkeys(case.library for case in results.samples if case.task == task)
        factors = {library: gain for library in libraries if (gain := scaling(results, library, 2, task))}
        said = ", ".join(f"{library} {times(gain.median)} {spread(gain)}" for library, gain in factors.items())
        if said:
            yield f"{task}: {said}."


SAID = {
    "ahead": "{ours} is faster than {peer}, by these factors",
    "equal": "{ours} beside {peer}, factors of speed",
    "behind": "{ours} is SLOWER than {peer}. It takes so many times as long",
    "unclear": "{ours} beside {peer}, factors of speed",
}


def verdicts(found: list[Comparison], outcome: Outcome) -> Iterator[str]:
    """A sentence for each pair of libraries; in it, the tasks with their numbers of threads."""
    chosen = [one for one in found if one.outcome == outcome]
    for ours, peer in dict.fromkeys((one.ours.library, one.peer.library) for one in chosen):
        tasks: dict[str, list[str]] = {}
        for one in chosen:
            if (one.ours.library, one.peer.library) == (ours, peer):
                ratio = one.ratio.inverse if outcome == "behind" else one.ratio
                number = plural(one.ours.threads, "thread")
                tasks.setdefault(one.ours.task, []).append(f"{times(ratio.median)} {spread(ratio)} with {number}")
        said = "; ".join(f"{task}: {', '.join(factors)}" for task, factors in tasks.items())
        yield f"{SAID[outcome].format(ours=ours, peer=peer)}: {said}."


def unclear(found: list[Comparison]) -> Iterator[str]:
    number = sum(one.outcome == "unclear" for one in found)
    if number:
        yield (
            f"{number} of {len(found)} comparisons cannot be trusted, because the spread is larger than the "
            f"difference, or there are fewer than {FEWEST} rounds (--seconds=600 gives more):"
        )
        yield from verdicts(found, "unclear")


def noise(found: list[Comparison]) -> Iterator[str]:
    disturbed = [one for one in found if one.ratio.disturbed]
    if disturbed:
        yield (
            f"Other programs used the CPUs: {len(disturbed)} of {len(found)} comparisons had fewer than "
            f"{FEWEST} undisturbed rounds, so all rounds of these count. Another run may differ from this one by more "
            "than the quartiles do. Measure again on a machine that runs nothing else."
        )


def left_out(results: Results) -> Iterator[str]:
    if missing := results.about.get("missing_peers"):
        yield f"Not installed for this Python, so not compared: {missing}."
    if lacking := results.about.get("left_out"):
        yield f"Not measured, because this version of shardmap lacks it: {lacking}."


def summary(found: list[Comparison]) -> Iterator[str]:
    if not found:
        yield "Nothing was compared."
        return
    number = Counter(one.outcome for one in found)
    yield (
        f"shardmap is ahead in {number['ahead']} of {len(found)} comparisons, equal in {number['equal']} and "
        f"behind in {number['behind']}. {number['unclear']} cannot be trusted."
    )
    clear = [one for one in found if one.outcome in ("ahead", "behind")]
    best = max(clear, key=lambda one: one.ratio.median, default=None)
    worst = min(clear, key=lambda one: one.ratio.median, default=None)
    for one, word in ((best, "largest lead"), (worst, "largest loss")):
        if one is not None and (one.outcome == "ahead") == (word == "largest lead"):
            ratio = one.ratio if one.outcome == "ahead" else one.ratio.inverse
            yield (
                f"The {word} is a factor of {times(ratio.median)}: {one.ours.task}, "
                f"{plural(one.ours.threads, 'thread')}, {one.ours.library} beside {one.peer.library}."
            )


def report(results: Results) -> str:
    found = comparisons(results)
    blocks: list[tuple[str, Iterable[str]]] = [
        ("This machine", [machine(results), *limits(results), QUARTILES, *noise(found)]),
        ("Speed with 2 threads, divided by the speed with 1 thread", gains(results)),
        ("Where shardmap is faster", verdicts(found, "ahead")),
        (f"Where it is as fast, within {EQUAL:.0%}", verdicts(found, "equal")),
        ("Where it is slower", verdicts(found, "behind")),
        ("What this run does not show", [*unclear(found), *left_out(results)]),
        ("In all", summary(found)),
    ]
    texts = [(title, wrapped(sentences)) for title, sentences in blocks]
    return "\n\n".join(f"{title}\n{text}" for title, text in texts if text)


def wrapped(sentences: Iterable[str]) -> str:
    return "\n".join(textwrap.fill(one, WIDTH, initial_indent="- ", subsequent_indent="  ") for one in sentences)
