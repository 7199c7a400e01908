"""Threads that start together and whose errors reach the test."""

from __future__ import annotations

import threading
from collections.abc import Callable
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
