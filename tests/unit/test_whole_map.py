"""Operations on whole maps, beside dict's: filling an empty map at once, |, ==, repr, deepcopy, sets of views."""

from __future__ import annotations

import copy
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from shardmap import MISSING, ShardMap
from test_hostile_keys import Boom, boom

Make = Callable[..., ShardMap]
MakeEmpty = Callable[[], ShardMap]

KINDS: dict[str, Callable[[int], Any]] = {
    "str": lambda n: f"key {n}",
    "int": lambda n: n * 7 - 100,
    "large int": lambda n: 10**20 + n,
    "bytes": lambda n: b"%d" % n,
    "tuple": lambda n: (n, str(n)),
    "colliding": lambda n: HashKey(n, n % 3),
    "mixed": lambda n: [n, str(n), float(n) + 0.5, (n,), HashKey(n, 1)][n % 5],
}


def entries(kind: str, size: int) -> dict[Any, Any]:
    return {KINDS[kind](n): [n] for n in range(size)}


@pytest.fixture
def make_empty(make_map: Make) -> MakeEmpty:
    return lambda: make_map()


def assert_filled(m: ShardMap, wanted: dict[Any, Any]) -> None:
    """The same objects in the same order; and what is inserted later comes later."""
    m._check()
    assert len(m) == len(wanted)
    for (key, value), (wanted_key, wanted_value) in zip(m.items(), wanted.items(), strict=True):
        assert key is wanted_key and value is wanted_value
    m["later"] = None
    assert m.popitem() == ("later", None)
    for key, value in itertools.islice(wanted.items(), 50):
        assert m[key] is value


# --- Filling ---

