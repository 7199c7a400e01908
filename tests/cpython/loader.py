"""Loads a test module of the running interpreter with ShardMap where it says dict, or ours for other built-in types."""

from __future__ import annotations

import ast
import importlib.util
import sys
import unittest
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType

from shardmap import ShardMap

Cases = dict[str, Callable[[], unittest.TestCase]]

PLACE = "_ShardMap_in_dict_s_place"  # the name that changed source takes it from


class NewStrings(ast.NodeTransformer):
    """Exchanges string literals."""

    def __init__(self, strings: Mapping[str, str]) -> None:
        self.strings = strings

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, str) and node.value in self.strings:
            return ast.copy_location(ast.Constant(self.strings[node.value]), node)
        return node


class ShardMapForDict(NewStrings):
    """`dict` becomes ShardMap; so do displays, `{k: v}`, and comprehensions, `{k: v for ...}`: calls with
    pairs, so that each key is hashed once. Dicts that Python makes (keywords, attributes) stay dicts."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.copy_location(ast.Name(PLACE, node.ctx), node) if node.id == "dict" else node

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        self.generic_visit(node)
        pairs: list[ast.expr] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:  # {**other}
                return self._call(node, [node])
            pairs.append(ast.Tuple([key, value], ast.Load()))
        return self._call(node, [ast.List(pairs, ast.Load())] if pairs else [])

    def visit_DictComp(self, node: ast.DictComp) -> ast.expr:
        self.generic_visit(node)
        pair = ast.Tuple([node.key, node.value], ast.Load())
        return self._call(node, [ast.GeneratorExp(pair, node.generators)])

    @staticmethod
    def _call(node: ast.expr, arguments: list[ast.expr]) -> ast.expr:
        call = ast.Call(ast.Name(PLACE, ast.Load()), arguments, [])
        return ast.fix_missing_locations(ast.copy_location(call, node))


class NewNames(ast.NodeTransformer):
    """Each of some names becomes another type; displays stay what they are."""

    def __init__(self, types: Mapping[str, type]) -> None:
        self.types = types

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.types:
            return node
        return ast.copy_location(ast.Name(self.types[node.id].__name__, node.ctx), node)


def source_of(name: str) -> Path | None:
    """Where the running interpreter keeps `test.<name>`, if it does: many distributions leave it out."""
    spec = importlib.util.find_spec("test")
    # Not find_spec(f"test.{name}"): it imports test.test_free_threading, which refuses that under the GIL.
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *name.split(".")).with_suffix(".py")
        if path.exists():
            return path
    return None


def _load(name: str, change: ast.NodeTransformer, **types: type) -> ModuleType:
    path = source_of(name)
    assert path is not None
    tree = change.visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    module = ModuleType(f"{name} with ours")
    vars(module).update(types)
    # Lines stay where they were, so tracebacks show the original.
    exec(compile(tree, str(path), "exec"), vars(module))
    return module


def load_cases(name: str, strings: Mapping[str, str] | None = None) -> Cases:
    """The tests of `test.<name>` by "name.Class.method", with `strings` in place of string literals. Those of
    mapping_tests keep their dicts, for ShardMap to be equal to; a subclass says which type they test."""
    if name == "mapping_tests":
        protocol = _load(name, NewStrings(strings or {})).TestHashMappingProtocol
        classes = [
            type("ShardMapTests", (protocol,), {"type2test": ShardMap}),
            type("SubclassOfShardMapTests", (protocol,), {"type2test": SubclassOfShardMap}),
        ]
    else:
        module = _load(name, ShardMapForDict(strings or {}), **{PLACE: ShardMap})
        classes = [value for value in vars(module).values() if isinstance(value, type)]
    return _cases_of(name, classes)


def load_cases_of_types(name: str, types: Mapping[str, type]) -> Cases:
    """The tests of `test.<name>` that way, with other types in place of those that have these names."""
    module = _load(name, NewNames(types), **{each.__name__: each for each in types.values()})
    sys.modules[module.__name__] = module  # for pickle
    return _cases_of(name, [value for value in vars(module).values() if isinstance(value, type)])


def _cases_of(name: str, classes: Iterable[type]) -> Cases:
    return {
        f"{name}.{cls.__name__}.{method}": partial(cls, method)
        for cls in classes
        if issubclass(cls, unittest.TestCase)
        for method in unittest.defaultTestLoader.getTestCaseNames(cls)
    }


class SubclassOfShardMap(ShardMap):
    def copy(self) -> SubclassOfShardMap:
        """The tests want the subclass; dict.copy, which a subclass of dict inherits, would not do either."""
        return type(self)(self)
