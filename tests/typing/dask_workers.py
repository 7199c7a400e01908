"""DaskWorkers, a ShardWorkers on other machines."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, assert_type

from shardmap import ShardWorkers
from shardmap.dask import DaskWorkers, OwnerLost


def count(own: dict[str, int], key: str, by: int = 1) -> int:
    own[key] = own.get(key, 0) + by
    return own[key]


def of_numbers(own: dict[int, int], key: int) -> None: ...


def total(pool: ShardWorkers[str, int]) -> int:
    return pool.reduce(lambda own: sum(own.values()), int.__add__)


def workers(client: Any) -> None:
    with DaskWorkers[str, int](client, 2, queue_size=8, timeout=1.5, thread_name_prefix="w", track_keys=False) as pool:
        assert_type(pool, DaskWorkers[str, int])
        assert_type(len(pool), int)
        assert_type(pool.owner("a"), int)
        assert_type(pool.submit("a", count), Future[int])
        assert_type(pool.submit("a", count, by=2), Future[int])
        assert_type(pool.map(count, ["a", "b"], [1, 2], timeout=1), Iterator[int])
        assert_type(pool.broadcast(len), list[Future[int]])
        assert_type(pool.reduce(len, int.__add__), int)
        assert_type(pool.snapshot(), dict[str, int])
        assert_type(total(pool), int)
        pool.submit(1, count)  # type: ignore[arg-type]
        pool.submit("a", count, "2")  # type: ignore[arg-type]
        pool.submit("a", of_numbers)  # type: ignore[arg-type]
        pool.map(count, [1])  # type: ignore[list-item]
        pool.shutdown(wait=False, cancel_futures=True)
        DaskWorkers(client, 2, 8)  # type: ignore[call-arg]


def lost(error: OwnerLost) -> None:
    assert_type(error.owner, int)
    assert_type(error.address, str)
    assert_type(error.reason, str)
    assert_type(error.keys, frozenset[Any] | None)
    assert_type(error.owns("a"), bool)
    runtime: RuntimeError = error
    del runtime
