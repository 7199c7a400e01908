"""The stubs, read as text: what they say of the parameters of public classes, methods and functions."""

from __future__ import annotations

import ast
from functools import cache
from inspect import Parameter
from pathlib import Path
from typing import Any

import shardmap

PACKAGE = Path(shardmap.__file__).parent
Shown = list[tuple[str, Any, bool]]


@cache
def _definitions() -> dict[str, ast.ClassDef | list[ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Classes and functions, by name, of the stubs and of modules that are annotated themselves."""
    found: dict[str, Any] = {}
    stubs = {path.stem: path for kind in ("*.py", "*.pyi") for path in sorted(PACKAGE.glob(kind))}
    for path in stubs.values():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = node
            elif isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append(node)
    return found


def private_class_names() -> set[str]:
    names = {name for name, node in _definitions().items() if isinstance(node, ast.ClassDef)}
    return {name for name in names - set(shardmap.__all__) if len(name) > 5}  # Load, Text are words


def class_signature(name: str) -> Shown:
    node = _class(name)
    if node is None:
        raise LookupError(name)
    if "NamedTuple" in map(_base_name, node.bases):
        fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
        return [(_text(each.target), Parameter.POSITIONAL_OR_KEYWORD, each.value is None) for each in fields]
    for constructor in "__init__", "__new__":
        found = _methods(name, constructor)
        if found:
            return _merged(found, 1)
    return []


def method_signature(cls: str, name: str) -> Shown:
    found = _methods(cls, name)
    assert found, f"{cls}.{name} is not in the stubs"
    return _merged(found, 1)


def function_signature(name: str) -> Shown:
    found = _definitions()[name]
    assert isinstance(found, list)
    return _merged(found, 0)


def _class(name: str) -> ast.ClassDef | None:
    node = _definitions().get(name)
    return node if isinstance(node, ast.ClassDef) else None


def _text(node: ast.expr) -> str:
    return ast.unparse(node)


def _base_name(node: ast.expr) -> str:
    return _text(node.value if isinstance(node, ast.Subscript) else node)


def _methods(cls: str, name: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The overloads of a method, of the class or the first of its bases that has it."""
    node = _class(cls)
    if node is None:
        return []
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [each for each in node.body if isinstance(each, functions) and each.name == name]
    if found:
        return found
    return next((there for base in node.bases if (there := _methods(_base_name(base), name))), [])


def _merged(functions: list[ast.FunctionDef | ast.AsyncFunctionDef], skipped: int) -> Shown:
    """One signature for all overloads; the one that is run, if it is there."""
    overloads = [each for each in functions if "overload" in map(_text, each.decorator_list)]
    implementation = [each for each in functions if each not in overloads]
    each_of = [_parameters(each.args)[skipped:] for each in implementation or overloads]
    merged: dict[str, tuple[Any, bool]] = {}
    for parameters in each_of:
        for name, kind, required in parameters:
            before = merged.get(name, (kind, True))
            merged[name] = max(kind, before[0]), required and before[1]
    in_all = set.intersection(*({name for name, *_ in parameters} for parameters in each_of))
    shown = [(name, kind, required and name in in_all) for name, (kind, required) in merged.items()]
    return sorted(shown, key=lambda each: each[1])


def _parameters(args: ast.arguments) -> Shown:
    positional = [*args.posonlyargs, *args.args]
    first_default = len(positional) - len(args.defaults)
    found: Shown = []
    for place, each in enumerate(positional):
        only = place < len(args.posonlyargs)
        kind = Parameter.POSITIONAL_ONLY if only else Parameter.POSITIONAL_OR_KEYWORD
        found.append((each.arg, kind, place < first_default))
    if args.vararg:
        found.append((args.vararg.arg, Parameter.VAR_POSITIONAL, False))
    for each, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        found.append((each.arg, Parameter.KEYWORD_ONLY, default is None))
    if args.kwarg:
        found.append((args.kwarg.arg, Parameter.VAR_KEYWORD, False))
    return found
