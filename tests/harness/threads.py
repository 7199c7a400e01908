"""Threads that start together and whose errors reach the test."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def run_threads(*works: Callable[[], Any], timeout: float = 60) -> list[Any]:
    """Runs each work in a thread of its own, all let go at once, and returns their results. The first error is
    raised here. Threads that are still running after `timeout` seconds fail the test: pytest's
    faulthandler_timeout then prints where they stand."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)
    errors: list[BaseException] = []

    def run(number: int, work: Callable[[], Any]) -> None:
        try:
            barrier.wait(timeout)
            results[number] = work()
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [
        threading.Thread(target=run, args=(number, work), daemon=True) for number, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    if errors:
        raise next((e for e in errors if not isinstance(e, threading.BrokenBarrierError)), errors[0])
    alive = sum(thread.is_alive() for thread in threads)
    if alive:
        import faulthandler

        faulthandler.dump_traceback(all_threads=True)
        raise TimeoutError(f"{alive} of {len(threads)} threads still run after {timeout} s")
    return results


def run_alike(count: int, work: Callable[[int], Any], timeout: float = 60) -> list[Any]:
    """run_threads(work(0), work(1), ...)."""
    return run_threads(*[lambda number=number: work(number) for number in range(count)], timeout=timeout)


@contextmanager
def meanwhile(*works: Callable[[], Any], timeout: float = 60) -> Iterator[None]:
    """While the block runs, runs each work again and again in a thread of its own. Each has run once before the block
    begins. Their first error is raised at its end."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def repeat(work: Callable[[], Any], once: threading.Event) -> None:
        try:
            work()
            once.set()
            while not stop.is_set():
                work()
        except BaseException as error:
            errors.append(error)
        finally:
            once.set()

    ready = [threading.Event() for _ in works]
    threads = [
        threading.Thread(target=repeat, args=pair, daemon=True) for pair in zip(works, ready, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        for event in ready:
            event.wait(timeout)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout)
    if errors:
        raise errors[0]
    alive = sum(thread.is_alive() for thread in threads)
    if alive:
        import faulthandler

        faulthandler.dump_traceback(all_threads=True)
        raise TimeoutError(f"{alive} threads still run {timeout} s after they were asked to stop")


@contextmanager
def switching_often() -> Iterator[None]:
    """With a GIL, threads take turns every microsecond instead of every 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
