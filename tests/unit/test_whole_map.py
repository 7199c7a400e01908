"""Operations on whole maps, beside dict's: ==, repr, deepcopy, sets of views."""

from __future__ import annotations

import copy
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from shardmap import ShardMap
from test_filling import KINDS, entries
from test_hostile_keys import Boom, boom

Make = Callable[..., ShardMap]

# --- == ---

VALUES: list[Any] = [
    1, True, 1.0, 2, "1", "\u0131", b"1", None, math.nan, float("nan"), -0.0, 0, 10**30, 10**30 + 1, (1,), [1], "", b"",
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 40])
def test_values_are_equal_where_dict_finds_them_so(make_map: Make, size: int) -> None:
    for a, b in itertools.product(VALUES, VALUES):
        left = {n: n for n in range(size)} | {"k": a}
        right = {"k": b} | {n: n for n in range(size)}
        wanted = left == right
        assert (make_map(left) == make_map(right)) is (make_map(left) == right) is (left == make_map(right)) is wanted
        assert (make_map(left) == ShardMap(right).snapshot()) is (make_map(left).snapshot() == right) is wanted
        assert (make_map(left) != make_map(right)) is not wanted


@pytest.mark.parametrize("kind", KINDS)
def test_keys_are_equal_where_dict_finds_them_so(make_map: Make, kind: str) -> None:
    left = entries(kind, 60)
    fewer = entries(kind, 59)
    for right in (entries(kind, 60), entries(kind, 61), {**fewer, "x": [59]}, {**fewer, "x": 0}):
        for make in (make_map, ShardMap, dict):
            assert (make_map(left) == make(right)) is (make(right) == make_map(left)) is (left == right)


class Noted:
    """Notes that it was compared."""

    def __init__(self, name: int, notes: list[int]) -> None:
        self.name = name
        self.notes = notes

    def __eq__(self, other: object) -> bool:
        self.notes.append(self.name)
        return isinstance(other, Noted) and self.name == other.name

    __hash__ = object.__hash__


def test_values_are_compared_in_order_up_to_the_first_difference(make_map: Make) -> None:
    notes: list[int] = []
    left: dict[Any, Any] = {n: Noted(n, notes) for n in range(50)}
    right: dict[Any, Any] = {n: Noted(n if n != 30 else -1, notes) for n in reversed(range(50))}
    left["plain"], right["plain"] = 1, 2
    for mine in (make_map(left), make_map(left).snapshot()):
        for other in (make_map(right), right, ShardMap(right)):
            notes.clear()
            assert mine != other
            assert [abs(name) for name in notes] == [*range(30), 1]


def test_comparing_may_change_both_maps(make_map: Make) -> None:
    class Changing:
        def __eq__(self, other: object) -> bool:
            mine.clear()
            other_map.clear()
            mine["new"] = 1
            return True

        __hash__ = object.__hash__

    for other_map in (make_map(), {}):
        mine = make_map({n: Changing() for n in range(40)})
        other_map.update({n: Changing() for n in range(40)})
        if isinstance(other_map, dict):
            assert mine != other_map  # its other keys are gone by then
        else:
            assert mine == other_map
        assert mine == {"new": 1}
        mine = make_map({HashKey(n, 0, on_eq=lambda: mine.clear()): n for n in range(20)})
        assert mine == make_map({HashKey(n, 0): n for n in range(20)})


def test_comparisons_that_raise_reach_the_caller_and_cycles_end(make_map: Make) -> None:
    class Raising:
        def __eq__(self, other: object) -> bool:
            raise Boom

        __hash__ = object.__hash__

    for make in (make_map, dict):
        with pytest.raises(Boom):
            _ = make_map({n: Raising() for n in range(20)}) == make({n: Raising() for n in range(20)})
    a, b = make_map(), make_map()
    a["x"], b["x"] = b, a
    with pytest.raises(RecursionError):
        _ = a == b
    a.clear()
    b.clear()
    a["self"] = a
    assert a == a and a == a.snapshot()
    a.clear()


# --- repr ---

TEXTS: list[Any] = [
    "plain", "", "it's", 'say "x"', "it's \"x\"", "back\\slash", "tab\t", "\x7f", "\x00", "ä", "\u0131",
    "\U0001f600", "\udc80", "long " * 500, 0, -1, 7, 2**62, -(2**62), 2**62 - 1, 2**63 - 1, -(2**63), 2**63, -(10**40),
    True, None, 1.5, math.inf, b"bytes", (1, "a"), frozenset({"x"}), 1j,
]  # fmt: skip


def test_the_text_of_a_map_is_that_of_a_dict(make_map: Make) -> None:
    for text in TEXTS:
        for d in ({text: text}, {1: "a", text: 2, "z": text}):
            assert repr(make_map(d)) == f"ShardMap({d!r})"
            assert repr(make_map(d).snapshot()) == f"Snapshot({d!r})"
    d = {text: [text] for text in TEXTS}
    assert repr(make_map(d)) == f"ShardMap({d!r})"
    assert repr(make_map()) == "ShardMap()"

    class Größe(ShardMap[Any, Any]):
        pass

    class Text(str):
        def __repr__(self) -> str:
            return "text"

    assert repr(Größe({Text("a"): Text("b")})) == "Größe({text: text})"


