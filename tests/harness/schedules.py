"""Every schedule of a few threads up to a bound of preemptions, or samples of them; on a build with -DSHARDMAP_EXPLORE
(core/explore.h says what is decided, and where). The search is CHESS's (Musuvathi and others, OSDI 2008): a schedule is
replayed up to a decision, which is then made otherwise; each preemption counts, and so does a time-out that comes while
others could go on. Samples are about PCT's (Burckhardt and others, ASPLOS 2010): of n threads and k steps, a bug that
takes d decisions in their order would be met with a probability of at least 1 / (n * k ** (d - 1)) each time, if no
thread waited for another and all schedules had as many steps as the first."""

from __future__ import annotations

import ctypes
import gc
import itertools
import random
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, NamedTuple

from harness.history import Operation, Recorder
from shardmap import ShardCache, ShardMap, _core

MOST_THREADS = 8
COLLECT_EVERY = 50  # schedules
TIME_OUT = 64  # added to a thread's number: its wait times out
DIVERGED = "the threads did not get as far as they did before"
DIVERGED_AT_MOST = 3
VERDICTS = ("goes on", "ended", "deadlock", "no end", DIVERGED)


@dataclass(frozen=True)
class Scenario:
    """What each thread does, with a Recorder of its own, to what `prepare` has made; and what must be true afterwards:
    a sentence says what is not. The first thread is the process's main one."""

    prepare: Callable[[], Any]
    works: tuple[Callable[[Recorder], None], ...]
    wrong: Callable[[Any, list[Operation]], str | None]
    bound: int = 2  # preemptions; 0: too large for all schedules, it is sampled


class Step(NamedTuple):
    """A decision: who went on, whose turn it was, and (bits) who could have gone on, whose wait could have ended."""

    chosen: int
    before: int
    enabled: int
    timers: int
    place: int  # the address of a C function's name

    def options(self) -> list[int]:
        """All that could have been decided, the default first."""
        in_turn = sorted(range(MOST_THREADS), key=lambda n: (n - self.before) % MOST_THREADS)
        goes_on = [n for n in in_turn if self.is_enabled(n)]
        return goes_on + [n + TIME_OUT for n in range(MOST_THREADS) if self.timers >> n & 1]

    def is_enabled(self, thread: int) -> bool:
        return thread < MOST_THREADS and bool(self.enabled >> thread & 1)

    def is_preemption(self, decision: int) -> bool:
        if decision >= TIME_OUT:
            return self.enabled != 0
        return self.is_enabled(self.before) and decision != self.before


class Run(NamedTuple):
    """What came of one schedule. `wrong`: None if all is well."""

    steps: list[Step]
    wrong: str | None
    is_over: bool  # all threads have ended

    def decisions(self) -> list[int]:
        return [step.chosen for step in self.steps]

    def preemptions(self) -> int:
        return sum(step.is_preemption(step.chosen) for step in self.steps)

    def __str__(self) -> str:
        """The turns of each thread: after how many steps it was another's turn, and where the first stood then."""
        lines = []
        for turn, of_turn in itertools.groupby(enumerate(self.steps), lambda each: each[1].chosen):
            numbered = list(of_turn)
            number = numbered[-1][0] + 1
            last = _named(self.steps[number].place) if number < len(self.steps) else "end"
            who = f"thread {turn % TIME_OUT}" + (", its wait timed out," if turn >= TIME_OUT else "")
            lines.append(f"  {who} for {len(numbered)} steps, up to {last}")
        return "\n".join(lines)


def _named(place: int) -> str:
    return ctypes.string_at(place).decode().removeprefix("__pyx_f_8shardmap_5_core_")


STEP = struct.Struct("@4BP")  # sm_step


class ExploredLock:
    """As threading.Lock, for threads that are explored."""

    def __init__(self, quick: ctypes.PyDLL) -> None:
        self.quick = quick
        self.locked = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        until = self.quick.sm_explore_now() + timeout if timeout >= 0 else -1
        while self.locked:
            if not blocking or self.quick.sm_explore_wait(until):
                return False
        self.locked = True
        return True

    def release(self) -> None:
        self.locked = False


def use_once() -> None:
    """What a thread makes for itself when it first reads a map, and the first, or 10th, or 100th cache, would be steps
    of one schedule only."""
    m = ShardMap({0: "zero"})
    caches: list[ShardCache[int, str]] = [ShardCache(2) for _ in range(2 * COLLECT_EVERY)]
    caches[-1][0] = m[0]
    caches[-1].get(0), caches[-1].get(1)


