"""ShardWorkers: work reaches its owner in order, nothing is dropped, errors reach the caller, the end is orderly."""

from __future__ import annotations

import gc
import operator
import os
import pickle
import queue
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, as_completed, wait
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from harness.keys import HashKey
from harness.locks import LONG, assert_waits, thread
from harness.process import fork_and_wait, run_python
from harness.threads import run_alike, run_threads, switching_often
from shardmap import ShardWorkers


def add(own: dict[Any, int], key: Any, delta: int = 1) -> int:
    own[key] = own.get(key, 0) + delta
    return own[key]


def who(own: dict[Any, Any], *_: Any) -> int:
    return threading.get_ident()


def everything(workers: ShardWorkers[Any, Any]) -> dict[Any, Any]:
    return workers.reduce(dict.copy, operator.or_)


@contextmanager
def held(workers: ShardWorkers[Any, Any], key: Any) -> Iterator[threading.Event]:
    """While the block runs the owner of `key` is busy; or until the event is set."""
    busy, go_on = threading.Event(), threading.Event()

    def hold(own: dict[Any, Any], key: Any) -> None:
        busy.set()
        assert go_on.wait(LONG)

    future = workers.submit(key, hold)
    assert busy.wait(LONG)
    try:
        yield go_on
    finally:
        go_on.set()
        future.result(LONG)


def keys_of(workers: ShardWorkers[Any, Any], number: int, count: int = 1) -> list[int]:
    return [key for key in range(10_000) if workers.owner(key) == number][:count]


# --- What happens to work ---


def test_work_runs_on_the_owner_of_its_key_with_its_dict() -> None:
    with ShardWorkers(3) as workers:
        assert len(workers) == 3
        owners: dict[int, set[int]] = {}
        for key in range(60):
            owners.setdefault(workers.owner(key), set()).add(workers.submit(key, who).result(LONG))
        assert set(owners) == {0, 1, 2} and all(len(each) == 1 for each in owners.values())
        assert len(set().union(*owners.values())) == 3 and threading.get_ident() not in set().union(*owners.values())
        for key in range(60):
            assert workers.submit(key, add, delta=key).result(LONG) == key
        futures = workers.broadcast(set)
        assert [{workers.owner(key) for key in future.result(LONG)} for future in futures] == [{0}, {1}, {2}]
        assert everything(workers) == {key: key for key in range(60)}


def test_equal_keys_have_one_owner() -> None:
    with ShardWorkers(7) as workers:
        for same in ((1, 1.0, True), (HashKey("k", 7), HashKey("k", 7)), ((1, "a"), (1.0, "a"))):
            assert len({workers.owner(key) for key in same}) == 1
        for work in (lambda: workers.submit([], add), lambda: workers.owner({})):  # type: ignore[arg-type,call-overload]
            with pytest.raises(TypeError, match="unhashable"):
                work()


def test_arguments_of_any_name_are_passed_on() -> None:
    def show(own: dict[Any, Any], key: Any, /, *args: Any, **kwargs: Any) -> Any:
        return key, args, kwargs

    with ShardWorkers(2) as workers:
        future = workers.submit("k", show, 1, fn=2, key=3, self=4, timeout=5)
        assert type(future) is Future
        assert future.result(LONG) == ("k", (1,), {"fn": 2, "key": 3, "self": 4, "timeout": 5})
        assert [f.result(LONG) for f in workers.broadcast(lambda own, fn: fn, fn=7)] == [7, 7]


def test_work_of_one_thread_on_one_key_keeps_its_order() -> None:
    def note(own: dict[Any, list[Any]], key: int, entry: Any) -> None:
        own.setdefault(key, []).append(entry)

    with ShardWorkers(2, queue_size=8) as workers:

        def work(number: int) -> None:
            for i in range(300):
                workers.submit(i % 5, note, (number, i))

        run_alike(3, work)
        noted = everything(workers)
    for key in range(5):
        for number in range(3):
            assert [i for n, i in noted[key] if n == number] == list(range(key, 300, 5))


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit, StopIteration])
def test_errors_reach_the_caller_and_the_worker_lives_on(error: type[BaseException]) -> None:
    def fail(own: dict[Any, Any], *_: Any) -> None:
        raise error("mine")

    with ShardWorkers(1) as workers:
        with pytest.raises(error, match="mine"):
            workers.submit("k", fail).result(LONG)
        for future in workers.broadcast(fail):
            assert type(future.exception(LONG)) is error
        with pytest.raises(error, match="mine"):
            workers.reduce(fail, operator.add)
        with pytest.raises(RuntimeError if error is StopIteration else error):
            list(workers.map(fail, [1]))
        assert workers.submit("k", add).result(LONG) == 1


