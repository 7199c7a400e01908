"""What a cache keeps, and for how long: weights and expiry."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from harness.clock import Clock
from shardmap import RemovalCause, ShardCache

# --- Weights ---


def test_the_bound_on_weight_holds_at_every_step() -> None:
    cache: ShardCache[int, str] = ShardCache(100, weigh=lambda key, value: len(value))
    for i in range(500):
        cache[i % 40] = "x" * (i % 30)
        assert cache.weight <= 100
        assert sum(map(len, cache.values())) <= 100
    cache._check()


def test_what_is_heavier_than_the_bound_is_not_kept_and_what_it_replaces_goes() -> None:
    gone: list[tuple[str, str, RemovalCause]] = []
    cache: ShardCache[str, str] = ShardCache(
        5, weigh=lambda key, value: len(value), on_remove=lambda *what: gone.append(what)
    )
    cache["a"] = "12345"
    cache["a"] = "123456"
    assert dict(cache) == {}
    assert gone == [("a", "12345", RemovalCause.REPLACED), ("a", "123456", RemovalCause.EVICTED)]
    assert cache.weight == 0


@pytest.mark.parametrize("weight, error", [(-1, ValueError), (1.5, TypeError), ("1", TypeError), (None, TypeError)])
def test_a_weight_that_is_none_is_refused_and_nothing_is_lost(weight: Any, error: type[Exception]) -> None:
    weights: list[Any] = [1, weight]
    cache: ShardCache[str, int] = ShardCache(5, weigh=lambda key, value: weights[value])
    cache["a"] = 0
    with pytest.raises(error):
        cache["a"] = 1
    assert dict(cache) == {"a": 0}


# --- Expiry ---


def test_entries_expire_after_they_were_written() -> None:
    clock = Clock()
    gone: list[tuple[str, int, RemovalCause]] = []
    cache: ShardCache[str, int] = ShardCache(10, ttl=10, timer=clock, on_remove=lambda *what: gone.append(what))
    cache["a"] = 1
    clock.now += 6
    cache["b"] = 2
    cache["a"] = 3  # counts from now
    clock.now += 6
    assert cache["a"] == 3
    clock.now += 4
    assert "a" not in cache
    assert cache.get("a") is None
    assert list(cache) == []
    assert len(cache) == 0
    assert sorted(gone) == [
        ("a", 1, RemovalCause.REPLACED),
        ("a", 3, RemovalCause.EXPIRED),
        ("b", 2, RemovalCause.EXPIRED),
    ]
    assert cache.stats().expired == 2
    cache._check()


def test_entries_expire_that_nobody_gets_and_an_access_keeps_them() -> None:
    clock = Clock()
    cache: ShardCache[str, int] = ShardCache(10, idle=10, timer=clock)
    cache["a"] = cache["b"] = 1
    for _ in range(5):
        clock.now += 9
        assert cache.get("a") == 1
        assert ("b" in cache) == (clock.now < 1010)
    assert list(cache) == ["a"]
    assert "a" in cache  # to look whether it is there is no access
    clock.now += 10
    assert "a" not in cache


def test_each_entry_may_have_a_life_of_its_own() -> None:
    clock = Clock()
    cache: ShardCache[str, int | None] = ShardCache(10, ttl=lambda key, value: 1 if value is None else 100, timer=clock)
    cache["none"] = None
    cache["some"] = 1
    cache.set("long", 1, ttl=timedelta(hours=1))
    cache.set("ever", 1, ttl=None)
    clock.now += 1
    assert list(cache) == ["some", "long", "ever"]
    clock.now += 99
    assert list(cache) == ["long", "ever"]
    clock.now += 1e6
    assert list(cache) == ["ever"]
    some: ShardCache[str, int] = ShardCache(10, ttl=math.inf, timer=clock)
    some.set("a", 1, ttl=5)
    some["b"] = 2
    clock.now += 5
    assert dict(some) == {"b": 2}
    with pytest.raises(ValueError, match=r"ttl=math\.inf"):
        ShardCache[str, int](10).set("a", 1, ttl=5)


def test_writes_remove_what_has_expired_a_few_entries_each() -> None:
    clock = Clock()
    gone: list[Any] = []
    cache: ShardCache[int, int] = ShardCache(10_000, ttl=1, timer=clock, on_remove=lambda *what: gone.append(what))
    for i in range(1000):
        cache[i] = i
    clock.now += 1
    for i in range(1000, 1400):
        before = len(gone)
        cache[i] = i
        assert len(gone) - before <= 16  # no pause
    assert len(gone) > 900
    cache.purge()
    assert len(gone) == 1000
    cache._check()


def test_what_expires_makes_room_before_anything_is_evicted() -> None:
    clock = Clock()
    cache: ShardCache[int, int] = ShardCache(10, ttl=math.inf, timer=clock)
    for i in range(9):
        cache[i] = i
    cache.set("short", 0, ttl=1)  # type: ignore[arg-type]
    clock.now += 1
    cache[9] = 9
    assert sorted(cache) == list(range(10))
    assert cache.stats().evicted == 0


@pytest.mark.parametrize("what", ["ttl", "idle", "refresh_after"])
@pytest.mark.parametrize("span, error", [(-1, ValueError), (math.nan, ValueError), ("1", TypeError), ([], TypeError)])
def test_a_span_that_is_none_is_refused(what: str, span: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ShardCache(10, **{what: span})
