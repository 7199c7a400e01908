"""What inspect, pydoc, repr and messages show: signatures as in the stubs, and public names only."""

from __future__ import annotations

import inspect
import pickle
import pydoc
import re
from collections.abc import Callable
from typing import Any

import pytest
from packaging_stubs import class_signature, function_signature, method_signature, private_class_names

import shardmap
from shardmap import ShardCache, ShardMap, ShardSet, cached

CLASSES = [each for name in shardmap.__all__ if isinstance(each := getattr(shardmap, name), type)]
FROM_ELSEWHERE = set(dir(str)) | set(dir(tuple))  # str's methods in RemovalCause, tuple's in Stats
METHODS = [
    (cls, name)
    for cls in CLASSES
    for name in dir(cls)
    if not name.startswith("_") and name not in FROM_ELSEWHERE and callable(getattr(cls, name))
]
# Everything that the classes of dict, set and the like have: a map's `get`, a set's `pop`.
METHODS += [
    (cls, name)
    for cls in CLASSES
    if not issubclass(cls, (str, tuple))
    for name in sorted(FROM_ELSEWHERE & set(dir(cls)))
    if not name.startswith("_") and callable(getattr(cls, name))
]
PRIVATE = re.compile(r"shardmap\._\w+|\b_core\b|__pyx|\b(" + "|".join(sorted(private_class_names())) + r")\b")


def shown(function: Callable[..., Any]) -> list[tuple[str, Any, bool]]:
    """What inspect says of the parameters: name, kind, whether it must be given."""
    return [
        (each.name, each.kind, each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD))
        for each in inspect.signature(function).parameters.values()
    ]


@pytest.mark.parametrize(("cls", "name"), METHODS, ids=lambda each: getattr(each, "__name__", each))
def test_the_signature_of_a_method_is_that_of_the_stubs(cls: type, name: str) -> None:
    if getattr(getattr(cls, name), "__module__", None) in ("collections.abc", "_collections_abc"):
        inspect.signature(getattr(cls, name))
        return
    own = isinstance(inspect.getattr_static(cls, name), (classmethod, staticmethod))
    assert shown(getattr(cls, name))[0 if own else 1 :] == method_signature(cls.__name__, name)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_signature_of_a_class_is_that_of_the_stubs(cls: type) -> None:
    inspect.signature(cls)
    if cls not in (shardmap.RemovalCause, shardmap.MissingType):  # enums to type checkers
        assert shown(cls) == class_signature(cls.__name__)


def test_a_cache_has_its_signature_as_text_too() -> None:
    """CPython 3.11.2 takes that instead of the signature of __init__, because the class has a __new__."""
    assert ShardCache.__base__.__text_signature__ == str(inspect.signature(ShardCache))  # type: ignore[union-attr]


def test_the_signature_of_a_function_is_that_of_the_stubs() -> None:
    assert shown(cached) == function_signature("cached")


def test_signatures_bind_what_calls_take() -> None:
    m = ShardMap(a=1)
    assert str(inspect.signature(m.get)) == "(key, default=None, /)"
    inspect.signature(m.pop).bind("a")
    inspect.signature(m.pop).bind("a", None)
    inspect.signature(ShardMap).bind({"a": 1}, b=2)
    inspect.signature(m.update).bind([("a", 1)], other=2)
    with pytest.raises(TypeError):
        inspect.signature(ShardMap).bind({}, {})
    with pytest.raises(TypeError):
        inspect.signature(m.pop).bind()


def test_subclasses_are_shown_with_what_they_define() -> None:
    class Own(ShardMap[str, int]):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size

    class Same(ShardMap[str, int]):
        pass

    assert [name for name, *_ in shown(Own)] == ["size"]
    assert shown(Same) == shown(ShardMap)


def test_cached_functions_have_the_signature_of_the_function() -> None:
    @cached
    def plain(x: int, *, y: str = "") -> int:
        return x

    @cached(ttl=60)
    async def coroutine(x: int, *, y: str = "") -> int:
        return x

    for function in plain, coroutine:
        assert str(inspect.signature(function)) == "(x: 'int', *, y: 'str' = '') -> 'int'"
        for name in "cache_info", "cache_clear", "cache_parameters", "invalidate":
            inspect.signature(getattr(function, name))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_source_of_a_class_is_its_own_or_none(cls: type) -> None:
    try:
        source = inspect.getsource(cls)
    except OSError:
        return
    assert f"class {cls.__name__}" in source


