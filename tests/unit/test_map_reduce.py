"""map_reduce over a map's partitions, on executors of concurrent.futures."""

from __future__ import annotations

import functools
import itertools
import operator
import pickle
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import Context, ContextVar
from decimal import Decimal, localcontext
from typing import Any

import pytest

from harness.threads import meanwhile
from shardmap import MISSING, ShardMap


class Map(ShardMap):
    """With partitions, in case that ShardMap has none yet."""

    if not hasattr(ShardMap, "partitions"):

        def partitions(self, n: int, /) -> list[Iterable[tuple[Any, Any]]]:
            items = list(self.items())
            return [items[number::n] for number in range(n)]


def value_of(key: Any, value: int) -> int:
    return value


def expected(m: Map, *initial: Any) -> Any:
    return functools.reduce(operator.add, itertools.starmap(value_of, m.items()), *initial)


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_does_what_reduce_does_over_all_entries(size: int) -> None:
    m = Map((f"key {n}", n) for n in range(size))
    with ThreadPoolExecutor(3) as executor:
        for options in ({}, {"executor": executor}):
            assert m.map_reduce(value_of, operator.add, **options) == expected(m)  # type: ignore[call-overload]
            assert m.map_reduce(value_of, operator.add, initial=100, **options) == expected(m, 100)  # type: ignore[call-overload]
            assert m.map_reduce(lambda k, v: {k}, operator.or_, **options) == set(m)  # type: ignore[call-overload]


def test_an_empty_map_gives_the_initial_value_or_a_type_error() -> None:
    assert Map().map_reduce(value_of, operator.add, initial=5) == 5
    assert Map().map_reduce(value_of, operator.add, initial=None) is None
    with pytest.raises(TypeError, match="no initial value"):
        Map().map_reduce(value_of, operator.add)


def test_none_is_a_value_like_others() -> None:
    m = Map((n, None) for n in range(50))
    pairs: list[Any] = []
    assert m.map_reduce(lambda k, v: v, lambda a, b: pairs.append((a, b))) is None
    assert pairs == [(None, None)] * 49


class Stop(Exception):
    pass


def test_exceptions_reach_the_caller_and_the_rest_is_not_worked_on() -> None:
    m = Map((n, n) for n in range(1000))
    called: list[int] = []

    def stop(key: int, value: int) -> int:
        called.append(key)
        raise Stop

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(Stop):
            m.map_reduce(stop, operator.add, executor=executor)
        assert executor.submit(lambda: 7).result() == 7
    assert 1 <= len(called) < 1000

    def stop_reducing(a: int, b: int) -> int:
        raise Stop

    with pytest.raises(Stop):
        m.map_reduce(value_of, stop_reducing)


def test_works_on_one_point_in_time() -> None:
    m = Map()
    m["n"] = 0
    numbers = itertools.count(1)

    def write() -> None:
        n = next(numbers)
        if n <= 3000:  # a map that grows for ever would keep a slow reader from ever coming to an end
            m[n] = 1
            m["n"] = n

    with meanwhile(write):
        for _ in range(5):
            keys, told = m.map_reduce(
                lambda key, value: (0, value) if key == "n" else (1, 0), lambda a, b: (a[0] + b[0], a[1] + b[1])
            )
            assert keys in (told, told + 1)


def test_the_functions_may_use_the_map() -> None:
    m = Map((n, n) for n in range(100))
    threads = set()

    def use(key: int, value: int) -> int:
        threads.add(threading.get_ident())
        m[key] = 0
        m.snapshot()
        return value

    assert m.map_reduce(use, operator.add) == 4950 and set(m.values()) == {0}
    assert threading.get_ident() not in threads


def test_processes_can_do_it() -> None:
    m = Map((n, n) for n in range(100))
    with ProcessPoolExecutor(1) as executor:
        assert m.map_reduce(value_of, operator.add, executor=executor) == 4950


# --- The caller's context ---

setting: ContextVar[str] = ContextVar("setting", default="nobody's")


def setting_of(key: Any, value: Any) -> set[str]:
    return {setting.get()}


class InThisThread(Executor):
    """An executor that is none of the standard library's."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Pickling(InThisThread):
    """One that pickles, as those do that send work to processes, to other interpreters or to other machines."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        fn, args = pickle.loads(pickle.dumps((fn, args)))
        return Context().run(super().submit, fn, *args, **kwargs)


def test_functions_run_in_the_callers_context() -> None:
    m = Map((n, n) for n in range(200))
    with ThreadPoolExecutor(2) as executor:
        executor.submit(int).result()  # a thread that began in another context
        token = setting.set("mine")
        try:
            for given in (None, executor, InThisThread()):
                assert m.map_reduce(setting_of, operator.or_, executor=given) == {"mine"}
        finally:
            setting.reset(token)


def test_functions_see_the_callers_decimal_context() -> None:
    m = Map((n, Decimal(1) / 3) for n in range(100))
    with ThreadPoolExecutor(1) as executor:
        executor.submit(int).result()  # its thread began before
        with localcontext() as context:
            context.prec = 5
            for given in (None, executor):
                most = m.map_reduce(lambda key, value: +value, max, executor=given)
                assert len(most.as_tuple().digits) <= 5


def test_what_functions_set_stays_theirs() -> None:
    m = Map((n, n) for n in range(200))

    def change(key: int, value: int) -> int:
        setting.set(str(key))
        return value

    assert m.map_reduce(change, operator.add) == m.map_reduce(change, operator.add, executor=InThisThread())
    assert setting.get() == "nobody's"


def test_the_context_is_that_of_the_call_whatever_the_executor_does() -> None:
    m = Map((n, n) for n in range(200))

    class Changing(ThreadPoolExecutor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            setting.set("the executor's")
            return super().submit(fn, *args, **kwargs)

    def call() -> Any:
        setting.set("mine")
        with Changing(2) as executor:
            return m.map_reduce(setting_of, operator.or_, executor=executor)

    assert Context().run(call) == {"mine"}


def test_an_executor_that_pickles_gets_no_context() -> None:
    m = Map((n, n) for n in range(200))
    token = setting.set("mine")
    try:
        assert m.map_reduce(setting_of, operator.or_, executor=Pickling()) == {"nobody's"}
        assert m.map_reduce(value_of, operator.add, executor=Pickling()) == sum(range(200))
    finally:
        setting.reset(token)


@pytest.mark.parametrize("size", [1, 100])
def test_missing_is_a_value_like_others(size: int) -> None:
    m = ShardMap(dict.fromkeys(range(size), 1))
    assert m.map_reduce(lambda key, value: MISSING, lambda a, b: MISSING) is MISSING
    added = m.map_reduce(lambda key, value: MISSING if key == 0 else 1, lambda a, b: (a or 0) + (b or 0))
    assert added == (size - 1 or MISSING)
