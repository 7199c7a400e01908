"""Runs the Python blocks of Markdown pages, each by itself, as a reader would who pastes it into a file.

    python tests/harness/code_blocks.py README.md docs/*.md

needs nothing but the package and the standard library, and Dask for docs/many-machines.md. Stops at the first block
that raises: the traceback names the page and the line in it."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<source>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """What stands between two fences."""

    page: Path
    line: int  # of its first line of source
    language: str
    source: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("source")) + 1
        yield Block(page, line, found["language"].strip(), found["source"])


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


def run(block: Block) -> None:
    """As a module of its own, with the page's line numbers. A block waits for the threads it started."""
    source = "\n" * (block.line - 1) + block.source
    exec(compile(source, str(block.page), "exec"), {"__name__": "__main__"})
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    left = [name for name in left if not name.startswith("Dask-Offload")]  # Dask keeps it until the process ends
    if left:
        raise RuntimeError(f"{block.page}:{block.line}: threads still run: {left}")


def run_page(page: Path) -> int:
    """Runs all blocks of a page; returns how many there were."""
    found = python_blocks(page)
    for block in found:
        run(block)
    return len(found)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"{name}: {run_page(Path(name))} blocks ran", file=sys.stderr)
