"""`async with m.lock(key)`: waiting in an event loop, and what tasks of one thread may do to each other's keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from harness.keys import HashKey
from harness.locks import assert_free, assert_waits, thread
from harness.process import run_python
from harness.tasks import others, run
from harness.threads import LONG, run_alike
from shardmap import KeyEntry, ShardMap

pytestmark = pytest.mark.concurrent

MakeMap = Callable[..., ShardMap]


def test_tasks_take_turns_in_the_order_they_came(make_map: MakeMap) -> None:
    m = make_map(k=0)
    order = []

    async def work(number: int) -> None:
        async with m.lock("k") as entry:
            order.append(number)
            before = entry.value
            await asyncio.sleep(0)
            entry.value = before + 1
            m["k"] = m["k"]  # a plain write of the task that holds it

    async def main() -> None:
        await asyncio.gather(*[work(number) for number in range(50)])

    run(main())
    assert m["k"] == 50 and order == list(range(50))
    assert_free(m, "k")


def test_loops_in_several_threads_and_threads_without_one_share_a_lock(make_map: MakeMap) -> None:
    m = make_map(k=0)

    async def work() -> None:
        async with m.lock("k") as entry:
            before = entry.value
            await asyncio.sleep(0)
            entry.value = before + 1

    async def main() -> None:
        await asyncio.gather(*[work() for _ in range(20)])

    def threads(number: int) -> None:
        if number < 2:
            run(main())
        else:
            for _ in range(20):
                with m.lock("k") as entry:
                    entry.value += 1
                m.add("k")

    run_alike(4, threads)
    assert m["k"] == 2 * 20 + 2 * 40
    assert_free(m, "k")


def test_the_loop_goes_on_while_a_task_waits_for_a_thread(make_map: MakeMap) -> None:
    m = make_map(k=0)
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with m.lock("k") as entry:
            held.set()
            leave.wait(LONG)
            entry.value = 10

    async def ask() -> int:
        async with m.lock("k") as entry:
            return entry.value

    async def main() -> None:
        asking = asyncio.create_task(ask())
        await others()
        assert not asking.done()
        leave.set()
        assert await asking == 10

    with thread(hold):
        held.wait(LONG)
        run(main())
    assert_free(m, "k")


def test_threads_wait_for_a_task(make_map: MakeMap) -> None:
    m = make_map(k=0)

    async def main() -> None:
        async with m.lock("k") as entry:
            with thread(lambda: m.add("k")) as adding:
                assert_waits(adding)
                entry.value = 5
                entry.__exit__()
            entry.__enter__()

    run(main())
    assert m["k"] == 6
    assert_free(m, "k")


# --- Other tasks of the same thread ---

WRITES: dict[str, Callable[[ShardMap], Any]] = {
    "set": lambda m: m.__setitem__("k", 2),
    "del": lambda m: m.__delitem__("k"),
    "add": lambda m: m.add("k", 2),
    "setdefault": lambda m: m.setdefault("k", 2),
    "popitem": lambda m: m.popitem(),
    "clear": lambda m: m.clear(),
    "update": lambda m: m.update(k=2),
    "set_many": lambda m: m.set_many(["k"], [2]),
    "delete_many": lambda m: m.delete_many(["k"]),
    "count": lambda m: m.count(["k"]),
    "compute": lambda m: m.compute("k", lambda key, value: 2),
    "lock": lambda m: m.lock("k").__enter__(),
    "lock with a time-out": lambda m: m.lock("k", timeout=LONG).__enter__(),
    "lock_many": lambda m: m.lock_many(["k"]).__enter__(),
    "retain": lambda m: m.retain(lambda key, value: False),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("by", ["task", "callback", "handed over"])
def test_what_would_slip_through_or_block_the_loop_is_an_error(write: Callable[[ShardMap], Any], by: str) -> None:
    m = ShardMap(k=1)
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            write(m)
        except RuntimeError as error:
            errors.append(error)

    async def task() -> None:
        attempt()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with m.lock("k"):
            if by == "callback":
                loop.call_soon(attempt)
                await others()
            else:
                await loop.create_task(task())

    run(main()) if by != "handed over" else handed_over(m, main())
    assert len(errors) == 1 and "of this thread" in str(errors[0]) and "'k'" in str(errors[0])
    assert_free(m, "k")


def handed_over(m: ShardMap, main: Coroutine[Any, Any, None]) -> None:
    """The task's lock was waited for, and handed on by a thread."""
    entry = m.lock("k")
    held = threading.Event()

    def hold() -> None:
        with entry:
            held.set()
            threading.Event().wait(0.02)

    with thread(hold):
        held.wait(LONG)
        run(main)


def test_a_callback_may_use_the_key_that_it_holds_itself(make_map: MakeMap) -> None:
    m = make_map(k=0)

    def callback(done: asyncio.Future[None]) -> None:
        with m.lock("k") as entry:
            m["k"] = 1
            assert m.add("k") == 2 and m.pop("k") == 2
            m["k"] = 3
            assert m.popitem() == ("k", 3)
            m["k"] = 4
            m.clear()
            assert m.retain(lambda key, value: False) == 0 and m == {}
            with pytest.raises(RuntimeError, match="already held"):
                m.lock("k").__enter__()
            entry.set(5)
        with pytest.raises(RuntimeError, match="cannot change that key"):
            m.compute("k", lambda key, value: m.__setitem__("k", 6))
        done.set_result(None)

    def reported(done: asyncio.Future[None]) -> None:
        try:
            callback(done)
        except BaseException as error:
            done.set_exception(error)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(reported, done)
        await done

    run(main())
    assert m == {"k": 5}
    assert_free(m, "k")


