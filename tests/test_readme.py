"""What the README shows, run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.process import run_python

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_readme_shows_something() -> None:
    assert BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_runs(block: str) -> None:
    run_python(block)
