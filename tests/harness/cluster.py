"""Dask clusters of processes on this machine, for tests; and functions for their workers that the test can stop."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster

from harness.threads import LONG


@contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """A client of a new cluster of `workers` processes. Nannies restart processes that are killed."""
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # None would be port 8787, and a warning if another cluster has it
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def wait_for_workers(client: Client, workers: int, timeout: float = LONG) -> None:
    """Waits until the cluster has at least that many workers, and all answer: the scheduler may not yet know of a
    worker that it has lost."""
    while True:
        client.wait_for_workers(workers, timeout=timeout)
        with contextlib.suppress(OSError):
            if len(client.run(os.getpid)) >= workers:
                return


def kill(client: Client, address: str) -> None:
    """Kills the process of a worker."""
    os.kill(client.run(os.getpid, workers=[address])[address], signal.SIGKILL)


def actors(client: Client) -> int:
    """The number of actors in the cluster."""
    return sum(client.run(lambda dask_worker: len(dask_worker.state.actors)).values())


def wait_until(condition: Callable[[], bool]) -> None:
    """For what no event tells."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class Gate:
    """A place where functions in other processes stop until the test lets them go on. They get `path`. Made of two
    named pipes, so that nobody polls."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "gate")
        self._ends = []
        for end in ("arrived", "open"):
            os.mkfifo(f"{self.path}.{end}")
            self._ends.append(os.open(f"{self.path}.{end}", os.O_RDWR))

    def wait_for_arrival(self) -> None:
        ready, _, _ = select.select([self._ends[0]], [], [], LONG)
        assert ready, "nobody came to the gate"
        assert os.read(self._ends[0], 1)

    def open(self, times: int = 1) -> None:
        os.write(self._ends[1], b"." * times)

    def close(self) -> None:
        for end in self._ends:
            os.close(end)


def pass_gate(path: str) -> None:
    Path(f"{path}.arrived").write_bytes(b".")
    with Path(f"{path}.open").open("rb", buffering=0) as opened:
        assert opened.read(1)


def hold(own: dict[Any, Any], key: Any, path: str) -> None:
    """A task that keeps its owner busy until the gate opens."""
    pass_gate(path)


class Stuck:
    """An object whose pickling stops at the gate."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        pass_gate(self.path)
        return str, ("passed",)