class Explorer:
    """Runs schedules of one scenario. Made and used by a thread that takes no part; serve() is the main thread's."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.waiting = ctypes.CDLL(_core.__file__)  # its calls detach
        self.quick = ctypes.PyDLL(_core.__file__)
        self.quick.sm_explore_steps.restype = ctypes.c_void_p
        self.quick.sm_explore_wait.argtypes = [ctypes.c_double]
        self.quick.sm_explore_now.restype = ctypes.c_double
        vars(_core)["allocate_lock"] = self.lock  # what waits for a load
        self.jobs: list[SimpleQueue[Callable[[], None] | None]] = [SimpleQueue() for _ in scenario.works]
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()
        self.runs = 0
        for number in range(1, len(scenario.works)):
            threading.Thread(target=self.serve, args=(number,), daemon=True).start()

    def serve(self, number: int) -> None:
        """Does the works of a thread, one for each schedule."""
        use_once()
        while (job := self.jobs[number].get()) is not None:
            error = None
            self.waiting.sm_explore_enter(number)
            try:
                job()
            except BaseException as raised:
                error = raised
            self.quick.sm_explore_leave()
            del job
            self.ended.put(error)

    def lock(self) -> ExploredLock:
        return ExploredLock(self.quick)

    def close(self) -> None:
        for jobs in self.jobs:
            jobs.put(None)

    def run(self, decisions: Sequence[int]) -> Run:
        """The schedule that begins with these decisions and goes on without preemptions."""
        for _ in range(DIVERGED_AT_MOST):  # something was made that is made once
            run = self._run(lambda: self.quick.sm_explore_decide(bytes(decisions), len(decisions)))
            if run.wrong != DIVERGED:
                break
        return run

    def sample(self, seed: Any, steps: int, depth: int) -> Run:
        """A schedule by random priorities, of which depth - 1 change during about so many steps."""
        choices = random.Random(str(seed))
        priorities = bytes(choices.sample(range(1, 2 * MOST_THREADS + 1), 2 * MOST_THREADS))
        changes = (ctypes.c_int * MOST_THREADS)(*(choices.randrange(max(steps, 1)) for _ in range(depth - 1)))
        return self._run(lambda: self.quick.sm_explore_by_priority(priorities, changes, depth - 1))

    def _run(self, direct: Callable[[], None]) -> Run:
        self.runs += 1
        if self.runs % COLLECT_EVERY == 0:
            gc.collect()  # maps that threads have shared are freed by nothing else on 3.14
        target = self.scenario.prepare()
        clock = itertools.count().__next__  # one thread runs at a time
        recorders = [Recorder(target, clock) for _ in self.scenario.works]
        self.quick.sm_explore_begin(len(recorders))
        direct()
        for jobs, work, recorder in zip(self.jobs, self.scenario.works, recorders, strict=True):
            jobs.put(lambda work=work, recorder=recorder: work(recorder))
        verdict = VERDICTS[self.waiting.sm_explore_run()]
        steps = self._steps()
        if verdict not in ("ended", DIVERGED):
            return Run(steps, f"{verdict} after {len(steps)} steps", False)
        errors = [error for error in (self.ended.get() for _ in recorders) if error is not None]
        self.quick.sm_explore_settle()
        if verdict == DIVERGED:
            return Run(steps, DIVERGED, True)
        if errors:
            return Run(steps, f"{type(errors[0]).__name__}: {errors[0]}", True)
        return Run(steps, self.scenario.wrong(target, [o for r in recorders for o in r.operations]), True)

    def _steps(self) -> list[Step]:
        count = ctypes.c_int()
        steps = self.quick.sm_explore_steps(ctypes.byref(count))
        return list(map(Step._make, STEP.iter_unpack(ctypes.string_at(steps, count.value * STEP.size))))


def next_decisions(steps: Sequence[Step], bound: int) -> list[int] | None:
    """Of the schedule after this one, depth first; None after the last."""
    used = list(itertools.accumulate((s.is_preemption(s.chosen) for s in steps), initial=0))
    for n in range(len(steps) - 1, -1, -1):
        options = steps[n].options()
        for option in options[options.index(steps[n].chosen) + 1 :]:
            if used[n] + steps[n].is_preemption(option) <= bound:
                return [step.chosen for step in steps[:n]] + [option]
    return None


def every_schedule(
    explorer: Explorer, bound: int, seconds: float, before: Callable[[list[int]], None]
) -> Iterator[Run]:
    """With up to so many preemptions, those with one at the most first, as long as time allows. `before` is told the
    decisions of each that is about to be run."""
    until = time.monotonic() + seconds
    for each_bound in sorted({min(1, bound), bound}):
        decisions: list[int] | None = []
        while decisions is not None and time.monotonic() < until:
            before(decisions)
            run = explorer.run(decisions)
            yield run
            decisions = next_decisions(run.steps, each_bound)
