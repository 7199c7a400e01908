"""How a wait of `async with m.lock(key)` ends: cancelled, too late, in a circle, with its loop, by a signal handler."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from harness.locks import assert_free, thread
from harness.tasks import others, run
from harness.threads import LONG
from shardmap import ShardMap

MakeMap = Callable[..., ShardMap]


def test_a_cancelled_task_leaves_the_queue_whole(make_map: MakeMap) -> None:
    m = make_map(k=0)
    got = []

    async def ask(name: str) -> None:
        async with m.lock("k"):
            got.append(name)

    async def main() -> None:
        async with m.lock("k"):
            tasks = {name: asyncio.create_task(ask(name)) for name in "abcd"}
            await others()
            for name in "ac":
                tasks[name].cancel()
            await others()
            assert tasks["a"].cancelled() and tasks["c"].cancelled()
        await tasks["b"]
        await tasks["d"]

    run(main())
    assert got == ["b", "d"]
    assert_free(m, "k")


def test_a_task_that_is_cancelled_after_it_was_granted_the_lock_hands_it_on(make_map: MakeMap) -> None:
    m = make_map(k=0)
    got = []

    async def ask(name: str) -> None:
        async with m.lock("k"):
            got.append(name)

    async def main() -> None:
        async with m.lock("k") as entry:
            first, second = asyncio.create_task(ask("first")), asyncio.create_task(ask("second"))
            await others()
            entry.__exit__()  # granted to the first, which has not run yet
            first.cancel()
            await second
            entry.__enter__()
        assert first.cancelled()

    run(main())
    assert got == ["second"]
    assert_free(m, "k")


@pytest.mark.parametrize("timeout", [0, 0.02])
def test_a_time_out(make_map: MakeMap, timeout: float) -> None:
    m = make_map(k=0)

    async def late() -> None:
        with pytest.raises(TimeoutError, match=f"'k' within {timeout} s"):
            async with m.lock("k", timeout=timeout):
                pass
        with pytest.raises(TimeoutError, match=f"'k' within {timeout} s"):
            async with m.lock_many(["a", "k"], timeout=timeout):
                pass
        async with m.lock_many(["a", "b"], timeout=timeout) as entries:  # free, and so got whatever the time
            assert list(entries) == ["a", "b"]

    async def main() -> None:
        async with m.lock("k"):
            await asyncio.create_task(late())

    run(main())
    assert_free(m, "a", "k")


def test_a_task_that_asks_for_what_it_holds_gets_an_error(make_map: MakeMap) -> None:
    m = make_map(k=0)

    async def main() -> None:
        async with m.lock("k") as entry:
            for ask in (m.lock("k"), m.lock("k", timeout=1), m.lock_many(["a", "k"])):
                with pytest.raises(RuntimeError, match="held already, by this task"):
                    async with ask:
                        pass
            with pytest.raises(RuntimeError, match="held already"):
                async with entry:
                    pass

    run(main())
    assert_free(m, "a", "k")


@pytest.mark.parametrize("beside", ["task", "thread"])
def test_a_circle_of_waits_is_broken(make_map: MakeMap, beside: str) -> None:
    m = make_map(a=0, b=0)
    errors = []

    async def task(mine: str, other: str, both: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        async with m.lock(mine):
            await both()
            try:
                async with m.lock(other):
                    pass
            except RuntimeError as error:
                errors.append(error)

    async def main() -> None:
        if beside == "task":
            await asyncio.gather(task("a", "b", others), task("b", "a", others))
            return
        held = threading.Event()

        def hold() -> None:
            with m.lock("b"):
                held.set()
                try:
                    m["a"] = 1
                except RuntimeError as error:
                    errors.append(error)

        async def until_held() -> None:
            with_thread.start()
            await asyncio.to_thread(held.wait, LONG)

        with_thread = threading.Thread(target=hold, daemon=True)
        await task("a", "b", until_held)
        await asyncio.to_thread(with_thread.join, LONG)

    run(main())
    assert len(errors) == 1 and "deadlock" in str(errors[0])
    assert_free(m, "a", "b")


def test_a_task_that_waits_behind_a_blocked_thread_of_its_own_is_found(make_map: MakeMap) -> None:
    """A task holds A; another task of its thread blocks for B; B's holder asks for A: a circle over the thread."""
    m = make_map(a=0, b=0)
    held, asked = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def hold() -> None:
        with m.lock("b"):
            held.set()
            asked.wait(LONG)
            try:
                m["a"] = 1
            except RuntimeError as error:
                errors.append(error)

    async def block() -> None:
        asked.set()
        try:
            m["b"] = 1  # blocks the thread
        except RuntimeError as error:
            errors.append(error)

    async def main() -> None:
        async with m.lock("a"):
            await asyncio.create_task(block())

    with thread(hold):
        held.wait(LONG)
        run(main())
    assert len(errors) == 1 and "deadlock" in str(errors[0])
    assert_free(m, "a", "b")


@pytest.mark.parametrize("how", ["lock", "lock_many"])
def test_tasks_of_a_loop_that_was_closed_do_not_keep_the_lock(make_map: MakeMap, how: str) -> None:
    m = make_map(k=0)

    async def ask() -> None:
        async with m.lock("k") if how == "lock" else m.lock_many(["k"]):
            raise AssertionError

    with m.lock("k"):
        loop = asyncio.new_event_loop()
        task = loop.create_task(ask())
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
    assert_free(m, "k")
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task
    gc.collect()
    assert_free(m, "k")


def test_a_coroutine_that_is_dropped_while_it_waits_leaves_the_queue(make_map: MakeMap) -> None:
    m = make_map(k=0)

    async def main() -> None:
        async def ask() -> None:
            async with m.lock("k"):
                raise AssertionError

        async def drop() -> None:
            coroutine = ask()
            coroutine.send(None)
            coroutine.close()

        async with m.lock("k"):
            await asyncio.create_task(drop())
        async with m.lock("k"):
            pass

    run(main())
    assert_free(m, "k")
