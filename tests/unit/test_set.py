"""ShardSet in lock-step with set (and with a dict, for the order), and its hostile elements."""

from __future__ import annotations

import copy
import gc
import operator
import pickle
import sys
import weakref
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.keys import Finalized, HashKey
from harness.machine import splitting
from shardmap import SetSnapshot, ShardMap, ShardSet, _core
from test_model import KEYS, MODEL_SETTINGS, outcome

MakeSet = Callable[..., ShardSet[Any]]


@pytest.fixture(params=[1, 2, 64, 0], ids=lambda n: f"shards={n}" if n else "split")
def make_set(request: pytest.FixtureRequest) -> Iterator[MakeSet]:
    """Makes sets like ShardSet(...), with so many shards, or with more and more. At the end each is checked."""
    made: list[ShardSet[Any]] = []

    def make(elements: Iterable[Any] = ()) -> ShardSet[Any]:
        s: ShardSet[Any] = ShardSet.with_capacity(shards=request.param) if request.param else ShardSet()
        s.update(elements)
        made.append(s)
        return s

    if request.param:
        yield make
    else:
        with splitting():
            yield make
    for s in made:
        s._check()


STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "discard": lambda s, e: s.discard(e),
    "remove": lambda s, e: s.remove(e),
    "in": lambda s, e: e in s,
    "update": lambda s, e: s.update([e, 1, e]),
    "difference_update": lambda s, e: s.difference_update([e, 2], {3}),
    "symmetric_difference_update": lambda s, e: s.symmetric_difference_update([e, 1, e]),
    "|": lambda s, e: frozenset(s | {e}),
    "&": lambda s, e: frozenset(s & {e, 1, 2}),
    "-": lambda s, e: frozenset(s - {e, 1}),
    "^": lambda s, e: frozenset(s ^ {e, 1}),
    "reflected -": lambda s, e: {e, 1, 2} - s,
    "union": lambda s, e: frozenset(s.union([e], (1,), {2: 3})),
    "intersection": lambda s, e: frozenset(s.intersection([e, 1, 2], {1, e})),
    "difference": lambda s, e: frozenset(s.difference([e, 1, 2], {3})),
    "symmetric_difference": lambda s, e: frozenset(s.symmetric_difference([e, 1, e, 2])),
    "isdisjoint": lambda s, e: s.isdisjoint([e]),
    "issubset": lambda s, e: s.issubset([e, 0, 1, 2, 3]),
    "issuperset": lambda s, e: s.issuperset([e]),
    "comparisons": lambda s, e: [compare(s, {e, 1}) for compare in COMPARISONS],
    "reflected comparisons": lambda s, e: [compare(frozenset({e}), s) for compare in COMPARISONS],
    "len": lambda s, e: len(s),
    "bool": lambda s, e: bool(s),
    "copy": lambda s, e: frozenset(s.copy()),
    "copy.copy": lambda s, e: frozenset(copy.copy(s)),
    "pickle": lambda s, e: len(pickle.loads(pickle.dumps([each for each in s if not isinstance(each, HashKey)]))),
    "|=": lambda s, e: frozenset(operator.ior(s, {e})),
    "&=": lambda s, e: frozenset(operator.iand(s, {e, 0, 1, 2, 3, 4, 5})),
    "-=": lambda s, e: frozenset(operator.isub(s, {e})),
    "^=": lambda s, e: frozenset(operator.ixor(s, {e, 1})),
}
COMPARISONS = (operator.eq, operator.ne, operator.le, operator.lt, operator.ge, operator.gt)


@pytest.mark.parametrize("shards", [1, 2, 64])
def test_every_operation_is_that_of_a_set(shards: int) -> None:
    @MODEL_SETTINGS
    @given(st.lists(st.tuples(st.sampled_from([*STEPS, "add", "add", "add", "add"]), KEYS), max_size=60))
    def run(steps: list[tuple[str, Any]]) -> None:
        mine: ShardSet[Any] = ShardSet.with_capacity(shards=shards)
        theirs: set[Any] = set()
        in_order: dict[Any, None] = {}
        for name, element in steps:
            if name == "add":
                assert mine.add(element) is (element not in theirs)
                theirs.add(element)
            else:
                there = element in theirs
                result, expected = (outcome(lambda x=x: STEPS[name](x, element)) for x in (mine, theirs))
                assert result == (expected if name != "discard" else ("returned", there))
            in_order = {each: None for each in in_order if each in theirs} | dict.fromkeys(
                each for each in mine if each in theirs
            )
            assert mine == theirs and theirs == mine and set(mine) == theirs and len(mine) == len(theirs)
            assert list(mine) == list(in_order)
        mine._check()

    run()


