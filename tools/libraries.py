"""The tests of libraries that are run with ShardMap in dict's place (tests/libraries)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tools.cpython_build import unpack
from tools.environments import PIP, Environment
from tools.shell import BUILD, LOGS, Command, Failure, capture, run_logged

SOURCES = BUILD / "libraries"
# Libraries whose wheels do not contain their tests.
TESTS_IN_SDIST = ("cachetools",)
_VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


def fetch_tests(environments: Sequence[Environment], main: Environment) -> None:
    """Downloads and unpacks the sdists of the installed versions. `main` downloads: the others may have no ssl."""
    for environment in environments:
        for library in TESTS_IN_SDIST:
            version = capture([environment.python, "-I", "-c", _VERSION, library])
            if version is None:
                raise Failure(f"{library} is not installed for {environment.interpreter.title}")
            fetch_sdist(f"{library}-{version.strip()}", f"{library}=={version.strip()}", main)


def fetch_sdist(name: str, requirement: str, main: Environment) -> None:
    target = SOURCES / name
    if target.is_dir():
        return
    stage = SOURCES / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    options = ("download", "--no-deps", "--no-binary=:all:", f"--dest={stage}")
    command: Command = [main.python, *PIP, *options, requirement]
    run_logged(f"the tests of {requirement}", command, LOGS / "libraries.log")
    (sdist,) = Path(stage).glob("*.tar.gz")
    unpack(sdist, stage / "unpacked").rename(target)
    shutil.rmtree(stage)
