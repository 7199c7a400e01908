"""The package as such."""

from __future__ import annotations

import sysconfig

import pytest

import shardmap
from harness.process import run_python


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded build")
def test_importing_leaves_the_gil_off() -> None:
    run_python("import sys, shardmap; assert not sys._is_gil_enabled()")


def test_everything_public_is_there() -> None:
    for name in shardmap.__all__:
        assert getattr(shardmap, name).__module__ == "shardmap" or name.endswith("Stats")