def test_many_at_once_is_the_loop(make_set: MakeSet) -> None:
    cases: list[tuple[Iterable[Any], Iterable[Any]]] = [
        ([], []),
        ([1, "a", 1], ["a", 2, 2, 3]),
        (range(2000), range(1500, 4000)),
        ("ab", iter("bcb")),
    ]
    for first, second in cases:
        elements = list(second)
        given = iter(elements) if isinstance(second, Iterator) else elements
        s, other = make_set(first), make_set(first)
        assert s.contains_many(elements) == [each in other for each in elements]
        assert s.add_many(given) == [other.add(each) for each in elements]
        assert list(s) == list(other)
        some = [*elements[::2], "not there", *elements[::2]]
        assert s.discard_many(some) == [other.discard(each) for each in some]
        assert list(s) == list(other)
    for method in s.add_many, s.contains_many, s.discard_many:
        with pytest.raises(TypeError):
            method([[]])
        with pytest.raises(TypeError):
            method(5)  # type: ignore[arg-type]


def test_a_snapshot_is_a_point_in_time_and_a_frozenset_s_equal(make_set: MakeSet) -> None:
    s = make_set("abc")
    before = s.snapshot()
    s.add("d")
    s.discard("a")
    assert list(before) == ["a", "b", "c"] and list(s) == ["b", "c", "d"]
    assert before == frozenset("abc") and hash(before) == hash(frozenset("abc")) and frozenset("abc") == before
    assert {before: 1}[frozenset("abc")] == 1
    assert "a" in before and "d" not in before and len(before) == 3
    assert before - s == {"a"} and type(before - s) is SetSnapshot and before & s == {"b", "c"}
    assert before | s == {*"abcd"} and before ^ s == {"a", "d"} and not before <= s and before.isdisjoint("xyz")
    assert before.thaw() == before and type(before.thaw()) is ShardSet
    assert pickle.loads(pickle.dumps(before)) == before == copy.copy(before) == copy.deepcopy(before) == before.copy()
    for name in "add", "discard", "clear", "update", "__dict__":
        assert not hasattr(before, name)
    with pytest.raises(TypeError):
        hash(s)


def test_the_left_side_decides_about_type_and_order(make_set: MakeSet) -> None:
    s = make_set([3, 1, 2])
    assert type(s | {5}) is type(s & {1}) is type(s - {1}) is type(s ^ {1}) is ShardSet
    assert type({5} | s) is type({1} & s) is type({1} - s) is type({1} ^ s) is set
    assert type(frozenset({5}) | s) is frozenset
    assert list(s.union([9, 8, 1])) == [3, 1, 2, 9, 8]
    assert list(s.intersection([2, 1, 7])) == [1, 2] and list(s.symmetric_difference([7, 1, 6])) == [3, 2, 7, 6]
    assert s & {1: 0, 9: 0}.keys() == {1} and s & ShardMap({3: 0}).keys() == {3}
    operations = operator.or_, operator.and_, operator.sub, operator.xor, operator.lt, operator.ior, operator.isub
    for operation in operations:
        with pytest.raises(TypeError):
            operation(s, [1])
        with pytest.raises(TypeError):
            operation(s, None)
    assert s != [3, 1, 2] and s != {3: 0, 1: 0, 2: 0} and s == {3: 0, 1: 0, 2: 0}.keys()


def test_a_set_of_sets_is_asked_for_a_set(make_set: MakeSet) -> None:
    s = make_set([frozenset("ab")])
    assert set("ab") in s and ShardSet("ba") in s and ShardSet("ba") in s.snapshot() and set("a") not in s
    assert s.discard({"b"}) is False and s.discard({"a", "b"}) is True and len(s) == 0
    with pytest.raises(KeyError) as error:
        s.remove({"a"})
    assert error.value.args == ({"a"},)
    for work in (lambda: s.add({"a"}), lambda: [] in s, lambda: s.discard([]), lambda: s.remove({})):
        with pytest.raises(TypeError, match="unhashable"):
            work()


def test_many_elements_may_be_sets() -> None:
    s = ShardSet([frozenset("a"), 1])
    assert s.contains_many([{"a"}, 1, ShardSet("a"), {"b"}]) == [True, True, True, False]
    assert s.discard_many(({"a"}, {"a"}, 2)) == [True, False, False] and list(s) == [1]


def test_overridden_methods_are_not_called_by_others() -> None:
    class Told(ShardSet[int]):
        def add(self, element: int, /) -> None:  # type: ignore[override]
            super().add(element)

    s = Told([1])
    s ^= {1, 9}
    s |= {2}
    assert s == {9, 2}


