"""tests/typing, which `make lint` checks with mypy: that nothing public is forgotten there."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

import shardmap

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))
HELD = type(shardmap.ShardMap().lock("key"))  # has no public name


def words(file: Path) -> set[str]:
    """Every name, attribute and keyword that a file uses."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.keyword(arg=str(word)):
                found.add(word)
    return found


USED = set().union(*map(words, FILES))


@pytest.mark.parametrize("name", shardmap.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert name in USED


@pytest.mark.parametrize("kind", [*(getattr(shardmap, name) for name in shardmap.__all__), HELD], ids=str)
def test_every_public_method_is_there(kind: object) -> None:
    public = {name for name in dir(kind) if not name.startswith("_")} - set(dir(tuple)) - set(dir(str))
    assert public <= USED


def test_mypy_looks_at_these_files() -> None:
    assert FILES
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "tests/typing" in project["tool"]["mypy"]["files"]
    assert project["tool"]["mypy"]["strict"]  # so that needless ignores are errors