def test_a_task_may_use_all_other_keys_and_read_this_one(make_map: MakeMap) -> None:
    m = make_map(k=1, other=1)

    async def use() -> None:
        assert m["k"] == 1 and m.add("other") == 2 and len(m) == 2 and dict(m.items()) == {"k": 1, "other": 2}
        async with m.lock("other"), m.lock_many(["more", "still more"]):
            pass

    async def main() -> None:
        async with m.lock("k"):
            await asyncio.create_task(use())

    run(main())


def test_the_entry_may_be_used_by_other_tasks_and_threads(make_map: MakeMap) -> None:
    m = make_map(k=1)

    async def change(entry: KeyEntry) -> None:
        entry.value += 1

    async def main() -> None:
        async with m.lock("k") as entry:
            await asyncio.create_task(change(entry))
            await asyncio.to_thread(entry.set, entry.value + 10)
            assert entry.value == 12

    run(main())
    assert m["k"] == 12


def test_code_that_runs_a_loop_within_its_block_gets_errors_and_no_endless_wait(make_map: MakeMap) -> None:
    m = make_map(k=1)

    async def ask() -> None:
        with pytest.raises(RuntimeError, match="deadlock"):
            async with m.lock("k"):
                pass
        with pytest.raises(RuntimeError, match="of this thread"):
            m["k"] = 2
        with pytest.raises(TimeoutError):
            async with m.lock("k", timeout=0.01):
                pass

    with m.lock("k"):
        run(ask())
    assert_free(m, "k")


# --- Several at once ---


@pytest.mark.parametrize("keys", [list("abcdef"), [HashKey(i, hashed=i % 2) for i in range(6)]], ids=["str", "hash"])
def test_tasks_that_lock_the_same_keys_in_any_order_do_not_deadlock(make_map: MakeMap, keys: list[Any]) -> None:
    m = make_map(dict.fromkeys(keys, 0))

    async def work(number: int) -> None:
        order = keys[number % len(keys) :] + keys[: number % len(keys)]
        for chosen in (order, order[::-1], order[:3]):
            async with m.lock_many(chosen) as entries:
                assert list(entries) == chosen
                before = [entry.value for entry in entries.values()]
                await asyncio.sleep(0)
                for entry, value in zip(entries.values(), before, strict=True):
                    entry.value = value + 1

    async def main() -> None:
        await asyncio.gather(*[work(number) for number in range(12)])

    run(main())
    assert sum(m.values()) == 12 * (6 + 6 + 3)
    assert_free(m, *keys)


def test_lock_many_that_is_cancelled_leaves_nothing_locked(make_map: MakeMap) -> None:
    m = make_map()

    async def ask() -> None:
        async with m.lock_many("abc"):
            raise AssertionError

    async def main() -> None:
        async with m.lock("b"):
            asking = asyncio.create_task(ask())
            await others()
            asking.cancel()
            await asyncio.wait([asking])
            assert asking.cancelled()
        async with m.lock_many("abc", timeout=0) as entries:
            assert list(entries) == ["a", "b", "c"]

    run(main())
    assert_free(m, *"abc")


# --- Times ---


@pytest.mark.parametrize("timeout", [Decimal("0.01"), Fraction(1, 100), 0.01, 0])
def test_any_number_is_a_time(make_map: MakeMap, timeout: Any) -> None:
    m = make_map(k=0)

    def ask() -> None:
        for block in (m.lock("k", timeout), m.lock_many(["a", "k"], timeout)):
            with pytest.raises(TimeoutError, match=f"'k' within {timeout} s"), block:
                pass

    async def ask_in_a_task() -> None:
        for block in (m.lock("k", timeout), m.lock_many(["a", "k"], timeout)):
            with pytest.raises(TimeoutError, match=f"'k' within {timeout} s"):
                async with block:
                    pass

    async def main() -> None:
        async with m.lock("k"):
            await asyncio.create_task(ask_in_a_task())
            await asyncio.to_thread(ask)
        async with m.lock("k", timeout), m.lock_many("ab", timeout):  # free, and so got whatever the time
            pass

    run(main())
    assert_free(m, "a", "k")


# --- asyncio itself ---


def test_the_map_may_be_used_while_asyncio_is_imported() -> None:
    """At each line of asyncio's modules as they are loaded. Some of its functions are replaced later by those in C."""
    source = """
        import sys
        from shardmap import ShardMap
        m = ShardMap(k=1, j=1)
        assert "asyncio" not in sys.modules
        def compute(frame, event, argument):
            if event == "line":
                m.compute("j", lambda key, value: value + 1)
            return compute
        def trace(frame, event, argument):
            if frame.f_code.co_name == "<module>" and frame.f_globals["__name__"].startswith("asyncio"):
                return compute(frame, event, argument)
        sys.settrace(trace)
        import asyncio
        sys.settrace(None)
        assert m["j"] > 200
        async def main():
            async with m.lock("k") as entry:
                m["k"] = 2
                assert entry.value == 2
        asyncio.run(main())
    """
    assert run_python(source).stderr == ""
