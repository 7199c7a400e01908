"""What users of dict rely on and CPython's own dict tests do not ask."""

from __future__ import annotations

import collections
import collections.abc
import copy
import json
import pickle
import sys
import types
import weakref
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from shardmap import ShardMap, Snapshot

pytestmark = pytest.mark.first_use

Make = Callable[..., ShardMap]
protocols = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))


# --- Construction ---


@pytest.mark.parametrize(
    "arguments",
    [
        ((), {}),
        (({},), {}),
        (({"a": 1, "b": 2},), {}),
        (([("a", 1), ["b", 2], "cd"],), {}),
        ((iter([("a", 1)]),), {"a": 3, "z": 4}),
        ((OrderedDict(b=1, a=2),), {}),
        ((UserDict(b=1, a=2),), {"c": 3}),
        ((Counter("hello"),), {}),
        ((MappingProxyType({"a": 1}),), {}),
        ((ChainMap({"a": 1}, {"b": 2}),), {}),
        (({"a": 1}.items(),), {}),
        ((types.SimpleNamespace(keys=lambda: "ab", __getitem__=None),), {}),
        ((), {"self": 1, "cls": 2, "args": 3, "kwargs": 4, "source": 5, "iterable": 6, "other": 7, "capacity": 8}),
        ((1,), {}),
        (([1],), {}),
        (([(1, 2, 3)],), {}),
        (({}, {}), {}),
        ((None,), {}),
        (({1: 2},), {"a": 1}),
    ],
)
def test_it_is_made_of_what_a_dict_is_made_of(arguments: tuple[Any, Any]) -> None:
    positional, keywords = arguments
    results: list[Any] = []
    for kind in (dict, ShardMap):
        for update in (False, True):
            try:
                made = kind() if update else kind(*copy.copy(positional), **keywords)
                if update:
                    made.update(*copy.copy(positional), **keywords)
                results.append(list(made.items()))
            except Exception as error:
                results.append(type(error))
        if positional and isinstance(positional[0], collections.abc.Iterator):
            positional = ([("a", 1)],)
            results = results[:1] * len(results)
    assert results[0] == results[2]
    assert results[1] == results[3]


def test_init_again_updates(make_map: Make) -> None:
    m, d = make_map(a=1, b=2), {"a": 1, "b": 2}
    for x in (m, d):
        x.__init__({"b": 3}, c=4)  # type: ignore[misc]
        x.__init__()  # type: ignore[misc]
    assert list(m.items()) == list(d.items())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((-1,), ValueError),
        ((1.5,), TypeError),
        (("5",), TypeError),
        ((None,), TypeError),
        ((-(10**30),), ValueError),
        ((10**30,), MemoryError),
    ],
)
def test_capacities_that_are_none_are_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ShardMap.with_capacity(*arguments)


