"""tests/typing, which `make lint` checks with mypy and pyright: that nothing public is missing. mypy on pages."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import shardmap
from harness.code_blocks import python_blocks
from harness.threads import LONG

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs" / name for name in ("guide.md", "recipes.md")]
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))


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


@pytest.mark.parametrize("kind", [getattr(shardmap, name) for name in shardmap.__all__], ids=str)
def test_every_public_method_is_there(kind: object) -> None:
    public = {name for name in dir(kind) if not name.startswith("_")} - set(dir(tuple)) - set(dir(str))
    assert public <= USED


def test_mypy_and_pyright_look_at_these_files() -> None:
    assert FILES
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "tests/typing" in project["tool"]["mypy"]["files"]
    assert project["tool"]["mypy"]["strict"]  # so that needless ignores are errors
    assert project["tool"]["pyright"]["include"] == ["tests/typing"]
    assert project["tool"]["pyright"]["reportUnnecessaryTypeIgnoreComment"] == "error"


@pytest.mark.skipif(not PAGES[0].is_file(), reason="docs/ is not part of the sdist")
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_accepts_every_block_of_the_guide_and_the_recipes(tmp_path: Path) -> None:
    names = []
    for block in (block for page in PAGES for block in python_blocks(page)):
        source = "\n" * (block.line - 1) + block.source  # messages have the page's line numbers
        names.append(f"{block.page.stem}_{block.line}.py")
        (tmp_path / names[-1]).write_text(source, encoding="utf-8")
    # A wheel that is installed is found by itself, and must not be named in MYPYPATH.
    path = {"MYPYPATH": str(ROOT / "src")} if (ROOT / "src").is_dir() else {}
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", *names]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **path}, capture_output=True, text=True, timeout=LONG, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
