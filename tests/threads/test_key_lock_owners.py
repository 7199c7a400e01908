"""To whom a key's lock belongs: to its entry, and as far as plain writes are concerned to a thread or a task."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from harness.keys import HashKey
from harness.locks import assert_free, assert_waits, thread
from harness.threads import LONG, meanwhile, run_threads, switching_often
from shardmap import KeyEntry, ShardMap

pytestmark = pytest.mark.concurrent

MakeMap = Callable[..., ShardMap]


def holding(m: ShardMap, how: str, key: Any) -> Any:
    """A context manager that gives the entry of `key`, as a generator: what web frameworks call a dependency."""

    @contextmanager
    def dependency() -> Iterator[KeyEntry]:
        if how == "lock":
            with m.lock(key) as entry:
                yield entry
        else:
            with m.lock_many([key, "other"]) as entries:
                yield entries[key]

    return dependency()


@pytest.mark.parametrize("how", ["lock", "lock_many"])
def test_a_block_may_be_left_in_another_thread(make_map: MakeMap, how: str) -> None:
    m = make_map(k=0)
    block = holding(m, how, "k")
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        entry = first.submit(block.__enter__).result(LONG)
        second.submit(entry.set, 5).result(LONG)
        with thread(lambda: m.add("k")) as adding:
            assert_waits(adding)
            second.submit(block.__exit__, None, None, None).result(LONG)
        assert m["k"] == 6
    assert_free(m, "k", "other")


def test_a_plain_write_passes_in_the_thread_that_entered_only(make_map: MakeMap) -> None:
    m = make_map(k=0)
    entry = m.lock("k")
    with ThreadPoolExecutor(1) as first:
        first.submit(entry.__enter__).result(LONG)
        first.submit(m.__setitem__, "k", 1).result(LONG)
        with thread(lambda: m.__setitem__("k", 3)) as writing:
            assert_waits(writing)
            entry.set(2)
            entry.__exit__()
    assert m["k"] == 3
    assert_free(m, "k")


@pytest.mark.parametrize("how", ["lock", "lock_many"])
def test_a_thread_that_ends_leaves_nothing_to_the_next_one_with_its_ident(make_map: MakeMap, how: str) -> None:
    m = make_map(k="before")
    blocks = [holding(m, how, "k")]
    idents: list[int] = []

    def enter() -> None:
        blocks[0].__enter__().set("half done")
        idents.append(threading.get_ident())

    def ask() -> None:
        idents.append(threading.get_ident())
        with pytest.raises(TimeoutError), m.lock("k", timeout=0.01):
            pass

    runner = threading.Thread(target=enter)
    runner.start()
    runner.join(LONG)
    for _ in range(20):  # the system soon gives the same ident again
        runner = threading.Thread(target=ask)
        runner.start()
        runner.join(LONG)
        if idents[-1] == idents[0]:
            break
    with thread(lambda: m.__setitem__("k", "written")) as writing:
        assert_waits(writing)
        assert m["k"] == "half done"
        blocks.clear()
        gc.collect()
    assert m["k"] == "written"
    assert_free(m, "k")


# --- Calls that a pool runs in contextvars contexts of their own, as web frameworks do ---


def test_calls_in_contexts_of_their_own_wait_for_each_other_in_one_thread_too(make_map: MakeMap) -> None:
    """The pool's one thread enters a block in one call; another call asks for the key there, and waits until a third
    call, in another thread, leaves the block."""
    m = make_map(k=0)
    block = holding(m, "lock", "k")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(contextvars.copy_context().run, block.__enter__).result(LONG)
        asking = pool.submit(contextvars.copy_context().run, m.__setitem__, "k", 1)
        with pytest.raises(TimeoutError):
            asking.result(0.05)
        contextvars.copy_context().run(block.__exit__, None, None, None)
        asking.result(LONG)
    assert m["k"] == 1
    assert_free(m, "k")


def test_locks_left_to_other_threads_are_no_deadlock(make_map: MakeMap) -> None:
    """Each of two threads entered a block that is left elsewhere, and now waits for the other's key."""
    m = make_map(a=0, b=0)
    blocks = {key: holding(m, "lock", key) for key in "ab"}
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        one.submit(contextvars.copy_context().run, blocks["a"].__enter__).result(LONG)
        two.submit(contextvars.copy_context().run, blocks["b"].__enter__).result(LONG)
        asking = [
            one.submit(contextvars.copy_context().run, m.add, "b"),
            two.submit(contextvars.copy_context().run, m.add, "a"),
        ]
        for each in asking:
            with pytest.raises(TimeoutError):
                each.result(0.05)
        for block in blocks.values():
            block.__exit__(None, None, None)
        assert [each.result(LONG) for each in asking] == [1, 1]
    assert_free(m, "a", "b")