def test_a_subclass_keeps_its_attributes(make_set: MakeSet) -> None:
    s = Named("ab")
    s.name = "letters"
    for other in copy.copy(s), copy.deepcopy(s), pickle.loads(pickle.dumps(s)):
        assert type(other) is Named and other.name == "letters" and list(other) == ["a", "b"]
    assert type(s.copy()) is ShardSet and type(s | {"c"}) is ShardSet
    kept = NamedSnapshot(s)
    kept.name = "kept"
    for snapshot in copy.copy(kept), copy.deepcopy(kept), pickle.loads(pickle.dumps(kept)):
        assert type(snapshot) is NamedSnapshot and snapshot.name == "kept" and snapshot == s
    assert Named.with_capacity(100, shards=4).stats().capacity >= 100
    assert type(Abstract.with_capacity(shards=2)) is Abstract and Abstract("a") == {"a"}


class Named(ShardSet[str]):
    name: str


class Abstract(ShardSet[str], metaclass=ABCMeta):
    pass


class NamedSnapshot(SetSnapshot[str]):
    name: str


def test_wrong_parameters_are_python_s_errors() -> None:
    for work in (
        lambda: ShardSet(1),  # type: ignore[call-overload]
        lambda: ShardSet("a", "b"),  # type: ignore[call-overload]
        lambda: ShardSet(iterable="a"),  # type: ignore[call-overload]
        lambda: ShardSet.with_capacity("1"),  # type: ignore[arg-type]
        lambda: ShardSet().add(),  # type: ignore[call-arg]
        lambda: ShardSet().discard(1, 2),  # type: ignore[call-arg]
        lambda: SetSnapshot({1}),  # type: ignore[arg-type]
        lambda: ShardSet([[]]),
    ):
        with pytest.raises(TypeError):
            work()
    with pytest.raises(ValueError, match="negative"):
        ShardSet.with_capacity(-1)
    with pytest.raises(MemoryError):
        ShardSet.with_capacity(2**70)
    with pytest.raises(KeyError, match="empty set"):
        ShardSet().pop()
    s = ShardSet("ab")
    s.__init__("c")  # type: ignore[misc]
    assert list(s) == ["c"]


def test_elements_may_use_the_set_that_compares_them(make_set: MakeSet) -> None:
    s = make_set()
    uses = 0

    def use() -> None:
        nonlocal uses
        uses += 1
        if uses % 5 == 1:  # who compares starts over where the set was changed, as set does
            s.add("x")
            s.discard("x")
            list(s)
            len(s | {"y"})
            s.copy()

    first, again = HashKey("a", on_eq=use), HashKey("a", on_eq=use, on_hash=use)
    assert s.add(first) is True and s.add(again) is False and again in s
    assert s.add_many([again, HashKey("b")]) == [False, True]
    assert next(iter(s)) is first
    assert s.discard(again) is True and list(s) == [HashKey("b")]


def test_an_element_that_raises_loses_nothing(make_set: MakeSet) -> None:
    class Wrong(Exception):
        pass

    armed = False

    def fail() -> None:
        if armed:
            raise Wrong

    s = make_set([HashKey(n, on_eq=fail) for n in range(3)])
    wrong = HashKey("wrong", on_eq=fail)
    armed = True
    of_one: list[Callable[[Any], Any]] = [s.add, s.discard, s.remove, s.__contains__]
    for work in (*of_one, lambda e: s.update([e]), lambda e: s & {e}, lambda e: s - {e}):
        with pytest.raises(Wrong):
            work(wrong)
    armed = False
    assert list(s) == [HashKey(n) for n in range(3)]


def test_nothing_is_kept_alive(make_set: MakeSet) -> None:
    class Element:
        pass

    element = Element()
    gone = weakref.ref(element)
    s = make_set([element])
    count = sys.getrefcount(element)
    snapshot = s.snapshot()
    assert s.pop() is element and snapshot == {element}
    del snapshot
    assert sys.getrefcount(element) <= count
    del element
    gc.collect()
    assert gone() is None
    cycle = make_set()
    cycle.add(Finalized(cycle.clear))
    cycle_gone = weakref.ref(cycle)
    _core._check(_core._set_map(cycle))
    assert cycle_gone() is cycle


def test_a_cycle_through_a_set_is_collected() -> None:
    class Node:
        def __init__(self) -> None:
            self.around: ShardSet[Node] = ShardSet([self])

    gone = weakref.ref(Node().around)
    gc.collect()
    assert gone() is None


def test_its_size_counts_its_tables() -> None:
    assert sys.getsizeof(ShardSet(range(1000))) > sys.getsizeof(ShardSet()) + 1000 * 16
    assert sys.getsizeof(ShardSet(range(100_000))) < 1.5 * sys.getsizeof(set(range(100_000)))
