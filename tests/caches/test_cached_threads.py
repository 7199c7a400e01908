"""@cached functions that threads and tasks call at the same time."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import threading
import weakref
from typing import Any

import pytest

from harness.threads import meanwhile, run_alike, run_threads
from shardmap import cached

pytestmark = pytest.mark.concurrent


class WithCoroutine:
    def __init__(self, factor: int) -> None:
        self.factor = factor
        self.calls: list[int] = []

    @cached
    async def later(self, x: int) -> int:
        self.calls.append(x)
        await asyncio.sleep(0)
        return self.factor * x


def test_coroutine_functions_run_once_for_the_tasks_that_ask_at_once() -> None:
    calls: list[int] = []

    @cached(maxsize=10)
    async def double(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0.01)
        if x < 0:
            raise ValueError(x)
        return 2 * x

    async def main() -> None:
        assert await asyncio.gather(*[double(2) for _ in range(5)], double(3)) == [4] * 5 + [6]
        assert sorted(calls) == [2, 3]
        assert double.invalidate(2)
        assert await double(2) == 4
        outcomes = await asyncio.gather(double(-1), double(-1), return_exceptions=True)
        assert [type(each) for each in outcomes] == [ValueError, ValueError]
        assert calls.count(-1) == 1
        one, two = WithCoroutine(1), WithCoroutine(2)
        assert await asyncio.gather(one.later(3), one.later(3), two.later(3)) == [3, 3, 6]
        assert (one.calls, two.calls) == ([3], [3])
        assert one.later.cache_info().currsize == 1

    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(double)
    else:
        assert asyncio.iscoroutinefunction(double)
    asyncio.run(main())


def test_a_function_runs_once_for_threads_that_ask_at_once() -> None:
    calls: list[int] = []
    inside = threading.Event()

    @cached
    def slow(x: int) -> int:
        calls.append(x)
        inside.wait(0.2)
        return x

    assert run_alike(8, lambda number: slow(1)) == [1] * 8
    assert calls == [1]


def test_an_exception_is_given_to_all_and_not_kept() -> None:
    calls: list[int] = []
    inside = threading.Event()

    @cached
    def fails(x: int) -> int:
        calls.append(x)
        inside.wait(0.2)
        raise ValueError(x)

    def attempt(number: int) -> None:
        with pytest.raises(ValueError, match="1"):
            fails(1)

    run_alike(8, attempt)
    assert fails.cache_info().currsize == 0
    assert len(calls) < 8


def test_recursion_and_mutual_recursion_of_threads_run_on() -> None:
    @cached
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    results = run_alike(4, lambda number: fibonacci(60 - number))
    assert results == [1548008755920, 956722026041, 591286729879, 365435296162]
    both = threading.Barrier(2)

    @cached
    def left(depth: int) -> int:
        if depth == 2:
            both.wait(10)
        return depth if depth == 0 else right(depth - 1)

    @cached
    def right(depth: int) -> int:
        if depth == 2:
            both.wait(10)
        return depth if depth == 0 else left(depth - 1)

    assert run_threads(lambda: left(2), lambda: right(2)) == [0, 0]

    @cached
    def swap(me: int) -> int:
        both.wait(10) if entered.count(me) == 0 else None
        entered.append(me)
        return swap(1 - me) + 1 if len(entered) < 4 else 0

    entered: list[int] = []
    run_threads(lambda: swap(0), lambda: swap(1))


def test_no_old_result_of_a_method_is_seen_after_all_were_forgotten() -> None:
    version = 0

    class Reader:
        @cached
        def read(self) -> int:
            return version

    reader = Reader()
    with meanwhile(*[reader.read] * 3):
        for version in range(1, 3000):
            Reader.read.cache_clear()
            assert reader.read() == version


def test_a_loader_that_starts_what_loads_again_keeps_no_former_value() -> None:
    class Value:
        pass

    seen: list[weakref.ref[Value]] = []

    @cached(maxsize=1)
    async def value(number: int) -> Value:
        made = Value()
        seen.append(weakref.ref(made))
        if number < 50:
            tasks.append(asyncio.ensure_future(value(number + 1)))
        return made

    async def main() -> None:
        await value(0)
        while tasks:
            await tasks.pop()

    tasks: list[Any] = []
    asyncio.run(main())
    gc.collect()
    assert sum(each() is not None for each in seen) <= 2
