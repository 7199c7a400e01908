"""Runs the tests of a library in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

TESTS = Path(__file__).parents[1]
SOURCES = TESTS.parent / "build" / "libraries"  # make libraries puts unpacked sdists there


@dataclass(frozen=True)
class Suite:
    """The tests of one library."""

    library: str
    options: tuple[str, ...]  # of plugin.py: how ShardMap gets in
    quick: tuple[str, ...] = (".",)  # what is tested each time: files, folders, options
    packaged: bool = True  # the tests are part of what is installed; else of the sdist only
    rounds: int = 5  # in which times are measured

    def root(self) -> Path | None:
        """Where the tests are, if they are here."""
        spec = find_spec(self.library)
        if spec is None or spec.origin is None:
            return None
        if self.packaged:
            return Path(spec.origin).parent
        unpacked = SOURCES / f"{self.library}-{version(self.library)}"
        return unpacked if (unpacked / "tests").is_dir() else None


SUITES = {
    suite.library: suite
    for suite in (
        Suite(
            "networkx",
            ("--factories",),
            (
                "classes",
                "-k not memory_leak",  # these go through all objects there are
                "readwrite/json_graph",
                "readwrite/tests/test_adjlist.py",
                "readwrite/tests/test_edgelist.py",
                "tests/test_convert.py",
                "algorithms/bipartite/tests/test_edgelist.py",
            ),
            rounds=1,
        ),
        # Assertions are rewritten by pytest's own way to import, which would leave ours out.
        Suite("toolz", ("--assert=plain", "--changed=toolz,tlz")),
        Suite("cachetools", ("--assert=plain", "--changed=cachetools,tests"), ("tests",), packaged=False),
    )
}


class Outcomes(NamedTuple):
    passed: dict[str, float]  # with seconds of processor time
    failed: dict[str, str]  # with what it said


def run_suite(suite: Suite, root: Path, *, with_dict: bool = False, whole: bool = False) -> Outcomes:
    """With ShardMap in dict's place, or with dict where it is."""
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    path = os.pathsep.join([str(TESTS), *(str(Path(folder).absolute()) for folder in given)])
    # Hashes as ever, so that whatever depends on a set's order does so each time; no other plugins.
    variables = {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with TemporaryDirectory() as folder:
        file = Path(folder, "outcomes.json")
        options = ["-vv", "-p", "libraries.plugin", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={root}"]
        options += [f"--outcomes={file}", f"--basetemp={folder}/tmp", *suite.options]
        options += ["--with-dict"] * with_dict
        # -P: what lies in the library's folder is not to be imported as if it were installed.
        command = [sys.executable, "-P", "-m", "pytest", *options, *([] if whole else suite.quick)]
        done = subprocess.run(
            command, cwd=root, env={**os.environ, **variables}, capture_output=True, text=True, check=False
        )
        if not file.exists():
            raise AssertionError(f"{suite.library}: pytest did not run\n{done.stdout}\n{done.stderr}")
        return Outcomes(**json.loads(file.read_text()))
