"""What tests of key locks share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from harness.threads import LONG, run_threads
from shardmap import ShardMap


@contextmanager
def thread(work: Callable[[], Any]) -> Iterator[threading.Thread]:
    """Runs `work` beside the block, which must make it come to its end. Its error is raised here."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    runner = threading.Thread(target=run, daemon=True)
    runner.start()
    yield runner
    runner.join(LONG)
    assert not runner.is_alive(), "still waits"
    if errors:
        raise errors[0]


def assert_waits(runner: threading.Thread) -> None:
    runner.join(0.05)
    assert runner.is_alive(), "did not wait"


def assert_free(m: ShardMap, *keys: Any) -> None:
    """Another thread gets each lock at once."""

    def lock_each() -> None:
        for key in keys:
            with m.lock(key, timeout=0):
                pass

    run_threads(lock_each)
