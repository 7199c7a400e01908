"""ShardWorkers and what is around them: threads with the ident of one that ended, callbacks that raise, contexts."""

from __future__ import annotations

import contextvars
import gc
import logging
import operator
import threading
from collections.abc import Callable
from concurrent.futures import Future
from decimal import Decimal, localcontext
from typing import Any

import pytest

from harness.keys import Finalized
from harness.locks import LONG, thread
from harness.process import run_python
from shardmap import ShardWorkers
from test_workers import add, held, keys_of

# --- Idents that are used again ---


def test_a_thread_with_the_ident_of_a_worker_that_ended_is_none() -> None:
    workers: ShardWorkers[int, int] = ShardWorkers(4)
    idents = {each.ident for each in workers._threads}
    workers.shutdown()
    again: list[int] = []

    def use() -> None:
        again.append(threading.get_ident())
        workers.shutdown()
        with pytest.raises(RuntimeError, match="shut down"):
            workers.submit(1, add)

    for _ in range(20):
        with thread(use):
            pass
        if again[-1] in idents:
            break


def test_a_worker_of_others_is_like_any_thread() -> None:
    with ShardWorkers(1) as others:
        workers: ShardWorkers[int, int] = ShardWorkers(1)
        others.submit(1, lambda own, key: workers.shutdown()).result(LONG)
        assert not workers._threads[0].is_alive()


# --- Exceptions in the worker that are nobody's ---


class Strange(BaseException):
    pass


def raising(error: type[BaseException]) -> Callable[[Any], None]:
    def raise_it(_: Any) -> None:
        raise error("mine")

    return raise_it


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, Strange, ZeroDivisionError])
def test_a_callback_that_raises_is_logged_and_the_worker_goes_on(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    workers: ShardWorkers[int, int] = ShardWorkers(1)
    with held(workers, 0):
        futures = [workers.submit(1, add), workers.submit(1, lambda own, key: 1 // 0), workers.submit(1, add)]
        for future in futures:
            future.add_done_callback(raising(error))
        later = workers.submit(1, add)
    assert later.result(LONG) == 3
    workers.shutdown()
    assert [future.exception() is None for future in futures] == [True, False, True]
    records = [record for record in caplog.records if record.name == "concurrent.futures"]
    assert [record.levelno for record in records] == [logging.ERROR] * 3
    assert all(record.exc_info is not None and record.exc_info[0] is error for record in records)


def test_what_is_logged_is_seen_without_any_setting() -> None:
    done = run_python(
        """
        import sys, threading
        from shardmap import ShardWorkers
        with ShardWorkers(1) as workers:
            go_on = threading.Event()
            future = workers.submit(1, lambda own, key: go_on.wait())
            future.add_done_callback(lambda future: sys.exit("mine"))
            go_on.set()
            assert workers.submit(1, lambda own, key: 7).result() == 7
        """
    )
    assert "SystemExit: mine" in done.stderr and "callback" in done.stderr


def test_a_logger_that_raises_ends_no_worker() -> None:
    class Refusing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            refused.append(record)
            raise SystemExit

    refused: list[Any] = []
    handler = Refusing()
    logging.getLogger("concurrent.futures").addHandler(handler)
    try:
        with ShardWorkers(1) as workers:
            with held(workers, 0):
                workers.submit(1, add).add_done_callback(raising(SystemExit))
                later = workers.submit(1, add)
            assert later.result(LONG) == 2 and len(refused) == 1
    finally:
        logging.getLogger("concurrent.futures").removeHandler(handler)


def test_a_future_whose_result_somebody_else_sets_ends_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    with ShardWorkers(1) as workers:
        with held(workers, 0):
            before = workers.submit(1, add)
            before.set_result(7)
            during: Future[int] = workers.submit(1, lambda own, key: (during.set_result(8), 9)[1])
            later = workers.submit(1, add)
        assert later.result(LONG) == 1
    assert before.result() == 7 and during.result() == 8


def test_callbacks_that_raise_when_shutdown_cancels() -> None:
    for error in (SystemExit, KeyboardInterrupt):
        workers: ShardWorkers[int, int] = ShardWorkers(2)
        first, second = keys_of(workers, 0)[0], keys_of(workers, 1)[0]
        with held(workers, first), held(workers, second):
            futures = [workers.submit(key, add) for key in (first, second, first, second)]
            for future in futures:
                future.add_done_callback(raising(error))
            with pytest.raises(error, match="mine"):
                workers.shutdown(cancel_futures=True)
            assert all(future.cancelled() for future in futures)
        workers.shutdown()
        assert not any(each.is_alive() for each in workers._threads)


# --- Contexts ---

setting: contextvars.ContextVar[str] = contextvars.ContextVar("setting", default="nobody's")


def setting_of(own: dict[Any, Any], *_: Any) -> str:
    before = setting.get()
    setting.set("the worker's")
    return before


def in_setting(value: str, function: Callable[[], Any]) -> Any:
    def run() -> Any:
        setting.set(value)
        return function()

    return contextvars.Context().run(run)


def test_functions_run_in_the_context_of_the_call() -> None:
    with ShardWorkers(2, queue_size=4) as workers:
        for value in ("a", "b"):
            with held(workers, 0):
                future = in_setting(value, lambda: workers.submit(0, setting_of))
                again = in_setting(value, lambda: [workers.submit(0, setting_of) for _ in range(2)])
            assert future.result(LONG) == value and [each.result(LONG) for each in again] == [value, value]
            futures = in_setting(value, lambda: workers.broadcast(setting_of))
            assert [each.result(LONG) for each in futures] == [value, value]
            assert in_setting(value, lambda: workers.reduce(setting_of, operator.add)) == value * 2
            results = in_setting(value, lambda: workers.map(setting_of, range(50)))
            assert in_setting("taken elsewhere", lambda: list(results)) == [value] * 50
        assert workers.submit(0, setting_of).result(LONG) == setting.get() == "nobody's"


def test_functions_see_the_callers_decimal_context() -> None:
    with ShardWorkers(1) as workers:
        workers.reduce(len, max)
        with localcontext() as context:
            context.prec = 5
            assert workers.submit(1, lambda own, key: Decimal(1) / 3).result(LONG) == Decimal("0.33333")
        assert workers.submit(1, lambda own, key: Decimal(1) / 3).result(LONG) == Decimal(1) / 3


def test_a_context_goes_with_its_task() -> None:
    gone: list[None] = []

    def submit() -> None:
        contextvars.ContextVar[Any]("value").set(Finalized(lambda: gone.append(None)))
        workers.submit(1, add).result(LONG)

    with ShardWorkers(1) as workers:
        contextvars.Context().run(submit)
        workers.submit(1, add).result(LONG)  # the worker is past the last one
        gc.collect()
        assert gone == [None]
