"""DaskWorkers: the interface of ShardWorkers, with owners in other processes."""

from __future__ import annotations

import functools
import operator
import os
import pickle
import random
import sys
import threading
import traceback
from concurrent.futures import Future, as_completed
from typing import Any

import pytest

distributed = pytest.importorskip("distributed")

from harness.cluster import Gate, actors, hold, local_cluster, wait_until
from harness.process import run_python
from harness.threads import LONG, run_alike
from shardmap import ShardWorkers
from shardmap.dask import DaskWorkers

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


def add(own: dict[Any, int], key: Any, delta: int = 1) -> int:
    own[key] = own.get(key, 0) + delta
    return own[key]


def note(own: dict[Any, list[Any]], key: Any, entry: Any) -> None:
    own.setdefault(key, []).append(entry)


def get(own: dict[Any, Any], key: Any) -> Any:
    return own[key]


def put(own: dict[Any, Any], key: Any, value: Any) -> None:
    own[key] = value


def process(own: dict[Any, Any], *_: Any) -> int:
    return os.getpid()


# --- What happens to work ---


def test_work_runs_in_the_process_of_the_owner_of_its_key_with_its_dict(client: Any) -> None:
    with DaskWorkers[int, int](client) as workers:
        assert len(workers) == 4 and repr(workers) == "<DaskWorkers of 4 owners>"
        owners: dict[int, set[int]] = {}
        for key in range(60):
            owners.setdefault(workers.owner(key), set()).add(workers.submit(key, process).result(LONG))
        assert set(owners) == {0, 1, 2, 3} and all(len(each) == 1 for each in owners.values())
        assert len(set().union(*owners.values()) | {os.getpid()}) == 5
        assert [workers.submit(key, add, delta=key).result(LONG) for key in range(60)] == list(range(60))
        parts = [future.result(LONG) for future in workers.broadcast(set)]
        assert [{workers.owner(key) for key in part} for part in parts] == [{0}, {1}, {2}, {3}]
        assert workers.snapshot() == {key: key for key in range(60)}
    assert repr(workers) == "<DaskWorkers of 4 owners, shut down>"
    wait_until(lambda: actors(client) == 0)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_number_of_owners_may_differ_from_that_of_workers(client: Any, n: int) -> None:
    with DaskWorkers[int, int](client, n) as workers:
        assert len(workers) == n == len(workers.broadcast(len))
        for key in range(100):
            workers.submit(key, add, key)
        assert workers.reduce(lambda own: sum(own.values()), operator.add) == 4950
        assert len({future.result(LONG) for future in workers.broadcast(process)}) == min(n, 4)


def run(own: dict[Any, Any], key: Any, action: str, value: Any) -> Any:
    if action == "fail":
        raise KeyError(key, value)
    if action == "pop":
        return own.pop(key)
    own[key] = (*own.get(key, ()), value)
    return {key: own[key]}


@pytest.mark.parametrize("seed", range(3))
def test_the_same_calls_have_the_same_results_as_with_shardworkers(client: Any, seed: int) -> None:
    keys = [*range(6), "a", "b", (1, "a"), None, 2.5, True, 1.0]

    def results(workers: ShardWorkers[Any, Any]) -> list[Any]:
        choose = random.Random(seed)
        found: list[Any] = []
        futures: list[Future[Any]] = []
        for number in range(400):
            action = choose.choice(["add", "add", "add", "pop", "fail"])
            key = choose.choice(keys)
            match choose.randrange(25):
                case 0:
                    found.append(sorted(workers.snapshot().items(), key=repr))
                case 1:
                    found.append(workers.reduce(len, operator.add, number))
                case 2:
                    found.append(list(workers.map(run, keys[:3], ["add"] * 3, [number] * 3)))
                case _:
                    futures.append(workers.submit(key, run, action, value=number))
        for future in futures:
            error = future.exception(LONG)
            found.append((type(error), error.args) if error else future.result())
        return found

    with DaskWorkers[Any, Any](client, queue_size=16) as there, ShardWorkers[Any, Any](4, queue_size=16) as here:
        assert isinstance(there, ShardWorkers)
        assert results(there) == results(here)


def test_equal_keys_are_one_entry(client: Any) -> None:
    with DaskWorkers[Any, int](client) as workers:
        for key in (1, 1.0, True, ("a", 1), ("a", 1.0)):
            workers.submit(key, add)
        assert workers.snapshot() == {1: 3, ("a", 1): 2}
        with pytest.raises(TypeError, match="unhashable"):
            workers.submit([], add)
        with pytest.raises(TypeError, match="same in every process"):
            workers.owner(object())


