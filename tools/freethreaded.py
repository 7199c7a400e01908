"""Finding a free-threaded CPython: on the PATH, from earlier runs, with uv, or by building it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools import cpython_build
from tools.interpreters import (
    FREE_THREADED_NAMES,
    Interpreter,
    executables_on_path,
    first_usable,
    is_usable_free_threaded,
    probe,
)
from tools.shell import LOGS, Command, Failure, cache_directory, locked, run_logged, say

UV_REQUEST = "3.14t"
# If the network does not reach the downloads, uv must fail fast, so that the build can start.
UV_LIMITS = {"UV_HTTP_TIMEOUT": "10", "UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"}
UV_TIME_LIMIT = 240.0


def find(pip_python: Path | None) -> Interpreter:
    """The free-threaded interpreter to use. PYTHON_FREETHREADED names one explicitly.

    pip_python is a Python whose pip can install uv, or None.
    """
    wanted = os.environ.get("PYTHON_FREETHREADED")
    if wanted:
        interpreter = probe(wanted)
        if interpreter is None or not is_usable_free_threaded(interpreter):
            raise Failure(f"PYTHON_FREETHREADED={wanted} is not a working free-threaded CPython 3.13 or later")
        return interpreter
    found = first_usable(executables_on_path(FREE_THREADED_NAMES)) or first_usable(_cached())
    if found is not None:
        return found
    say("no free-threaded CPython here yet (looked for " + ", ".join(FREE_THREADED_NAMES) + ")")
    return _with_uv(pip_python) or _built()


def _built() -> Interpreter:
    try:
        return cpython_build.find_or_build()
    except Failure as error:
        raise Failure(
            f"cannot build a free-threaded CPython: {error}\n"
            "Put one on the PATH (such as python3.13t), or name it with PYTHON_FREETHREADED."
        ) from error


def _uv_directory() -> Path:
    return cache_directory() / "uv"


def _cached() -> list[Path]:
    of_uv = sorted((_uv_directory() / "python").glob("cpython-*/bin/python3.[0-9]*t"))
    return [*reversed(of_uv), *cpython_build.installations()]


def _with_uv(pip_python: Path | None) -> Interpreter | None:
    """Let uv download a build. This fails on machines that reach only package registries."""
    log = LOGS / "uv.log"
    with locked(cache_directory() / "uv.lock"):
        try:
            uv = shutil.which("uv") or (_installed_uv(pip_python, log) if pip_python else None)
            if uv is None:
                return None
            run_logged(
                f"asking uv for Python {UV_REQUEST}",
                [uv, "python", "install", "--quiet", UV_REQUEST],
                log,
                env={
                    **UV_LIMITS,
                    "UV_PYTHON_INSTALL_DIR": str(_uv_directory() / "python"),
                    # Nothing into the user's ~/.local/bin.
                    "UV_PYTHON_INSTALL_BIN": "0",
                },
                timeout=UV_TIME_LIMIT,
            )
        except Failure:
            say(f"uv cannot install it here (see {log})")
            return None
    return first_usable(_cached())


def _installed_uv(pip_python: Path, log: Path) -> str | None:
    """uv from the package index, in the cache."""
    tool = _uv_directory() / "tool"
    executable = tool / "bin" / "uv"
    if not executable.is_file():
        command: Command = [pip_python, "-m", "pip", "install", "--upgrade", "--target", tool, "uv"]
        run_logged("getting uv", command, log, timeout=UV_TIME_LIMIT)
    return str(executable) if executable.is_file() else None
