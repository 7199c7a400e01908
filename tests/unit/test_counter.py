"""ShardCounter: collections.Counter in lock-step."""

from __future__ import annotations

import copy
import operator
import pickle
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardmap import ShardCounter, ShardMap
from test_model import MODEL_SETTINGS

ELEMENTS = st.sampled_from(["a", "b", "c", 1, 2.5, None])
COUNTS = st.one_of(st.integers(-3, 5), st.sampled_from([0.5, -1.5, Fraction(1, 2), 10**30]))
MAPPINGS = st.dictionaries(ELEMENTS, COUNTS, max_size=5)


def plainly(x: Any) -> Any:
    if isinstance(x, (ShardCounter, Counter)):
        return list(x.items())
    return x


STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "update": lambda c, other: c.update(other),
    "update with elements": lambda c, other: c.update(list(other) * 2),
    "subtract": lambda c, other: c.subtract(other),
    "subtract elements": lambda c, other: c.subtract(list(other) * 2),
    "+": lambda c, other: sorted(map(repr, (c + Counter(other)).items())),
    "-": lambda c, other: sorted(map(repr, (c - Counter(other)).items())),
    "|": lambda c, other: sorted(map(repr, (c | Counter(other)).items())),
    "&": lambda c, other: sorted(map(repr, (c & Counter(other)).items())),
    "reflected": lambda c, other: [
        sorted(map(repr, operation(Counter(other), c).items()))
        for operation in (operator.add, operator.sub, operator.or_, operator.and_)
    ],
    "signs": lambda c, other: (plainly(+c), plainly(-c)),
    "+=": lambda c, other: plainly(operator.iadd(c, Counter(other))),
    "-=": lambda c, other: plainly(operator.isub(c, Counter(other))),
    "|=": lambda c, other: plainly(operator.ior(c, Counter(other))),
    "&=": lambda c, other: plainly(operator.iand(c, Counter(other))),
    "comparisons": lambda c, other: [
        compare(c, Counter(other))
        for compare in (operator.eq, operator.ne, operator.le, operator.lt, operator.ge, operator.gt)
    ],
    "most_common": lambda c, other: [c.most_common(), c.most_common(2), c.most_common(0)],
    "total": lambda c, other: c.total(),
    "missing": lambda c, other: [c["not there"], "not there" in c],
    "del": lambda c, other: [operator.delitem(c, each) for each in other],
    "copies": lambda c, other: [plainly(each) for each in (c.copy(), copy.copy(c), pickle.loads(pickle.dumps(c)))],
    "set": lambda c, other: [operator.setitem(c, element, count) for element, count in other.items()],
}


@pytest.mark.parametrize("shards", [1, 2, 64])
def test_every_operation_is_that_of_a_counter(shards: int) -> None:
    @MODEL_SETTINGS
    @given(MAPPINGS, st.lists(st.tuples(st.sampled_from(list(STEPS)), MAPPINGS), max_size=15))
    def run(start: dict[Any, Any], steps: list[tuple[str, Any]]) -> None:
        mine, theirs = ShardCounter.with_capacity(shards=shards), Counter(start)
        mine.update(start)
        for name, other in steps:
            assert STEPS[name](mine, other) == STEPS[name](theirs, other), name
            assert list(mine.items()) == list(theirs.items()), name
            assert mine == theirs and theirs == mine
        mine._check()

    run()


def test_elements_repeat() -> None:
    counter = ShardCounter(a=2, b=0, c=-1, d=1)
    assert list(counter.elements()) == ["a", "a", "d"] and counter.total() == 2


def test_what_it_is_made_of() -> None:
    assert ShardCounter("abca") == ShardCounter({"a": 2, "b": 1, "c": 1}) == Counter("abca")
    assert ShardCounter(a=2, b=1, c=1) == Counter("abca") == ShardCounter("ab", a=1, c=1)
    assert ShardCounter(a=1, b=0) == Counter(a=1) and ShardCounter(a=1) != {"a": 1, "b": 0}
    assert ShardCounter(a=1) == {"a": 1} == ShardCounter(a=1) == ShardMap(a=1)
    assert list(ShardCounter(none=None).items()) == [("none", None)]  # type: ignore[arg-type]
    assert list(ShardCounter(iterable=3).items()) == [("iterable", 3)]
    for wrong in (lambda: ShardCounter(42), lambda: ShardCounter("a", "b"), lambda: ShardCounter(None, 1)):  # type: ignore[call-overload]
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(NotImplementedError):
        ShardCounter.fromkeys("ab")
    with pytest.raises(TypeError):
        ShardCounter("ab").update({"a": "b"})  # type: ignore[dict-item]
    assert ShardCounter("a") | {"b": 2} == {"a": 1, "b": 2} == {"b": 2} | ShardCounter("a")
    for operation in operator.add, operator.sub, operator.and_, operator.lt:
        with pytest.raises(TypeError):
            operation(ShardCounter("a"), {"a": 1})


def test_a_counter_may_be_added_to_itself() -> None:
    counter = ShardCounter("aab")
    counter.update(counter)
    assert counter == Counter(a=4, b=2)
    counter += counter
    assert counter == Counter(a=8, b=4)
    counter -= counter
    assert len(counter) == 0


def test_a_subclass_stays_one() -> None:
    class Mine(ShardCounter[str]):
        pass

    mine = Mine("aab")
    assert type(mine.copy()) is type(copy.copy(mine)) is Mine and mine.copy() == mine
    assert type(mine + mine) is ShardCounter and repr(mine) == "Mine({'a': 2, 'b': 1})"
    assert repr(ShardCounter(a="b", c=1)) == "ShardCounter({'a': 'b', 'c': 1})"  # type: ignore[arg-type]
