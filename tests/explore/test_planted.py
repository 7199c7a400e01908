"""The bugs that are planted into copies of the core (make explore) have their places in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from planted import PLANTED, plant

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "setup.py").exists():
    pytest.skip("the sources are not part of a wheel's tests", allow_module_level=True)
CORE = Path("src") / "shardmap" / "core"


def test_each_bug_is_planted_once_and_by_its_number(tmp_path: Path) -> None:
    copy = plant(ROOT, tmp_path)
    for number, bug in enumerate(PLANTED.values(), 1):
        assert (copy / CORE / bug.file).read_text().count(f"(sm_planted == {number})") == bug.new.count("PLANTED") > 0
    assert (copy / "setup.py").read_bytes() == (ROOT / "setup.py").read_bytes()


def test_only_files_that_change_are_written(tmp_path: Path) -> None:
    changed, kept = tmp_path / "setup.py", tmp_path / CORE / "clear.pyx"
    plant(ROOT, tmp_path)
    changed.write_text("")
    before = kept.stat().st_mtime_ns
    plant(ROOT, tmp_path)
    assert changed.read_bytes() == (ROOT / "setup.py").read_bytes()
    assert kept.stat().st_mtime_ns == before


def test_code_that_is_not_there_any_more_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src")
    bug = PLANTED["a map that is cleared shard by shard"]
    (tmp_path / CORE / bug.file).write_text("")
    with pytest.raises(ValueError, match=r"cannot plant 'a map that is cleared shard by shard': clear.pyx"):
        plant(tmp_path, tmp_path / "copy")
