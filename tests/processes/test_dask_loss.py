"""DaskWorkers when processes are killed: an error that says which keys went, and nothing hangs."""

from __future__ import annotations

import operator
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import Any

import pytest

distributed = pytest.importorskip("distributed")

from harness.cluster import Gate, Stuck, hold, kill, local_cluster, pass_gate, wait_for_workers, wait_until
from harness.locks import assert_waits, thread
from harness.threads import LONG
from shardmap._dask_owner import Owner
from shardmap.dask import DaskWorkers, OwnerLost

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


def add(own: dict[Any, int], key: Any, delta: int = 1) -> int:
    own[key] = own.get(key, 0) + delta
    return own[key]


def hold_all(own: dict[Any, Any], path: str) -> int:
    pass_gate(path)
    return len(own)


@pytest.fixture
def whole(client: Any) -> Any:
    """The client, once its cluster has some workers again."""
    wait_for_workers(client, 2)
    return client


def start(client: Any, *arguments: Any, **options: Any) -> DaskWorkers[Any, Any]:
    """A new DaskWorkers. On a very busy machine, a nanny may end the process that it has just started in place of the
    one that an earlier test killed."""
    while True:
        try:
            return DaskWorkers(client, *arguments, **options)
        except OwnerLost as lost:
            assert "before the owner was made" in str(lost)
            wait_for_workers(client, 2)


def start_python(*arguments: str) -> subprocess.Popen[bytes]:
    """A Python process that finds the modules that this one finds."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL, env=environment)


def kill_owner(client: Any, workers: DaskWorkers[Any, Any], number: int) -> None:
    kill(client, workers._remotes[number].address)


def keys_of(workers: DaskWorkers[Any, Any], number: int, count: int) -> list[int]:
    return [key for key in range(10_000) if workers.owner(key) == number][:count]


def lost_error(future: Future[Any]) -> OwnerLost:
    error = future.exception(LONG)
    assert isinstance(error, OwnerLost)
    return error


def test_a_worker_that_is_killed_in_the_middle(whole: Any, gate: Gate) -> None:
    """Its futures fail with its keys, also those of the queue; the others go on; nothing gives a part of the map."""
    workers: DaskWorkers[int, int] = start(whole, 4)
    for key in range(200):
        workers.submit(key, add).result(LONG)
    mine = keys_of(workers, 1, 50)
    held = workers.submit(mine[0], hold, gate.path)
    gate.wait_for_arrival()
    waiting = [workers.submit(key, add) for key in mine]
    others = [workers.submit(key, add) for key in range(200) if workers.owner(key) != 1]
    address = workers._remotes[1].address
    kill_owner(whole, workers, 1)
    sent = {key for key in range(200) if workers.owner(key) == 1} | set(mine)
    for future in (held, *waiting):
        error = lost_error(future)
        assert (error.owner, error.address, error.keys) == (1, address, sent)
        assert f"owner 1 on worker {address} is lost, and with it {len(sent)} keys (" in str(error)
    assert lost_error(held) is not lost_error(waiting[0]) and lost_error(held).keys is lost_error(waiting[0]).keys
    assert [key for key in range(200) if error.owns(key)] == [key for key in range(200) if workers.owner(key) == 1]
    assert [future.result(LONG) for future in others] == [2] * len(others)
    calls = [
        lambda: workers.submit(mine[0], add),
        lambda: workers.broadcast(len),
        lambda: workers.reduce(len, operator.add),
        workers.snapshot,
        lambda: list(workers.map(add, mine)),
    ]
    for call in calls:
        with pytest.raises(OwnerLost, match="owner 1 "):
            call()
    other = next(key for key in range(200) if workers.owner(key) == 0)
    assert workers.submit(other, add).result(LONG) == 3
    assert repr(workers) == "<DaskWorkers of 4 owners, 1 lost>"
    workers.shutdown()
    workers.shutdown()


def test_a_task_that_does_not_return_holds_up_its_worker_until_that_is_restarted(whole: Any, gate: Gate) -> None:
    """Even after the process that submitted it has ended: Dask cannot stop a function."""
    address = min(whole.nthreads())
    program = f"""
