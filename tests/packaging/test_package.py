"""The package as such."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

import pytest

import shardmap
from harness.process import run_python

pytestmark = pytest.mark.first_use


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded build")
def test_importing_leaves_the_gil_off() -> None:
    run_python("import sys, shardmap; assert not sys._is_gil_enabled()")


def test_everything_public_is_there() -> None:
    for name in shardmap.__all__:
        assert getattr(shardmap, name).__module__ == "shardmap" or name.endswith("Stats")


def test_the_version_is_the_newest_in_the_changelog() -> None:
    changelog = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
    released = re.findall(r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$", changelog.read_text(encoding="utf-8"), re.MULTILINE)
    assert shardmap.__version__ == released[0]