@pytest.mark.parametrize(
    ("shards", "error"),
    [(0, ValueError), (-1, ValueError), (65537, ValueError), (10**30, ValueError), (2.0, TypeError), ("2", TypeError)],
)
def test_shard_counts_that_are_none_are_refused(shards: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ShardMap.with_capacity(shards=shards)
    with pytest.raises(TypeError):
        ShardMap.with_capacity(0, 2)  # type: ignore[misc]


def test_a_capacity_is_room_for_so_many_entries(shards: int) -> None:
    for capacity in (0, 1, 10, 1000, 30_000):
        m = ShardMap.with_capacity(capacity, shards=shards)
        before = m.stats().capacity
        assert before >= capacity
        m.update((str(n), n) for n in range(capacity))
        assert not capacity or m.stats().capacity == before
        m._check()


def test_shards_are_rounded_up_to_a_power_of_two() -> None:
    for asked, given in ((1, 1), (2, 2), (3, 4), (5, 8), (64, 64), (65, 128), (65536, 65536)):
        assert len(ShardMap.with_capacity(shards=asked).stats().shards) == given


def test_stats_add_up(make_map: Make, shards: int) -> None:
    m = make_map((n, n) for n in range(500))
    stats = m.stats()
    assert len(stats.shards) == shards
    assert stats.size == len(m) == 500
    assert stats.capacity >= 500
    assert 0 < stats.load <= 1
    assert stats.copies == 0
    assert all(0 <= shard.load <= 1 for shard in stats.shards)
    assert make_map().stats()[0][0].load == 0.0


# --- Subclasses ---


class Defaulting(ShardMap):
    """Has attributes, takes arguments of its own, and makes what is missing."""

    def __init__(self, factory: Callable[[], Any] = list, /, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.factory = factory

    def __missing__(self, key: Any) -> Any:
        return self.setdefault(key, self.factory())


class Slotted(ShardMap):
    __slots__ = ("extra", "unset")


class Stateful(ShardMap):
    def __getstate__(self) -> Any:
        return "state", len(self)

    def __setstate__(self, state: Any) -> None:
        self.restored = state


def test_a_subclass_s_missing_is_asked_by_brackets_only() -> None:
    m = Defaulting(list, a=1)
    m["words"].append(1)
    m["words"].append(2)
    assert m == {"a": 1, "words": [1, 2]}
    assert m.get("absent") is None
    assert "absent" not in m
    with pytest.raises(KeyError):
        m.pop("absent")
    with pytest.raises(KeyError):
        del m["absent"]
    assert "absent" not in m

    class Raising(ShardMap):
        def __missing__(self, key: Any) -> Any:
            raise LookupError(key)

    with pytest.raises(LookupError, match="x"):
        Raising()["x"]
    plain = ShardMap()
    with pytest.raises(AttributeError):
        plain.__missing__ = lambda key: 1  # type: ignore[attr-defined]


def test_an_instance_has_no_attributes_but_a_subclass_s_has() -> None:
    with pytest.raises(AttributeError):
        ShardMap().attribute = 1  # type: ignore[attr-defined]
    slotted: Any = Slotted(a=1)
    slotted.extra = 5
    with pytest.raises(AttributeError):
        slotted.other = 1
    assert slotted == {"a": 1}


@protocols
@pytest.mark.parametrize("how", ["pickle", "copy", "deepcopy"])
def test_copies_of_a_subclass_keep_class_entries_and_state(how: str, protocol: int) -> None:
    def cycle(x: Any) -> Any:
        if how == "pickle":
            return pickle.loads(pickle.dumps(x, protocol))
        return getattr(copy, how)(x)

    m: Any = Defaulting(list, a=[1], b=2)
    m.attribute = "kept"
    other = cycle(m)
    assert type(other) is Defaulting
    assert list(other.items()) == [("a", [1]), ("b", 2)]
    assert (other.factory, other.attribute) == (list, "kept")
    assert (other["a"] is m["a"]) == (how == "copy")
    other["c"].append(1)
    other.attribute = "other"
    assert "c" not in m
    assert m.attribute == "kept"

    slotted: Any = Slotted(a=1)
    slotted.extra = 5
    if protocol >= 2 or how != "pickle":
        other = cycle(slotted)
        assert (type(other), other, other.extra) == (Slotted, {"a": 1}, 5)
        assert not hasattr(other, "unset")

    other = cycle(Stateful(a=1))
    assert (other, other.restored) == ({"a": 1}, ("state", 1))


@protocols
def test_a_pickled_map_keeps_the_shards_that_were_chosen(make_map: Make, shards: int, protocol: int) -> None:
    m = make_map({1: "one", "two": 2, None: (), (1, 2): [3]})
    restored = pickle.loads(pickle.dumps(m, protocol))
    assert type(restored) is ShardMap
    assert list(restored.items()) == list(m.items())
    assert len(restored.stats().shards) == len(m.copy().stats().shards) == shards
    default = pickle.loads(pickle.dumps(ShardMap(a=1), protocol))
    assert len(default.stats().shards) == len(ShardMap().stats().shards)


def test_copying_a_subclass_gives_a_plain_map_as_dict_does() -> None:
    m = Defaulting(list, a=1)
    for plain in (m.copy(), m | {}, {} | m):
        assert type(plain) is ShardMap
        assert plain == m
    assert type(Slotted.fromkeys("ab")) is Slotted
    assert type(Slotted.with_capacity(10)) is Slotted
    assert type(Defaulting.with_capacity(10)["a"]) is list


@protocols
def test_recursive_maps_are_copied_and_pickled_with_their_shape(make_map: Make, protocol: int) -> None:
    m = make_map()
    m.update(itself=m, in_list=[m], shared=(shared := [1]), again=shared)
    for other in (copy.deepcopy(m), pickle.loads(pickle.dumps(m, protocol))):
        assert other is not m
        assert other["itself"] is other
        assert other["in_list"][0] is other
        assert other["shared"] is other["again"] is not shared
        other.clear()
    assert copy.copy(m)["itself"] is m
    assert repr(m) == "ShardMap({'itself': ..., 'in_list': [...], 'shared': [1], 'again': [1]})"
    m.clear()


def test_a_subclass_may_override_anything_and_call_the_original() -> None:
    class Lower(ShardMap):
        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key.lower(), value)

        def __getitem__(self, key: str) -> Any:
            return super().__getitem__(key.lower())

        def __contains__(self, key: object) -> bool:
            return super().__contains__(str(key).lower())

        def __delitem__(self, key: str) -> None:
            super().__delitem__(key.lower())

    m = Lower()
    m["A"] = 1
    assert m["a"] == m["A"] == 1
    assert "A" in m
    assert list(m) == ["a"]
    assert Lower.fromkeys("AB") == {"a": None, "b": None}
    del m["A"]
    assert not m


# --- Protocols ---


def test_it_is_a_mutable_mapping_and_no_sequence(make_map: Make) -> None:
    m = make_map(a=1)
    assert isinstance(m, collections.abc.MutableMapping)
    assert isinstance(m, collections.abc.Reversible)
    assert not isinstance(m, collections.abc.Sequence)
    assert not isinstance(m, collections.abc.Hashable)
    assert not isinstance(m, dict)
    assert isinstance(m.keys(), collections.abc.KeysView)
    assert isinstance(m.values(), collections.abc.ValuesView)
    assert isinstance(m.items(), collections.abc.ItemsView)
    with pytest.raises(TypeError, match="unhashable"):
        hash(m)
    with pytest.raises(TypeError):
        m < m  # type: ignore[operator]  # noqa: B015
    with pytest.raises(TypeError):
        m + m  # type: ignore[operator]


def test_it_matches_mapping_patterns(make_map: Make) -> None:
    point = make_map(kind="point", x=1, y=2)
    for m in (point, point.snapshot(), Slotted(kind="point", x=1)):
        match m:
            case [*_]:
                pytest.fail("matched as a sequence")
            case {"kind": "point", "absent": _}:
                pytest.fail("matched an absent key")
            case {"kind": "point", "x": x, **rest}:
                assert x == 1
                assert rest in ({"y": 2}, {})
            case _:
                pytest.fail("not matched")
    match Defaulting():
        case {"made up": _}:
            pytest.fail("a pattern asked __missing__")
        case {}:
            pass


def test_it_can_be_parameterized() -> None:
    for kind in (ShardMap, Snapshot):
        alias = kind[str, int]
        assert alias.__origin__ is kind
        assert alias.__args__ == (str, int)
    assert ShardMap[str, int](a=1) == {"a": 1}


def test_it_can_be_weakly_referenced(make_map: Make) -> None:
    m = make_map(a=1)
    snapshot = m.snapshot()
    assert weakref.ref(m)() is m
    assert weakref.ref(snapshot)() is snapshot
    died: list[str] = []
    short = ShardMap()
    weakref.finalize(short, died.append, "map")
    del short
    assert died == ["map"]


def test_it_goes_wherever_a_mapping_goes(make_map: Make) -> None:
    m = make_map(b=2, a=1)
    assert dict(m) == {**m} == {"b": 2, "a": 1}
    assert list(dict(m)) == list({**m}) == ["b", "a"]
    assert (lambda **kwargs: kwargs)(**m) == {"b": 2, "a": 1}
    assert json.dumps(dict(m)) == '{"b": 2, "a": 1}'
    assert sorted(m) == ["a", "b"]
    assert max(m, key=m.get) == "b"  # type: ignore[arg-type]
    assert "{b}-{a}".format(**m) == "{b}-{a}".format_map(m) == "2-1"
    assert "%(a)s" % m == "1"  # noqa: UP031
    assert [*m] == ["b", "a"]
    assert list(zip(m, m.values(), strict=True)) == list(m.items())
    assert eval("a + b", {}, m) == 3
    namespace = make_map()
    exec("c = 5", {}, namespace)
    assert namespace == {"c": 5}
    assert ChainMap({}, m)["a"] == 1
    assert Counter(m) == Counter(a=1, b=2)
    assert str.maketrans({"x": "y"}) == dict(make_map({ord("x"): "y"}))
    assert set(m) == {"a", "b"}
    with pytest.raises(TypeError):
        (lambda **kwargs: kwargs)(**make_map({1: 2}))


@pytest.mark.parametrize(
    "kind",
    [dict, OrderedDict, UserDict, ChainMap, MappingProxyType, ShardMap, lambda d: ShardMap(d).snapshot(), Slotted],
)
def test_it_equals_every_kind_of_mapping_with_its_entries(make_map: Make, kind: Callable[[Any], Any]) -> None:
    m = make_map({"a": 1, 2: "b", None: [3]})
    same, reordered = kind({"a": 1, 2: "b", None: [3]}), kind({None: [3], 2: "b", "a": 1})
    for other in (same, reordered):
        assert m == other
        assert other == m
        assert not m != other  # noqa: SIM202
        assert m.snapshot() == other
        assert other == m.snapshot()
    for other in (kind({}), kind({"a": 1}), kind({"a": 2, 2: "b", None: [3]}), kind({"x": 1, 2: "b", None: [3]})):
        assert m != other
        assert other != m
        assert not m == other  # noqa: SIM201
    assert make_map() == kind({})


def test_it_equals_nothing_else(make_map: Make) -> None:
    m = make_map(a=1)
    for other in ([("a", 1)], {"a"}, "a", None, 1, m.items(), object()):
        assert m != other
        assert other != m


def test_comparing_does_not_ask_for_missing_keys(make_map: Make) -> None:
    asked = defaultdict(int, {"b": 0})
    assert make_map(a=0) != asked
    assert asked != make_map(a=0)
    assert dict(asked) == {"b": 0}
    assert make_map(a=0) != Counter(b=0)
    assert make_map(a=[]) != Defaulting(list, b=[])
    assert Defaulting(list, b=[]) != make_map(a=[])


def test_union_is_defined_with_dicts_and_maps_only(make_map: Make) -> None:
    m = make_map(a=1)
    for other in ({"b": 2}, OrderedDict(b=2), ShardMap(b=2), ShardMap(b=2).snapshot()):
        assert type(m | other) is ShardMap
        assert list((m | other).items()) == [("a", 1), ("b", 2)]
        assert list((other | m).items()) == [("b", 2), ("a", 1)]
    for other in ([("b", 2)], None, 5, {"b"}):
        with pytest.raises(TypeError):
            m | other  # type: ignore[operator]
        with pytest.raises(TypeError):
            other | m  # type: ignore[operator]
    assert m == {"a": 1}


def test_methods_take_their_arguments_as_dict_s(make_map: Make) -> None:
    m: Any = make_map(a=1)
    for call in (
        lambda x: x.get(),
        lambda x: x.get(key="a"),
        lambda x: x.get("a", default=1),
        lambda x: x.pop(),
        lambda x: x.pop("a", default=1),
        lambda x: x.pop("a", 1, 2),
        lambda x: x.setdefault(),
        lambda x: x.popitem(1),
        lambda x: x.clear(1),
        lambda x: x.copy(1),
        lambda x: x.keys(1),
        lambda x: x.fromkeys(),
        lambda x: x.fromkeys(1),
        lambda x: x.update(1, 2),
        lambda x: x.__contains__(),
    ):
        for x in (m, {"a": 1}):
            with pytest.raises(TypeError):
                call(x)
    assert m == {"a": 1}
    m.update(self=1, other=2)
    assert m == {"a": 1, "self": 1, "other": 2}


def test_every_public_method_of_dict_is_there_and_documented() -> None:
    for name in dir(dict):
        if name not in ("__class_getitem__", "__new__", "__init_subclass__", "__subclasshook__"):
            assert hasattr(ShardMap, name), name
        if not name.startswith("_"):
            assert getattr(ShardMap, name).__doc__, name
    assert sys.getsizeof(ShardMap()) > sys.getsizeof(object())