def test_the_standard_librarys_helpers_take_the_futures() -> None:
    called: list[Any] = []
    with ShardWorkers(2) as workers:
        futures = [workers.submit(n, add) for n in range(20)]
        futures[0].add_done_callback(lambda f: called.append(f.result()))
        assert {f.result() for f in as_completed(futures, LONG)} == {1}
        assert not wait(futures, LONG).not_done
    assert called == [1]


# --- map, broadcast, reduce ---


def test_map_gives_results_in_the_order_of_the_keys() -> None:
    with ShardWorkers(3, queue_size=2) as workers:
        assert list(workers.map(lambda own, key: -key, range(200))) == [-n for n in range(200)]
        three = workers.map(lambda own, key, a, b: (key, a, b), "ab", [1, 2, 3], [4, 5])
        assert list(three) == [("a", 1, 4), ("b", 2, 5)]
        assert list(workers.map(add, [])) == [] and list(workers.map(add, ["k", "k"], [1, 5])) == [1, 6]


def test_map_takes_keys_only_as_far_ahead_as_it_has_to() -> None:
    taken: list[int] = []

    def keys() -> Iterator[int]:
        for n in range(10_000):
            taken.append(n)
            yield n

    with ShardWorkers(2) as workers:
        results = workers.map(lambda own, key: key, keys())
        first = [next(results) for _ in range(10)]
        assert first == list(range(10)) and len(taken) <= 20
        results.close()  # type: ignore[attr-defined]
        with pytest.raises(StopIteration):
            next(results)


def test_map_cancels_what_has_not_begun_when_it_is_left() -> None:
    with ShardWorkers(1) as workers:
        with held(workers, 0) as go_on:
            results = workers.map(add, ["a", "b", "c"], timeout=0.01)
            with pytest.raises(TimeoutError):
                next(results)
            go_on.set()
        assert everything(workers) == {}


def test_the_first_error_of_map_is_raised_in_its_place() -> None:
    def check(own: dict[Any, Any], key: int) -> int:
        return 10 // key

    with ShardWorkers(2) as workers:
        results = workers.map(check, [5, 1, 0, 2])
        assert [next(results), next(results)] == [2, 10]
        with pytest.raises(ZeroDivisionError):
            next(results)
        with pytest.raises(StopIteration):
            next(results)
        with pytest.raises(TypeError):
            list(workers.map(check, [1, []]))


def test_reduce_combines_in_the_threads_order() -> None:
    with ShardWorkers(4) as workers:
        for n in range(100):
            workers.submit(n, add, n)
        assert workers.reduce(len, operator.add) == 100
        assert workers.reduce(len, operator.add, 1000) == 1100
        assert workers.reduce(lambda own: sum(own.values()), max) >= 100 * 99 / 2 / 4
        orders = workers.reduce(lambda own: [who(own)], operator.add)
        assert orders == [f.result() for f in workers.broadcast(who)]
        assert everything(workers) == {n: n for n in range(100)}


def test_a_snapshot_has_all_entries_and_all_that_was_submitted_before() -> None:
    with ShardWorkers[Any, Any](3, queue_size=4) as workers:
        assert workers.snapshot() == {}
        for n in range(300):
            workers.submit(n % 60, add, n)
        found = workers.snapshot()
        assert found == {n: sum(range(n, 300, 60)) for n in range(60)}
        owners = [workers.owner(key) for key in found]
        assert owners == sorted(owners)
        workers.submit(0, add)
        found.clear()
        assert len(workers.snapshot()) == 60
    with pytest.raises(RuntimeError, match="shut down"):
        workers.snapshot()


# --- Bounds ---


