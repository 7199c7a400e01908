"""Classes that people see have their methods as their own: what reprs, messages, help() and pickles name."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from shardmap import _core

_C = TypeVar("_C", bound=type)


def with_methods_of(*sources: type) -> Callable[[_C], _C]:
    """Gives a class the methods of `sources`, which are no bases of it, and those of the extension type below it."""

    def decorate(cls: _C) -> _C:
        for source in sources:
            for name, value in vars(source).items():
                if name not in cls.__dict__ and isinstance(value, (FunctionType, classmethod, staticmethod, property)):
                    setattr(cls, name, _own(value, cls))
        if cls.__base__ is not object:
            _core._own_methods(cls)
        return cls

    return decorate


def _own(value: Any, cls: type) -> Any:
    if isinstance(value, FunctionType):
        return _copied(value, cls)
    if isinstance(value, property):
        return property(_own(value.fget, cls))
    if isinstance(value.__func__, FunctionType):
        return type(value)(_copied(value.__func__, cls))
    return value  # __class_getitem__


def _copied(function: FunctionType, cls: type) -> FunctionType:
    name = f"{cls.__qualname__}.{function.__name__}"
    code = function.__code__.replace(co_qualname=name)
    copy = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__, copy.__module__, copy.__qualname__ = function.__doc__, cls.__module__, name
    copy.__dict__.update(function.__dict__)
    return copy
