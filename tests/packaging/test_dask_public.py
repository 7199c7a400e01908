"""shardmap.dask: what is public is in the reference and in tests/typing, and shows public names only."""

from __future__ import annotations

import ast
import doctest
import inspect
import pydoc
import re
import sysconfig
from pathlib import Path
from typing import Any

import pytest

distributed = pytest.importorskip("distributed")

import shardmap.dask
from harness.process import run_python
from shardmap import ShardWorkers
from shardmap.dask import DaskWorkers, OwnerLost

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference.md"
TYPING = ROOT / "tests" / "typing" / "dask_workers.py"


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")} - set(dir(RuntimeError))


def test_the_classes_say_where_they_are_public() -> None:
    assert shardmap.dask.__all__ == ["DaskWorkers", "OwnerLost"]
    for name in shardmap.dask.__all__:
        assert getattr(shardmap.dask, name).__module__ == "shardmap.dask"
    assert DaskWorkers.submit.__module__ == "shardmap.dask" and DaskWorkers.submit.__qualname__ == "DaskWorkers.submit"


def test_it_has_the_interface_of_shardworkers() -> None:
    assert public(DaskWorkers) == public(ShardWorkers)
    for name in public(ShardWorkers):
        mine, theirs = (inspect.signature(getattr(kind, name)) for kind in (DaskWorkers, ShardWorkers))
        assert [(p.name, p.kind, p.default) for p in mine.parameters.values()] == [
            (p.name, p.kind, p.default) for p in theirs.parameters.values()
        ]
    ours, base = (inspect.signature(kind).parameters for kind in (DaskWorkers, ShardWorkers))
    assert [*ours] == ["client", *base, "track_keys"]


@pytest.mark.skipif(not REFERENCE.is_file(), reason="docs/ is not part of the wheel's tests")
def test_the_reference_has_everything_public() -> None:
    listed = set(re.findall(r"auto\w+:: shardmap\.dask\.([\w.]+)", REFERENCE.read_text(encoding="utf-8")))
    wanted = {"DaskWorkers", "OwnerLost", *(f"DaskWorkers.{name}" for name in public(DaskWorkers))}
    assert listed == wanted | {f"OwnerLost.{name}" for name in public(OwnerLost)}
    attributes = vars(OwnerLost(0, 1, "tcp://host:1", "the worker ended", None)).keys()
    assert {name for name in attributes if f"`{name}`" not in (OwnerLost.__doc__ or "")} == {"_owners"}


def test_tests_of_typing_use_everything_public() -> None:
    tree = ast.parse(TYPING.read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert public(DaskWorkers) | {"owner", "address", "reason", "keys", "owns"} <= used


@pytest.mark.parametrize("kind", [DaskWorkers, OwnerLost])
def test_help_shows_public_names_only(kind: type) -> None:
    text = pydoc.plain(pydoc.render_doc(kind))
    private = r"shardmap\._\w+|\b(Remote|RemoteTask|FunctionPickles|Inbox|Lost)\b"
    assert not re.search(private, text), re.search(private, text)


def test_the_example_in_the_docstring_is_right() -> None:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        names: dict[str, Any] = {"DaskWorkers": DaskWorkers, "client": client}
        test = doctest.DocTestParser().get_doctest(DaskWorkers.__doc__ or "", names, "DaskWorkers", None, 0)
        assert test.examples
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded build")
def test_importing_it_leaves_the_gil_off() -> None:
    run_python("import sys, shardmap.dask; assert not sys._is_gil_enabled()")
