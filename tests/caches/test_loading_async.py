"""get_or_load_async(): loads across tasks, event loops and threads."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import weakref
from typing import Any

import pytest

from harness.threads import run_threads
from shardmap import ShardCache

pytestmark = pytest.mark.concurrent


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
        return await asyncio.gather(*[cache.get_or_load_async("a", fail) for _ in range(3)], return_exceptions=True)

    assert [type(each) for each in asyncio.run(main())] == [ValueError] * 3
    assert "a" not in cache


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


def test_a_load_of_a_loop_that_stopped_is_made_anew_and_what_it_makes_later_is_not_stored() -> None:
    cache: ShardCache[str, str] = ShardCache(10)

    async def slow(key: str) -> str:
        await asyncio.sleep(0.02)
        return "late"

    async def load(key: str) -> str:
        return key.upper()

    async def begin(key: str) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(cache.get_or_load_async(key, slow), 0.001)

    loop = asyncio.new_event_loop()
    run_threads(lambda: loop.run_until_complete(begin("a")))
    run_threads(lambda: loop.run_until_complete(begin("b")))
    assert cache.get_or_load("a", str.title) == "A"
    assert asyncio.run(cache.get_or_load_async("b", load)) == "B"
    cache.invalidate_all()
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()
    assert dict(cache.items()) == {}


def test_a_wait_may_end_in_the_middle_of_another_load() -> None:
    cache: ShardCache[str, str] = ShardCache(10)

    async def slow(key: str) -> str:
        await asyncio.sleep(0.03)
        return "value"

    loop = asyncio.new_event_loop()
    task = loop.create_task(cache.get_or_load_async("a", slow))
    loop.run_until_complete(asyncio.sleep(0.01))
    cache.get_or_load("b", lambda key: loop.run_until_complete(asyncio.sleep(0.1)))
    assert task.result() == "value"
    loop.close()


def test_nothing_is_kept_of_loads_whose_loop_was_closed() -> None:
    class Loaded:
        pass

    kept = []

    async def slow(key: str) -> Loaded:
        loaded = Loaded()
        kept.append(weakref.ref(loaded))
        await asyncio.sleep(1000)
        return loaded

    async def begin(cache: ShardCache[str, Loaded], key: str) -> None:
        task = asyncio.ensure_future(cache.get_or_load_async(key, slow))
        await asyncio.sleep(0.01)
        assert not task.done()

    logging.disable()  # of tasks that were destroyed while they waited
    of_this_cache: ShardCache[str, Loaded] = ShardCache(1000)
    for cache in of_this_cache, ShardCache[str, Loaded](10):
        for number in range(50):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(begin(cache, str(number)))
            loop.close()
            cache.invalidate_all()
    del cache
    gc.collect()
    gc.collect()
    logging.disable(logging.NOTSET)
    assert sum(reference() is not None for reference in kept) < 25


def test_tasks_that_wait_for_a_load_of_their_own_loop_need_no_time() -> None:
    cache: ShardCache[str, str] = ShardCache(10)
    woken = 0

    async def slow(key: str) -> str:
        await asyncio.sleep(0.5)
        return "value"

    async def main() -> None:
        nonlocal woken
        loop = asyncio.get_running_loop()
        waits = [asyncio.ensure_future(cache.get_or_load_async("a", slow)) for _ in range(20)]
        await asyncio.sleep(0.1)
        call_later = loop.call_later

        def counting(*args: Any, **kwargs: Any) -> asyncio.TimerHandle:
            nonlocal woken
            woken += 1
            return call_later(*args, **kwargs)

        loop.call_later = counting  # type: ignore[method-assign]
        await asyncio.gather(*waits)

    asyncio.run(main())
    assert woken == 0
