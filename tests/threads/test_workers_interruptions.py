"""ShardWorkers and what runs between two steps of a call: signal handlers, finalizers, exceptions of theirs."""

from __future__ import annotations

import contextlib
import gc
import operator
import queue
import signal
import sys
import threading
from concurrent.futures import Future
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import shardmap
from harness.keys import Finalized
from harness.locks import LONG, assert_waits, thread
from harness.steps import each_step
from shardmap import ShardWorkers
from test_workers import add, everything, held, keys_of

PACKAGE = str(Path(shardmap.__file__).parent)

# --- Code that runs within a call ---


def test_what_runs_at_any_step_of_a_submit_may_submit_itself() -> None:
    """The queue is full; what comes in between makes room, and takes some."""

    def nested() -> None:
        go_on.set()
        results.append(workers.submit(0, add))
        assert len(workers) == 1 and workers.owner(0) == 0 and "1 threads" in repr(workers)
        results.extend(workers.broadcast(add, 0))
        results.extend([Future()] * len(list(workers.map(add, [0, 0]))))
        results[-1].cancel()

    for step in each_step(nested):
        results: list[Future[int]] = []
        with ShardWorkers(1, queue_size=1) as workers, held(workers, 0) as go_on:
            first = workers.submit(0, add)

            def submit() -> None:
                future = step.during(lambda: workers.submit(0, add))
                assert future.result(LONG) >= 2

            with thread(submit) as runner:
                runner.join(0.002)
                go_on.set()  # if the step is one after the wait, or there is none
                runner.join(LONG)
            assert first.result(LONG) == 1
        assert len(results) == (4 if step.reached else 0)
        assert [each.done() for each in results] == [True] * len(results)


def test_what_runs_at_any_step_of_a_workers_submit_may_submit_itself() -> None:
    """A worker waits for room in another's queue. Its own queue is full, so that what comes in between cannot wait for
    room there; but it can in the other's, which is only busy."""

    def nested() -> None:
        with pytest.raises(RuntimeError, match="own queue"):
            workers.submit(mine, add)
        go_on.set()
        nested_results.append(workers.submit(other, add))

    for step in islice(each_step(nested, PACKAGE), 60):  # some turns of its loop
        nested_results: list[Future[int]] = []
        with ShardWorkers(2, queue_size=1) as workers:
            (mine,), (other,) = keys_of(workers, 0), keys_of(workers, 1)

            def send(own: dict[int, int], key: int) -> Future[int]:
                assert full.wait(LONG)
                return step.during(lambda: workers.submit(other, add))  # type: ignore[no-any-return]

            full = threading.Event()
            with held(workers, other) as go_on:
                workers.submit(other, add)
                sent = workers.submit(mine, send)
                own_task = workers.submit(mine, add)  # waits until that has begun
                full.set()
                try:
                    sent.result(0.002)
                except TimeoutError:
                    go_on.set()  # as above
                assert sent.result(LONG).result(LONG) >= 2
            assert own_task.result(LONG) == 1
            assert [each.result(LONG) >= 2 for each in nested_results] == [True] * step.reached
        assert workers._waits == {}


def test_a_wait_goes_on_after_one_in_between_that_was_a_deadlock() -> None:
    """The first waits for the second, which is only busy. In between it waits for the third, which waits for it."""
    with ShardWorkers(3, queue_size=1) as workers:
        first, second, third = (keys_of(workers, number)[0] for number in range(3))
        full, errors = threading.Event(), list[str]()

        def trace(frame: Any, event: str, argument: Any) -> Any:
            if not errors and frame.f_code.co_name == "_wait_as_worker" and workers._waits:
                with pytest.raises(RuntimeError, match="each other's") as caught:
                    workers.submit(third, add)
                errors.append(str(caught.value))
                go_on.set()
            return trace

        def send(own: dict[int, int], key: int) -> Future[int]:
            assert full.wait(LONG)
            sys.settrace(trace)
            try:
                return workers.submit(second, add)
            finally:
                sys.settrace(None)

        def answer(own: dict[int, int], key: int) -> Future[int]:
            assert full.wait(LONG)
            return workers.submit(first, add)

        with held(workers, second) as go_on:
            sent, answered = workers.submit(first, send), workers.submit(third, answer)
            kept = [workers.submit(key, add) for key in (first, second, third)]  # waits until they have begun
            full.set()
            assert sent.result(LONG).result(LONG) == 2
        assert answered.result(LONG).result(LONG) == 2 and [each.result(LONG) for each in kept] == [1, 1, 1]
        assert len(errors) == 1
    assert workers._waits == {}


@pytest.mark.parametrize("full", [False, True])
def test_an_interrupt_at_any_point_of_a_submit_loses_no_room_and_gains_none(full: bool) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with ShardWorkers(1, queue_size=2, timeout=0) as workers:
        for step in each_step(interrupt, PACKAGE, "check"):
            with held(workers, 0):
                futures = [workers.submit(0, add) for _ in range(2 if full else 1)]
                with contextlib.suppress(KeyboardInterrupt, queue.Full):
                    step.during(lambda: futures.append(workers.submit(0, add)))
            assert all(future.result(LONG) for future in futures)
            assert workers.submit(0, add).result(LONG)
            with held(workers, 0):
                futures = [workers.submit(0, add) for _ in range(2)]
                with pytest.raises(queue.Full):
                    workers.submit(0, add)
            assert all(future.result(LONG) for future in futures)
        assert step.number > 5


