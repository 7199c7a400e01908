"""Dask clusters of processes on this machine, for tests; and functions for their workers that the test can stop."""

from __future__ import annotations

import logging
import os
import select
import signal
from collections.abc import Iterator
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


def pids(client: Client) -> dict[str, int]:
    """Of the workers, by address."""
    found: dict[str, int] = client.run(os.getpid)
    return found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


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
    with open(f"{path}.arrived", "wb") as arrived:
        arrived.write(b".")
    with open(f"{path}.open", "rb", buffering=0) as opened:
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
