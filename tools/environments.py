"""The virtual environments of the project: one for each interpreter, made again if its requirements change."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tools.interpreters import Interpreter
from tools.shell import BUILD, LOGS, ROOT, Command, Failure, capture, locked, run_logged, say

ENVIRONMENTS = ROOT / ".venv"
WHEELHOUSE = BUILD / "wheelhouse"
# Quiet: only pip's errors are of interest.
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")

# The target interpreter runs these, because another interpreter would give its own tags and markers.
_PLATFORMS = """
from pip._vendor.packaging import tags
print(*tags.platform_tags(), sep="\\n")
"""
_APPLICABLE = """
import sys
from pip._vendor.packaging.requirements import Requirement
for text in sys.argv[1:]:
    marker = Requirement(text).marker
    if marker is None or marker.evaluate({"extra": ""}):
        print(text)
"""


# --- what to install ----------------------------------------------------------------------------


@cache
def project_file() -> dict[str, Any]:
    path = ROOT / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Failure(f"{path}: {error}") from error


def resolve_groups(project: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Requirements of dependency groups and of the groups that they include, in order, without duplicates."""
    groups: Mapping[str, Sequence[Any]] = project.get("dependency-groups", {})
    found: list[str] = []

    def add(name: str, outer: tuple[str, ...]) -> None:
        if name in outer:
            raise Failure(f"pyproject.toml: dependency group {name} includes itself")
        if name not in groups:
            raise Failure(f"pyproject.toml has no dependency group {name}")
        for entry in groups[name]:
            if isinstance(entry, str):
                found.append(entry)
            else:
                add(entry["include-group"], (*outer, name))

    for name in names:
        add(name, ())
    return list(dict.fromkeys(found))


def build_requirements(project: Mapping[str, Any]) -> list[str]:
    """Requirements for building, because wheels are built in these environments and not in isolated ones."""
    required = list(project.get("build-system", {}).get("requires", []))
    return list(dict.fromkeys([*required, *resolve_groups(project, ["build"])]))


