"""Checks of the workflows that need no run of them: validators, and the list of wheels that they build."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from tools.environments import Environment, prepare, project_file
from tools.shell import ROOT, Command, Failure, capture, run, say

WORKFLOWS = ROOT / ".github" / "workflows"
# The names that cibuildwheel uses for platforms and machines, and for the systems of each platform's wheels.
PLATFORMS = {"linux": ("x86_64", "aarch64"), "macos": ("x86_64", "arm64"), "windows": ("AMD64", "ARM64")}
SYSTEMS = {"linux": ("manylinux", "musllinux"), "macos": ("macosx",), "windows": ("win",)}
_CLASSIFIER = "Programming Language :: Python :: 3."
_FIRST_FREE_THREADED = 14  # another version of cibuildwheel builds 3.13t: see wheels.yml


def tools_environment(main: Environment) -> Environment:
    return prepare(main.interpreter, ("workflows",), downloader=main, variant="workflows")


def wanted_wheels(project: Mapping[str, Any], platform: str, machine: str) -> set[str]:
    """The identifiers of all wheels that the project's classifiers promise."""
    found = [each.removeprefix(_CLASSIFIER) for each in project["project"]["classifiers"] if _CLASSIFIER in each]
    minors = sorted(int(each) for each in found)
    if not minors:
        raise Failure(f"pyproject.toml has no classifier {_CLASSIFIER}*")
    tags = [f"cp3{minor}" for minor in minors] + [f"cp3{minor}t" for minor in minors if minor >= _FIRST_FREE_THREADED]
    return {f"{tag}-{system}_{machine.lower()}" for tag in tags for system in SYSTEMS[platform]}


def built_wheels(environment: Environment, platform: str, machine: str) -> set[str]:
    command: Command = [environment.python, "-m", "cibuildwheel", "--print-build-identifiers", f"--platform={platform}"]
    output = capture([*command, f"--archs={machine}", ROOT])
    if output is None:
        raise Failure(f"cibuildwheel finds fault with its configuration. Run: {' '.join(map(str, command))}")
    return set(output.split())


def check(environment: Environment) -> list[str]:
    """Run every check; returns what failed."""
    bin_ = environment.path / "bin"
    checks: list[tuple[str, Command]] = [
        ("validate-pyproject", [bin_ / "validate-pyproject", ROOT / "pyproject.toml"]),
        ("zizmor", [bin_ / "zizmor", "--offline", "--no-progress", "--persona=pedantic", WORKFLOWS]),
    ]
    actionlint = shutil.which("actionlint")  # no package of the index contains it
    if actionlint:
        checks.append(("actionlint", [actionlint, *sorted(WORKFLOWS.glob("*.yml"))]))
    else:
        say("no actionlint on the PATH: skipping it")
    failed = []
    for name, command in checks:
        say(name)
        if run(command) != 0:
            failed.append(name)
    for platform, machines in PLATFORMS.items():
        for machine in machines:
            wanted = wanted_wheels(project_file(), platform, machine)
            built = built_wheels(environment, platform, machine)
            say(f"cibuildwheel, {platform} {machine}: {', '.join(sorted(built))}")
            if built != wanted:
                failed.append(f"wheels for {platform} {machine}: missing or not wanted: {sorted(built ^ wanted)}")
    return failed
