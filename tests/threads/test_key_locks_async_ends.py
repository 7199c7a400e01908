"""How a wait of `async with m.lock(key)` ends: cancelled, too late, in a circle, with its loop, by a signal handler."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from harness.locks import assert_free, thread
from harness.process import run_python
from harness.steps import each_step
from harness.tasks import others, run
from harness.threads import LONG
from shardmap import KeyEntry, ShardMap

pytestmark = pytest.mark.concurrent

MakeMap = Callable[..., ShardMap]


async def enter_and_note(m: ShardMap, name: str, got: list[str]) -> None:
    async with m.lock("k"):
        got.append(name)


def test_a_cancelled_task_leaves_the_queue_whole(make_map: MakeMap) -> None:
    m = make_map(k=0)
    got: list[str] = []

    async def main() -> None:
        async with m.lock("k"):
            tasks = {name: asyncio.create_task(enter_and_note(m, name, got)) for name in "abcd"}
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
    got: list[str] = []

    async def main() -> None:
        async with m.lock("k") as entry:
            first, second = (asyncio.create_task(enter_and_note(m, name, got)) for name in ("first", "second"))
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
                with pytest.raises(RuntimeError, match="already held by this task"):
                    async with ask:
                        pass
            with pytest.raises(RuntimeError, match="already held"):
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


@pytest.mark.parametrize("which", ["enter", "exit"])
def test_throw_raises_what_it_is_given(which: str) -> None:
    async def begin() -> Any:
        entry = ShardMap[str, int]().lock("k")
        if which == "enter":
            return entry.__aenter__()
        await entry.__aenter__()
        return entry.__aexit__(None, None, None)

    steps = run(begin()).__await__()
    with pytest.raises(TypeError):
        steps.throw()
    for given in (LookupError("x"),), (LookupError, LookupError("x")), (LookupError, LookupError("x"), None):
        with pytest.raises(LookupError, match="x"):
            steps.throw(*given)
    with pytest.raises(LookupError):
        steps.throw(LookupError, None, None)
    with pytest.raises(TypeError):
        steps.throw(None)


def test_a_release_passes_over_any_number_of_tasks_of_a_closed_loop() -> None:
    """In a thread with a small stack: each of them must not take some of it."""
    source = """
        import asyncio, threading
        from harness.locks import assert_free
        from harness.threads import run_threads
        from shardmap import ShardMap
        m = ShardMap(k=1)
        async def ask():
            async with m.lock("k"):
                raise AssertionError
        async def begin():
            tasks.extend(asyncio.create_task(ask()) for _ in range(1500))
        def close_while_they_wait():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(begin())
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
        tasks = []
        entry = m.lock("k")
        entry.__enter__()
        run_threads(close_while_they_wait)
        try:
            threading.stack_size(128 * 1024)
        except ValueError:
            threading.stack_size(256 * 1024)    # under ThreadSanitizer, whose threads need more
        thread = threading.Thread(target=entry.__exit__)
        thread.start()
        thread.join()
        threading.stack_size(0)
        assert_free(m, "k")
        for task in tasks:
            assert not task.done()
            task._log_destroy_pending = False
    """
    assert run_python(source).stderr == ""


def frames_left() -> int:
    """How many Python calls, one in the other, the recursion limit still allows here."""

    def call(depth: int) -> int:
        try:
            return call(depth + 1)
        except RecursionError:
            return depth

    return call(0)


def called_deep(frames: int, call: Callable[[], Any]) -> Any:
    return call() if frames == 0 else called_deep(frames - 1, call)


def leave_where_few_frames_are_left(entry: KeyEntry, few: int) -> None:
    """Leaves the entry's block as near to the recursion limit as it can be left, but for that many frames."""
    frames = frames_left()
    while True:
        try:
            return called_deep(frames - few, entry.__exit__)
        except RecursionError:
            frames -= 1


@pytest.mark.parametrize("few", range(8))
def test_a_task_is_woken_where_the_recursion_limit_is_near(few: int) -> None:
    m = ShardMap(k=0)
    entry = m.lock("k")

    async def ask() -> str:
        async with m.lock("k"):
            return "got it"

    async def main() -> None:
        await asyncio.to_thread(entry.__enter__)
        asking = asyncio.create_task(ask())
        await others()
        await asyncio.to_thread(leave_where_few_frames_are_left, entry, few)
        assert await asyncio.wait_for(asking, LONG) == "got it"

    run(main())
    assert_free(m, "k")


# --- What a handler of a signal raises ---


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("how", ["lock", "lock_many"])
def test_what_a_handler_raises_anywhere_around_an_async_block_leaves_nothing_locked(how: str) -> None:
    m = ShardMap(k=0)
    ended = []

    def stop() -> None:
        raise Interrupt

    async def use() -> None:
        async with m.lock("k") if how == "lock" else m.lock_many(["a", "k"]):
            pass

    async def main() -> None:
        for step in each_step(stop, kind="check"):
            using = use()
            try:
                step.during(partial(using.send, None))
            except (Interrupt, StopIteration) as error:
                ended.append(type(error))
            await asyncio.to_thread(assert_free, m, "a", "k")

    run(main())
    assert Interrupt in ended and ended[-1] is StopIteration


needs_itimer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")


@needs_itimer
@pytest.mark.parametrize("how", ["m.lock('k')", "m.lock_many(['a', 'k'])"])
def test_a_signal_at_any_time_in_async_blocks_leaves_nothing_locked(how: str) -> None:
    source = f"""
        import asyncio, random, signal
        from harness.locks import assert_free
        from shardmap import ShardMap
        m = ShardMap(k=1)
        class Interrupt(BaseException):
            pass
        armed = False
        def handler(*_):
            global armed
            if armed:
                armed = False
                raise Interrupt
        signal.signal(signal.SIGALRM, handler)
        async def work():
            global armed
            for count in range(50):
                try:
                    armed = True
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 3e-4))
                    while True:
                        async with {how}:
                            pass
                except Interrupt:
                    pass
                assert_free(m, "a", "k")
        asyncio.run(work())
        assert_free(m, "a", "k")
    """
    assert run_python(source).stderr == ""
