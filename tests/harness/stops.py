"""Stopping the world again and again without starving all other threads."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

SHORTEST_PAUSE = 0.003


def pausing(stop: Callable[[], Any]) -> Callable[[], None]:
    """`stop`, and a pause after it for the other threads to get on.

    A thread that does nothing but stop the world has stopped it again before the others have woken up: on free-threaded
    3.13 it starves them for tens of seconds, users of a plain dict as well. The pause is twice as long as the stop
    took, so that time is left for the others even where two threads do this."""

    def stop_and_pause() -> None:
        began = time.monotonic()
        stop()
        time.sleep(max(SHORTEST_PAUSE, 2 * (time.monotonic() - began)))

    return stop_and_pause


collect_and_pause = pausing(gc.collect)
"""What a thread that collects garbage all the time must call instead of gc.collect()."""
