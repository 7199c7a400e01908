"""ShardCache as a mapping with a bound: in lock-step with dict where nothing is evicted, and what it does beyond."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.threads import run_alike
from shardmap import MISSING, CacheStats, RemovalCause, ShardCache, ShardMap, Snapshot, _core

SIZES = [1, 2, 7, 100, 5000]  # 5,000: several shards


def mark(key: Any, value: Any, cause: RemovalCause) -> None:
    REMOVED.append((key, value, cause))


REMOVED: list[tuple[Any, Any, RemovalCause]] = []
KEYS = st.integers(0, 20) | st.text(max_size=1) | st.tuples(st.integers(0, 3))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["set", "del", "pop", "get", "setdefault", "clear", "iterate", "items", "update", "in", "load"]
        ),
        KEYS,
        st.integers(),
    )
)


@given(STEPS)
def test_without_evictions_it_is_a_dict(steps: list[tuple[str, Any, int]]) -> None:
    cache: ShardCache[Any, int] = ShardCache(5000)
    model: dict[Any, int] = {}
    for what, key, value in steps:
        if what == "set":
            cache[key] = model[key] = value
        elif what == "del":
            if key in model:
                del cache[key], model[key]
            else:
                with pytest.raises(KeyError):
                    del cache[key]
        elif what == "pop":
            assert cache.pop(key, MISSING) == model.pop(key, MISSING)
        elif what == "get":
            assert cache.get(key, MISSING) == model.get(key, MISSING)
        elif what == "setdefault":
            assert cache.setdefault(key, value) == model.setdefault(key, value)
        elif what == "clear":
            cache.clear()
            model.clear()
        elif what == "iterate":
            assert list(cache) == list(model)
            assert list(reversed(cache)) == list(reversed(model))
        elif what == "items":
            assert list(cache.items()) == list(model.items())
            assert list(cache.values()) == list(model.values())
        elif what == "update":
            cache.update({key: value})
            model.update({key: value})
        elif what == "in":
            assert (key in cache) == (key in model)
        else:
            assert cache.get_or_load(key, lambda key, value=value: value) == model.setdefault(key, value)
        assert len(cache) == len(model)
    assert cache == model
    cache._check()


@pytest.mark.parametrize("size", SIZES)
def test_the_bound_holds_and_each_value_that_goes_is_told_once(size: int) -> None:
    gone: list[tuple[int, object, RemovalCause]] = []
    cache: ShardCache[int, object] = ShardCache(size, on_remove=lambda *what: gone.append(what))
    stored = []
    for i in range(3 * size + 5):
        value = object()
        stored.append(value)
        cache[i % (2 * size + 1)] = value
        assert len(cache) <= size
        assert cache.weight <= size
        assert cache.get(i % (2 * size + 1)) is value  # what was just stored is there
    cache._check()
    cache.clear()
    assert len(gone) == len(stored)
    assert {id(value) for _, value, _ in gone} == {id(value) for value in stored}
    assert {cause for *_, cause in gone} <= {RemovalCause.EVICTED, RemovalCause.REPLACED, RemovalCause.EXPLICIT}
    stats = cache.stats()
    assert (stats.evicted, stats.replaced, stats.removed) == tuple(
        sum(cause is each for *_, cause in gone)
        for each in (RemovalCause.EVICTED, RemovalCause.REPLACED, RemovalCause.EXPLICIT)
    )


@pytest.mark.parametrize("size", SIZES)
def test_as_many_entries_as_the_bound_allows_fit(size: int) -> None:
    cache: ShardCache[int, int] = ShardCache(size)
    for i in range(size):
        cache[i] = i
    assert len(cache) == size
    assert list(cache) == list(range(size))


def test_what_is_asked_for_again_and_again_stays() -> None:
    cache: ShardCache[int, int] = ShardCache(200)
    for turn in range(20):
        for i in range(100):
            if cache.get(i) is None:
                cache[i] = i
        for i in range(1000, 1300):
            cache[i + 300 * turn] = i  # each once
    assert sum(i in cache for i in range(100)) > 80


def test_a_bound_of_zero_keeps_nothing() -> None:
    gone: list[tuple[str, int, RemovalCause]] = []
    cache: ShardCache[str, int] = ShardCache(0, on_remove=lambda *what: gone.append(what))
    cache["a"] = 1
    assert len(cache) == 0
    assert gone == [("a", 1, RemovalCause.EVICTED)]
    assert cache.get_or_load("a", lambda key: 2) == 2
    assert "a" not in cache


def test_without_a_bound_nothing_is_evicted() -> None:
    cache: ShardCache[int, int] = ShardCache(None)
    for i in range(10_000):
        cache[i] = i
    assert (len(cache), cache.maxsize, cache.stats().evicted) == (10_000, None, 0)


# --- What it tells, and what it refuses ---


def test_stats_count_what_happened() -> None:
    cache: ShardCache[str, int] = ShardCache(2)
    assert cache.stats() == CacheStats(0, 0, 0, 0, 0.0, 0, 0, 0, 0, 0, 0)
    cache["a"] = 1
    cache.get("a")
    cache.get("b")
    cache["a"]
    with pytest.raises(KeyError):
        cache["b"]
    assert "a" in cache  # not counted
    cache.get_or_load("b", lambda key: 2)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_load("c", lambda key: 1 // 0)
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.loads, stats.load_failures) == (2, 4, 1, 1)
    assert stats.hit_ratio == 2 / 6
    assert stats.load_seconds > 0
    cache.reset_stats()
    assert (cache.stats().hits, cache.stats().misses) == (0, 0)


def test_hits_and_misses_of_threads_that_have_ended_are_counted() -> None:
    cache: ShardCache[int, int] = ShardCache(100)
    cache[1] = 1
    for _ in range(3):
        run_alike(4, lambda number: [cache.get(i % 2) for i in range(100)])
    assert (cache.stats().hits, cache.stats().misses) == (600, 600)


def test_the_counts_of_a_cache_that_is_gone_are_not_those_of_the_next() -> None:
    for _ in range(5):
        cache: ShardCache[int, int] = ShardCache(10)
        cache[1] = 1
        cache.get(1)
        cache.get(2)
        assert (cache.stats().hits, cache.stats().misses) == (1, 1)
        del cache
        gc.collect()


@pytest.mark.parametrize("size, error", [(-1, ValueError), ("1", TypeError), (1.0, TypeError), ([], TypeError)])
def test_a_bound_that_is_none_is_refused(size: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ShardCache(size)


@pytest.mark.parametrize("name", ["weigh", "on_remove", "loader", "timer"])
def test_what_must_be_callable_is(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        ShardCache(10, **{name: 1})  # type: ignore[arg-type]


def test_errors_of_keys_are_dicts_and_missing_is_no_value() -> None:
    cache: ShardCache[Any, Any] = ShardCache(10)
    for use in (cache.get, cache.pop, cache.invalidate, lambda key: cache.get_or_load(key, str)):
        with pytest.raises(TypeError, match="unhashable"):
            use([])
    with pytest.raises(ValueError, match="MISSING"):
        cache["a"] = MISSING
    with pytest.raises(KeyError, match="empty"):
        cache.popitem()
    with pytest.raises(TypeError, match="needs a loader"):
        cache.get_or_load("a")
    with pytest.raises(RuntimeError, match="twice"):
        cache.__init__(5)  # type: ignore[misc]
    assert len(cache) == 0


def test_popitem_takes_one_after_the_other() -> None:
    cache: ShardCache[int, int] = ShardCache(5000)
    for i in range(3000):
        cache[i] = -i
    popped = [cache.popitem() for _ in range(3000)]
    assert sorted(popped) == [(i, -i) for i in range(3000)]
    cache._check()


def test_what_on_remove_raises_goes_to_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    cache: ShardCache[int, int] = ShardCache(1, on_remove=lambda key, value, cause: 1 // 0)
    for i in range(3):
        cache[i] = i
    assert dict(cache) == {2: 2}
    assert [type(each.exc_value) for each in told] == [ZeroDivisionError] * 2


def test_on_remove_may_use_the_cache() -> None:
    def again(key: int, value: int, cause: RemovalCause) -> None:
        if cause is RemovalCause.EVICTED and key < 100:
            cache[key + 100] = value

    cache: ShardCache[int, int] = ShardCache(3, on_remove=again)
    for i in range(20):
        cache[i] = i
    assert len(cache) == 3
    cache._check()


def test_the_same_value_stored_again_is_not_told() -> None:
    gone: list[Any] = []
    cache: ShardCache[str, object] = ShardCache(3, on_remove=lambda *what: gone.append(what))
    value = object()
    cache["a"] = value
    cache["a"] = value
    assert gone == []


# --- As an object ---


def test_it_is_a_mutable_mapping_and_takes_parameters() -> None:
    cache = ShardCache[str, int](3)
    assert isinstance(cache, MutableMapping)
    cache["a"] = 1
    assert repr(cache) == "ShardCache({'a': 1}, maxsize=3)"
    assert cache.items() == {("a", 1)}
    assert ("a", 1) in cache.items()
    assert ("a", 2) not in cache.items()
    assert 1 in cache.values()
    assert cache.keys() & {"a", "b"} == {"a"}
    assert cache != {"a": 2}
    assert isinstance(cache.snapshot(), Snapshot)
    assert cache.snapshot() == {"a": 1}
    with pytest.raises(TypeError):
        hash(cache)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))])
def test_copies_and_pickles_have_the_contents_and_the_time_that_is_left(copied: Callable[[Any], Any]) -> None:
    REMOVED.clear()
    cache: ShardCache[int, int] = ShardCache(5000, ttl=1000, on_remove=mark)
    for i in range(2000):
        cache[i] = i
    cache.set(2000, 0, ttl=None)
    other = copied(cache)
    assert type(other) is ShardCache
    assert list(other.items()) == list(cache.items())
    assert other.maxsize == 5000
    left = {key: seconds for key, _, seconds in _core._cache_entries_with_deadlines(other)}
    assert left[2000] is None
    assert all(0 < seconds <= 1000 for key, seconds in left.items() if key < 2000 and seconds is not None)
    del other[0]
    assert 0 in cache
    other._check()
    assert REMOVED == [(0, 0, RemovalCause.EXPLICIT)]


class Own(ShardCache[str, int]):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = "own"

    def __missing__(self, key: str) -> int:
        return len(key)


def test_a_subclass_has_what_it_adds_and_its_missing() -> None:
    cache = Own(10)
    assert cache["abc"] == 3
    assert len(cache) == 0
    cache["a"] = 1
    other = pickle.loads(pickle.dumps(cache))
    assert (type(other), other.name, dict(other)) == (Own, "own", {"a": 1})


class WithMethod(ShardCache[str, Any]):
    def __init__(self) -> None:
        super().__init__(10, on_remove=self.removed, loader=self.load)

    def removed(self, key: str, value: Any, cause: RemovalCause) -> None: ...

    def load(self, key: str) -> Any: ...


def test_a_shallow_copy_of_a_subclass_has_its_attributes_and_a_cyclic_one_can_be_copied() -> None:
    cache = Own(10)
    cache.name = "other"
    assert copy.copy(cache).name == "other"
    cyclic: ShardCache[str, Any] = ShardCache(10)
    cyclic["me"] = cyclic
    for other in copy.deepcopy(cyclic), pickle.loads(pickle.dumps(cyclic)):
        assert other["me"] is other


def test_a_loader_that_has_nothing_is_a_key_error() -> None:
    cache: ShardCache[str, Any] = ShardCache(10, loader=lambda key: MISSING)
    with pytest.raises(KeyError):
        cache["a"]


def test_cycles_through_a_cache_are_collected() -> None:
    class Value:
        cache: Any

    cache: ShardCache[str, Value] = ShardCache(10)
    value = cache["a"] = Value()
    value.cache = cache
    gone = weakref.ref(value), weakref.ref(cache)
    del cache, value
    gc.collect()
    assert [each() for each in gone] == [None, None]
    methods = WithMethod()
    methods["a"] = methods
    gone_too = weakref.ref(methods)
    del methods
    gc.collect()
    assert gone_too() is None


def test_finalizers_in_the_same_garbage_may_use_the_cache() -> None:
    seen: list[int] = []

    class Value:
        cache: Any

        def __del__(self) -> None:
            self.cache["new"] = 1
            self.cache.get("a")
            self.cache.clear()
            for i in range(20):
                self.cache[i] = i
            seen.append(len(self.cache))

    cache: ShardCache[Any, Any] = ShardCache(5)
    for i in range(5):
        cache[i] = Value()
        cache[i].cache = cache
    del cache
    gc.collect()
    assert seen
    assert max(seen) <= 5


def test_memory_is_not_a_third_more_than_a_map_s() -> None:
    cache: ShardCache[int, int] = ShardCache(50_000)
    m: ShardMap[int, int] = ShardMap.with_capacity(shards=len(_core._cache_policy(cache)))
    for i in range(50_000):
        cache[i] = m[i] = i
    assert sys.getsizeof(cache) < 1.3 * sys.getsizeof(m)
