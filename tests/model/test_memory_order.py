"""Reads without the mutex on a weakly ordered machine, by model checking: the smallest of what `make model` runs."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "tools").is_dir():
    pytest.skip("the tools are not part of a wheel's tests", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from tools import litmus, model  # noqa: E402
from tools.shell import Failure, missing_packages  # noqa: E402

CORE = ROOT / "src" / "shardmap" / "core"
PAGE = ROOT / "docs" / "memory-safety.md"
ORDERS = litmus.read_tests(model.ORDERS)
# Of the others it takes a compiler's time, too: `make model` runs all.
MUTANTS = ("NO_BARRIER", "NO_WAIT", "NO_SECOND_LOOK_AT_THE_BLOCK", "SLOT_FIRST", "FLAG_CLEARED_EARLY")

needs_spin = pytest.mark.skipif(bool(missing_packages(model.NEEDED)), reason="needs the model checker Spin, and gcc")


@needs_spin
@pytest.mark.parametrize("fenced", [False, True], ids=["membarrier", "fenced"])
def test_nothing_freed_is_read_and_what_is_read_was_there(fenced: bool, tmp_path: Path) -> None:
    outcome = model.run_spin(model.Model(model.SMALL, fenced), tmp_path)
    assert outcome.violation == ""
    assert outcome.states > 100_000


@needs_spin
@pytest.mark.parametrize("mutant", MUTANTS)
def test_without_a_part_of_the_protocol_a_violation_is_found(mutant: str, tmp_path: Path) -> None:
    assert model.run_spin(model.Model(model.SMALL, False, mutant), tmp_path).violation != ""


@pytest.mark.skipif(shutil.which("herd7") is None, reason="needs herd7")
def test_no_processor_reorders_what_the_core_relies_on(tmp_path: Path) -> None:
    """And where the order of an access is said to be needed, arm64 does reorder without it."""
    assert litmus.check(shutil.which("herd7") or "", ORDERS, tmp_path) == []


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
        with pytest.raises(Failure, match="what is"):
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
