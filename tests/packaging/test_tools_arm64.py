"""`make arm64` itself: what decides, without packages or an emulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "tools").is_dir():
    pytest.skip("the tools are not part of the sdist", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from tools import arm64  # noqa: E402
from tools.shell import Failure  # noqa: E402


def test_a_program_is_run_under_the_name_of_its_script(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    qemu, script, link = tmp_path / arm64.QEMU, folder / "python", tmp_path / "link"
    qemu.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    script.write_text(arm64.script_of(folder / "python3.11", folder))
    for program in (qemu, script):
        program.chmod(0o755)
    link.symlink_to(script)  # as an environment's
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    command = [str(link), "-c", "an argument; $more"]
    done = subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=True)
    ran = ["-0", str(link), "-L", str(folder), str(folder / "python3.11"), "-c", "an argument; $more"]
    assert done.stdout.splitlines() == ran


def test_what_is_missing_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64.shutil, "which", lambda name: None if name == arm64.QEMU else f"/usr/bin/{name}")
    with pytest.raises(Failure, match=r"apt-get install qemu-user-static$"):
        arm64.check_tools()


def test_everything_is_run_and_order_also_with_coarse_clocks() -> None:
    runs = arm64.runs(["-x"])
    assert [variables.get("SHARDMAP_STAMP") for variables, _ in runs] == [None, *arm64.CLOCKS]
    assert all(variables["SHARDMAP_EMULATED"] == "1" for variables, _ in runs)
    assert all(arguments[-1] == "-x" for _, arguments in runs)
    for _, arguments in runs:
        named = [argument.removeprefix("--ignore=") for argument in arguments if "tests/" in argument]
        assert named
        assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("named", ["tests/unit", "tests/unit/test_order.py::test_each_thread_s_insertions"])
def test_only_the_files_that_are_named_are_run(named: str) -> None:
    assert arm64.runs(["-x", named]) == [(arm64.VARIABLES, [*arm64.OPTIONS, "-x", named])]
