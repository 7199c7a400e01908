"""Threads that start together and whose errors reach the test."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EMULATED = "SHARDMAP_EMULATED" in os.environ
"""make arm64: everything takes many times as long."""

LONG = 900.0 if EMULATED else 180.0
"""Seconds: what a test may wait for what must happen. On the most loaded machine, only a deadlock takes longer."""


def join_all(threads: list[threading.Thread], errors: list[BaseException], timeout: float) -> None:
    """Waits for the threads' ends. Raises the first error of theirs; if some still run after `timeout` seconds, says
    where and raises TimeoutError."""
    until = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if errors:
        raise next((e for e in errors if not isinstance(e, threading.BrokenBarrierError)), errors[0])
    alive = sum(thread.is_alive() for thread in threads)
    if alive:
        faulthandler.dump_traceback(all_threads=True)
        raise TimeoutError(f"{alive} of {len(threads)} threads still run after {timeout} s")


def interrupt_third_start(monkeypatch: Any) -> list[threading.Thread]:
    """From now on the third start of a thread raises KeyboardInterrupt. Returns the list of those
    that started before."""
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def start_or_interrupt(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise KeyboardInterrupt
        thread.daemon = True
        start(thread)
        started.append(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_interrupt)
    return started


def run_threads(*works: Callable[[], Any], timeout: float = LONG) -> list[Any]:
    """Runs each work in a thread of its own, all let go at once, and returns their results. The first error is
    raised here. Threads that still run after `timeout` seconds fail the test."""
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

    threads = [threading.Thread(target=run, args=(number, work), daemon=True) for number, work in enumerate(works)]
    for thread in threads:
        thread.start()
    join_all(threads, errors, timeout)
    return results


def run_alike(count: int, work: Callable[[int], Any], timeout: float = LONG) -> list[Any]:
    """run_threads(work(0), work(1), ...)."""
    return run_threads(*[lambda number=number: work(number) for number in range(count)], timeout=timeout)


class Trap:
    """Called the first time, it has other threads do the works and waits for them; then it does nothing."""

    def __init__(self, *works: Callable[[], Any]) -> None:
        self.works = works
        self.sprung = threading.Lock()

    def __call__(self) -> None:
        if self.sprung.acquire(blocking=False):
            run_threads(*self.works)

    def assert_sprung(self) -> None:
        assert self.sprung.locked()


@contextmanager
def meanwhile(*works: Callable[[], Any], timeout: float = LONG) -> Iterator[None]:
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
    threads = [threading.Thread(target=repeat, args=pair, daemon=True) for pair in zip(works, ready, strict=True)]
    for thread in threads:
        thread.start()
    try:
        for event in ready:
            if not event.wait(timeout):
                raise TimeoutError(f"not begun after {timeout} s")
        yield
    finally:
        stop.set()
        join_all(threads, errors, timeout)


@contextmanager
def switching_often() -> Iterator[None]:
    """With a GIL, threads take turns every microsecond instead of every 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
