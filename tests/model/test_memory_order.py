"""Reads without the mutex on a weakly ordered machine, by model checking. `make model` runs all models, `make test` the
smallest of them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

import litmus
import spin

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "src" / "shardmap" / "core"
PAGE = ROOT / "docs" / "memory-safety.md"
ORDERS = litmus.read_tests(Path(__file__).with_name("orders.txt"))
WHOLE = os.environ.get("SHARDMAP_MODEL") == "whole"
FENCED = pytest.mark.parametrize("fenced", [False, True], ids=["membarrier", "fenced"])
# Of the others it takes a compiler's time, too.
QUICK_MUTANTS = ("NO_BARRIER", "NO_WAIT", "NO_SECOND_LOOK_AT_THE_BLOCK", "SLOT_FIRST", "FLAG_CLEARED_EARLY")

needs_spin = pytest.mark.skipif(not (shutil.which("spin") and shutil.which("gcc")), reason="needs Spin, and gcc")


@needs_spin
@FENCED
@pytest.mark.parametrize("size", spin.SIZES if WHOLE else [spin.SMALL], ids=str)
def test_nothing_freed_is_read_and_what_is_read_was_there(size: spin.Size, fenced: bool, tmp_path: Path) -> None:
    outcome = spin.run_spin(spin.Model(size, fenced), tmp_path)
    print(f"{outcome.states} states")
    assert outcome.violation == ""
    assert outcome.states > 100_000


@needs_spin
@pytest.mark.parametrize("fenced", [False, True] if WHOLE else [False], ids=lambda fenced: "fenced" if fenced else "")
@pytest.mark.parametrize("mutant", spin.MUTANTS if WHOLE else QUICK_MUTANTS)
def test_without_a_part_of_the_protocol_a_violation_is_found(mutant: str, fenced: bool, tmp_path: Path) -> None:
    assert spin.run_spin(spin.Model(spin.SMALL, fenced, mutant), tmp_path).violation != ""


@pytest.mark.skipif(shutil.which("herd7") is None, reason="needs herd7")
def test_no_processor_reorders_what_the_core_relies_on(tmp_path: Path) -> None:
    """And where the order of an access is said to be needed, arm64 does reorder without it."""
    assert litmus.check(shutil.which("herd7") or "", ORDERS, tmp_path) == []


@pytest.mark.skipif(not CORE.is_dir(), reason="the sources are not part of a wheel's tests")
def test_every_order_has_a_test_and_a_row() -> None:
    """Of docs/memory-safety.md. A row names the files and functions where the two accesses are."""
    part = PAGE.read_text(encoding="utf-8").split("\n## Order of memory accesses\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| `")]
    assert [row[0].strip().strip("`") for row in rows] == [test.name for test in ORDERS]
    for row in rows:
        files = re.findall(r"`(\w+\.(?:h|pyx))`", row[2])
        text = "".join((CORE / name).read_text(encoding="utf-8") for name in files)
        functions = re.findall(r"`(\w+)`", row[2])
        assert files
        assert functions
        assert [name for name in functions if not re.search(rf"\b{name}\(", text)] == []


def test_what_is_no_access_is_an_error() -> None:
    for text in ("fetch x 1", "store x", "fence x"):
        with pytest.raises(ValueError, match="what is"):
            litmus.parse_access(text)


def test_a_test_is_made_weaker_where_it_says_that_an_order_is_needed() -> None:
    test = litmus.parse(
        "a-name\n  one: store x 1; release y 1!\n  two: acquire y a!; fence!; load x b\n  never: a=1 b=0"
    )
    assert [weaker.name for weaker in test.with_one_relaxed()] == [f"a-name-without-{i}" for i in (1, 2, 3)]
    assert "STLR W20,[X11]" in litmus.arm64(test)
    assert "exists (1:X0=1 /\\ 1:X1=0)" in litmus.arm64(test)
    released, acquired, fenced = map(litmus.arm64, test.with_one_relaxed())
    assert "STLR" not in released
    assert "LDAPR" not in acquired
    assert "DMB" not in fenced
