"""A plugin of pytest for the process that runs a library's tests: puts ShardMap in dict's place and notes what happens.

networkx has factories for this: the graphs of all four classes, and of those derived from them, get maps. Of toolz and
cachetools the source is changed when it is imported, and that of their tests: `dict`, displays and comprehensions make
ShardMaps (cpython/loader.py), the functions' keyword arguments stay dicts.
"""

from __future__ import annotations

import ast
import builtins
import json
import sys
import time
from collections.abc import Generator, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from cpython.loader import PLACE, ShardMapForDict
from shardmap import ShardMap

GRAPHS = ("Graph", "DiGraph", "MultiGraph", "MultiDiGraph")


class Loader(SourceFileLoader):
    with_dict = False

    def get_code(self, fullname: str) -> CodeType:
        """Never from a file of byte code, never into one."""
        tree = ast.parse(self.get_data(self.path), self.path)
        if not self.with_dict:
            tree = ShardMapForDict({}).visit(tree)
        return compile(tree, self.path, "exec", dont_inherit=True)


class Finder(MetaPathFinder):
    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = packages

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in self.packages:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


def set_factories() -> None:
    networkx = import_module("networkx")
    for name in GRAPHS:
        graph = getattr(networkx, name)
        for factory in [name for name in vars(graph) if name.endswith("_dict_factory")]:
            setattr(graph, factory, ShardMap)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ShardMap in dict's place")
    group.addoption("--with-dict", action="store_true", help="all the same, but dict stays where it is")
    group.addoption("--outcomes", type=Path, help="file to write")
    group.addoption("--factories", action="store_true", help="of networkx")
    group.addoption("--changed", default="", help="packages whose source is changed, with commas")


class Notes:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.seconds: dict[str, float] = {}
        self.passed: list[str] = []
        self.failed: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        began = time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - began

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed[report.nodeid] = report.longreprtext

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed[report.nodeid] = report.longreprtext
        elif report.passed and report.when == "call" and not hasattr(report, "wasxfail"):
            self.passed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        passed = {test: self.seconds[test] for test in self.passed if test not in self.failed}
        self.file.write_text(json.dumps({"passed": passed, "failed": self.failed}))


def pytest_configure(config: pytest.Config) -> None:
    changed = config.getoption("--changed")
    if changed:
        Loader.with_dict = config.getoption("--with-dict")
        # Not in each module: some tests look at all that is there.
        setattr(builtins, PLACE, ShardMap)
        sys.meta_path.insert(0, Finder(changed.split(",")))
    if config.getoption("--factories") and not config.getoption("--with-dict"):
        set_factories()
    file = config.getoption("--outcomes")
    if file is not None:
        config.pluginmanager.register(Notes(file))
