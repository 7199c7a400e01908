"""The pickles of the functions that tasks call.

Many tasks call one function. The pickle of a function that is found by its name (module and qualified name) is short.
All others, such as functions of the main program and lambdas, are pickled by value, which takes about 100 µs: the code,
and whatever the function refers to. That pickle can be used again only if the function still refers to the same
objects, and if none of them can change.
"""

from __future__ import annotations

import dis
import operator
import sys
from collections.abc import Callable
from types import BuiltinFunctionType, CodeType, FunctionType, MethodDescriptorType, ModuleType
from typing import Any

from distributed.protocol.pickle import dumps

_MOST_KEPT = 256
_ABSENT: Any = object()
_CONSTANT: tuple[type, ...] = (type(None), bool, int, float, complex, str, bytes, type, ModuleType, CodeType)


class Unstable(Exception):
    """The function refers to an object that can change."""


class FunctionPickles:
    """The pickles of the functions that were used last."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        # By id(function). A kept function is referred to, so no other object gets its id.
        self._kept: dict[int, tuple[Any, bytes, list[_References]]] = {}

    def get(self, function: Callable[..., Any]) -> tuple[bytes, bool]:
        """Returns a pickle of the function as it is now, and whether calls may share one unpickled function."""
        kept = self._kept.get(id(function))
        if kept is not None and all(each.unchanged() for each in kept[2]):
            return kept[1], True
        try:
            references = [] if _found_by_name(function) else _references_of(function)
        except Unstable:
            return dumps(function), False
        pickled = dumps(function)
        while len(self._kept) >= _MOST_KEPT:
            try:
                self._kept.pop(next(iter(self._kept)), None)
            except (StopIteration, RuntimeError):  # other threads use this object, too
                break
        self._kept[id(function)] = function, pickled, references
        return pickled, True


def _found_by_name(function: Any) -> bool:
    if not isinstance(function, (FunctionType, BuiltinFunctionType, MethodDescriptorType, type)):
        return False
    if isinstance(function, MethodDescriptorType):  # dict.copy
        return _found_by_name(function.__objclass__)
    module = sys.modules.get(function.__module__ or "", None)
    if module is None or function.__module__ == "__main__":
        return False
    at: Any = module
    for name in function.__qualname__.split("."):
        at = getattr(at, name, None)
    return at is function


class _References:
    """What a function referred to when it was pickled."""

    __slots__ = ("code", "defaults", "function", "variables", "wanted")

    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.code = function.__code__
        self.defaults = function.__defaults__
        self.wanted = [name for name in _names(self.code) if name != "__builtins__"]
        self.variables = self._variables()

    def _variables(self) -> list[Any]:
        found = [self.function.__globals__.get(name, _ABSENT) for name in self.wanted]
        for default in (self.function.__kwdefaults__ or {}).items():
            found += default
        for cell in self.function.__closure__ or ():
            try:
                found.append(cell.cell_contents)
            except ValueError:  # not assigned yet
                found.append(_ABSENT)
        return found

    def unchanged(self) -> bool:
        function = self.function
        return (
            function.__code__ is self.code
            and function.__defaults__ is self.defaults
            and not function.__dict__
            and _are_same(self._variables(), self.variables)
        )


def _are_same(these: list[Any], those: list[Any]) -> bool:
    return len(these) == len(those) and all(map(operator.is_, these, those))


def _names(code: CodeType) -> list[str]:
    """The names of the globals that the code and functions inside it use; names of attributes are among them."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names += _names(constant)
    return names


def _assigns(code: CodeType) -> bool:
    """Whether the code, or a function inside it, assigns to a global or to a variable of an enclosing function. Calls
    that share one unpickled function would see each other's assignments."""
    return any(
        each.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")
        or (each.opname in ("STORE_DEREF", "DELETE_DEREF") and each.argval in code.co_freevars)
        for each in dis.get_instructions(code)
    ) or any(isinstance(constant, CodeType) and _assigns(constant) for constant in code.co_consts)


def _references_of(function: Any) -> list[_References]:
    """Those of the function and of the functions that it refers to. Raises Unstable."""
    found: dict[int, _References] = {}

    def visit(value: Any) -> None:
        if value is _ABSENT or isinstance(value, _CONSTANT):
            return
        if type(value) is tuple:
            for item in value:
                visit(item)
        elif isinstance(value, BuiltinFunctionType):
            if not isinstance(value.__self__, ModuleType):  # such as the append of a list
                raise Unstable
        elif isinstance(value, FunctionType) and not value.__dict__:
            if id(value) not in found and not _found_by_name(value):
                if _assigns(value.__code__):
                    raise Unstable
                found[id(value)] = references = _References(value)
                for each in (*(value.__defaults__ or ()), *references.variables):
                    visit(each)
        else:
            raise Unstable

    if not isinstance(function, FunctionType):  # a partial, a bound method, an object with __call__
        raise Unstable
    visit(function)
    return list(found.values())
