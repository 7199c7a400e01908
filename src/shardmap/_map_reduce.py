"""map_reduce: the entries of a map, in parts, on an executor of concurrent.futures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Protocol

from shardmap._core import MISSING
from shardmap._cpus import usable_cpus

_PARTS_FOR_EACH_CPU = 4  # so that one large part does not keep the others waiting for it at the end


class Partitioned(Protocol):
    """What has partitions: disjoint iterables of (key, value) of one point in time."""

    def partitions(self, n: int, /) -> Iterable[Iterable[tuple[Any, Any]]]: ...


def map_reduce(
    source: Partitioned,
    map_function: Callable[[Any, Any], Any],
    reduce_function: Callable[[Any, Any], Any],
    executor: Executor | None,
    initial: Any,
) -> Any:
    """See ShardMap.map_reduce."""
    if executor is None:
        with ThreadPoolExecutor(usable_cpus(), thread_name_prefix="map_reduce") as own:
            return map_reduce(source, map_function, reduce_function, own, initial)
    parts = source.partitions(_PARTS_FOR_EACH_CPU * usable_cpus())
    futures: list[Future[Any]] = []
    result = initial
    try:
        futures.extend(executor.submit(reduce_part, part, map_function, reduce_function) for part in parts)
        for future in futures:
            partial = future.result()
            if partial is not MISSING:
                result = partial if result is MISSING else reduce_function(result, partial)
    finally:
        for future in futures:
            future.cancel()
    if result is MISSING:
        raise TypeError("map_reduce() of an empty map with no initial value")
    return result


def reduce_part(
    part: Iterable[tuple[Any, Any]],
    map_function: Callable[[Any, Any], Any],
    reduce_function: Callable[[Any, Any], Any],
) -> Any:
    """MISSING if there is nothing in it. At module level, for executors that send it to another process."""
    result: Any = MISSING
    for key, value in part:
        mapped = map_function(key, value)
        result = mapped if result is MISSING else reduce_function(result, mapped)
    return result
