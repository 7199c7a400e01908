"""Getting the properties of a Python interpreter, and finding interpreters on the PATH."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.shell import Failure, capture

# Searched in this order, the newest first.
FREE_THREADED_NAMES = ("python3.15t", "python3.14t", "python3.13t")

_PROBE = """
import importlib.util, json, os, platform, sys, sysconfig
has = lambda name: importlib.util.find_spec(name) is not None
executable = os.path.realpath(sys.executable)
print(json.dumps({
    "executable": sys.executable,
    "identity": "%s %s %d" % (sys.version, executable, os.stat(executable).st_mtime_ns),
    "implementation": platform.python_implementation(),
    "version": platform.python_version(),
    "major_minor": sys.version_info[:2],
    "free_threaded": sysconfig.get_config_var("Py_GIL_DISABLED") == 1,
    "zlib": has("zlib"),
    "ssl": has("_ssl"),
    "ensurepip": has("venv") and has("ensurepip"),
    "pip": has("pip"),
    "headers": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
    "stdlib": sysconfig.get_path("stdlib"),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """The properties that the interpreter printed about itself."""

    executable: str
    identity: str
    implementation: str
    version: str
    major_minor: tuple[int, int]
    free_threaded: bool
    zlib: bool
    ssl: bool
    ensurepip: bool
    pip: bool
    headers: bool
    stdlib: str

    @property
    def tag(self) -> str:
        """A short name as in wheel tags, such as cp313t."""
        major, minor = self.major_minor
        return f"cp{major}{minor}{'t' if self.free_threaded else ''}"

    @property
    def title(self) -> str:
        kind = "free-threaded" if self.free_threaded else "default"
        return f"{self.implementation} {self.version} ({kind} build)"

    @property
    def bundled_pip(self) -> Path | None:
        """The pip wheel in CPython's standard library. Some distributions remove it."""
        wheels = sorted(Path(self.stdlib, "ensurepip", "_bundled").glob("pip-*.whl"))
        return wheels[-1] if wheels else None


def parse_probe(output: str) -> Interpreter | None:
    try:
        fields = json.loads(output)
        fields["major_minor"] = (fields["major_minor"][0], fields["major_minor"][1])
        return Interpreter(**fields)
    except (ValueError, TypeError, KeyError, IndexError):
        return None


def probe(executable: str | Path) -> Interpreter | None:
    """Describe an interpreter, or None if it does not run (a pyenv shim may not)."""
    # -P: modules in the working directory are not the interpreter's own.
    output = capture([executable, "-P", "-c", _PROBE])
    return parse_probe(output) if output else None


def default_interpreter() -> Interpreter:
    """The Python that runs this code. The Makefile chose it, from PYTHON or the PATH."""
    interpreter = probe(sys.executable)
    if interpreter is None:
        raise Failure(f"{sys.executable} does not run")
    if interpreter.implementation != "CPython":
        raise Failure(f"CPython is needed, but {interpreter.title} was given")
    if interpreter.free_threaded:
        # Some development tools have no wheels for such builds.
        raise Failure(
            f"{interpreter.executable} is a free-threaded build. PYTHON must be a build with the GIL. "
            "Use PYTHON_FREETHREADED for this one"
        )
    return interpreter


def is_usable_free_threaded(interpreter: Interpreter | None) -> bool:
    """Without zlib no wheel can be unpacked, without headers no extension can be built."""
    return (
        interpreter is not None
        and interpreter.implementation == "CPython"
        and interpreter.free_threaded
        and interpreter.major_minor >= (3, 13)
        and interpreter.zlib
        and interpreter.headers
    )


def first_usable(candidates: Iterable[str | Path]) -> Interpreter | None:
    for candidate in candidates:
        interpreter = probe(candidate)
        if is_usable_free_threaded(interpreter):
            return interpreter
    return None


def executables_on_path(names: Iterable[str], path: str | None = None) -> list[str]:
    """Every executable of these names, name by name, then in the order of the PATH."""
    directories = (os.environ.get("PATH", "") if path is None else path).split(os.pathsep)
    found = []
    for name in names:
        for directory in directories:
            executable = shutil.which(name, path=directory) if directory else None
            if executable:
                found.append(executable)
    return found