def test_the_source_of_a_method_is_its_own() -> None:
    for cls, name in (ShardMap, "to_dict"), (ShardMap, "snapshot"), (ShardSet, "union"), (ShardCache, "stats"):
        assert inspect.getsource(getattr(cls, name)).lstrip().startswith(f"def {name}(")


# --- names ---


@pytest.mark.parametrize("name", shardmap.__all__)
def test_public_names_say_that_they_are_public(name: str) -> None:
    public = getattr(shardmap, name)
    assert getattr(public, "__module__", "shardmap") == "shardmap"
    assert getattr(public, "__qualname__", name) == name


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_help_shows_public_names_only(cls: type) -> None:
    text = pydoc.plain(pydoc.render_doc(cls))
    assert not PRIVATE.search(text)
    assert f"inherited from {cls.__name__}:" not in text


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_reprs_of_methods_show_public_names_only(cls: type) -> None:
    assert not PRIVATE.search(repr(cls.__mro__))
    for name in dir(cls):
        if name.startswith("_") and not name.startswith("__"):
            continue
        method = getattr(cls, name)
        assert not PRIVATE.search(repr(method)), name
        assert not PRIVATE.search(getattr(method, "__qualname__", "")), name


def things() -> list[Any]:
    m = ShardMap(a=1)
    cache = ShardCache[str, int](10)
    cache["a"] = 1
    routes = shardmap.EventualMap({"a": 1})

    @cached
    def function(x: int) -> int:
        return x

    @cached
    async def coroutine(x: int) -> int:
        return x

    class Owner:
        @cached
        def method(self) -> int:
            return 1

    maps: list[Any] = [m, m.snapshot(), routes.reader(), ShardSet("a"), ShardSet("a").snapshot(), cache]
    return [
        *maps,
        *(iter(each) for each in maps),
        *(view for each in (m, m.snapshot(), cache) for view in (each.keys(), each.values(), each.items())),
        *(iter(view) for view in (m.keys(), m.values(), m.items())),
        *m.partitions(2),
        iter(m.partitions(1)[0]),
        *m.shards,
        m.shards,
        m.stats(),
        cache.stats(),
        m.lock("a"),
        m.lock_many(["a"]),
        m.lock("a").__aenter__(),
        shardmap.AtomicRef(1),
        shardmap.MISSING,
        routes,
        function,
        coroutine,
        Owner().method,
    ]


@pytest.mark.parametrize("thing", things(), ids=lambda thing: type(thing).__name__)
def test_reprs_of_what_methods_return_show_public_names_only(thing: Any) -> None:
    assert not PRIVATE.search(repr(thing))
    assert not PRIVATE.search(repr(type(thing)))
    for name in dir(thing):
        if not name.startswith("_"):
            try:
                value = getattr(thing, name)
            except RuntimeError:  # of a lock that is not held
                continue
            assert not PRIVATE.search(repr(value)), name


@pytest.mark.parametrize(("cls", "name"), METHODS, ids=lambda each: getattr(each, "__name__", each))
def test_messages_show_public_names_only(cls: type, name: str) -> None:
    for arguments in (), (object(),), ({},), (None,) * 20:
        with pytest.raises(Exception) as raised:
            getattr(cls, name)(*arguments)
            raise LookupError("took it")
        assert not PRIVATE.search(str(raised.value))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_messages_of_classes_show_public_names_only(cls: type) -> None:
    for arguments in (), (object(),), (None,) * 20:
        with pytest.raises(Exception) as raised:
            cls(*arguments)
            raise LookupError("took it")
        assert not PRIVATE.search(str(raised.value))


@pytest.mark.parametrize(("cls", "name"), METHODS, ids=lambda each: getattr(each, "__name__", each))
def test_methods_can_be_pickled(cls: type, name: str) -> None:
    method = getattr(cls, name)
    assert pickle.loads(pickle.dumps(method)) == method


@pytest.mark.parametrize("name", ["__getitem__", "__setitem__", "__len__", "__contains__", "__eq__", "keys"])
def test_special_methods_can_be_pickled(name: str) -> None:
    method = getattr(ShardMap, name)
    assert pickle.loads(pickle.dumps(method)) == method
