"""What the pages for users say, where no other test shows it: one test for each statement."""

from __future__ import annotations

import asyncio
import gc
import sys
import sysconfig
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shardmap
from harness.threads import LONG, run_alike
from shardmap import (
    MISSING,
    RemovalCause,
    ShardCache,
    ShardDefaultDict,
    ShardMap,
    ShardSet,
)

SHARDS = 4


def filled() -> ShardMap:
    m = ShardMap.with_capacity(shards=SHARDS)
    m.update((n, n) for n in range(1000))
    return m


# --- docs/guide.md ------------------------------------------------------------------------------


def test_threads_that_wait_for_a_function_that_fails_try_it_one_after_the_other() -> None:
    m, runs, running = ShardMap(), [], threading.Lock()

    def fail(key: str) -> None:
        assert running.acquire(blocking=False)
        runs.append(key)
        running.release()
        raise TimeoutError

    def ask(number: int) -> None:
        with pytest.raises(TimeoutError):
            m.compute_if_absent("k", fail)

    run_alike(10, ask)
    assert len(runs) == 10


def test_exchange_gives_missing_where_there_was_no_counter() -> None:
    m = ShardMap(hits=3)
    assert m.exchange("hits", 0) == 3
    assert m.exchange("none", 0) is MISSING
    assert m == {"hits": 0, "none": 0}


BATCHES: dict[str, tuple[int, Callable[[ShardMap, Iterator[int]], object]]] = {
    "set_many": (1024, lambda m, keys: m.set_many(keys, range(65_538))),
    "delete_many": (1024, ShardMap.delete_many),
    "pop_many": (1024, ShardMap.pop_many),
    "get_many": (16_384, ShardMap.get_many),
    "contains_many": (16_384, ShardMap.contains_many),
    "add_many": (65_536, ShardMap.add_many),
    "count": (65_536, ShardMap.count),
}


@pytest.mark.parametrize(("size", "call"), BATCHES.values(), ids=BATCHES)
def test_a_batch_of_keys_is_read_before_the_first_of_them_is_processed(size: int, call: Callable) -> None:
    m: ShardMap = ShardMap((n, 1) for n in range(0, 65_538, 2))
    before = m.to_dict()
    changed = []

    def keys() -> Iterator[int]:
        for n in range(65_538):
            if n in (size - 1, size):
                changed.append(m != before)
            yield n

    answer = call(m, keys())
    reads = isinstance(answer, list) and m == before
    assert changed == ([False, False] if reads else [False, True])


def test_additions_of_other_numbers_than_ints_are_made_one_by_one() -> None:
    m: ShardMap = ShardMap()
    sizes = []
    m.add_many((sizes.append(len(m)) or n for n in range(3)), 0.5)
    assert sizes == [0, 1, 2]


def test_if_an_addition_raises_the_others_of_its_batch_are_made() -> None:
    m = ShardMap(text="x")
    with pytest.raises(TypeError):
        m.add_many(["before", "text", "after"])
    assert m == {"text": "x", "before": 1, "after": 1}


def test_compare_and_delete_takes_an_equal_value_for_the_given_one() -> None:
    m = ShardMap(k=[1])
    assert m.compare_and_delete("k", [1])


def test_the_holder_may_write_through_the_map_but_not_lock_the_key_again() -> None:
    m = ShardMap(k=1)
    with m.lock("k"):
        m["k"] = 2
        assert m.add("k") == 3
        again: list[Callable[[], Any]] = [
            lambda: m.lock("k").__enter__(),
            lambda: m.lock("k", timeout=LONG).__enter__(),
            lambda: m.lock_many(["k", "other"]).__enter__(),
            lambda: m.compute("k", lambda key, value: value),
            lambda: m.compute_if_present("k", lambda key, value: value),
            lambda: m.merge("k", 1, int.__add__),
        ]
        for call in again:
            with pytest.raises(RuntimeError, match="'k' is already held by this thread"):
                call()
        m.clear()
        with pytest.raises(RuntimeError, match="'k' is already held by this thread"):
            m.compute_if_absent("k", lambda key: 1)


def test_compute_if_absent_of_a_present_key_and_compute_if_present_of_an_absent_one_only_read() -> None:
    m = ShardMap(present=1)
    with m.lock_many(["present", "absent"]):
        assert m.compute_if_absent("present", lambda key: 2) == 1
        assert m.compute_if_present("absent", lambda key, value: 2) is MISSING


def test_a_function_may_write_other_keys_but_not_its_own() -> None:
    m = ShardMap(k=1)

    def function(key: str, value: int) -> int:
        with pytest.raises(RuntimeError, match="cannot change that key"):
            m["k"] = 5
        with pytest.raises(RuntimeError, match="cannot clear the map"):
            m.clear()
        m["other"] = 6
        return 7

    m.compute("k", function)
    assert m == {"k": 7, "other": 6}


@pytest.mark.parametrize(
    "share",
    [ShardMap.snapshot, ShardMap.copy, lambda m: m.partitions(2), lambda m: m.snapshot().thaw()],
    ids=["snapshot", "copy", "partitions", "thaw"],
)
def test_while_what_shares_the_tables_lives_the_first_write_to_each_shard_copies_it(share: Callable) -> None:
    m = filled()
    other = share(m)
    for n in range(1000):
        m[n] = -n
    assert m.stats().copies == SHARDS
    del other


def test_what_no_longer_lives_and_loops_make_nobody_copy() -> None:
    m = filled()
    m.snapshot()
    for n in m:
        m[n] = -n
    assert m.stats().copies == 0


