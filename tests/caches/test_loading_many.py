"""Many keys loaded together; coroutines that load."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections import Counter
from typing import Any

import pytest

from harness.loads import Loader
from harness.threads import run_alike, run_threads
from shardmap import ShardCache


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


def test_tasks_threads_and_loops_load_once() -> None:
    calls: list[str] = []
    cache: ShardCache[str, str] = ShardCache(10)
    begun = threading.Event()

    async def load(key: str) -> str:
        calls.append(key)
        begun.set()
        await asyncio.sleep(0.1)
        return key.upper()

    async def ask() -> list[str]:
        return await asyncio.gather(*[cache.get_or_load_async("a", load) for _ in range(5)])

    def thread() -> str:
        assert begun.wait(60)
        return cache.get_or_load("a", lambda key: "of a thread")

    results = run_threads(lambda: asyncio.run(ask()), lambda: asyncio.run(ask()), thread)
    assert len(calls) == 1
    assert results == [["A"] * 5, ["A"] * 5, "A"]


def test_who_is_cancelled_cancels_nobody_else() -> None:
    cache: ShardCache[str, str] = ShardCache(10)
    go_on = None

    async def load(key: str) -> str:
        assert go_on is not None
        await go_on.wait()
        return key.upper()

    async def main() -> None:
        nonlocal go_on
        go_on = asyncio.Event()
        tasks = [asyncio.create_task(cache.get_or_load_async("a", load)) for _ in range(3)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        tasks[1].cancel()
        await asyncio.sleep(0.01)
        go_on.set()
        assert await tasks[2] == "A"
        assert [task.cancelled() for task in tasks] == [True, True, False]

    asyncio.run(main())
    assert cache["a"] == "A"


def test_coroutines_that_ask_for_each_other_s_keys_run_on_also_over_tasks_they_make() -> None:
    cache: ShardCache[str, str] = ShardCache(10)
    depth = 0

    async def load(key: str) -> str:
        nonlocal depth
        depth += 1
        if depth > 6:
            return "end"
        await asyncio.sleep(0.01)
        other = "b" if key == "a" else "a"
        inner = await asyncio.gather(cache.get_or_load_async(other, load), asyncio.sleep(0))
        return key + inner[0]

    async def main() -> list[str]:
        return await asyncio.wait_for(
            asyncio.gather(cache.get_or_load_async("a", load), cache.get_or_load_async("b", load)), 60
        )

    assert all(asyncio.run(main()))

    async def own(key: str) -> str:
        nonlocal depth
        depth += 1
        return "end" if depth > 10 else await asyncio.create_task(cache.get_or_load_async(key, own)) + "!"

    assert asyncio.run(cache.get_or_load_async("c", own)).endswith("!")


def test_a_coroutine_that_fails_fails_for_all() -> None:
    cache: ShardCache[str, str] = ShardCache(10)

    async def fail(key: str) -> str:
        await asyncio.sleep(0.01)
        raise ValueError(key)

    async def main() -> list[Any]:
        return await asyncio.gather(
            *[cache.get_or_load_async("a", fail) for _ in range(3)], return_exceptions=True
        )

    assert [type(each) for each in asyncio.run(main())] == [ValueError] * 3
    assert "a" not in cache


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


def test_a_load_of_a_loop_that_was_closed_is_made_anew() -> None:
    cache: ShardCache[str, str] = ShardCache(10)

    async def for_ever(key: str) -> str:
        await asyncio.sleep(1000)
        return key

    async def load(key: str) -> str:
        return key.upper()

    async def begin() -> None:
        task = asyncio.ensure_future(cache.get_or_load_async("a", for_ever))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    waiting = threading.Thread(target=lambda: cache.get_or_load("a", str.title))
    waiting.start()
    loop.close()
    assert asyncio.run(cache.get_or_load_async("a", load)) == "A"
    waiting.join(60)
    assert not waiting.is_alive()
    gc.collect()  # the task that never ended says so


def test_a_thread_does_not_wait_for_its_own_event_loop() -> None:
    cache: ShardCache[str, str] = ShardCache(10, loader=str.upper)

    async def slow(key: str) -> str:
        await asyncio.sleep(0.05)
        return "of a task"

    async def main() -> None:
        task = asyncio.ensure_future(cache.get_or_load_async("a", slow))
        await asyncio.sleep(0.01)
        assert cache["a"] == "A"
        assert cache.get_many(["a"], load_many=lambda keys: dict.fromkeys(keys, "many")) == ["many"]
        assert await task == "of a task"

    asyncio.run(main())


def test_a_loader_that_is_cancelled_by_what_it_waits_for_ends() -> None:
    calls = []
    cache: ShardCache[str, str] = ShardCache(10)

    async def cancelled(key: str) -> str:
        calls.append(key)
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
        return key

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await cache.get_or_load_async("a", cancelled)

    asyncio.run(main())
    assert calls == ["a"]
