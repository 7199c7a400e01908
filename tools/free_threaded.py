"""A free-threaded CPython: named by PYTHON_FREETHREADED, on the PATH, or kept from an earlier run; else from uv, or
built from Debian's source."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools import debian
from tools.commands import Failure, cache, run_logged, say

NAMES = ("python3.15t", "python3.14t", "python3.13t")  # the newest first
# On a machine that reaches only package registries, uv must fail fast. Nothing goes into the user's ~/.local/bin.
UV_VARIABLES = {"UV_HTTP_TIMEOUT": "10", "UV_HTTP_RETRIES": "0", "UV_PYTHON_INSTALL_BIN": "0"}
MISSING = "no free-threaded CPython here yet"  # stands for the path, in noxfile.py

# It must be able to build extensions, and to install packages.
_PROBE = """
import sys, sysconfig, zlib, ssl
assert sys.implementation.name == "cpython" and sysconfig.get_config_var("Py_GIL_DISABLED")
open(sysconfig.get_path("include") + "/Python.h").close()
print("%d.%dt" % sys.version_info[:2])
"""


def version(python: str | Path) -> str | None:
    """The version, such as 3.14t, of a usable free-threaded CPython; None for all others."""
    try:
        # -P: modules in the working directory are not the interpreter's own.
        done = subprocess.run([python, "-P", "-c", _PROBE], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def find() -> tuple[str, str]:
    """The path and the version, or MISSING twice."""
    wanted = os.environ.get("PYTHON_FREETHREADED")
    for python in [wanted] if wanted else _candidates():
        if found := version(python):
            return str(python), found
    if wanted:
        raise Failure(f"PYTHON_FREETHREADED={wanted} is not a working free-threaded CPython 3.13 or later")
    return MISSING, MISSING


def _candidates() -> Iterator[str | Path]:
    for name in NAMES:
        for directory in os.get_exec_path():
            if executable := shutil.which(name, path=directory):
                yield executable
    yield from sorted((cache() / "uv" / "python").glob("cpython-*/bin/python3.[0-9]*t"), reverse=True)
    yield from debian.installations()


def get(pip_python: Path) -> str:
    """The path of one; gets it if there is none. `pip_python` has a pip that can fetch uv."""
    if find() == (MISSING, MISSING):
        say(f"{MISSING} (looked for {', '.join(NAMES)})")
        try:
            _get_by_uv(pip_python)
        except Failure as error:
            say(f"uv cannot install one here: {str(error).splitlines()[0]}")
            debian.build_cpython()
    return find()[0]


def _get_by_uv(pip_python: Path) -> None:
    folder = cache() / "uv"
    uv = shutil.which("uv") or folder / "tool" / "bin" / "uv"
    if not Path(uv).exists():
        run_logged("getting uv", [pip_python, "-m", "pip", "install", "--target", folder / "tool", "uv"])
    variables = {**UV_VARIABLES, "UV_PYTHON_INSTALL_DIR": str(folder / "python")}
    run_logged("uv python install", ["timeout", "240", uv, "python", "install", "3.14t"], env=variables)