def test_updates_of_several_threads_are_exact_and_in_order(client: Any) -> None:
    with DaskWorkers[Any, Any](client, queue_size=64) as workers:

        def work(number: int) -> None:
            for i in range(1_500):
                workers.submit(i % 50, add)
                workers.submit(f"list {i % 5}", note, (number, i))

        run_alike(4, work)
        found = workers.snapshot()
    assert {key: found[key] for key in range(50)} == dict.fromkeys(range(50), 120)
    for key in range(5):
        for number in range(4):
            assert [i for n, i in found[f"list {key}"] if n == number] == list(range(key, 1_500, 5))


def test_large_arguments_and_results_travel(client: Any) -> None:
    with DaskWorkers[int, bytes](client, 2) as workers:
        for key in range(6):
            workers.submit(key, put, bytes([key]) * 3_000_000)
        assert all(value == bytes([key]) * 3_000_000 for key, value in workers.map(lambda o, k: (k, o[k]), range(6)))
        assert {key: len(value) for key, value in workers.snapshot().items()} == dict.fromkeys(range(6), 3_000_000)


def test_a_result_arrives_while_later_tasks_of_its_batch_still_run(client: Any, gate: Gate) -> None:
    with DaskWorkers[int, int](client, 1) as workers:
        held = workers.submit(0, hold, gate.path)
        gate.wait_for_arrival()
        slow = [workers.submit(0, hold, gate.path) for _ in range(3)]  # they wait together: one batch
        gate.open()
        held.result(LONG)
        for each in slow:
            gate.wait_for_arrival()
            with pytest.raises(TimeoutError):
                each.result(0.06)  # longer than a batch's time, so the answer comes before the next task
            gate.open()
            each.result(LONG)


def test_with_and_without_direct_connections(client: Any) -> None:
    with (
        distributed.Client(client.scheduler.address, direct_to_workers=True, set_as_default=False) as direct,
        DaskWorkers[int, int](direct) as workers,
        DaskWorkers[int, int](client) as others,
    ):
        for key in range(100):
            workers.submit(key, add)
            others.submit(key, add, 2)
        assert workers.snapshot() == dict.fromkeys(range(100), 1)
        assert others.snapshot() == dict.fromkeys(range(100), 2)


def test_the_given_client_is_used_not_the_default_one(client: Any) -> None:
    with local_cluster(1) as other:
        assert distributed.default_client() is other
        with DaskWorkers[int, int](client) as workers:
            assert len(workers) == 4 and len({f.result(LONG) for f in workers.broadcast(process)}) == 4
            assert actors(other) == 0


def test_a_task_of_dask_may_use_workers_of_its_own(client: Any) -> None:
    def task() -> dict[Any, Any]:
        from distributed import worker_client

        with worker_client() as own, DaskWorkers[int, int](own, 2) as workers:
            for key in range(20):
                workers.submit(key, add, key)
            return workers.snapshot()

    assert client.submit(task, pure=False).result(LONG) == {key: key for key in range(20)}


# --- What travels ---


def fail(own: dict[Any, Any], *_: Any) -> None:
    raise ZeroDivisionError("mine")


def leave(own: dict[Any, Any], *_: Any) -> None:
    raise SystemExit("mine")


class TwoArguments(Exception):
    """Cannot be unpickled: its args are not what __init__ takes."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("message")


class WithoutRepr(Exception):
    def __repr__(self) -> str:
        raise ValueError


class Leaves(Exception):
    """Raises SystemExit when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, ("mine",)


def fail_strangely(own: dict[Any, Any], key: Any, kind: str) -> None:
    errors = {"pickled": ValueError, "unpickled": TwoArguments, "shown": WithoutRepr, "leaving": Leaves}
    raise errors[kind](*((1, 2) if kind == "unpickled" else (threading.Lock(),)))


def leave_when_unpickled(own: dict[Any, Any], key: Any) -> Any:
    return Leaves()


def give(own: dict[Any, Any], key: Any) -> Any:
    add(own, key)
    return threading.Lock()


def test_errors_arrive_with_the_remote_traceback_and_the_owner_lives_on(client: Any) -> None:
    with DaskWorkers[Any, Any](client, 1) as workers:
        for function, error in ((fail, ZeroDivisionError), (leave, SystemExit)):
            with pytest.raises(error, match="mine") as raised:
                workers.submit("k", function).result(LONG)
            shown = "".join(traceback.format_exception(raised.value))
            assert f"in {function.__name__}" in shown and "test_dask_workers.py" in shown
            with pytest.raises(error, match="mine"):
                workers.reduce(function, operator.add)
        with pytest.raises(RuntimeError, match="cannot be pickled: ValueError"):
            workers.submit("k", fail_strangely, "pickled").result(LONG)
        with pytest.raises(RuntimeError, match=r"cannot be pickled: <.*WithoutRepr"):
            workers.submit("k", fail_strangely, "shown").result(LONG)
        for kind, cause in (("unpickled", "TypeError"), ("leaving", "SystemExit")):
            with pytest.raises(RuntimeError, match=f"cannot be unpickled here: {cause}") as raised:
                workers.submit("k", fail_strangely, kind).result(LONG)
            assert "in fail_strangely" in str(raised.value.__cause__)
        with pytest.raises(SystemExit, match="mine"):
            workers.submit("k", leave_when_unpickled).result(LONG)
        with pytest.raises(TypeError, match="lock"):
            workers.submit("k", give).result(LONG)
        assert workers.submit("k", add).result(LONG) == 2  # it ran before the result was pickled