@pytest.mark.parametrize("kind", ["lines", "join"])
def test_what_runs_at_any_step_of_a_shutdown_may_shut_down_itself(kind: str) -> None:
    def nested() -> None:
        go_on.set()
        workers.shutdown()
        ended.append(all(each.over for each in workers._inboxes))
        with pytest.raises(RuntimeError, match="shut down"):
            workers.submit(0, add)

    for step in each_step(nested):
        ended: list[bool] = []
        workers: ShardWorkers[int, int] = ShardWorkers(2)
        go_on = threading.Event()
        future = workers.submit(0, lambda own, key: go_on.wait(LONG))
        if kind == "join":
            go_on.set()
            future.result(LONG)
        with thread(lambda: step.during(workers.shutdown)) as runner:
            runner.join(0.002)
            go_on.set()
        assert ended == [True] * step.reached and future.result(LONG)
        assert not any(each.is_alive() for each in workers._threads)


def test_all_who_wait_for_room_at_the_end_wake_up() -> None:
    for cancel in (False, True):
        workers: ShardWorkers[int, int] = ShardWorkers(1, queue_size=1)
        results: list[Any] = []

        def submit() -> None:
            try:
                results.append(workers.submit(0, add))
            except RuntimeError as error:
                results.append(str(error))

        with held(workers, 0), ExitStack() as stack:
            kept = workers.submit(0, add)
            runners = [stack.enter_context(thread(submit)) for _ in range(6)]
            assert_waits(runners[0])
            workers.shutdown(wait=False, cancel_futures=cancel)
            for runner in runners:
                runner.join(LONG)
        workers.shutdown()
        assert len(results) == 6 and kept.cancelled() is cancel
        assert all("shut down" in each if isinstance(each, str) else each.result(LONG) for each in results)


needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")


@needs_timer
@pytest.mark.parametrize("timeout", [None, threading.TIMEOUT_MAX])
def test_a_signal_handler_submits_while_the_main_thread_waits_for_room(timeout: float | None) -> None:
    results: list[Any] = []
    in_handler = threading.Event()

    def handle(number: int, frame: Any) -> None:
        in_handler.set()
        results.append(workers.submit(0, add))
        results.append(workers.reduce(len, operator.add))

    def let_go() -> None:
        assert in_handler.wait(LONG)
        go_on.set()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with ShardWorkers(1, queue_size=1, timeout=timeout) as workers, held(workers, 0) as go_on, thread(let_go):
            workers.submit(0, add)
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            assert workers.submit(0, add).result(LONG) >= 2
            assert in_handler.wait(LONG) and results[0].result(LONG) >= 2 and results[1] == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@needs_timer
def test_a_signal_handler_that_raises_ends_the_wait_for_room() -> None:
    def handle(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with ShardWorkers(1, queue_size=1) as workers:
            with held(workers, 0):
                kept = workers.submit(0, add)
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                with pytest.raises(KeyboardInterrupt):
                    workers.submit(0, add)
            assert kept.result(LONG) == 1 and everything(workers) == {0: 1}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@needs_timer
def test_a_signal_handler_shuts_down_while_the_main_thread_does() -> None:
    ended: list[Any] = []

    def handle(number: int, frame: Any) -> None:
        go_on.set()
        workers.shutdown()
        ended.append(future.done())

    before = signal.signal(signal.SIGALRM, handle)
    try:
        workers: ShardWorkers[int, int] = ShardWorkers(1)
        go_on = threading.Event()
        future = workers.submit(0, lambda own, key: go_on.wait(LONG))
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        workers.shutdown()
        assert ended == [True]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_finalizers_that_submit_while_a_key_is_hashed() -> None:
    """The collector runs them in the middle of a submit, here in the worker and in another thread."""
    results: list[Any] = []

    def submit() -> None:
        try:
            results.append(workers.submit(1, add))
        except RuntimeError as error:
            results.append(error)

    class Collects(int):
        def __hash__(self) -> int:
            last = Finalized(submit)
            last.itself = last  # type: ignore[attr-defined]
            del last
            gc.collect()
            return 0

    with ShardWorkers(1, queue_size=2) as workers:

        def send(own: dict[int, int], key: int) -> str:
            for _ in range(3):
                try:
                    workers.submit(Collects(), lambda own, key: None)
                except RuntimeError as error:
                    return str(error)
            return "no error"

        for _ in range(5):
            workers.submit(Collects(), lambda own, key: None)
        assert "own queue" in workers.submit(1, send).result(LONG)
    done = [each.result(LONG) for each in results if isinstance(each, Future)]
    assert done == list(range(1, len(done) + 1)) and len(done) >= 5


def test_of_a_circle_of_workers_one_gets_the_error() -> None:
    for n in (2, 3, 4):
        with ShardWorkers(n, queue_size=1) as workers:
            keys = [keys_of(workers, number)[0] for number in range(n)]
            barrier = threading.Barrier(n)

            def fill(own: dict[int, int], key: int, other: int) -> int:
                barrier.wait(LONG)
                workers.submit(other, add)
                try:
                    workers.submit(other, add)
                except RuntimeError:
                    return 1
                return 0

            futures = [workers.submit(keys[i], fill, keys[(i + 1) % n]) for i in range(n)]
            assert sum(future.result(LONG) for future in futures) == 1
