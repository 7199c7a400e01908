"""Subclasses of ShardMap beside the same subclasses of dict: what is overridden is asked where dict asks it, and only
there. What a program can notice is the same, but for what docs/differences-from-dict.md lists."""

from __future__ import annotations

import abc
import collections.abc
import copy
import copyreg
import pickle
import types
from collections.abc import Callable
from typing import Any

import pytest

from harness.threads import run_threads
from shardmap import ShardMap


class Bound:
    """A descriptor that tells what it was bound to."""

    def __get__(self, instance: object, owner: object = None) -> Any:
        return lambda key: ("descriptor", instance is None, key)


class Unbindable:
    def __get__(self, instance: object, owner: object = None) -> Any:
        raise AttributeError(f"of the instance: {instance is not None}")


def made_by_new(base: Any) -> Any:
    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        self = base.__new__(cls)
        self.made = "by __new__"
        return self

    return new


# What a subclass has, made for either base.
BODIES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "nothing": lambda base: {},
    "slots": lambda base: {"__slots__": ("extra",)},
    "iter": lambda base: {"__iter__": lambda self: iter(["x", "y"])},
    "len": lambda base: {"__len__": lambda self: 7},
    "bool": lambda base: {"__bool__": lambda self: False},
    "contains": lambda base: {"__contains__": lambda self, key: key == "zz"},
    "getitem": lambda base: {"__getitem__": lambda self, key: ("own", key)},
    "setitem": lambda base: {"__setitem__": lambda self, key, value: base.__setitem__(self, key, ("set", value))},
    "delitem": lambda base: {"__delitem__": lambda self, key: None},
    "reversed": lambda base: {"__reversed__": lambda self: iter("r")},
    "eq": lambda base: {"__eq__": lambda self, other: True},
    "hash": lambda base: {"__hash__": lambda self: 1},
    "or": lambda base: {"__or__": lambda self, other: "or"},
    "get": lambda base: {"get": lambda self, key, default=None: ("get", key)},
    "pop": lambda base: {"pop": lambda self, *arguments: "pop"},
    "keys": lambda base: {"keys": lambda self: ["x"]},
    "values": lambda base: {"values": lambda self: ["v"]},
    "items": lambda base: {"items": lambda self: [("q", 9)]},
    "update": lambda base: {"update": lambda self, *arguments, **entries: None},
    "copy": lambda base: {"copy": lambda self: "copied"},
    "missing": lambda base: {"__missing__": lambda self, key: ("missing", key)},
    "missing, static": lambda base: {"__missing__": staticmethod(lambda key: ("static", key))},
    "missing, of the class": lambda base: {"__missing__": classmethod(lambda cls, key: (cls.__name__, key))},
    "missing, a property": lambda base: {"__missing__": property(lambda self: lambda key: (len(self), key))},
    "missing, a descriptor": lambda base: {"__missing__": Bound()},
    "missing, not to be bound": lambda base: {"__missing__": Unbindable()},
    "missing, a class": lambda base: {"__missing__": types.SimpleNamespace},
    "missing, None": lambda base: {"__missing__": None},
    "missing, no function": lambda base: {"__missing__": 5},
    "__copy__": lambda base: {"__copy__": lambda self: "copied"},
    "__deepcopy__": lambda base: {"__deepcopy__": lambda self, memo: "copied"},
    "reduce": lambda base: {"__reduce__": lambda self: (dict, ([("reduced", 1)],))},
    "reduce_ex": lambda base: {"__reduce_ex__": lambda self, protocol: (dict, ([("protocol", protocol)],))},
    "reduce to a name": lambda base: {"__reduce__": lambda self: "name"},
    "reduce in full": lambda base: {"__reduce__": lambda self: (type(self), (), {"b": 1}, None, iter([("k", "v")]))},
    "reduce to elements": lambda base: {"__reduce__": lambda self: (list, (), None, iter([1, 2]))},
    "reduce to nothing": lambda base: {"__reduce__": lambda self: 5},
    "reduce to too little": lambda base: {"__reduce__": lambda self: (dict,)},
    "new": lambda base: {"__new__": made_by_new(base)},
    "newargs": lambda base: {"__getnewargs__": lambda self: ({"n": 1},)},
    "getstate": lambda base: {"__getstate__": lambda self: {"state": 1}},
    "no state": lambda base: {"__getstate__": lambda self: None},
    "setstate": lambda base: {
        "__getstate__": lambda self: "state",
        "__setstate__": lambda self, state: setattr(self, "restored", state),
    },
}