def test_the_first_use_of_shards_fixes_their_number_at_the_limit_unless_a_key_is_locked() -> None:
    limit = len(ShardMap().shards)
    assert limit & limit - 1 == 0
    assert limit <= 256
    m = ShardMap(k=1)
    with m.lock("k"):
        assert len(m.shards) == 1
    assert len(m.shards) == 1


# --- docs/collections.md ------------------------------------------------------------------------


def test_a_factory_runs_with_the_key_s_lock_held() -> None:
    timeouts = []

    def factory() -> str:
        def lock(number: int) -> None:
            with pytest.raises(TimeoutError), m.lock("k", timeout=0):
                pass
            timeouts.append(number)

        run_alike(1, lock)
        return "value"

    m: ShardDefaultDict = ShardDefaultDict(factory)
    assert m["k"] == "value"
    assert timeouts == [0]


def test_a_factory_that_asks_for_its_own_key_is_called_once_more_as_with_defaultdict() -> None:
    for kind in (ShardDefaultDict, defaultdict):
        calls: list[int] = []

        def factory(calls: list[int] = calls) -> str:
            calls.append(1)
            return m["k"] if len(calls) == 1 else "inner"

        m: Any = kind(factory)
        assert m["k"] == "inner"
        assert len(calls) == 2


def test_set_algebra_gives_the_left_side_s_kind_also_for_subclasses() -> None:
    class Names(ShardSet):
        pass

    names = Names(["a"])
    assert type(names | {"b"}) is ShardSet
    assert type(names.snapshot() & {"a"}) is shardmap.SetSnapshot
    with pytest.raises(TypeError):
        names | ["b"]  # type: ignore[operator]
    assert names.union(["b"]) == {"a", "b"}


# --- docs/coming-from.md ------------------------------------------------------------------------


def test_an_eviction_does_not_call_popitem() -> None:
    class Watched(ShardCache):
        def popitem(self) -> Any:
            raise AssertionError

    cache = Watched(1)
    cache["a"] = cache["b"] = 1
    assert len(cache) == 1


# --- docs/differences-from-dict.md --------------------------------------------------------------


def test_an_iterator_does_not_keep_the_map_alive_and_goes_on() -> None:
    m = ShardMap(a=1, b=2)
    reference, iterator = weakref.ref(m), iter(m)
    del m
    assert reference() is None
    assert list(iterator) == ["a", "b"]


def test_only_free_threaded_builds_from_314_on_leave_shared_maps_to_the_collector() -> None:
    m = ShardMap(a=1)
    reference = weakref.ref(m)
    thread = threading.Thread(target=m.get, args=("a",))
    thread.start()
    thread.join()
    del m, thread
    is_left = bool(sysconfig.get_config_var("Py_GIL_DISABLED")) and sys.version_info >= (3, 14)
    assert (reference() is not None) == is_left
    gc.collect()
    assert reference() is None


# --- docs/cache.md ------------------------------------------------------------------------------


def test_popitem_invalidate_and_clear_are_explicit_removals() -> None:
    causes: list[RemovalCause] = []
    cache: ShardCache = ShardCache(1, on_remove=lambda key, value, cause: causes.append(cause))
    for remove in (lambda: cache.pop("a"), cache.popitem, lambda: cache.invalidate("a"), cache.clear):
        cache["a"] = 1
        remove()
    assert causes == [RemovalCause.EXPLICIT] * 4


def test_purge_removes_what_has_expired_and_returns_how_many_are_left() -> None:
    now = 0.0
    cache: ShardCache = ShardCache(2, ttl=10, timer=lambda: now)
    cache["a"] = 1
    now = 5.0
    cache["b"] = 1
    now = 11.0
    assert cache.purge() == 1
    assert list(cache) == ["b"]


def test_get_never_refreshes_and_who_refreshes_gets_the_new_value() -> None:
    now = 0.0
    cache: ShardCache = ShardCache(1, refresh_after=10, timer=lambda: now)
    cache["a"] = "old"
    now = 11.0
    assert cache.get("a") == "old"
    assert cache.get_or_load("a", lambda key: "new") == "new"


def test_a_cache_with_entries_that_is_freed_calls_nothing() -> None:
    calls: list[Any] = []
    cache: ShardCache = ShardCache(1, on_remove=lambda *args: calls.append(args))
    cache["a"] = 1
    del cache
    gc.collect()
    assert calls == []


def test_an_empty_cache_takes_about_500_bytes_and_a_kilobyte_from_its_first_entry_on() -> None:
    cache: ShardCache = ShardCache(100)
    assert 400 < sys.getsizeof(cache) < 600
    cache["a"] = 1
    assert 900 < sys.getsizeof(cache) < 1200


# --- docs/asyncio.md ----------------------------------------------------------------------------


def test_another_task_of_the_thread_gets_an_error_where_its_call_would_have_to_wait() -> None:
    m = ShardMap(k=1, last=2)

    async def attempt() -> None:
        for call in (
            lambda: m.add("k"),
            lambda: m.compute("k", lambda key, value: 1),
            lambda: m.lock("k", timeout=LONG).__enter__(),
            lambda: m.set_many(["k"], [1]),
            m.clear,
        ):
            with pytest.raises(RuntimeError, match="another task of this thread"):
                call()
        assert m.get("k") == m.compute_if_absent("k", lambda key: 5) == 1
        assert m.popitem() == ("last", 2)

    async def main() -> None:
        async with m.lock("k"):
            await asyncio.create_task(attempt())
            with pytest.raises(RuntimeError, match="already held by this task"):
                async with m.lock("k", timeout=LONG):
                    pass

    asyncio.run(main())
