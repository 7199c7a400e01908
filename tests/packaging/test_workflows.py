"""The workflows, without a run of them: what they use, and the list of wheels that they build (make workflows)."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
if not FILES:
    pytest.skip("the workflows are not part of the sdist", allow_module_level=True)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# The names that cibuildwheel uses for platforms and machines, and for the systems of each platform's wheels.
PLATFORMS = {"linux": ("x86_64", "aarch64"), "macos": ("x86_64", "arm64"), "windows": ("AMD64", "ARM64")}
SYSTEMS = {"linux": ("manylinux", "musllinux"), "macos": ("macosx",), "windows": ("win",)}
CLASSIFIER = "Programming Language :: Python :: 3."
FIRST_FREE_THREADED = 14  # another version of cibuildwheel builds 3.13t: see wheels.yml


def promised_wheels(project: dict[str, Any], platform: str, machine: str) -> set[str]:
    """The identifiers of all wheels that the project's classifiers promise."""
    found = [each.removeprefix(CLASSIFIER) for each in project["project"]["classifiers"] if CLASSIFIER in each]
    minors = sorted(int(each) for each in found)
    tags = [f"cp3{minor}" for minor in minors] + [f"cp3{minor}t" for minor in minors if minor >= FIRST_FREE_THREADED]
    return {f"{tag}-{system}_{machine.lower()}" for tag in tags for system in SYSTEMS[platform]}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_a_workflow_uses_is_pinned_and_there(file: Path) -> None:
    text, makefile = file.read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert [each for each in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []
    assert [each for each in re.findall(r"run: make ([a-z-]+)", text) if not re.search(rf"\b{each}\b", makefile)] == []
    groups = {*re.findall(r"--group ([a-z]+)", text), *re.findall(r"'(cibuildwheel[\w-]*)'", text)}
    assert groups <= set(PROJECT["dependency-groups"])
    assert re.search(r"^permissions:\n  contents: read\n", text, re.MULTILINE)


def test_wheels_are_promised_for_every_version_and_system() -> None:
    classifiers = [f"Programming Language :: Python :: {each}" for each in ("3", "3.13", "3.14")]
    project = {"project": {"classifiers": classifiers}}
    wanted = {"cp313-macosx_arm64", "cp314-macosx_arm64", "cp314t-macosx_arm64"}
    assert promised_wheels(project, "macos", "arm64") == wanted
    assert len(promised_wheels(project, "linux", "x86_64")) == 6


@pytest.mark.skipif(find_spec("cibuildwheel") is None, reason="needs cibuildwheel (make workflows)")
@pytest.mark.parametrize(("platform", "machine"), [(name, each) for name, all_ in PLATFORMS.items() for each in all_])
def test_cibuildwheel_builds_the_wheels_that_are_promised(platform: str, machine: str) -> None:
    options = ("--print-build-identifiers", f"--platform={platform}", f"--archs={machine}")
    command = [sys.executable, "-m", "cibuildwheel", *options, ROOT]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(built) == promised_wheels(PROJECT, platform, machine)
