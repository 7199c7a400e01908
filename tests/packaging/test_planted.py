"""The bugs that are planted into copies of the core (make explore) have their places in it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "tools").is_dir():
    pytest.skip("the tools are not part of the sdist", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from tools.planted import PLANTED, plant  # noqa: E402

CORE = Path("src") / "shardmap" / "core"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / CORE).mkdir(parents=True)
    for file in {"memory.pyx", *(bug.file for bug in PLANTED.values())}:
        (tmp_path / CORE / file).write_text((ROOT / CORE / file).read_text())
    return tmp_path


def test_each_bug_is_planted_once_and_by_its_number(copy: Path) -> None:
    plant(copy)
    for number, bug in enumerate(PLANTED.values(), 1):
        assert (copy / CORE / bug.file).read_text().count(f"(sm_planted == {number})") == bug.new.count("PLANTED") > 0


def test_code_that_is_not_there_any_more_is_an_error(copy: Path) -> None:
    bug = PLANTED["a map that is cleared shard by shard"]
    (copy / CORE / bug.file).write_text("")
    with pytest.raises(ValueError, match=r"cannot plant 'a map that is cleared shard by shard': clear.pyx"):
        plant(copy)