# --- environments -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Environment:
    """A virtual environment of one interpreter. Each other way to build the extension has a `variant` of its own."""

    interpreter: Interpreter
    variant: str = ""

    @property
    def name(self) -> str:
        return f"{self.interpreter.tag}-{self.variant}" if self.variant else self.interpreter.tag

    @property
    def path(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    @property
    def log(self) -> Path:
        return LOGS / f"environment-{self.name}.log"

    def read_stamp(self, name: str) -> str:
        try:
            return (self.path / f".stamp-{name}").read_text(encoding="utf-8")
        except OSError:
            return ""

    def write_stamp(self, name: str, value: str) -> None:
        (self.path / f".stamp-{name}").write_text(value, encoding="utf-8")


def can_make_environment(interpreter: Interpreter) -> bool:
    """Whether an interpreter can make an environment without the pip of another interpreter."""
    return interpreter.ensurepip or interpreter.pip


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def prepare(
    interpreter: Interpreter,
    groups: Sequence[str],
    *,
    pip_from: Interpreter | None = None,
    downloader: Environment | None = None,
    variant: str = "",
    for_building: bool = True,
) -> Environment:
    """An environment with these dependency groups installed, and with the requirements for building if `for_building`.

    pip_from is an interpreter whose bundled pip is used if this one has none. downloader is an environment that
    downloads packages if this interpreter has no ssl.
    """
    environment = Environment(interpreter, variant)
    project = project_file()
    requirements = resolve_groups(project, groups)
    if for_building:
        requirements = build_requirements(project) + requirements
    # The path is part of the stamp, because a moved environment does not work.
    stamp = digest([interpreter.identity, str(environment.path), requirements])
    with locked(BUILD / "environments.lock"):
        if environment.read_stamp("environment") == stamp and environment.python.exists():
            return environment
        say(f"setting up {environment.path.relative_to(ROOT)}: {interpreter.title}")
        shutil.rmtree(environment.path, ignore_errors=True)
        environment.log.unlink(missing_ok=True)
        _create(environment, pip_from)
        install(environment, requirements, downloader)
        environment.write_stamp("environment", stamp)
    return environment


def _create(environment: Environment, pip_from: Interpreter | None) -> None:
    """Make the environment, with pip in it. Tries several ways, because Debian has parts of venv in other packages."""
    interpreter = environment.interpreter
    label = f"environment of {interpreter.tag}"
    target = environment.path
    if interpreter.ensurepip:
        command: Command = [interpreter.executable, "-I", "-m", "venv", target]
        run_logged(f"{label}: venv", command, environment.log)
        return
    bundled = interpreter.bundled_pip or (pip_from.bundled_pip if pip_from else None)
    bare = capture([interpreter.executable, "-I", "-m", "venv", "--without-pip", target])
    if bare is not None and bundled is not None:
        # A wheel of pip can run without being installed, and installs itself.
        command = [environment.python, bundled / "pip", "install", "--no-index", bundled]
        run_logged(f"{label}: pip", command, environment.log)
        return
    shutil.rmtree(target, ignore_errors=True)
    if interpreter.pip:
        tool = BUILD / "virtualenv"
        command = [interpreter.executable, *PIP, "install", "--upgrade", "--target", tool]
        run_logged(f"{label}: getting virtualenv", [*command, "virtualenv"], environment.log)
        run_logged(
            f"{label}: virtualenv",
            [interpreter.executable, "-m", "virtualenv", "--quiet", target],
            environment.log,
            env={"PYTHONPATH": str(tool)},
        )
        return
    version = ".".join(map(str, interpreter.major_minor))
    raise Failure(
        f"{interpreter.executable} has neither ensurepip nor pip, and no other Python here has "
        f"either: install python3-venv (or python{version}-venv, or python3-pip) and try again"
    )


def install(
    environment: Environment,
    requirements: Sequence[str],
    downloader: Environment | None = None,
    *,
    only_binary: bool = False,
) -> None:
    """Install from the package index of the user's pip configuration."""
    tag = environment.interpreter.tag
    # Prefer an older wheel to a newer sdist. Not every release has wheels for free-threaded builds,
    # and building its sdist may need tools that are not here (a Rust tool chain, for example).
    binary = "--only-binary=:all:" if only_binary else "--prefer-binary"
    if environment.interpreter.ssl or downloader is None:
        command: Command = [environment.python, *PIP, "install", binary, *requirements]
        run_logged(f"environment of {tag}: packages", command, environment.log)
        return
    # Without ssl, this pip cannot reach an index over https, so another interpreter downloads for it.
    # It runs this environment's pip, because older versions do not know free-threaded ABIs.
    applicable = _ask(environment, _APPLICABLE, *requirements)
    if not applicable:
        return
    pip = next((environment.path / "lib").glob("python3*/site-packages/pip"))
    major, minor = environment.interpreter.major_minor
    wheelhouse = WHEELHOUSE / tag
    command = [
        downloader.python,
        pip,
        *PIP[2:],
        "download",
        f"--dest={wheelhouse}",
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={major}.{minor}",
        f"--abi={tag}",
        *(f"--platform={name}" for name in _ask(environment, _PLATFORMS)),
        *applicable,
    ]
    through = f"downloaded by Python {downloader.interpreter.version}, as this one has no ssl"
    run_logged(f"environment of {tag}: packages ({through})", command, environment.log)
    command = [environment.python, *PIP, "install", "--no-index", f"--find-links={wheelhouse}"]
    run_logged(f"environment of {tag}: installing", [*command, *requirements], environment.log)


def _ask(environment: Environment, script: str, *arguments: str) -> list[str]:
    output = capture([environment.python, "-I", "-c", script, *arguments])
    if output is None:
        raise Failure(f"{environment.python} with its pip does not run; try `make clean`")
    return output.splitlines()


def install_group(environment: Environment, group: str) -> None:
    """Install one more dependency group that only one task needs, if it is not installed yet."""
    requirements = resolve_groups(project_file(), [group])
    stamp = digest([environment.read_stamp("environment"), requirements])
    with locked(BUILD / "environments.lock"):
        if environment.read_stamp(group) != stamp:
            install(environment, requirements)
            environment.write_stamp(group, stamp)


def install_best_effort(
    environment: Environment, group: str, downloader: Environment | None
) -> None:
    """Install the packages of a group one by one. Skips packages that have no wheel for this interpreter."""
    requirements = resolve_groups(project_file(), [group])
    stamp = digest([environment.read_stamp("environment"), requirements])
    if environment.read_stamp(group) == stamp:
        return
    complete = True
    for requirement in requirements:
        try:
            install(environment, [requirement], downloader, only_binary=True)
        except Failure:
            say(f"going on without {requirement}: see {environment.log}")
            complete = False
    # Without the stamp, the next run tries again, because the reason may have been the network.
    if complete:
        environment.write_stamp(group, stamp)
