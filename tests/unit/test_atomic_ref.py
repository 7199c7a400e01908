"""AtomicRef: what each operation does and returns, and that nothing is lost between threads."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import sys
import weakref
from collections import Counter
from typing import Any

import pytest

from harness.history import Operation, violation
from harness.keys import Finalized
from harness.process import fork_and_wait, run_python
from harness.threads import LONG, meanwhile, run_alike, run_threads, switching_often
from shardmap import AtomicRef

pytestmark = pytest.mark.concurrent


class Thing:
    """Weakly referable."""


# --- One thread ---


def test_every_write_returns_what_was_there_before() -> None:
    first, second, third = object(), object(), object()
    ref = AtomicRef(first)
    assert ref.load() is first
    assert ref.store(second) is None
    assert ref.swap(third) is second
    assert ref.rcu(lambda value: (value, 1)) is third
    assert ref.load() == (third, 1)


def test_compare_and_swap_compares_by_identity() -> None:
    one, equal, new = [1], [1], [2]
    ref = AtomicRef(one)
    assert ref.compare_and_swap(equal, new) is one  # not done
    assert ref.load() is one
    assert ref.compare_and_swap(one, new) is one
    assert ref.load() is new
    assert ref.compare_and_swap(new, new) is new
    assert ref.compare_and_swap(None, one) is new
    assert ref.load() is new


def test_it_takes_exactly_one_value() -> None:
    for arguments in ((), (1, 2)):
        with pytest.raises(TypeError):
            AtomicRef(*arguments)
    with pytest.raises(TypeError):
        AtomicRef(value=1)  # type: ignore[call-arg]
    assert AtomicRef(None).load() is None


def test_an_error_in_the_function_changes_nothing() -> None:
    ref = AtomicRef(value := [1])
    for error in (ZeroDivisionError, KeyboardInterrupt):

        def fail(_: Any, error: type[BaseException] = error) -> Any:
            raise error

        with pytest.raises(error):
            ref.rcu(fail)
        assert ref.load() is value
    with pytest.raises(TypeError):
        ref.rcu(None)  # type: ignore[arg-type]


def test_a_function_that_writes_once_itself_is_run_again() -> None:
    ref = AtomicRef(1)
    seen = []

    def function(value: int) -> int:
        seen.append(value)
        if len(seen) == 1:
            ref.store(10)
        return value + 1

    assert ref.rcu(function) == 10
    assert seen == [1, 10] and ref.load() == 11


@pytest.mark.parametrize(
    "write",
    [
        lambda ref: ref.store(object()),
        lambda ref: ref.swap(object()),
        lambda ref: ref.compare_and_swap(ref.load(), object()),
        lambda ref: ref.rcu(lambda value: object()),
    ],
)
def test_a_function_that_always_writes_itself_is_an_error_not_an_endless_loop(write: Any) -> None:
    ref: AtomicRef[Any] = AtomicRef(0)
    calls = []

    def function(value: Any) -> Any:
        calls.append(value)
        write(ref)
        return "never stored"

    with pytest.raises(RuntimeError, match="itself writes"):
        ref.rcu(function)
    assert len(calls) == 2 and ref.load() != "never stored"
    ref.store(1)
    assert ref.rcu(lambda n: n + 1) == 1


def test_endless_recursion_is_a_recursion_error() -> None:
    ref = AtomicRef(0)

    def function(value: int) -> int:
        ref.rcu(function)
        return value

    with pytest.raises(RecursionError):
        ref.rcu(function)
    assert ref.load() == 0


def test_a_function_that_only_reads_or_uses_another_reference_is_fine() -> None:
    ref, other = AtomicRef(1), AtomicRef(10)
    assert ref.rcu(lambda value: value + ref.load() + other.rcu(lambda n: n + 1)) == 1
    assert (ref.load(), other.load()) == (12, 11)
    assert ref.rcu(lambda value: value) == 12


def test_repr_copy_pickle_and_type_parameters() -> None:
    ref: AtomicRef[Any] = AtomicRef({"a": [1]})
    assert repr(ref) == "AtomicRef({'a': [1]})"
    ref.load()["self"] = ref
    assert repr(ref) == "AtomicRef({'a': [1], 'self': AtomicRef(...)})"
    del ref.load()["self"]
    shallow, deep = copy.copy(ref), copy.deepcopy(ref)
    assert shallow is not ref and shallow.load() is ref.load()
    assert deep.load() == ref.load() and deep.load()["a"] is not ref.load()["a"]
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(ref, protocol)).load() == {"a": [1]}
        inside: AtomicRef[Any] = AtomicRef(None)
        inside.store([inside])
        restored = pickle.loads(pickle.dumps(inside, protocol))
        assert restored.load()[0] is restored is not inside
    with pytest.raises((TypeError, ValueError)):
        ref.__setstate__(None)  # type: ignore[arg-type]
    assert AtomicRef[int].__origin__ is AtomicRef
    assert ref == ref and ref != shallow and len({ref, shallow}) == 2
    with pytest.raises(AttributeError):
        ref.attribute = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        type("Sub", (AtomicRef,), {})


# --- Memory ---


def test_every_operation_gives_back_each_reference_it_took() -> None:
    one, other = Thing(), Thing()

    def work() -> None:
        ref: AtomicRef[Any] = AtomicRef(one)
        ref.load(), ref.store(other), ref.swap(one), ref.swap(one)
        ref.compare_and_swap(other, other), ref.compare_and_swap(one, other), ref.rcu(lambda _: one)
        ref.rcu(lambda value: value)
        with pytest.raises(ZeroDivisionError):
            ref.rcu(lambda _: 1 // 0)
        with pytest.raises(RuntimeError):
            ref.rcu(lambda _: ref.store(Thing()))
        repr(ref), copy.copy(ref), ref.__reduce__()

    work()
    gc.collect()
    before = sys.getrefcount(one), sys.getrefcount(other)
    for _ in range(5):
        work()
    gc.collect()
    assert (sys.getrefcount(one), sys.getrefcount(other)) == before


def test_the_old_value_dies_at_once_and_may_use_the_reference() -> None:
    died: list[Any] = []
    ref: AtomicRef[Any] = AtomicRef(None)
    for number, write in enumerate((ref.store, ref.swap, lambda new: ref.rcu(lambda _: new))):
        ref.store(Finalized(lambda: (died.append(ref.load()), ref.store("by the finalizer"))))
        write(number)
        assert died.pop() == number and ref.load() == "by the finalizer"


def test_a_reference_that_one_thread_used_dies_at_once_with_its_value() -> None:
    ref, thing = AtomicRef(Thing()), Thing()
    ref.store(thing)
    reference = weakref.ref(thing)
    del thing
    assert reference() is not None
    del ref
    assert reference() is None


@pytest.mark.parametrize("collected", [False, True], ids=["by count", "by the collector"])
def test_deeply_nested_references_die_without_running_out_of_stack(collected: bool) -> None:
    run_python(
        f"""
        import gc
        from shardmap import AtomicRef
        ref = first = AtomicRef(None)
        for _ in range(200_000):
            ref = AtomicRef(ref)
        if {collected}:
            first.store(ref)
        del ref, first
        gc.collect()
        """
    )


@pytest.mark.parametrize("shared", [False, True], ids=["one thread", "two threads"])
def test_cycles_through_a_reference_are_collected(shared: bool) -> None:
    ref: AtomicRef[Any] = AtomicRef(None)
    thing = Thing()
    thing.ref = ref  # type: ignore[attr-defined]
    ref.store([thing, ref])
    if shared:
        run_threads(ref.load, ref.load)
    references = weakref.ref(thing), weakref.ref(ref)
    del thing, ref
    for _ in range(2):
        gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_a_finalizer_in_the_same_garbage_can_use_the_reference() -> None:
    seen: list[Any] = []
    ref: AtomicRef[Any] = AtomicRef(None)

    class Last:
        def __init__(self, ref: AtomicRef[Any]) -> None:
            self.ref = ref

        def __del__(self) -> None:
            self.ref.load()
            seen.append(self.ref.swap("finalized"))

    ref.store(Last(ref))
    del ref
    gc.collect()
    assert len(seen) == 1


# --- Threads ---


def test_rcu_from_eight_threads_loses_nothing() -> None:
    ref = AtomicRef(0)

    def work(_: int) -> list[int]:
        return [ref.rcu(lambda n: n + 1) for _ in range(2_000)]

    with switching_often():
        before = run_alike(8, work)
    assert ref.load() == 16_000
    # What each call returned was there once: no two replaced the same value.
    assert sorted(n for one in before for n in one) == list(range(16_000))


def test_every_value_stored_is_swapped_out_once() -> None:
    ref: AtomicRef[Any] = AtomicRef(None)

    def work(number: int) -> list[Any]:
        return [ref.swap((number, i)) for i in range(2_000)]

    with switching_often():
        taken = Counter(value for one in run_alike(4, work) for value in one)
    taken[ref.load()] += 1
    assert taken == Counter([None, *((number, i) for number in range(4) for i in range(2_000))])


def test_of_threads_that_compare_and_swap_one_wins_each_time() -> None:
    ref: AtomicRef[Any] = AtomicRef(("start", 0))

    def work(number: int) -> int:
        won = 0
        for i in range(1_000):
            current = ref.load()
            won += ref.compare_and_swap(current, (number, i, current[1])) is current
        return won

    chain = sum(run_alike(4, work))
    assert 1_000 <= chain <= 4_000


def test_readers_see_whole_values_and_no_older_after_newer() -> None:
    ref = AtomicRef((0, 0))

    def write() -> None:
        number = ref.load()[0] + 1
        ref.store((number, -number))

    def read(_: int) -> None:
        latest = 0
        for _ in range(20_000):
            one, other = ref.load()
            assert one == -other and one >= latest
            latest = one

    with switching_often(), meanwhile(write):
        run_alike(2, read)


def test_values_die_while_others_load_them() -> None:
    """What a reader gets is alive, although each version dies as soon as it is replaced."""
    ref: AtomicRef[list[int]] = AtomicRef([0] * 10)

    def write() -> None:
        ref.store([ref.load()[0] + 1] * 10)

    def read(_: int) -> None:
        for _ in range(20_000):
            value = ref.load()
            assert len(value) == 10 and value[0] == value[9]

    with meanwhile(write, write):
        run_alike(2, read)


def one_reference(state: Any, operation: Operation) -> tuple[bool, Any]:
    name, result = operation.name, operation.result
    if name == "load":
        return result == state, state
    if name == "store":
        return True, operation.arguments[0]
    if name == "swap":
        return result == state, operation.arguments[0]
    if name == "rcu":
        return result == state, state + operation.arguments[0]
    assert name == "compare_and_swap"
    return result == state, operation.arguments[1] if operation.arguments[0] == state else state


@pytest.mark.parametrize("seed", range(4))
def test_histories_are_linearizable(seed: int) -> None:
    import random
    import time

    # Small integers are one object each, so identity is equality.
    ref = AtomicRef(0)

    def work(number: int) -> list[Operation]:
        choose, history = random.Random(f"{seed} {number}"), []
        for _ in range(120):
            name = choose.choice(["load", "store", "swap", "compare_and_swap", "rcu"])
            a, b = choose.randrange(6), choose.randrange(6)
            arguments: tuple[int, ...] = {"load": (), "compare_and_swap": (a, b), "rcu": (a - 3,)}.get(name, (a,))
            start = time.perf_counter_ns()
            if name == "rcu":
                result = ref.rcu(lambda value, more=arguments[0]: max(-5, min(250, value + more)))
            else:
                result = getattr(ref, name)(*arguments)
            history.append(Operation(name, arguments, result, start, time.perf_counter_ns()))
        return history

    def model(state: int, operation: Operation) -> tuple[bool, int]:
        right, after = one_reference(state, operation)
        return right, max(-5, min(250, after))

    with switching_often():
        histories = run_alike(3, work)
    assert violation([o for one in histories for o in one], model, 0) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_in_the_middle_can_use_the_reference() -> None:
    ref = AtomicRef((0, 0))

    def write() -> None:
        ref.rcu(lambda pair: (pair[0] + 1, pair[1] - 1))

    def child() -> None:
        one, other = ref.load()
        assert one == -other
        run_threads(write, write, timeout=LONG / 2)
        assert ref.load() == (one + 2, other - 2)

    def write_meanwhile(ref: AtomicRef[tuple[int, int]] = ref) -> None:  # not the child's variable: fork_and_wait
        ref.rcu(lambda pair: (pair[0] + 1, pair[1] - 1))

    with switching_often(), meanwhile(write_meanwhile, write_meanwhile, ref.load):
        for _ in range(3):
            fork_and_wait(child)