SOURCES: dict[str, Callable[[Make, dict[Any, Any]], Any]] = {
    "dict": lambda make, d: d,
    "map": lambda make, d: make(d),
    "map of other shards": lambda make, d: ShardMap.with_capacity(shards=8).__ior__(d),
    "snapshot": lambda make, d: make(d).snapshot(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("size", [1, 15, 16, 300])
def test_an_empty_map_becomes_what_it_is_filled_from(make_map: Make, kind: str, source: str, size: int) -> None:
    d = entries(kind, size)
    m = make_map()
    m.update(SOURCES[source](make_map, d))
    assert_filled(m, d)


def test_a_large_map_is_filled_in_order(make_map: Make) -> None:
    d = entries("str", 20_000)
    assert_filled(make_map(d), d)
    assert_filled(make_map(ShardMap.with_capacity(shards=16).__ior__(d)), d)


def test_filling_compares_no_keys(make_map: Make) -> None:
    keys = [HashKey(n, n % 2) for n in range(80)]
    d = dict.fromkeys(keys)
    for key in keys:
        key.on_eq = boom
    m = make_map(d)
    assert list(m) == keys
    other = make_map()
    other.update(m)
    assert len(ShardMap.fromkeys(d)) == len(ShardMap.fromkeys(m)) == len(other) == 80


@pytest.mark.parametrize("at", [0, 1, 30, 100])
def test_a_hash_that_raises_stores_what_came_before_it(make_map: Make, at: int) -> None:
    d = entries("mixed", 100)
    key = HashKey("x", 1)
    d = dict([*list(d.items())[:at], (key, [1]), *list(d.items())[at:]])
    key.on_hash = boom
    m = make_map()
    with pytest.raises(Boom):
        m.update(d)
    m._check()
    assert list(m.items()) == list(itertools.islice(d.items(), at))


def test_a_hash_may_use_the_map_that_is_being_filled(make_map: Make) -> None:
    m = make_map()
    for act in (lambda: m.update(mine=1), lambda: len(m), m.clear, lambda: m.pop("mine", None), lambda: d.clear()):
        m.clear()
        d = entries("str", 50)
        d[key := HashKey("x", 1)] = 1
        wanted = dict(d)
        key.on_hash = act
        m.update(d)
        key.on_hash = None
        m._check()
        assert {k: v for k, v in m.items() if k != "mine"} == wanted


def test_missing_is_refused_before_anything_is_stored(make_map: Make) -> None:
    m = make_map()
    for fill in (m.update, m.__or__):
        with pytest.raises(ValueError, match="MISSING"):
            fill({**entries("str", 50), "x": MISSING})
    with pytest.raises(ValueError, match="MISSING"):
        ShardMap.fromkeys(range(50), MISSING)
    with pytest.raises(ValueError, match="MISSING"):
        ShardMap.fromkeys(dict.fromkeys(range(50)), MISSING)
    assert not m


def test_maps_that_share_tables_go_their_own_ways(make_map: Make) -> None:
    d = entries("str", 200)
    source = make_map(d)
    m = make_map()
    m.update(source)
    m["key 3"] = "new"
    del m["key 4"]
    source["key 5"] = "other"
    source["late"] = 1
    assert source == {**d, "key 5": "other", "late": 1}
    assert m == {k: "new" if k == "key 3" else v for k, v in d.items() if k != "key 4"}


def test_numbers_that_were_added_are_taken_over(make_map: Make) -> None:
    counts = make_map()
    for n in range(60):
        counts.add(f"key {n}", n)
    d = {f"key {n}": n for n in range(60)}
    m = make_map()
    m.update(counts)
    few = ShardMap.with_capacity(shards=4)
    few.update(counts)
    assert m == few == d == counts == copy.deepcopy(counts)
    assert make_map({"x": 1}) | counts == {"x": 1, **d}
    assert repr(counts) == f"ShardMap({d})"
    few.add("key 1")
    m.add("key 1", 2)
    assert (counts["key 1"], few["key 1"], m["key 1"]) == (1, 2, 3)


def test_a_map_with_a_locked_key_is_filled_key_by_key(make_map: Make) -> None:
    m = make_map()
    with m.lock("key 3") as entry:
        m.update(entries("str", 100))
        assert entry.value == [3]
        entry.value = 5
    assert m["key 3"] == 5 and len(m) == 100


@pytest.mark.parametrize("kind", [dict, set, frozenset, list, tuple, iter, ShardMap.fromkeys])
@pytest.mark.parametrize("size", [0, 3, 400])
def test_fromkeys_takes_any_source_of_keys(kind: Any, size: int) -> None:
    def source() -> Any:
        keys = [f"key {n}" for n in range(size)] + list(range(size))
        return kind(keys) if kind is not dict else dict.fromkeys(keys)

    value: list[int] = []
    m = ShardMap.fromkeys(source(), value)
    m._check()
    assert list(m.items()) == list(dict.fromkeys(source(), value).items())
    assert all(each is value for each in m.values())


def test_fromkeys_takes_repeated_keys_and_stops_where_a_hash_raises() -> None:
    assert list(ShardMap.fromkeys([n % 30 for n in range(100)])) == list(range(30))
    keys = [*range(20), HashKey("x", on_hash=boom), *range(20)]
    for source in (keys, iter(keys)):
        with pytest.raises(Boom):
            ShardMap.fromkeys(source)
    with pytest.raises(TypeError, match="unhashable"):
        ShardMap.fromkeys([*range(20), []])


def test_fromkeys_asks_what_a_subclass_overrides() -> None:
    class Doubling(ShardMap[Any, Any]):
        def __setitem__(self, key: Any, value: Any) -> None:
            super().__setitem__(key, (value, value))

    assert Doubling.fromkeys(dict.fromkeys(range(30)), 1) == dict.fromkeys(range(30), (1, 1))

    class Given(ShardMap[Any, Any]):
        def __new__(cls, *args: Any) -> Any:
            return given

    given: Any = ShardMap(a=1)
    assert Given.fromkeys(dict.fromkeys(range(30))) is given and len(given) == 31
    given = {}
    assert Given.fromkeys("ab") is given and given == {"a": None, "b": None}


# --- | ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(0, 40), (40, 0), (40, 40), (20, 900), (300, 40), (40, 1)])
@pytest.mark.parametrize("source", SOURCES)
def test_a_union_is_what_dict_makes_of_it(make_map: Make, kind: str, sizes: tuple[int, int], source: str) -> None:
    left = entries(kind, sizes[0])
    right = {KINDS[kind](n): (n,) for n in range(sizes[0] // 2, sizes[0] // 2 + sizes[1])}
    mine = make_map(left)
    other = SOURCES[source](make_map, right)
    wanted = left | right
    assert_filled(mine | other, wanted)
    assert mine == left and other == right
    if source != "snapshot":
        reverse = right | left
        assert list((other | mine).items()) == list(reverse.items())
    mine |= other
    assert list(mine.items()) == list(wanted.items())


def test_a_union_after_removals_keeps_the_order(make_map: Make) -> None:
    left, right = entries("str", 100), {f"key {n}": n for n in range(50, 150)}
    mine, other = make_map(left), make_map(right)
    for n in range(0, 100, 3):
        del left[f"key {n}"], mine[f"key {n}"]
    for n in range(60, 150, 4):
        del right[f"key {n}"], other[f"key {n}"]
    assert list((mine | other).items()) == list((left | right).items())
    assert list((mine | right).items()) == list((left | right).items())


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
        assert type(made) is ShardMap and len(made.stats().shards) == len(m.stats().shards)
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