from distributed import Client
from harness.cluster import hold
from shardmap.dask import DaskWorkers
DaskWorkers(Client({whole.scheduler.address!r}), 1).submit("k", hold, {gate.path!r}).result()
"""
    with start_python("-c", program) as process:
        gate.wait_for_arrival()
        process.kill()
    workers: DaskWorkers[int, int] = start(whole, 2)
    assert workers._remotes[0].address == address
    (mine,), (other,) = keys_of(workers, 0, 1), keys_of(workers, 1, 1)
    held_up = workers.submit(mine, add)
    assert workers.submit(other, add).result(LONG) == 1
    assert not held_up.done()
    whole.restart_workers([address])
    assert lost_error(held_up).keys == {mine}
    assert workers.submit(other, add).result(LONG) == 2
    workers.shutdown()


def test_a_worker_that_is_killed_while_nothing_is_on_its_way(whole: Any) -> None:
    with start(whole, 2, track_keys=False) as workers:
        (mine,), (other,) = keys_of(workers, 0, 1), keys_of(workers, 1, 1)
        assert workers.submit(mine, add).result(LONG) == workers.submit(other, add).result(LONG) == 1
        kill_owner(whole, workers, 0)
        with pytest.raises(OwnerLost) as raised:
            workers.submit(mine, add).result(LONG)
        assert raised.value.keys is None and raised.value.owns(mine) and not raised.value.owns(other)
        assert "the keys with owner(key) == 0" in str(raised.value)
        assert workers.submit(other, add).result(LONG) == 2


def test_a_restarted_worker_does_not_begin_with_an_empty_dict(whole: Any) -> None:
    with start(whole) as workers:
        for key in range(100):
            workers.submit(key, add).result(LONG)
        before = set(whole.nthreads())
        kill_owner(whole, workers, 0)
        wait_until(lambda: bool(set(whole.nthreads()) - before))  # the nanny has made a new one
        with pytest.raises(OwnerLost):
            workers.snapshot()
        with pytest.raises(OwnerLost):
            workers.submit(keys_of(workers, 0, 1)[0], add).result(LONG)
    with start(whole) as workers:  # new ones work
        for key in range(100):
            workers.submit(key, add)
        assert workers.snapshot() == dict.fromkeys(range(100), 1)


def test_an_owner_refuses_a_batch_that_is_not_the_next() -> None:
    """So neither an owner that was made again nor a batch that arrives twice goes unnoticed."""
    batch = pickle.dumps(([pickle.dumps(add)], [(0, ("k",), {})]))
    owner = Owner()
    assert pickle.loads(owner.run(0, batch)) == ([1], {})
    with pytest.raises(RuntimeError, match="batch 0 arrived instead of batch 1"):
        owner.run(0, batch)
    assert pickle.loads(owner.run(1, batch)) == ([2], {})
    with pytest.raises(RuntimeError, match="not the same"):
        Owner().run(2, batch)


@pytest.mark.parametrize("call", ["reduce", "snapshot", "map"])
def test_a_worker_that_is_killed_during_a_call_for_all(whole: Any, gate: Gate, call: str) -> None:
    with start(whole, 2) as workers:
        keys = keys_of(workers, 0, 1) + keys_of(workers, 1, 1)

        def run() -> None:
            with pytest.raises(OwnerLost, match="owner 1 "):
                if call == "reduce":
                    workers.reduce(lambda own: pass_gate(gate.path), operator.add)
                elif call == "snapshot":
                    workers.snapshot()
                else:
                    list(workers.map(hold, keys, [gate.path] * 2))

        if call == "snapshot":  # the answer is stuck while it is pickled
            for key in keys:
                workers.submit(key, lambda own, key: own.update({key: Stuck(gate.path)})).result(LONG)
        with thread(run):
            gate.wait_for_arrival()
            gate.wait_for_arrival()
            kill_owner(whole, workers, 1)
            wait_until(lambda: workers._remotes[1].lost is not None)
            gate.open()  # the answer of the other is not taken for the whole


def test_a_thread_that_waits_for_room_gets_the_error(whole: Any, gate: Gate) -> None:
    with start(whole, 1, queue_size=1) as workers:
        held = workers.submit("gate", hold, gate.path)
        gate.wait_for_arrival()
        waiting = workers.submit("k", add)

        def submit() -> None:
            with pytest.raises(OwnerLost):
                workers.submit("k", add)

        with thread(submit) as one, thread(submit) as other:
            assert_waits(one)
            assert_waits(other)
            kill_owner(whole, workers, 0)
        assert lost_error(held).keys == lost_error(waiting).keys == {"gate", "k"}


def test_shutdown_while_the_owner_is_lost_returns(whole: Any, gate: Gate) -> None:
    workers: DaskWorkers[Any, int] = start(whole, 1)
    held = workers.submit("gate", hold, gate.path)
    gate.wait_for_arrival()
    with thread(workers.shutdown) as ending:
        assert_waits(ending)
        kill_owner(whole, workers, 0)
    lost_error(held)


def test_a_worker_that_ends_before_its_owner_is_made(whole: Any, gate: Gate) -> None:
    address = sorted(whole.nthreads())[0]
    task = whole.submit(pass_gate, gate.path, workers=[address], pure=False)  # keeps its thread busy
    gate.wait_for_arrival()

    def make() -> None:
        with pytest.raises(OwnerLost, match="before the owner was made"):
            DaskWorkers(whole, 1)

    with thread(make) as making:
        assert_waits(making)
        task.cancel()
        kill(whole, address)  # its event loop answers although its thread is busy
    del task


def test_errors_of_lost_owners_travel_themselves() -> None:
    error = OwnerLost(1, 4, "tcp://host:1", "the worker ended", frozenset(["a"]))
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, RuntimeError) and isinstance(copy, BrokenExecutor)
    assert (str(copy), copy.owner, copy.keys, copy.owns(5)) == (str(error), 1, {"a"}, error.owns(5))


# --- The client and the scheduler ---


def test_a_client_that_is_closed(whole: Any, gate: Gate) -> None:
    own = distributed.Client(whole.scheduler.address, set_as_default=False)
    workers: DaskWorkers[Any, int] = DaskWorkers(own, 2)
    (mine,), (other,) = keys_of(workers, 0, 1), keys_of(workers, 1, 1)
    held = workers.submit(mine, hold, gate.path)
    gate.wait_for_arrival()
    waiting = workers.submit(mine, add)
    own.close()
    for future in (held, waiting):
        assert "the client was closed" in str(lost_error(future))
    with pytest.raises(OwnerLost):
        workers.submit(other, add).result(LONG)
    with pytest.raises(OwnerLost):
        workers.snapshot()
    workers.shutdown()
    gate.open()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler and a worker in processes of their own: LocalCluster has the scheduler in this one."""
    file = tmp_path / "scheduler.json"
    modules = ("dask_scheduler", "--port", "0", "--no-dashboard"), ("dask_worker", "--no-nanny", "--no-dashboard")
    running = []
    try:
        for module, *options in modules:
            running.append(start_python("-m", f"distributed.cli.{module}", "--scheduler-file", str(file), *options))
        yield running[0], str(file)
    finally:
        for each in running:
            each.send_signal(signal.SIGKILL)
            each.wait(LONG)


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_killed(own_cluster: tuple[subprocess.Popen[bytes], str], gate: Gate) -> None:
    scheduler, file = own_cluster
    wait_until(Path(file).exists)
    own = distributed.Client(scheduler_file=file, timeout=LONG, set_as_default=False)
    own.wait_for_workers(1, timeout=LONG)
    workers: DaskWorkers[Any, int] = DaskWorkers(own, 1)
    held = workers.submit("gate", hold, gate.path)
    gate.wait_for_arrival()
    waiting = workers.submit("k", add)
    scheduler.kill()
    assert lost_error(held).keys == lost_error(waiting).keys == {"gate", "k"}
    with pytest.raises(OwnerLost):
        workers.submit("k", add)
    with pytest.raises(OwnerLost):
        workers.snapshot()
    workers.shutdown()
    own.close(timeout=1)


@pytest.mark.parametrize("how", ["restart", "scale", "close"])
def test_a_cluster_that_is_restarted_scaled_down_or_closed(how: str) -> None:
    with local_cluster(1) as own:
        workers: DaskWorkers[Any, int] = DaskWorkers(own, 1)
        assert workers.submit("k", add).result(LONG) == 1
        if how == "restart":
            own.restart()
        elif how == "scale":
            own.cluster.scale(0)
            wait_until(lambda: not own.nthreads())
        if how != "close":
            with pytest.raises(OwnerLost):
                workers.snapshot()
    with pytest.raises(OwnerLost):
        workers.submit("k", add).result(LONG)
    workers.shutdown()
