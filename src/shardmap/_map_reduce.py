"""map_reduce: reduces the entries of a map, in parts, on an executor of concurrent.futures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any, Protocol

from shardmap._core import MISSING
from shardmap._cpus import usable_cpus

_PARTS_FOR_EACH_CPU = 4  # so that the other threads do not wait long for the last part


class Partitioned(Protocol):
    """An object with partitions: disjoint iterables of (key, value) at one point in time."""

    def partitions(self, n: int, /) -> Iterable[Iterable[tuple[Any, Any]]]: ...


def map_reduce(
    source: Partitioned,
    map_function: Callable[[Any, Any], Any],
    reduce_function: Callable[[Any, Any], Any],
    executor: Executor | None,
    initial: Any,
) -> Any:
    """See ShardMap.map_reduce. Each part runs in a copy of the caller's context, so the functions see the context
    variables (and the decimal context) of the call. This holds for every executor that runs its work in this
    interpreter. An executor that sends work elsewhere pickles it, and a context cannot be pickled; there, the functions
    see the context of the code that runs them."""
    if executor is None:
        with ThreadPoolExecutor(usable_cpus(), thread_name_prefix="map_reduce") as own:
            return map_reduce(source, map_function, reduce_function, own, initial)
    parts = source.partitions(_PARTS_FOR_EACH_CPU * usable_cpus())
    context = copy_context()
    futures: list[Future[Any]] = []
    try:
        for part in parts:
            # A copy for each part: several threads cannot run in one context.
            work = _InContext(context.copy(), reduce_part)
            futures.append(executor.submit(work, part, map_function, reduce_function))
        results = [] if initial is MISSING else [initial]
        for future in futures:
            for partial in future.result():
                results = [reduce_function(results[0], partial)] if results else [partial]
    finally:
        for future in futures:
            future.cancel()
    if not results:
        raise TypeError("map_reduce() of an empty map with no initial value")
    return results[0]


class _InContext:
    """A function that runs in a context. Pickled, it is only the function. The type of an executor does not show
    whether it pickles: an InterpreterPoolExecutor is a ThreadPoolExecutor, and users may write their own."""

    __slots__ = ("context", "function")

    def __init__(self, context: Context, function: Callable[..., Any]) -> None:
        self.context = context
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.context.run(self.function, *arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial, (self.function,)


def reduce_part(
    part: Iterable[tuple[Any, Any]],
    map_function: Callable[[Any, Any], Any],
    reduce_function: Callable[[Any, Any], Any],
) -> Any:
    """Returns a tuple of the result, or an empty tuple. At module level, so that executors can pickle it."""
    results: tuple[Any, ...] = ()
    for key, value in part:
        mapped = map_function(key, value)
        results = (reduce_function(results[0], mapped) if results else mapped,)
    return results
