"""Many keys loaded together; coroutines that load."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from harness.loads import Loader
from harness.threads import run_alike, run_threads
from shardmap import ShardCache

pytestmark = pytest.mark.concurrent


def test_many_keys_are_loaded_together_each_once() -> None:
    asked: list[list[int]] = []
    cache: ShardCache[int, int] = ShardCache(100)
    cache[1] = -1

    def load(keys: list[int]) -> dict[int, int]:
        asked.append(keys)
        return {key: 10 * key for key in keys if key != 4}

    assert cache.get_many([3, 1, 2, 3, 4], load_many=load) == [30, -1, 20, 30, None]
    assert asked == [[3, 2, 4]]
    assert cache.get_many([2, 3, 5], 0) == [20, 30, 0]
    assert 4 not in cache
    with pytest.raises(TypeError, match="mapping"):
        cache.get_many([7], load_many=lambda keys: keys)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        cache.get_many([7], load_many=lambda keys: {7: 1 // 0})
    assert cache.get_or_load(7, lambda key: 7) == 7
    with pytest.raises(TypeError, match="unhashable"):
        cache.get_many([8, []], load_many=load)  # type: ignore[list-item]
    assert cache.get_or_load(8, lambda key: 8) == 8


def test_threads_that_load_many_keys_load_each_once() -> None:
    calls: Counter[int] = Counter()
    cache: ShardCache[int, int] = ShardCache(1000)

    def load(keys: list[int]) -> dict[int, int]:
        time.sleep(0.001)
        calls.update(keys)
        return {key: -key for key in keys}

    def work(number: int) -> None:
        for i in range(0, 200, 10):
            keys = list(range(i, i + 20)) if number % 2 else list(range(i + 19, i - 1, -1))
            assert cache.get_many(keys, load_many=load) == [-key for key in keys]

    run_alike(6, work)
    assert set(calls.values()) == {1}


def test_loading_many_may_ask_for_any_of_them() -> None:
    cache: ShardCache[int, int] = ShardCache(10)

    def load(keys: list[int]) -> dict[int, int]:
        return {key: cache.get_or_load(3 - key, lambda key: 7) for key in keys}

    assert cache.get_many([1, 2], load_many=load) == [7, 7]


# --- Coroutines ---


def test_who_waits_for_a_key_that_is_not_in_the_answer_loads_it() -> None:
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10)

    def nothing(keys: list[str]) -> dict[str, str]:
        loader("many")
        return {}

    def other() -> str:
        assert loader.inside.wait(60)
        threading.Timer(0.05, loader.go_on.set).start()
        return cache.get_or_load("a", str.upper)

    assert run_threads(lambda: cache.get_many(["a"], load_many=nothing), other) == [[None], "A"]