def test_a_full_queue_makes_submitters_wait_and_drops_nothing() -> None:
    with ShardWorkers(1, queue_size=2) as workers, ExitStack() as stack:
        later: list[Future[int]] = []
        with held(workers, 0):
            first = [workers.submit("k", add) for _ in range(2)]
            runner = stack.enter_context(thread(lambda: later.append(workers.submit("k", add))))
            assert_waits(runner)
            assert not any(future.done() for future in first) and not later
        runner.join(LONG)
        assert [future.result(LONG) for future in [*first, *later]] == [1, 2, 3]


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_full_queue_times_out(timeout: float) -> None:
    with ShardWorkers(2, queue_size=1, timeout=timeout) as workers:
        (mine,), (other,) = keys_of(workers, 0), keys_of(workers, 1)
        with held(workers, mine):
            kept = workers.submit(mine, add)
            with pytest.raises(queue.Full):
                workers.submit(mine, add)
            with pytest.raises(queue.Full):
                workers.broadcast(len)
            with pytest.raises(queue.Full):
                workers.map(add, [mine])
            assert workers.submit(other, add).result(LONG) == 1  # the other queue is its own
        assert kept.result(LONG) == 1
        assert everything(workers) == {mine: 1, other: 1}


def test_no_more_tasks_wait_than_the_queue_may_hold() -> None:
    most = 0
    with ShardWorkers(2, queue_size=5) as workers:

        def work(number: int) -> None:
            nonlocal most
            for i in range(500):
                workers.submit(i, add)
                most = max(most, *(inbox.tasks.qsize() for inbox in workers._inboxes))

        run_alike(3, work)
        assert sum(everything(workers).values()) == 1_500
    assert 0 < most <= 5


def test_updates_from_four_producers_are_exact() -> None:
    with switching_often(), ShardWorkers(2, queue_size=64) as workers:

        def work(number: int) -> None:
            for i in range(1_500):
                workers.submit(i % 50, add)

        run_alike(4, work)
        assert everything(workers) == dict.fromkeys(range(50), 120)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n": 0}, ValueError),
        ({"n": -1}, ValueError),
        ({"n": 1.5}, TypeError),
        ({"n": 1, "queue_size": 0}, ValueError),
        ({"n": 1, "queue_size": None}, TypeError),
        ({"n": 1, "timeout": -1}, ValueError),
        ({"n": 1, "timeout": float("nan")}, ValueError),
        ({"n": 1, "timeout": float("inf")}, ValueError),
        ({"n": 1, "timeout": "soon"}, TypeError),
    ],
)
def test_wrong_arguments_are_errors_and_start_no_thread(arguments: dict[str, Any], error: type[Exception]) -> None:
    before = threading.active_count()
    with pytest.raises(error):
        ShardWorkers(**arguments)
    assert threading.active_count() == before


# --- Workers that submit ---


def test_workers_may_submit_to_themselves_and_each_other() -> None:
    with ShardWorkers(2, queue_size=4) as workers:

        def walk(own: dict[Any, int], key: int, left: int) -> None:
            add(own, key)
            if left:
                workers.submit(key + 1, walk, left - 1)
            else:
                done.set()

        done = threading.Event()
        workers.submit(0, walk, 500)
        assert done.wait(LONG)
        assert everything(workers) == dict.fromkeys(range(501), 1)


def test_a_worker_whose_own_queue_is_full_gets_an_error_not_a_deadlock() -> None:
    with ShardWorkers(1, queue_size=2) as workers:

        def fill(own: dict[Any, int], key: int) -> int:
            for number in range(10):
                try:
                    workers.submit(key, add)
                except RuntimeError as error:
                    assert "deadlock" in str(error)
                    with pytest.raises(RuntimeError, match="deadlock"):
                        workers.broadcast(len)
                    return number
            return -1

        assert workers.submit(1, fill).result(LONG) == 2
        assert workers.submit(1, add).result(LONG) == 3  # two were accepted


@pytest.mark.parametrize("n", [2, 3, 5])
def test_workers_that_wait_for_room_in_each_others_queues(n: int) -> None:
    """Each fills its neighbour's queue: of a circle that would wait for ever one gets the error, and all go on."""
    with ShardWorkers(n, queue_size=1) as workers:
        keys = [keys_of(workers, number)[0] for number in range(n)]
        barrier = threading.Barrier(n)

        def fill(own: dict[Any, int], key: int, other: int) -> tuple[int, int]:
            barrier.wait(LONG)
            accepted = refused = 0
            for _ in range(3):
                try:
                    workers.submit(other, add)
                    accepted += 1
                except RuntimeError as error:
                    assert "each other's" in str(error)
                    refused += 1
            return accepted, refused

        futures = [workers.submit(keys[i], fill, keys[(i + 1) % n]) for i in range(n)]
        results = [future.result(LONG) for future in futures]
        assert all(accepted + refused == 3 for accepted, refused in results)
        assert sum(refused for _, refused in results) >= 1
        assert sum(everything(workers).values()) == sum(accepted for accepted, _ in results)
        assert workers._waits == {}