def test_what_cannot_be_pickled_raises_in_submit_and_loses_nothing(client: Any) -> None:
    lock = threading.Lock()
    with DaskWorkers[Any, Any](client, 1) as workers:
        future = workers.submit("k", add)
        with pytest.raises(TypeError, match="lock"):
            workers.submit("k", put, lock)
        with pytest.raises(TypeError, match="lock"):
            workers.submit("k", lambda own, key: lock)
        with pytest.raises(TypeError, match="lock"):
            workers.broadcast(put, "k", lock)
        with pytest.raises(TypeError, match="cannot pickle 'DaskWorkers' object"):
            pickle.dumps(workers)
        assert future.result(LONG) == 1 and workers.submit("k", add).result(LONG) == 2


def test_tasks_work_on_copies(client: Any, gate: Gate) -> None:
    value: list[int] = []
    with DaskWorkers[Any, Any](client, 1) as workers:
        held = workers.submit("gate", hold, gate.path)
        gate.wait_for_arrival()
        for key in "ab":  # one batch
            workers.submit(key, put, value)
            value.append(1)
        first = workers.submit("a", get)
        workers.submit("a", note, 2)
        second = workers.submit("a", get)
        gate.open()
        held.result(LONG)
        assert (first.result(LONG), second.result(LONG)) == ([], [2])
        assert workers.submit("b", get).result(LONG) == [1]
        assert first.result() is not second.result()


def test_functions_are_sent_as_they_are_at_the_time_of_the_call(client: Any) -> None:
    seen: list[int] = []
    with DaskWorkers[Any, Any](client, 1) as workers:
        futures = []
        for number in range(5):
            futures.append(workers.submit("k", lambda own, key: (number, list(seen))))
            futures.append(workers.submit("k", functools.partial(put, value=number)))
            futures.append(workers.submit("k", get))
            seen.append(number)
        expected: list[Any] = []
        for number in range(5):
            expected += [(number, list(range(number))), None, number]
        assert [future.result(LONG) for future in futures] == expected


def test_arguments_of_any_name_are_passed_on(client: Any) -> None:
    def show(own: dict[Any, Any], key: Any, /, *args: Any, **kwargs: Any) -> Any:
        return key, args, kwargs

    with DaskWorkers[Any, Any](client, 2) as workers:
        future = workers.submit("k", show, 1, fn=2, key=[3], self=4, timeout=5)
        assert type(future) is Future
        assert future.result(LONG) == ("k", (1,), {"fn": 2, "key": [3], "self": 4, "timeout": 5})
        assert [f.result(LONG) for f in workers.broadcast(lambda own, fn: fn, fn=7)] == [7, 7]


def test_the_standard_librarys_helpers_take_the_futures_and_callbacks_run(client: Any) -> None:
    called: list[str] = []
    with DaskWorkers[int, int](client, 2, thread_name_prefix="owners") as workers:
        futures = [workers.submit(n, add) for n in range(20)]
        futures[0].add_done_callback(lambda f: called.append(threading.current_thread().name))
        assert {f.result() for f in as_completed(futures, LONG)} == {1}
    assert len(called) == 1 and called[0].startswith(("owners-", "MainThread"))


# --- map ---


def test_map_gives_results_in_the_order_of_the_keys(client: Any) -> None:
    with DaskWorkers[Any, Any](client, queue_size=8) as workers:
        assert list(workers.map(lambda own, key: -key, range(1_000))) == [-n for n in range(1_000)]
        assert list(workers.map(add, ["k", "k"], [1, 5])) == [1, 6] and list(workers.map(add, [])) == []
        results = workers.map(lambda own, key: 10 // key, [5, 0])
        assert next(results) == 2
        with pytest.raises(ZeroDivisionError):
            next(results)


# --- Importing ---


def test_without_dask_the_import_says_what_to_install() -> None:
    run_python("""
        import sys
        sys.modules["distributed"] = None
        import shardmap
        try:
            import shardmap.dask
        except ImportError as error:
            assert "pip install shardmap[dask]" in str(error), error
        else:
            raise AssertionError
    """)


def test_importing_shardmap_does_not_import_dask() -> None:
    run_python("import sys, shardmap; assert not {'dask', 'distributed'} & set(sys.modules)")
