"""The search through schedules, on threads that are only counted: harness/schedules.py without a core to explore."""

from __future__ import annotations

import itertools
from math import comb

import pytest

from harness.schedules import MOST_THREADS, TIME_OUT, Step, next_decisions


def played(lengths: list[int], decisions: list[int]) -> list[Step]:
    """What explore.h notes of threads that take so many steps each and never wait."""
    left = list(lengths)
    before = MOST_THREADS
    steps: list[Step] = []
    while any(left):
        enabled = sum(1 << n for n, more in enumerate(left) if more)
        step = Step(0, before, enabled, 0, 0)
        chosen = decisions[len(steps)] if len(steps) < len(decisions) else step.options()[0]
        assert step.is_enabled(chosen)
        steps.append(step._replace(chosen=chosen))
        left[chosen] -= 1
        before = chosen
    return steps


def every(lengths: list[int], bound: int) -> list[tuple[int, ...]]:
    found = []
    decisions: list[int] | None = []
    while decisions is not None:
        steps = played(lengths, decisions)
        found.append(tuple(step.chosen for step in steps))
        decisions = next_decisions(steps, bound)
    return found


@pytest.mark.parametrize("lengths", [[1, 1], [3, 3], [2, 5], [4, 4]])
def test_without_a_bound_each_interleaving_comes_once(lengths: list[int]) -> None:
    found = every(lengths, 100)
    assert len(found) == len(set(found)) == comb(sum(lengths), lengths[0])


def test_of_three_threads_too() -> None:
    found = every([2, 2, 2], 100)
    assert len(found) == len(set(found)) == comb(6, 2) * comb(4, 2)


def preemptions(schedule: tuple[int, ...], lengths: list[int]) -> int:
    left = list(lengths)
    count = 0
    for now, then in itertools.pairwise(schedule):
        left[now] -= 1
        count += now != then and left[now] > 0
    return count


@pytest.mark.parametrize("bound", [0, 1, 2, 3])
def test_a_bound_leaves_out_what_has_more_preemptions_and_nothing_else(bound: int) -> None:
    lengths = [4, 3, 2]
    found = every(lengths, bound)
    wanted = {each for each in every(lengths, 100) if preemptions(each, lengths) <= bound}
    assert set(found) == wanted and len(found) == len(wanted)


def test_a_time_out_is_another_decision_which_counts_while_others_can_go_on() -> None:
    both = Step(chosen=0, before=0, enabled=0b01, timers=0b10, place=0)
    assert both.options() == [0, 1 + TIME_OUT] and both.is_preemption(1 + TIME_OUT) and not both.is_preemption(0)
    alone = Step(chosen=1 + TIME_OUT, before=0, enabled=0, timers=0b10, place=0)
    assert alone.options() == [1 + TIME_OUT] and not alone.is_preemption(1 + TIME_OUT)
    assert next_decisions([both], 0) is None and next_decisions([both], 1) == [1 + TIME_OUT]