def test_a_repr_may_raise_and_may_change_the_map(make_map: Make) -> None:
    m = make_map({n: n for n in range(50)})
    wanted = repr(m)

    class Odd:
        act: Any = None

        def __repr__(self) -> str:
            self.act()
            return "odd"

    odd = Odd()
    m["odd"] = odd
    odd.act = boom
    for _ in range(2):
        with pytest.raises(Boom):
            repr(m)
    odd.act = m.clear
    assert repr(m) == wanted[:-2] + ", 'odd': odd})"
    assert repr(m) == "ShardMap()"
    m["m"] = [m, {"m": m}]
    assert repr(m) == "ShardMap({'m': [..., {'m': ...}]})" == repr(m)
    m.clear()


# --- Views ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(0, 0), (0, 9), (40, 40), (40, 10), (3, 50)])
def test_sets_of_views_are_those_of_dict(make_map: Make, kind: str, sizes: tuple[int, int]) -> None:
    left, right = ({KINDS[kind](n): n for n in range(size)} for size in sizes)
    right["x"] = 1
    mine = make_map(left)
    compared = (operator.eq, operator.ne, operator.le, operator.lt, operator.ge, operator.gt)
    for use in (operator.and_, operator.or_, operator.sub, operator.xor, *compared):
        for other in (make_map(right), ShardMap(right), make_map(right).snapshot(), right):
            for view in ("keys", "items"):
                mine_view, other_view = getattr(mine, view)(), getattr(other, view)()
                left_view, right_view = getattr(left, view)(), getattr(right, view)()
                assert use(mine_view, other_view) == use(left_view, right_view)
                assert use(other_view, mine_view) == use(right_view, left_view)
                assert use(mine_view, set(right_view)) == use(left_view, set(right_view))
                assert mine_view.isdisjoint(other_view) is left_view.isdisjoint(right_view)
                assert use(mine_view, make_map(left).keys()) == use(left_view, dict(left).keys())


def test_an_intersection_of_keys_has_those_of_the_right_side(make_map: Make) -> None:
    left, right = [make_map({HashKey(n, 1): n for n in range(9)}) for _ in range(2)]
    for element in left.keys() & right.keys():
        assert any(element is key for key in right)
    assert left.keys() - right.keys() == set() and left.keys() == right.keys()


def test_keys_compared_by_views_may_raise_and_change_the_maps(make_map: Make) -> None:
    def clear() -> None:
        left.clear()
        right.clear()

    for use in (operator.and_, operator.sub, operator.eq, operator.le):
        left, right = (make_map({HashKey(n, 1): n for n in range(9)}) for _ in range(2))
        for key in (*left, *right):
            key.on_eq = boom
        with pytest.raises(Boom):
            use(left.keys(), right.keys())
        for key in (*left, *right):
            key.on_eq = clear
        use(left.keys(), right.keys())


# --- deepcopy ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 3, 60])
def test_a_deep_copy_has_copies_in_the_same_order(make_map: Make, kind: str, size: int) -> None:
    for value in (lambda n: n, lambda n: [n], lambda n: float(n) if n % 2 else {n}):
        d = {KINDS[kind](n): value(n) for n in range(size)}
        m = make_map(d)
        made = copy.deepcopy(m)
        made._check()
        assert type(made) is ShardMap and made._chosen_shards() == m._chosen_shards()
        assert list(made.items()) == list(m.items()) == list(d.items())
        for key, copied in made.items():
            if isinstance(copied, (list, set)):
                assert copied is not m[key]
        made["x"] = 1
        assert "x" not in m


def test_a_deep_copy_keeps_what_is_shared_and_what_is_recursive(make_map: Make) -> None:
    shared = [1]
    m = make_map({"shared": shared, "again": shared, "n": 1})
    m["self"] = m
    m["inside"] = {"m": m}
    outside = {"m": m, "shared": shared}
    made = copy.deepcopy(outside)["m"]
    assert made["self"] is made is made["inside"]["m"] is not m
    assert made["shared"] is made["again"] is not shared
    memo: dict[int, Any] = {}
    assert copy.deepcopy(m, memo) is memo[id(m)]
    for each in (m, made, memo[id(m)]):
        each.clear()


def test_keys_whose_copies_are_equal_become_one(make_map: Make) -> None:
    class Key:
        def __deepcopy__(self, memo: Any) -> str:
            return "one"

    class Raising:
        def __deepcopy__(self, memo: Any) -> Any:
            raise Boom

    m = make_map({Key(): n for n in range(30)})
    assert copy.deepcopy(m) == {"one": 29} == copy.deepcopy(dict(m.items()))
    m["x"] = Raising()
    with pytest.raises(Boom):
        copy.deepcopy(m)


def test_a_subclass_is_deep_copied_the_way_it_says() -> None:
    class Attributed(ShardMap[Any, Any]):
        pass

    class Reduced(Attributed):
        def __reduce__(self) -> Any:
            return type(self), (), {"how": ["reduced"]}, None, iter([("k", [1])])

    class Stored(Attributed):
        def __setitem__(self, key: Any, value: Any) -> None:
            super().__setitem__(key, [value])

    m = Attributed({n: [n] for n in range(20)})
    m.attribute = [1]
    m.me = m
    made = copy.deepcopy(m)
    assert type(made) is Attributed and made == m and made.attribute == [1]
    assert made.attribute is not m.attribute and made.me is made
    made = copy.deepcopy(Reduced(a=1))
    assert type(made) is Reduced and made == {"k": [1]} and made.how == ["reduced"]
    stored = Stored()
    stored["a"] = 1
    assert copy.deepcopy(stored) == {"a": [[1]]}
    del m.me, made
