"""map_reduce on the executor of a Dask client: parts of the map go to the processes of a cluster."""

from __future__ import annotations

import operator
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from harness.cluster import Gate, pass_gate
from harness.locks import thread
from harness.threads import LONG
from shardmap import MISSING, ShardCounter, ShardMap

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


def value_of(key: Any, value: int) -> int:
    return value


def process_of(key: Any, value: int) -> set[int]:
    return {os.getpid()}


@pytest.mark.parametrize("size", [1, 2, 5_000])
def test_the_result_is_that_of_threads(client: Any, size: int) -> None:
    m = ShardMap((f"key {n}", n) for n in range(size))
    with client.get_executor() as executor:
        assert m.map_reduce(value_of, operator.add, executor=executor) == m.map_reduce(value_of, operator.add)
        assert m.map_reduce(lambda key, n: {key}, operator.or_, executor=executor) == set(m)  # a lambda travels, too
        assert m.map_reduce(value_of, max, executor=executor, initial=size) == size
    with client.get_executor() as executor, pytest.raises(TypeError, match="no initial value"):
        ShardMap[str, int]().map_reduce(value_of, operator.add, executor=executor)


def test_several_processes_work_on_the_parts(client: Any) -> None:
    m = ShardMap((n, n) for n in range(1_000))
    with client.get_executor() as executor:
        used = m.map_reduce(process_of, operator.or_, executor=executor)
    assert len(used) > 1 and os.getpid() not in used


def test_errors_arrive(client: Any) -> None:
    with client.get_executor() as executor, pytest.raises(ZeroDivisionError):
        ShardMap(a=0).map_reduce(lambda key, value: 1 // value, operator.add, executor=executor)


def test_maps_snapshots_and_markers_travel(client: Any) -> None:
    m, words = ShardMap(a=1, b=2), ShardCounter("abba")
    done = client.submit(lambda m, s, w: (m.to_dict(), dict(s), dict(w), w), m, m.snapshot(), words).result(LONG)
    assert done == ({"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 2, "b": 2}, words)
    assert client.submit(lambda: MISSING, pure=False).result(LONG) is MISSING


def stop_first(key: Any, value: int, path: str) -> int:
    """Stops in the one process that removes the file, once."""
    try:
        Path(path).unlink()
    except FileNotFoundError:
        return value
    Path(f"{path}.pid").write_text(str(os.getpid()))
    pass_gate(path)
    return value


def test_a_part_whose_worker_is_killed_runs_on_another(client: Any, gate: Gate) -> None:
    """Unlike the entries of DaskWorkers, a part of a map is in the hands of the scheduler."""
    m = ShardMap((n, n) for n in range(100))
    path = gate.path
    Path(path).touch()
    results: list[int] = []
    with client.get_executor() as executor:

        def reduce() -> None:
            results.append(m.map_reduce(partial(stop_first, path=path), operator.add, executor=executor))

        with thread(reduce):
            gate.wait_for_arrival()
            os.kill(int(Path(f"{path}.pid").read_text()), signal.SIGKILL)
    assert results == [4950]
