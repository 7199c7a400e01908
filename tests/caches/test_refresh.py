"""Refreshing: one thread makes the new value, others get the old one."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from harness.clock import Clock
from harness.loads import OVERTAKE, Loader
from harness.threads import run_threads
from shardmap import ShardCache

pytestmark = pytest.mark.concurrent


def test_one_thread_refreshes_while_others_get_the_old_value() -> None:
    clock = Clock()
    clock.now = 0.0
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, ttl=100, timer=clock, loader=loader)
    cache["a"] = "old"
    assert cache["a"] == "old"
    clock.now = 10

    def other() -> None:
        assert loader.inside.wait(60)
        for _ in range(3):
            assert cache["a"] == cache.get_or_load("a") == cache.get("a") == "old"
        clock.now = 60  # it takes longer than its interval
        assert cache["a"] == "old"
        loader.go_on.set()

    assert run_threads(lambda: cache["a"], other)[0] == "value of a"
    assert loader.calls["a"] == 1
    assert cache["a"] == "value of a"
    clock.now = 70
    assert cache["a"] == "value of a"
    assert loader.calls["a"] == 2


def test_a_refresh_does_not_keep_an_expired_entry_alive() -> None:
    clock = Clock()
    clock.now = 0.0
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, ttl=20, timer=clock, loader=loader)
    cache["a"] = "old"
    clock.now = 10

    def other() -> str:
        assert loader.inside.wait(60)
        clock.now = 20
        assert "a" not in cache
        threading.Timer(0.05, loader.go_on.set).start()
        return cache["a"]  # waits for the refresh

    assert run_threads(lambda: cache["a"], other) == ["value of a"] * 2
    assert loader.calls["a"] == 1


@pytest.mark.parametrize("how", OVERTAKE)
def test_a_refresh_that_is_overtaken_stores_nothing(how: str) -> None:
    clock = Clock()
    clock.now = 0.0
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, timer=clock, loader=loader)
    cache["a"] = "old"
    clock.now = 10
    overtake, left = OVERTAKE[how]
    if how == "setdefault":
        left = "old"

    def other() -> None:
        assert loader.inside.wait(60)
        overtake(cache)
        loader.go_on.set()

    run_threads(lambda: cache["a"], other)
    assert cache.get("a") == left


def test_a_refresh_that_fails_is_told_and_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    clock = Clock()
    clock.now = 0.0
    calls = []

    def fail(key: str) -> str:
        calls.append(clock.now)
        raise ValueError(key)

    cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, timer=clock, loader=fail)
    cache["a"] = "old"
    for clock.now in (10, 11, 19, 20, 21):
        assert cache["a"] == "old"
    assert calls == [10, 20]
    assert [type(each.exc_value) for each in told] == [ValueError] * 2
    assert cache.stats().load_failures == 2


def test_an_executor_refreshes() -> None:
    clock = Clock()
    clock.now = 0.0
    loader = Loader(waits=True)
    with ThreadPoolExecutor(1) as executor:
        cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, timer=clock, loader=loader, executor=executor)
        cache["a"] = "old"
        clock.now = 10
        for _ in range(5):
            assert cache["a"] == "old"
        loader.go_on.set()
    assert cache["a"] == "value of a"
    assert loader.calls["a"] == 1


class Refusing(Executor):
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        raise RuntimeError("shut down")


def test_an_executor_that_refuses_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    clock = Clock()
    clock.now = 0.0
    cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, timer=clock, loader=str.upper, executor=Refusing())
    cache["a"] = "old"
    clock.now = 10
    for _ in range(2):
        assert cache["a"] == "old"
    assert [type(each.exc_value) for each in told] == [RuntimeError]
    assert cache.pop("a") == "old"
    assert cache["a"] == "A"


def test_a_queued_refresh_that_is_cancelled_is_forgotten_and_none_is_waited_for() -> None:
    clock = Clock()
    loader = Loader(waits=True)
    executor = ThreadPoolExecutor(1)
    options: dict[str, Any] = {"refresh_after": 10, "ttl": 20, "timer": clock, "executor": executor}
    cache: ShardCache[str, str] = ShardCache(10, loader=loader, **options)
    cache["a"] = "old"
    busy = executor.submit(loader, "busy")
    clock.now += 10
    assert cache["a"] == "old"  # queued behind the other
    clock.now += 10
    loader.go_on.set()
    assert cache.get_or_load("a", str.upper) == "A"  # expired: not waited for
    busy.result(60)
    loader.go_on.clear()
    loader.inside.clear()
    busy = executor.submit(loader, "busy")
    assert loader.inside.wait(60)
    clock.now += 10
    assert cache["a"] == "A"
    executor.shutdown(wait=False, cancel_futures=True)
    clock.now += 10
    assert cache.get_or_load("a", str.title) == "A"
    loader.go_on.set()
    busy.result(60)
