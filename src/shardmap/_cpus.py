"""The number of threads that can run at once."""

from __future__ import annotations

import os


def usable_cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
