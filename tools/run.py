"""Runs nox sessions on a machine that has only git, make, a C compiler and Python 3.11. `make` calls this script:

    python -m tools.run SESSION... -- ARGUMENT...

The script makes an environment with nox. If sessions of noxfile.py need a free-threaded CPython and there is none, the
script gets one, after the other sessions have run."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tools import debian, free_threaded
from tools.commands import ROOT, Failure, say

NOX = ROOT / ".nox" / f".nox-{sys.implementation.cache_tag}"
# With some, a Python would import from other places. The others belong to the make that calls this script.
NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "PYTHON_GIL", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")


def install_nox() -> str:
    """The path of nox, in an environment of its own."""
    python, nox = NOX / "bin" / "python", NOX / "bin" / "nox"
    if not nox.exists():
        say(f"setting up {NOX.relative_to(ROOT)}: nox")
        has_pip = importlib.util.find_spec("ensurepip") is not None  # Debian has it in another package
        venv.create(NOX, clear=True, with_pip=has_pip)
        pip = ["-m", "pip"] if has_pip else [f"{debian.pip_wheel()}/pip"]
        subprocess.run(
            [python, *pip, "--quiet", "--disable-pip-version-check", "install", "nox>=2025.11.12"], check=True
        )
    return str(nox)


def sessions(command: list[str]) -> dict[str, bool]:
    """The names of the sessions that the command selects, and whether they wait for a free-threaded CPython."""
    listed = subprocess.run([*command, "--list", "--json"], stdout=subprocess.PIPE, check=True).stdout
    return {each["session"]: each["python"] == free_threaded.MISSING for each in json.loads(listed)}


def run_nox(command: list[str]) -> int:
    """Runs it, and ends all of its processes if this one is interrupted. (subprocess.run would kill only nox, before
    nox has ended the others.) On a terminal, Ctrl-C reaches all of them, and they may read from it."""
    own_group = not sys.stdin.isatty()
    process = subprocess.Popen(command, process_group=0 if own_group else None)
    try:
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if own_group:
                os.killpg(process.pid, signal.SIGINT)
            process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if own_group else process.kill()
        raise


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - older ones do get here
        raise Failure(f"{sys.executable} is older than Python 3.11. Name another: make test PYTHON=python3.12")
    for name in NOT_PASSED_ON:
        os.environ.pop(name, None)
    os.environ["SHARDMAP_PYTHON"] = sys.executable
    if not Path(sysconfig.get_path("include"), "Python.h").exists():  # Debian has it in another package
        os.environ["CPATH"] = os.pathsep.join(map(str, debian.python_headers()))
    free_threaded.find()  # If PYTHON_FREETHREADED is wrong, this says so without nox's traceback.
    nox = [install_nox(), "--noxfile", str(ROOT / "noxfile.py")]
    end = arguments.index("--")
    selected = [*nox, "--session", *arguments[:end]]
    found = sessions(selected)
    ready = [name for name, waits in found.items() if not waits]
    status = run_nox([*nox, "--session", *ready, *arguments[end:]]) if ready else 0
    if any(found.values()):
        os.environ["PYTHON_FREETHREADED"] = free_threaded.get(NOX / "bin" / "python")
        # Their names contain the version, which is known now.
        others = [name for name in sessions(selected) if name not in ready]
        status = run_nox([*nox, "--session", *others, *arguments[end:]]) or status
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that builds are ended, as after Ctrl-C
    try:
        sys.exit(main(sys.argv[1:]))
    except (Failure, subprocess.CalledProcessError, KeyboardInterrupt) as error:
        sys.exit(f"error: {str(error) or 'interrupted'}")
