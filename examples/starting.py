"""Starting threads that begin their work at the same time, at a barrier."""

from __future__ import annotations

import threading
from collections.abc import Sequence


def start_and_join(threads: Sequence[threading.Thread], barrier: threading.Barrier) -> None:
    """Starts the threads, which wait at the barrier, and waits until they end. If that is interrupted, by Ctrl-C or
    because the system has no more threads, those that run do not wait for those that never start."""
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        barrier.abort()
        raise