def test_a_context_run_within_the_block_is_the_same_code(make_map: MakeMap) -> None:
    m = make_map(k=0)
    made_before = contextvars.copy_context()

    def work() -> None:
        with m.lock("k"):
            for context in (made_before, contextvars.copy_context(), contextvars.Context()):
                context.run(m.add, "k")
                with pytest.raises(RuntimeError, match="already held"):
                    context.run(m.lock("k").__enter__)

    work()
    run_threads(work)
    run_threads(lambda: contextvars.copy_context().run(work))
    assert m["k"] == 9
    assert_free(m, "k")


def test_contexts_are_not_entered_by_who_asks_for_the_lock() -> None:
    """A Context can be entered once at a time: whoever else did so would be in the way of those it belongs to."""
    m = ShardMap()
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    contexts = [contextvars.Context() for _ in range(2)]
    entries = [m.lock(number) for number in range(2)]
    for number, context in enumerate(contexts):
        context.run(variable.set, number)
        context.run(entries[number].__enter__)

    def use(number: int) -> None:
        assert contexts[number].run(variable.get) == number

    with switching_often(), meanwhile(lambda: use(0), lambda: use(1)):
        for _ in range(3000):
            for number in range(2):
                with pytest.raises(TimeoutError):
                    m.lock(number, timeout=0).__enter__()
                assert variable.get(None) is None
    for entry in entries:
        entry.__exit__()
    assert_free(m, 0, 1)


def test_a_context_that_another_thread_has_entered_lets_nothing_pass(make_map: MakeMap) -> None:
    """A call entered the block and ended. While its Context is in use in another thread, the pool's thread runs another
    call: which is not the one that holds the key."""
    m = make_map(k=0)
    entry = m.lock("k")
    context = contextvars.Context()
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        inside.set()
        leave.wait(LONG)

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        one.submit(context.run, entry.__enter__).result(LONG)
        staying = two.submit(context.run, stay)
        inside.wait(LONG)
        writing = one.submit(contextvars.Context().run, m.__setitem__, "k", 1)
        with pytest.raises(TimeoutError):
            writing.result(0.05)
        assert entry.value == 0
        leave.set()
        staying.result(LONG)
        entry.__exit__()
        writing.result(LONG)
    assert m["k"] == 1
    assert_free(m, "k")


def test_a_context_lets_writes_pass_only_while_it_is_entered(make_map: MakeMap) -> None:
    m = make_map(k=0)
    entry = m.lock("k")
    context = contextvars.Context()
    context.run(entry.__enter__)
    with pytest.raises(TimeoutError):
        m.lock("k", timeout=0).__enter__()
    context.run(m.__setitem__, "k", 1)
    with pytest.raises(RuntimeError, match="already held"):
        context.run(m.lock("k").__enter__)
    assert entry.value == 1
    entry.__exit__()
    assert_free(m, "k")


CLEARING: dict[str, Callable[[ShardMap], Any]] = {
    "clear": lambda m: m.clear(),
    "popitem": lambda m: [m.popitem() for _ in range(2)],
    "retain": lambda m: m.retain(lambda key, value: False),
    "delete_many": lambda m: m.delete_many(["a", "b"]),
}


@pytest.mark.parametrize("clear", CLEARING.values(), ids=CLEARING)
def test_entries_held_in_several_contexts_of_one_stack_are_all_ones_own(clear: Callable[[ShardMap], Any]) -> None:
    m = ShardMap(a=1, b=2)

    def outer() -> None:
        with m.lock("a"):
            contextvars.Context().run(inner)

    def inner() -> None:
        with m.lock("b"):
            contextvars.Context().run(clear, m)

    run_threads(lambda: contextvars.Context().run(outer))
    assert m == {}
    assert_free(m, "a", "b")