def test_a_worker_waits_for_room_in_the_queue_of_one_that_is_only_busy() -> None:
    with ShardWorkers(2, queue_size=1) as workers:
        (mine,), (other,) = keys_of(workers, 0), keys_of(workers, 1)

        def send(own: dict[Any, int], key: int) -> list[Future[int]]:
            return [workers.submit(other, add) for _ in range(5)]

        with held(workers, other):
            future = workers.submit(mine, send)
            with pytest.raises(TimeoutError):
                future.result(0.05)
        assert [f.result(LONG) for f in future.result(LONG)] == [1, 2, 3, 4, 5]


def test_messages_between_many_workers_with_small_queues() -> None:
    """Random traffic: whatever was accepted is done, and it comes to an end."""
    accepted: Counter[int] = Counter()
    with switching_often(), ShardWorkers(3, queue_size=1) as workers:

        def pass_on(own: dict[Any, int], key: int, left: int) -> None:
            add(own, "handled")
            if left:
                for other in (key * 7 + 1, key * 3 + 2):
                    try:
                        workers.submit(other % 100, pass_on, left - 1)
                        accepted[threading.get_ident()] += 1
                    except RuntimeError:
                        pass

        for key in range(20):
            workers.submit(key, pass_on, 4)
    # The dicts are gone; count again with results.
    assert sum(accepted.values()) > 0
    assert workers._waits == {}


def test_a_worker_that_has_got_its_room_is_not_taken_for_one_that_waits() -> None:
    """Two workers send to a third through a queue of one: they wait, in no circle, so there is no error."""
    with switching_often(), ShardWorkers(3, queue_size=1) as workers:
        first, second, third = (keys_of(workers, number)[0] for number in range(3))
        errors: list[BaseException] = []

        def send(own: dict[Any, int], key: int, target: int, times: int) -> None:
            try:
                for _ in range(times):
                    workers.submit(target, add)
            except RuntimeError as error:
                errors.append(error)

        futures = [workers.submit(first, send, third, 100), workers.submit(second, send, third, 100)]
        for future in futures:
            future.result(LONG)
        assert errors == [] and workers._waits == {}
        assert workers.submit(third, add).result(LONG) == 201


# --- The end ---


def test_shutdown_finishes_what_was_submitted() -> None:
    workers: ShardWorkers[int, int] = ShardWorkers(2)
    futures = [workers.submit(n % 10, add) for n in range(500)]
    workers.shutdown()
    assert all(future.done() for future in futures) and not any(t.is_alive() for t in workers._threads)
    assert Counter(future.result() for future in futures) == dict.fromkeys(range(1, 51), 10)
    for work in (lambda: workers.submit(1, add), lambda: workers.broadcast(len), lambda: list(workers.map(add, [1]))):
        with pytest.raises(RuntimeError, match="shut down"):
            work()
    workers.shutdown()
    workers.shutdown(wait=False, cancel_futures=True)
    assert repr(workers) == "<ShardWorkers of 2 threads, shut down>"


def test_shutdown_can_cancel_what_has_not_begun() -> None:
    workers: ShardWorkers[int, int] = ShardWorkers(1, queue_size=100)
    with held(workers, 0) as go_on:
        futures = [workers.submit(n, add) for n in range(50)]
        workers.shutdown(wait=False, cancel_futures=True)
        assert all(future.cancelled() for future in futures)
        with pytest.raises(RuntimeError):
            workers.submit(1, add)
        go_on.set()
    workers.shutdown()
    with pytest.raises(CancelledError):
        futures[0].result(LONG)


def test_shutdown_without_waiting_returns_at_once_even_from_full_queues() -> None:
    workers: ShardWorkers[int, int] = ShardWorkers(1, queue_size=1)
    with held(workers, 0):
        future = workers.submit(1, add)
        workers.shutdown(wait=False)
        assert not future.done()
    assert future.result(LONG) == 1
    workers.shutdown()


def test_a_cancelled_future_is_not_run() -> None:
    with ShardWorkers(1) as workers:
        with held(workers, 0):
            futures = [workers.submit("k", add) for _ in range(3)]
            assert futures[1].cancel()
        assert [futures[0].result(LONG), futures[2].result(LONG)] == [1, 2]


