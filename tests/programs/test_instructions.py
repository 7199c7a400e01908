"""The hot operations take no more instructions than were recorded for this interpreter, compiler and C library."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from shardmap import _core

BENCH = Path(__file__).resolve().parents[2] / "bench"
if not BENCH.is_dir():
    pytest.skip("the benchmarks are not part of the sdist", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import instructions  # noqa: E402

LONGER = 1.03


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind counts them")
def test_no_hot_operation_got_longer() -> None:
    """After a change that is worth it: `make instructions ARGS=--record`."""
    if _core._is_debug() or _core._has_pauses():
        pytest.skip("an instrumented build")
    expected = instructions.recorded().get(instructions.toolchain())
    if expected is None:
        pytest.skip(f"nothing is recorded for {instructions.toolchain()}")
    counted = instructions.measure("shardmap", instructions.HOT)
    assert {name: count for name, count in counted.items() if count > LONGER * expected[name]} == {}
    assert counted.keys() == expected.keys()
