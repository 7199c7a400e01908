"""DaskWorkers: bounded queues, cancelled tasks, the end, and wrong arguments."""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import threading
import weakref
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

distributed = pytest.importorskip("distributed")

from harness.cluster import Gate, actors, hold, wait_until
from harness.locks import assert_waits, thread
from harness.process import fork_and_wait, run_python
from harness.threads import LONG
from shardmap.dask import DaskWorkers

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


def add(own: dict[Any, int], key: Any, delta: int = 1) -> int:
    own[key] = own.get(key, 0) + delta
    return own[key]


# --- Bounds ---


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_full_queue_times_out(client: Any, gate: Gate, timeout: float) -> None:
    with DaskWorkers[Any, int](client, 1, queue_size=2, timeout=timeout) as workers:
        held = workers.submit("gate", hold, gate.path)
        gate.wait_for_arrival()
        kept = [workers.submit("k", add) for _ in range(2)]
        for call in (lambda: workers.submit("k", add), lambda: workers.broadcast(len), lambda: workers.map(add, "k")):
            with pytest.raises(queue.Full):
                call()
        gate.open()
        held.result(LONG)
        assert [each.result(LONG) for each in kept] == [1, 2]
        assert workers.snapshot() == {"k": 2}


def test_a_full_queue_makes_submitters_wait_and_drops_nothing(client: Any, gate: Gate) -> None:
    later: list[Future[int]] = []
    with DaskWorkers[Any, int](client, 1, queue_size=1) as workers:
        workers.submit("gate", hold, gate.path)
        gate.wait_for_arrival()
        first = workers.submit("k", add)
        with thread(lambda: later.append(workers.submit("k", add))) as runner:
            assert_waits(runner)
            gate.open()
        assert [first.result(LONG), later[0].result(LONG)] == [1, 2]


def test_a_callback_that_would_wait_for_itself_gets_an_error(client: Any, gate: Gate) -> None:
    errors: list[Any] = []
    called = threading.Event()
    with DaskWorkers[Any, int](client, 1, queue_size=1) as workers:
        held = workers.submit("gate", hold, gate.path)
        gate.wait_for_arrival()

        def fill(_: Any) -> None:
            for call in (lambda: [workers.submit("k", add) for _ in range(3)], workers.shutdown):
                try:
                    call()
                except RuntimeError as error:
                    errors.append(str(error))
            called.set()

        held.add_done_callback(fill)
        gate.open()
        assert called.wait(LONG)
    assert len(errors) == 2 and "deadlock" in errors[0] and "own end" in errors[1]


# --- Futures that are cancelled, and the end ---


def test_a_task_that_was_not_sent_can_be_cancelled(client: Any, gate: Gate) -> None:
    with DaskWorkers[Any, int](client, 1) as workers:
        held = workers.submit("gate", hold, gate.path)
        gate.wait_for_arrival()
        waiting = [workers.submit("k", add) for _ in range(3)]
        assert waiting[1].cancel() and not held.cancel() and held.running()
        gate.open()
        assert [waiting[0].result(LONG), waiting[2].result(LONG)] == [1, 2]
        with pytest.raises(CancelledError):
            waiting[1].result()


@pytest.mark.parametrize("cancel", [False, True])
def test_shutdown_finishes_or_cancels_what_waits(client: Any, gate: Gate, cancel: bool) -> None:
    workers: DaskWorkers[Any, int] = DaskWorkers(client, 1)
    held = workers.submit("gate", hold, gate.path)
    gate.wait_for_arrival()
    waiting = [workers.submit("k", add) for _ in range(3)]
    workers.shutdown(wait=False, cancel_futures=cancel)
    with pytest.raises(RuntimeError, match="shut down"):
        workers.submit("k", add)
    gate.open()
    workers.shutdown()
    assert held.done() and [each.cancelled() for each in waiting] == [cancel] * 3
    assert cancel or [each.result() for each in waiting] == [1, 2, 3]
    wait_until(lambda: actors(client) == 0)


def test_the_tasks_are_finished_when_the_last_reference_is_gone(client: Any) -> None:
    workers: DaskWorkers[Any, int] = DaskWorkers(client, 2)
    threads, gone = workers._threads, weakref.ref(workers)
    futures = [workers.submit(key, add) for key in range(100)]
    del workers
    gc.collect()
    assert gone() is None
    assert [each.result(LONG) for each in futures] == [1] * 100
    for each in threads:
        each.join(LONG)
        assert not each.is_alive()
    wait_until(lambda: actors(client) == 0)


def test_the_tasks_are_finished_at_exit(client: Any, tmp_path: Path) -> None:
    run_python(f"""
        from distributed import Client
        from shardmap.dask import DaskWorkers

        def note(own, key, number):
            own[key] = own.get(key, 0) + number
            if number == 99:
                with open({str(tmp_path / "sum")!r}, "w") as file:
                    file.write(str(own[key]))

        workers = DaskWorkers(Client({client.scheduler.address!r}), 1)
        for number in range(100):
            workers.submit("k", note, number)
    """)
    assert (tmp_path / "sum").read_text() == "4950"


def test_ctrl_c_ends_the_wait_for_a_result(client: Any) -> None:
    done = run_python(f"""
        import signal, threading, time
        from distributed import Client
        from shardmap.dask import DaskWorkers

        main = threading.main_thread().ident
        with Client({client.scheduler.address!r}) as client, DaskWorkers(client, 1, queue_size=1) as workers:
            def stuck(own, key):
                time.sleep(1.5)  # much longer than it takes until Ctrl-C arrives
            future = workers.submit("k", stuck)
            for wait in (future.result, lambda: [workers.submit("k", stuck) for _ in range(3)]):
                try:
                    threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
                    wait()
                except KeyboardInterrupt:
                    print("interrupted")
            assert workers.submit("n", lambda own, key: 5).result() == 5
    """)
    assert done.stdout.split() == ["interrupted"] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_forked_child_the_workers_are_gone(client: Any) -> None:
    with DaskWorkers[int, int](client, 1) as workers:
        workers.submit(1, add)

        def child(workers: Any = workers) -> None:
            with pytest.raises(RuntimeError, match="forked"):
                workers.submit(1, add)
            workers.shutdown()

        fork_and_wait(child)
        assert workers.submit(1, add).result(LONG) == 2


# --- Wrong arguments ---


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n": 0}, ValueError),
        ({"n": 1.5}, TypeError),
        ({"queue_size": 0}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": "soon"}, TypeError),
    ],
)
def test_wrong_arguments_are_errors_and_make_no_owner(client: Any, arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        DaskWorkers(client, **arguments)
    assert actors(client) == 0


def test_the_client_must_be_a_synchronous_one(client: Any) -> None:
    with pytest.raises(TypeError, match=r"distributed\.Client, not 'str'"):
        DaskWorkers(client.scheduler.address)

    async def use() -> None:
        async with distributed.Client(client.scheduler.address, asynchronous=True, set_as_default=False) as own:
            with pytest.raises(TypeError, match="asynchronous"):
                DaskWorkers(own)

    asyncio.run(use())