def test_those_who_wait_for_room_at_shutdown_get_an_error_or_their_result() -> None:
    for _ in range(5):
        workers: ShardWorkers[int, int] = ShardWorkers(1, queue_size=1)
        accepted: list[Future[int]] = []
        begun = threading.Event()

        def submit(_: int) -> None:
            try:
                for _ in range(50):
                    accepted.append(workers.submit(1, add))
                    begun.set()
            except RuntimeError as error:
                assert "shut down" in str(error)

        with thread(lambda: run_alike(4, submit)):
            assert begun.wait(LONG)
            workers.shutdown()
        assert sorted(future.result(LONG) for future in accepted) == list(range(1, len(accepted) + 1))


def test_a_worker_cannot_wait_for_its_own_end() -> None:
    workers: ShardWorkers[int, int] = ShardWorkers(1)
    with pytest.raises(RuntimeError, match="its own end"):
        workers.submit(1, lambda own, key: workers.shutdown()).result(LONG)
    workers.submit(1, lambda own, key: workers.shutdown(wait=False)).result(LONG)
    workers.shutdown()


def test_threads_end_when_nobody_refers_to_them_any_more() -> None:
    class Value:
        pass

    workers: ShardWorkers[int, Any] = ShardWorkers(2)
    threads, value = list(workers._threads), Value()
    reference = weakref.ref(value)
    future = workers.submit(1, lambda own, key, value: own.update({key: value}), value)
    future.result(LONG)
    pending = [workers.submit(n, lambda own, key: key) for n in range(100)]
    cycle = [workers]
    cycle.append(cycle)  # type: ignore[arg-type]
    del value, workers, cycle, future
    gc.collect()
    for each in threads:
        each.join(LONG)
        assert not each.is_alive()
    assert [f.result(LONG) for f in pending] == list(range(100))
    gc.collect()
    assert reference() is None


def test_tasks_and_results_are_let_go() -> None:
    class Value:
        pass

    with ShardWorkers(1) as workers:
        value = Value()
        reference = weakref.ref(value)
        workers.submit(1, lambda own, key, value: value, value).result(LONG)
        with pytest.raises(ZeroDivisionError):
            workers.submit(1, lambda own, key, value: 1 // 0, value).result(LONG)
        del value
        workers.submit(1, add).result(LONG)  # the worker is past the last one
        gc.collect()
        assert reference() is None


def test_at_exit_what_was_submitted_is_finished() -> None:
    done = run_python(
        """
        import os, time
        from shardmap import ShardWorkers
        workers = ShardWorkers(2)
        def slow(own, key):
            time.sleep(0.01)
            os.write(1, f"{key}\\n".encode())
        for n in range(20):
            workers.submit(n, slow)
        """
    )
    assert sorted(map(int, done.stdout.split())) == list(range(20))


def test_an_error_leaves_the_with_block_in_order() -> None:
    with pytest.raises(ZeroDivisionError), ShardWorkers(2) as workers:
        future = workers.submit(1, add)
        raise ZeroDivisionError
    assert future.result(LONG) == 1 and not any(t.is_alive() for t in workers._threads)


def test_what_it_is_not() -> None:
    with ShardWorkers(1, thread_name_prefix="mine") as workers:
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(workers)
        assert workers._threads[0].name.startswith("mine-") and repr(workers) == "<ShardWorkers of 1 threads>"
        assert ShardWorkers[str, int].__origin__ is ShardWorkers
    with ShardWorkers() as default:
        assert len(default) >= 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_forked_child_the_workers_are_gone_and_new_ones_work() -> None:
    workers: ShardWorkers[int, int] = ShardWorkers(2, queue_size=4)

    def child() -> None:
        for work in (lambda: workers.submit(1, add), lambda: workers.broadcast(len)):
            with pytest.raises(RuntimeError, match="forked"):
                work()
        workers.shutdown()
        assert len(workers) == 2
        with ShardWorkers(2) as others:
            assert others.submit(1, add).result(10) == 1

    def work(workers: ShardWorkers[int, int] = workers) -> None:  # not the child's variable: fork_and_wait
        for i in range(200):
            workers.submit(i, add)

    def fork() -> None:
        for _ in range(3):
            fork_and_wait(child)

    works: list[Callable[[], Any]] = [work, work, fork]
    run_threads(*works)
    assert sum(everything(workers).values()) == 400
    workers.shutdown()
