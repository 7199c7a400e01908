"""Caches, and functions whose results are cached: what type checkers infer of them."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import assert_type

from shardmap import MISSING, CacheInfo, CacheStats, MissingType, RemovalCause, ShardCache, Snapshot, cached


def caches(cache: ShardCache[str, int]) -> None:
    assert_type(cache["a"], int)
    assert_type(cache.get("a"), int | None)
    assert_type(cache.get("a", ""), int | str)
    assert_type(cache.get_or_load("a"), int)
    assert_type(cache.get_or_load("a", len), int)
    assert_type(cache.get_or_load("a", lambda key: len(key)), int)
    assert_type(cache.get_or_load("a", lambda key: len(key) or MISSING), int | MissingType)
    assert_type(cache.get_many(["a"]), list[int | None])
    assert_type(cache.get_many(["a"], 0), list[int])
    assert_type(cache.get_many(["a"], load_many=lambda keys: dict.fromkeys(keys, 1)), list[int | None])
    assert_type(cache.pop("a", None), int | None)
    assert_type(cache.invalidate("a"), bool)
    assert_type(cache.snapshot(), Snapshot[str, int])
    assert_type(list(cache.items()), list[tuple[str, int]])
    assert_type(cache.stats().hit_ratio, float)
    assert_type(cache.weight, int)
    assert_type(cache.maxsize, int | None)
    assert_type(cache.purge(), int)
    cache.invalidate_all()
    cache.reset_stats()
    cache.set_many({"a": 1})
    cache.set("a", 1, ttl=5)
    mapping: MutableMapping[str, int] = cache
    cache["a"] = ""  # type: ignore[assignment]
    cache.get_or_load("a", str.upper)  # type: ignore[arg-type]
    cache.get_or_load("a", lambda key: None)  # type: ignore[arg-type,return-value]
    cache.set("a", 1, ttl="5")  # type: ignore[arg-type]
    print(mapping)


def removed(key: str, value: int, cause: RemovalCause) -> None: ...


def made() -> None:
    cache: ShardCache[str, int] = ShardCache(10, ttl=60, on_remove=removed, weigh=lambda key, value: value, loader=len)
    assert_type(cache, ShardCache[str, int])
    ShardCache[str, int]()  # type: ignore[call-arg]
    ShardCache[str, int]("10")  # type: ignore[arg-type]
    ShardCache[str, str](10, on_remove=removed)  # type: ignore[arg-type]


def told(stats: CacheStats, info: CacheInfo, cause: RemovalCause) -> None:
    assert_type(stats.hits + stats.misses + stats.loads + stats.load_failures, int)
    assert_type(stats.evicted + stats.expired + stats.replaced + stats.removed + stats.size + stats.weight, int)
    assert_type(stats.load_seconds, float)
    assert_type(info.hits + info.misses + info.currsize, int)
    assert_type(info.maxsize, int | None)
    for each in RemovalCause.EVICTED, RemovalCause.EXPIRED, RemovalCause.EXPLICIT, RemovalCause.REPLACED:
        print(each is cause)


async def coroutines(cache: ShardCache[str, int]) -> None:
    async def load(key: str) -> int:
        return len(key)

    async def load_if_any(key: str) -> int | MissingType:
        return len(key) or MISSING

    assert_type(await cache.get_or_load_async("a", load), int)
    assert_type(await cache.get_or_load_async("a", lambda key: load(key)), int)
    assert_type(await cache.get_or_load_async("a", load_if_any), int | MissingType)


@cached
def plain(x: int, *, y: str = "") -> list[int]:
    return [x]


@cached(maxsize=None, ttl=60, typed=True)
def with_parameters(x: int) -> str:
    return str(x)


class Methods:
    @cached
    def method(self, x: int) -> str:
        return str(x)


def functions(methods: Methods) -> None:
    assert_type(plain(1, y="a"), list[int])
    assert_type(with_parameters(1), str)
    assert_type(methods.method(1), str)
    assert_type(plain.cache_info(), CacheInfo)
    assert_type(plain.invalidate(1), bool)
    plain("a")  # type: ignore[arg-type]
    with_parameters()  # type: ignore[call-arg]
    methods.method("a")  # type: ignore[arg-type]
    methods.method(1, 2)  # type: ignore[call-arg]