EXPRESSIONS = """
len(x); list(x); [*x]; sorted(x); list(reversed(x)); bool(x); "a" in x; "zz" in x; x["a"]; x["zz"]
x.get("a"); x.get("zz"); x.__len__(); base.__len__(x); list(base.__iter__(x)); base.__getitem__(x, "zz")
x.pop("a"); x.pop("zz"); x.pop("zz", 5); x.popitem(); x.setdefault("zz", 3); x.setdefault("a", 3); x.update(a=5)
x.clear(); x.__ior__({"a": 9}); x.__delitem__("a"); x.__setitem__("a", 3); type(x).fromkeys("ab", 0); hash(x)
"{a}{zz}".format_map(x); "%(a)s" % x
len(x.keys()); list(x.keys()); "a" in x.keys(); "zz" in x.keys(); list(reversed(x.keys())); bool(x.keys())
x.keys() == {"a", "b"}; x.keys() & {"a", "zz"}; x.keys() | {"a", "zz"}; x.keys() - {"a", "zz"}; x.keys() ^ {"a", "zz"}
{"a", "zz"} - x.keys(); ["a", "zz"] & x.keys(); x.keys() <= {"a", "b"}; x.keys() < {"a", "b", "c"}; x.keys() >= {"a"}
x.keys() > {"zz"}; x.keys().isdisjoint(["zz"]); {"a", "b"} == x.keys(); x.keys() == x.keys()
isinstance(x.keys(), collections.abc.KeysView)
len(x.values()); list(x.values()); 1 in x.values(); list(reversed(x.values())); x.values() == x.values()
len(x.items()); list(x.items()); ("a", 1) in x.items(); ("zz", 1) in x.items(); list(reversed(x.items()))
x.items() & [("a", 1)]; x.items() | [("a", 1)]; x.items() - [("a", 1)]; [("a", 1)] - x.items(); x.items() ^ [("a", 1)]
x.items() == {("a", 1), ("b", 2)}; x.items() == x.items(); x.items() <= {("a", 1), ("b", 2), 3}
x.items().isdisjoint([("a", 1)])
x.keys().mapping["a"]; list(x.keys().mapping); len(x.keys().mapping); "a" in x.keys().mapping; x.keys().mapping == x
x == {"a": 1, "b": 2}; {"a": 1, "b": 2} == x; x != {"a": 1, "b": 2}; x == base(a=1, b=2); base(a=1, b=2) == x
base(x); base(x) == {"a": 1, "b": 2}; base().__ior__(x); collections.UserDict(x).data
x | {"c": 3}; {"c": 3} | x; base(c=3) | x
x.copy(); copy.copy(x); copy.deepcopy(x); pickle.loads(pickle.dumps(x)); pickle.loads(pickle.dumps(x, 2))
base().pop([]); base().pop([], 1); type(x)().pop([]); type(x)().pop([], 1); x.pop([]); x.pop([], 1); [] in x; x[[]]
x.get([]); base().get([]); [] in base(); base()[[]]; base().setdefault([]); base().__delitem__([])
"""
EXPRESSIONS_ALONE = [each.strip() for each in EXPRESSIONS.replace("\n", ";").split(";") if each.strip()]


def comparable(value: Any) -> Any:
    if isinstance(value, (dict, ShardMap)):
        kind = dict if isinstance(value, dict) else ShardMap
        return type(value).__name__.replace("ShardMap", "dict"), list(kind.items(value)), vars_of(value)
    return value


def vars_of(value: Any) -> dict[str, Any]:
    return dict(getattr(value, "__dict__", {}))


def outcome(base: Any, cls: Any, expression: str) -> Any:
    """Of evaluating it with `x`, an instance; and what is in that then."""
    x = cls(a=1, b=2)
    names = {"x": x, "base": base, "collections": collections, "copy": copy, "pickle": pickle}
    try:
        result = comparable(eval(expression, names))
    except Exception as error:
        # Words may differ, but for which key is missing and what code of the subclass says.
        result = type(error), str(error) if isinstance(error, (KeyError, AttributeError)) else ""
    return result, list(base.items(x))


@pytest.mark.parametrize("name", BODIES)
def test_a_subclass_does_what_the_same_subclass_of_dict_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    different: dict[str, Any] = {}
    outcomes: list[list[Any]] = []
    for base in (dict, ShardMap):
        cls: Any = type("Sub", (base,), {"__module__": __name__, **BODIES[name](base)})
        monkeypatch.setitem(globals(), "Sub", cls)  # pickle looks for it by name
        outcomes.append([outcome(base, cls, expression) for expression in EXPRESSIONS_ALONE])
    for expression, theirs, ours in zip(EXPRESSIONS_ALONE, *outcomes, strict=True):
        if theirs != ours:
            different[expression] = theirs, ours
    assert different == {}


@pytest.mark.parametrize("base", [dict, ShardMap])
def test_a_copy_is_made_as_copyreg_says(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Registered(base):  # type: ignore[misc]
        pass

    monkeypatch.setitem(copyreg.dispatch_table, Registered, lambda self: (list, ([1],)))
    assert copy.copy(Registered(a=1)) == [1]


class Meta(abc.ABCMeta):
    def __missing__(cls, key: object) -> object:
        raise AssertionError("asked the metaclass")


class WithMeta(ShardMap, metaclass=Meta):
    pass


def test_a_class_with_a_metaclass_is_copied_pickled_and_made_as_any(shards: int) -> None:
    m = WithMeta.with_capacity(10, shards=shards)
    m["a"] = 1
    for other in (copy.copy(m), copy.deepcopy(m), pickle.loads(pickle.dumps(m)), WithMeta.fromkeys("a", 1)):
        assert type(other) is WithMeta
        assert other == {"a": 1}
    with pytest.raises(KeyError):
        m["absent"]


def test_a_missing_of_the_instance_is_not_asked() -> None:
    class WithAttributes(ShardMap):
        pass

    m: Any = WithAttributes()
    m.__missing__ = lambda key: 1
    with pytest.raises(KeyError):
        m["absent"]


def test_a_pop_that_fails_for_another_reason_says_so() -> None:
    class Clearing:
        """Whose comparison empties the map."""

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            m.clear()
            raise TypeError("in eq")

    m = ShardMap({Clearing(): 1})
    with pytest.raises(TypeError, match="in eq"):
        m.pop(Clearing())
    assert not m
    with pytest.raises(TypeError, match="unhashable"):
        ShardMap(a=1).pop([])

    def pop_from_empty() -> None:
        with pytest.raises(KeyError, match=r"\[\]") as caught:
            m.pop([])
        assert caught.value.args == ([],)
        assert caught.value.__context__ is None

    # In a thread of its own: tests that raise at any instruction may leave the main one with an exception that CPython
    # takes for one that is being handled.
    run_threads(pop_from_empty)