def test_retain_in_a_context_run_by_a_function_that_computes(make_map: MakeMap) -> None:
    m = make_map(k=1, j=2)

    def keep_all(key: Any, value: Any) -> Any:
        return contextvars.Context().run(m.retain, lambda key, value: True)

    assert m.compute("k", keep_all) == 0
    assert m == {"k": 0, "j": 2}


def test_a_circle_of_waits_within_contexts_is_broken(make_map: MakeMap) -> None:
    m = make_map(a=0, b=0)
    both = threading.Barrier(2)
    errors: list[BaseException] = []

    def work(mine: str, other: str) -> None:
        with m.lock(mine):
            both.wait(LONG)
            try:
                contextvars.Context().run(m.__setitem__, other, 3)
            except RuntimeError as error:
                errors.append(error)

    run_threads(lambda: work("a", "b"), lambda: work("b", "a"))
    assert len(errors) == 1 and "deadlock" in str(errors[0])
    assert_free(m, "a", "b")


# --- Loops ---


def test_a_task_whose_loop_moves_to_another_thread_still_holds_its_key(make_map: MakeMap) -> None:
    m = make_map(k=0)
    loop = asyncio.new_event_loop()

    async def hold(go_on: asyncio.Event) -> None:
        async with m.lock("k"):
            await go_on.wait()
            m["k"] = 1
            with pytest.raises(RuntimeError, match="already held by this task"):
                m.lock("k").__enter__()

    go_on = asyncio.Event()
    task = loop.create_task(hold(go_on))
    loop.run_until_complete(asyncio.sleep(0))
    with pytest.raises(RuntimeError, match="another task of this thread"):
        m["k"] = 2
    go_on.set()
    run_threads(lambda: loop.run_until_complete(task))
    loop.close()
    assert m["k"] == 1
    assert_free(m, "k")


# --- The collector ---


class Key:
    """Refers to whatever is put into its attributes."""

    entry: Any


@pytest.mark.parametrize("of", ["list", "context", "copied context", "key"])
def test_a_held_entry_in_a_cycle_with_what_its_lock_refers_to_is_collected(of: str) -> None:
    m = ShardMap()
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")

    def enter(key: Any) -> weakref.ref[KeyEntry]:
        entry = m.lock(key)
        entry.__enter__()
        if of == "key":
            key.entry = entry
        elif of == "list":
            cycle: list[Any] = [entry]
            cycle.append(cycle)
        else:
            variable.set(entry)
        return weakref.ref(entry)

    context = contextvars.copy_context() if of == "copied context" else contextvars.Context()
    key = Key() if of == "key" else "k"
    died: list[weakref.ref[Any]] = [context.run(enter, key), weakref.ref(key if of == "key" else context)]
    del key, context
    gc.collect()
    assert [each() for each in died] == [None, None]
    if of != "key":
        assert_free(m, "k")


# --- popitem ---


@pytest.mark.parametrize("keys", [((-1,), (-2,)), (HashKey("a"), HashKey("b"))], ids=["tuples", "compared by Python"])
def test_popitem_of_ones_own_entry_beside_a_lock_of_a_key_with_the_same_hash(keys: tuple[Any, Any]) -> None:
    mine, other = keys
    m = ShardMap.with_capacity(shards=1)
    m[mine] = 1
    leave = threading.Event()

    def hold() -> None:
        with m.lock(other):
            leave.wait(LONG)

    with thread(hold) as holding:
        while holding.is_alive():
            try:
                with m.lock(other, timeout=0):
                    pass
            except TimeoutError:
                break
        with m.lock(mine):
            assert m.popitem() == (mine, 1)
        leave.set()
    assert_free(m, mine, other)


def test_popitem_of_an_entry_that_another_holds_beside_equal_hashes() -> None:
    m = ShardMap.with_capacity(shards=1)
    keys = [HashKey(name, hashed=5) for name in "abc"]
    m[keys[0]] = 1
    with m.lock(keys[1]), m.lock(keys[2]), m.lock(keys[0]) as entry:
        with thread(m.popitem) as popping:
            assert_waits(popping)
            entry.__exit__()
        entry.__enter__()
    assert not m
    assert_free(m, *keys)
