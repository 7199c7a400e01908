"""Public classes: reprs, messages, help() and pickles of their methods name the class, and the module shardmap."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from shardmap import _core

_C = TypeVar("_C", bound=type)


def public_class(*sources: type) -> Callable[[_C], _C]:
    """For a class whose methods are to be its own: also those of `sources`, which are no bases of it, and those of the
    extension type right below it."""

    def decorate(cls: _C) -> _C:
        for name, value in list(vars(cls).items()):
            for function in _ours_in(value):
                if function is value and not function.__qualname__.startswith(f"{cls.__qualname__}."):
                    setattr(cls, name, _copied(function, cls, name))  # made by a function, or used elsewhere, too
                else:
                    function.__module__ = cls.__module__
        for source in sources:
            for name, value in vars(source).items():
                if name not in cls.__dict__ and isinstance(value, (FunctionType, classmethod, staticmethod, property)):
                    setattr(cls, name, _own(value, cls, name))
        _core._own_methods(cls)
        if "__firstlineno__" in vars(cls):  # from 3.13 on: inspect.getsource(cls) would look into shardmap/__init__.py
            del cls.__firstlineno__  # type: ignore[attr-defined]
        return cls

    return decorate


def _ours_in(value: Any) -> list[FunctionType]:
    if isinstance(value, property):
        parts = [value.fget, value.fset, value.fdel]
    else:
        parts = [value.__func__ if isinstance(value, (classmethod, staticmethod)) else value]
    return [each for each in parts if isinstance(each, FunctionType) and each.__module__.startswith("shardmap.")]


def _own(value: Any, cls: type, name: str) -> Any:
    if isinstance(value, FunctionType):
        return _copied(value, cls, name)
    if isinstance(value, property):
        return property(_own(value.fget, cls, name))
    if isinstance(value.__func__, FunctionType):
        return type(value)(_copied(value.__func__, cls, name))
    return value  # __class_getitem__


def _copied(function: FunctionType, cls: type, name: str) -> FunctionType:
    qualified = f"{cls.__qualname__}.{name}"
    code = function.__code__.replace(co_name=name, co_qualname=qualified)
    copy = FunctionType(code, function.__globals__, name, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__, copy.__module__, copy.__qualname__ = function.__doc__, cls.__module__, qualified
    copy.__dict__.update(function.__dict__)
    return copy
