"""Compares caches, with one thread and with two: hits, cached functions, and hits with misses.

    python bench/caches.py [--rounds 7] [--output build/bench]

The first workload has 1,000 str keys, all in the cache. The second one is a Zipf-like sequence in which a fifth of the
requests are misses; these are stored and evict entries. Libraries that are not installed are left out. The values are
small integers, because their references are not counted: otherwise all threads would write the count of the same
object, with every cache. Rounds are paired (rounds.py). "loop" is an empty loop, in the same rounds.
"""

from __future__ import annotations

import contextlib
import functools
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

from beside import compare_with_threads
from rounds import SHORTEST, Calibrated, Region, region
from shardmap import ShardCache, ShardMap, cached

KEYS = [f"key {i}" for i in range(1000)]
VALUES = {key: len(key) for key in KEYS}
POPULATION = 20_000

Loop = Callable[[list[Any]], None]  # goes once over the keys


def getting(cache: Any) -> Loop:
    def loop(keys: list[Any]) -> None:
        get = cache.get  # a bound method for each thread: threads that share one would all write its reference count
        for key in keys:
            get(key)

    return loop


def calling(function: Callable[[Any], Any]) -> Loop:
    def loop(keys: list[Any]) -> None:
        for key in keys:
            function(key)

    return loop


def storing(cache: Any, store_as: str = "__setitem__") -> Loop:
    def loop(keys: list[Any]) -> None:
        get, store = cache.get, getattr(cache, store_as)
        for key in keys:
            if get(key) is None:
                store(key, 1)

    return loop


def of_theine(cache: Any) -> Loop:
    def loop(keys: list[Any]) -> None:
        get, store = cache.get, cache.set
        for key in keys:
            if not get(key)[1]:
                store(key, 1)

    return loop


def nothing(keys: list[Any]) -> None:
    for _ in keys:
        pass


def locked(cache: Any) -> Loop:
    """A cachetools cache, shared between threads as its documentation recommends."""
    lock = threading.Lock()

    def loop(keys: list[Any]) -> None:
        for key in keys:
            with lock:
                if cache.get(key) is None:
                    cache[key] = 1

    return loop


def compute(key: str) -> int:
    return len(key)


def full(cache: Any, store: Callable[[Any, Any], Any] | None = None) -> Any:
    for key, value in VALUES.items():
        (store or cache.__setitem__)(key, value)
    return cache


def hits() -> dict[str, Loop]:
    rows: dict[str, Loop] = {
        "loop": nothing,
        "ShardMap.get": getting(ShardMap(VALUES)),
        "ShardCache.get": getting(full(ShardCache(2000))),
        "ShardCache.get, ttl": getting(full(ShardCache(2000, ttl=3600))),
        "dict.get": getting(dict(VALUES)),
    }
    with contextlib.suppress(ImportError):
        import cachebox  # type: ignore[import-not-found,unused-ignore]

        rows["cachebox.get"] = getting(full(cachebox.LRUCache(2000)))
    with contextlib.suppress(ImportError):
        from moka_py import Moka  # type: ignore[import-not-found,unused-ignore]

        moka = Moka(2000)
        full(moka, moka.set)
        rows["moka-py.get"] = getting(moka)
    with contextlib.suppress(ImportError):
        import cachetools  # type: ignore[import-untyped,import-not-found,unused-ignore]

        rows["cachetools, lock"] = locked(full(cachetools.LRUCache(2000)))
    return rows


def functions() -> dict[str, Loop]:
    rows: dict[str, Loop] = {
        "loop": nothing,
        "lru_cache": calling(functools.lru_cache(2000)(compute)),
        "@cached": calling(cached(2000)(compute)),
    }
    with contextlib.suppress(ImportError):
        import cachebox  # type: ignore[import-not-found,unused-ignore]

        rows["cachebox @cached"] = calling(cachebox.cached(cachebox.LRUCache(2000))(compute))
    with contextlib.suppress(ImportError):
        import cachetools  # type: ignore[import-untyped,import-not-found,unused-ignore]

        rows["cachetools @cached, lock"] = calling(
            cachetools.cached(cachetools.LRUCache(2000), lock=threading.RLock())(compute)
        )
    return rows


@functools.lru_cache(maxsize=4)
def zipf(count: int, seed: int) -> list[str]:
    """Keys of requests; about a fifth of them miss in a cache of 3,500 entries."""
    choices = random.Random(seed)
    weights = [1 / (rank + 1) ** 0.95 for rank in range(POPULATION)]
    return [f"key {number}" for number in choices.choices(range(POPULATION), weights, k=count)]


def misses() -> dict[str, Loop]:
    size = 3500
    rows: dict[str, Loop] = {
        "loop": nothing,
        "ShardCache": storing(ShardCache[str, int](size)),
        "@cached": calling(cached(size)(compute)),
        "lru_cache": calling(functools.lru_cache(size)(compute)),
    }
    with contextlib.suppress(ImportError):
        import cachebox  # type: ignore[import-not-found,unused-ignore]

        rows["cachebox"] = storing(cachebox.LRUCache(size))
    with contextlib.suppress(ImportError):
        from moka_py import Moka  # type: ignore[import-not-found,unused-ignore]

        rows["moka-py"] = storing(Moka(size), "set")
    with contextlib.suppress(ImportError):
        from theine import Cache  # type: ignore[import-not-found,unused-ignore]

        rows["theine"] = of_theine(Cache(size))
    with contextlib.suppress(ImportError):
        import cachetools  # type: ignore[import-untyped,import-not-found,unused-ignore]

        rows["cachetools, lock"] = locked(cachetools.LRUCache(size))
    return rows


def timed(loop: Loop, threads: int, draw: Callable[[int], list[Any]], shortest: float = SHORTEST) -> Calibrated:
    draws = [draw(number) for number in range(threads)]

    def measure(repetitions: int) -> Region:
        def prepare(number: int) -> Callable[[], int]:
            keys = draws[number]

            def part() -> int:
                for _ in range(repetitions):
                    loop(keys)
                return repetitions * len(keys)

            return part

        return region(prepare, threads)

    for keys in draws:
        loop(keys)
    return Calibrated(measure, shortest=shortest)


PARTS: dict[str, tuple[Callable[[], dict[str, Loop]], Callable[[int], list[Any]]]] = {
    "hits": (hits, lambda number: KEYS),
    "functions, hits": (functions, lambda number: KEYS),
    "a fifth misses": (misses, lambda number: zipf(20_000, number)),
}


def main() -> int:
    return compare_with_threads(
        __doc__,
        "caches.json",
        {
            title: {
                f"{name} | {threads}": timed(loop, threads, draw) for name, loop in make().items() for threads in (1, 2)
            }
            for title, (make, draw) in PARTS.items()
        },
    )


if __name__ == "__main__":
    sys.exit(main())
