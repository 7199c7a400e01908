"""@cached: functools' own tests of lru_cache with @cached in its place, and what it does beyond."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import types
import unittest
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from cpython.loader import source_of
from cpython.runner import failure_of
from shardmap import CacheInfo, cached

pytestmark = pytest.mark.concurrent

# Tests of functools that @cached does not pass, with the reason.
DIFFERENT = {
    "test_lru_cache_threaded2": "concurrent calls with equal arguments run the function once; passes with once=False",
    "test_lru_method": "the results of a method are kept for each instance",
    "test_lru_cache_weakrefable": "as far as it says that a method is one function for all instances",
    "test_pickle": "is about the pure Python and the C version of functools",
    "test_copy": "is about the pure Python and the C version of functools",
    "test_deepcopy": "is about the pure Python and the C version of functools",
}


def lru_cases(lru_cache: Callable[..., Any]) -> dict[str, Callable[[], unittest.TestCase]]:
    if source_of("test_functools") is None:
        return {}
    from test import test_functools

    module = types.ModuleType("functools with @cached")
    vars(module).update(vars(functools))
    module.lru_cache = lru_cache  # type: ignore[attr-defined]
    module.cache = lambda function: cached(None)(function)  # type: ignore[attr-defined]
    cls = type("Ours", (test_functools.TestLRU, unittest.TestCase), {"module": module})
    return {name: functools.partial(cls, name) for name in unittest.defaultTestLoader.getTestCaseNames(cls)}


CASES = lru_cases(cached)


def test_this_python_brings_the_tests() -> None:
    if source_of("test_functools") is None:
        pytest.skip("this Python comes without test.test_functools")
    assert len(CASES) > 20


@pytest.mark.parametrize("name", [name for name in CASES if name not in DIFFERENT])
def test_it_passes_what_lru_cache_passes(name: str) -> None:
    failure = failure_of(CASES[name])
    assert not failure, failure


@pytest.mark.parametrize("name", ["test_lru_cache_threaded2"] if CASES else [])
def test_without_waiting_it_passes_that_too(name: str) -> None:
    failure = failure_of(lru_cases(functools.partial(cached, once=False))[name])
    assert not failure, failure


@cached
def module_level(x: int) -> int:
    return x


class WithMethods:
    made = 0

    def __init__(self, factor: int = 1) -> None:
        self.factor = factor
        self.calls: list[Any] = []

    @cached
    def times(self, x: int, *more: int, plus: int = 0) -> Any:
        """Multiplies."""
        self.calls.append(x)
        return self.factor * x + plus

    @staticmethod
    @cached
    def static(x: int) -> list[int]:
        return [x]

    @classmethod
    @cached
    def of_class(cls, x: int) -> tuple[type, int]:
        cls.made += 1
        return cls, x


def test_the_results_of_a_method_are_the_instance_s() -> None:
    one, two = WithMethods(1), WithMethods(2)
    assert [one.times(3), one.times(3), two.times(3), WithMethods.times(two, 3)] == [3, 3, 6, 6]
    assert (one.calls, two.calls) == ([3], [3])
    assert one.times.cache_info() == CacheInfo(1, 1, 128, 1)
    assert two.times.cache_info() == CacheInfo(1, 1, 128, 1)
    assert WithMethods.times.cache_info() == CacheInfo(0, 0, 128, 0)
    assert one.times.invalidate(3)
    assert not one.times.invalidate(3)
    assert [one.times(3), two.times(3)] == [3, 6]
    assert (one.calls, two.calls) == ([3, 3], [3])
    one.times.cache_clear()
    assert one.times.cache_info() == CacheInfo(0, 0, 128, 0)
    assert one.times(4, plus=5) == 9
    assert one.times.__doc__ == "Multiplies."
    assert one.times.__wrapped__(4) == 4
    assert one.times == one.times
    assert one.times != two.times
    bound = one.times
    assert bound(4, plus=5) == 9
    assert bound.__self__ is one


def test_an_instance_is_not_kept_alive_and_its_cycles_are_collected() -> None:
    one = WithMethods()
    one.times(1)
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None

    class Cyclic:
        @cached
        def me(self) -> Any:
            return self

    cyclic = Cyclic()
    assert cyclic.me() is cyclic
    gone_too = weakref.ref(cyclic)
    del cyclic
    gc.collect()
    assert gone_too() is None


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_of_an_instance_has_results_of_its_own(copied: Callable[[Any], Any]) -> None:
    one = WithMethods(2)
    one.times(3)
    other = copied(one)
    other.factor = 5
    assert other.times(3) == 15
    assert one.times(3) == 6


def test_an_instance_without_a_dict_is_part_of_the_key() -> None:
    class Slots:
        __slots__ = ("factor",)

        def __init__(self, factor: int) -> None:
            self.factor = factor

        @cached
        def times(self, x: int) -> int:
            return self.factor * x

    one, two = Slots(1), Slots(2)
    assert [one.times(3), two.times(3), one.times(3)] == [3, 6, 3]
    assert Slots.times.cache_info() == CacheInfo(1, 2, 128, 2)


def test_two_methods_of_one_name_do_not_share_results() -> None:
    class Base:
        @cached
        def name(self) -> str:
            return "base"

    class Derived(Base):
        @cached
        def name(self) -> str:
            return "derived of " + super().name()

    one = Derived()
    assert [one.name(), one.name(), Base.name(one)] == ["derived of base", "derived of base", "base"]


def test_static_and_class_methods() -> None:
    class Other(WithMethods):
        pass

    assert WithMethods.static(1) is WithMethods().static(1)
    assert [WithMethods.of_class(1), WithMethods().of_class(1), Other.of_class(1)] == [
        (WithMethods, 1),
        (WithMethods, 1),
        (Other, 1),
    ]
    assert WithMethods.of_class.cache_info().hits == 1  # type: ignore[attr-defined]


def test_keys_are_made_as_asked() -> None:
    @cached(key=lambda a, b: a)
    def first(a: int, b: int) -> int:
        return b

    assert [first(1, 2), first(1, 3), first(2, 3)] == [2, 2, 3]
    assert first.invalidate(1, 9)

    @cached(typed=True)
    def kind(x: object, y: object = None) -> type:
        return type(x)

    assert [kind(3), kind(3.0), kind(True), kind(x=3), kind(x=3.0)] == [int, float, bool, int, float]
    assert kind.cache_info() == CacheInfo(0, 5, 128, 5)
    assert [kind(3, y=1), kind(3, y=1.0)] == [int, int]
    assert kind.cache_info().misses == 7


def test_results_expire() -> None:
    now = [0.0]
    gone: list[Any] = []

    @cached(ttl=10, timer=lambda: now[0], on_remove=lambda *what: gone.append(what))
    def time_of(x: int) -> float:
        return now[0]

    assert time_of(1) == 0
    now[0] = 9
    assert time_of(1) == 0
    now[0] = 10
    assert time_of(1) == 10
    assert len(gone) == 1


def test_cached_functions_are_pickled_by_name_and_copied_as_themselves() -> None:
    for function in module_level, WithMethods.times, WithMethods.static:
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.copy(function) is copy.deepcopy(function) is function
    one = WithMethods(3)
    assert pickle.loads(pickle.dumps(one.times))(2) == 6


def test_it_says_what_it_is() -> None:
    @cached(maxsize=5, typed=True)
    def named(a: int, *, b: str = "") -> list[int]:
        """Documented."""
        return [a]

    assert (named.__name__, named.__doc__, named.__module__) == ("named", "Documented.", __name__)
    assert named.cache_parameters() == {"maxsize": 5, "typed": True}
    assert str(inspect.signature(named)) == "(a: 'int', *, b: 'str' = '') -> 'list[int]'"
    assert named.__wrapped__(1) == [1]
    assert cached(None)(len)("abc") == 3
    assert "named" in repr(named)


@pytest.mark.parametrize("wrong", ["1", 1.5, []])
def test_wrong_parameters_are_refused_when_it_decorates(wrong: Any) -> None:
    with pytest.raises(TypeError):
        cached(wrong)
    with pytest.raises(TypeError):
        cached(ttl=[])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        cached(ttl=-1)
    with pytest.raises(TypeError):
        cached()(wrong)


def test_unhashable_arguments_and_calls_that_do_not_fit() -> None:
    @cached
    def one(x: object) -> object:
        return x

    with pytest.raises(TypeError, match="unhashable"):
        one([])
    with pytest.raises(TypeError, match="argument"):
        one()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="argument"):
        one(1, 2)  # type: ignore[call-arg]
    assert one.cache_info().currsize == 0


def test_a_method_s_results_are_forgotten_for_every_instance() -> None:
    one = WithMethods(1)
    one.times(3)
    WithMethods.times.cache_clear()
    assert one.times(3) == 3
    assert one.calls == [3, 3]


def test_a_key_function_gets_no_instance() -> None:
    class Slots:
        __slots__ = ("factor",)

        def __init__(self, factor: int) -> None:
            self.factor = factor

        @cached(key=lambda x, y: x)
        def times(self, x: int, y: int) -> int:
            return self.factor * x + y

    one, two = Slots(1), Slots(2)
    assert [one.times(3, 0), one.times(3, 9), two.times(3, 0)] == [3, 3, 6]
    assert one.times.invalidate(3, 1)


def test_a_function_that_is_put_into_a_class_stays_a_function() -> None:
    class Holder:
        helper = module_level

    assert Holder.helper(1) == 1
    assert module_level(Holder) is Holder  # type: ignore[comparison-overlap, arg-type]
    assert not any("cached" in name for name in vars(Holder()))
    assert callable(module_level.__call__)
    assert isinstance(module_level, Callable)  # type: ignore[arg-type]
