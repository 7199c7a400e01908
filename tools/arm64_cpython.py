"""The free-threaded CPython of cpython_build.py, cross-compiled for arm64."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from tools import cpython_build
from tools.cpython_build import CONFIGURE, OPTIMISATION, PACKAGE, installations, processors, unpack, work_directory
from tools.debian_source import Archive
from tools.environments import digest
from tools.interpreters import executables_on_path, probe
from tools.shell import LOGS, cache_directory, run_logged, say

HOST = "aarch64-linux-gnu"
# configure could find these answers only by running a program.
ANSWERS = ("ac_cv_file__dev_ptmx=yes", "ac_cv_file__dev_ptc=no", "ac_cv_buggy_getaddrinfo=no")


def find_or_build(folder: Path, sysroot: Path) -> Path:
    """The path of the arm64 program, which this machine cannot execute."""
    prefix, stamp = folder / f"{PACKAGE}t", folder / f"{PACKAGE}t.stamp"
    program = prefix / "bin" / f"{PACKAGE}t"
    wanted = digest([str(prefix), CONFIGURE, ANSWERS, OPTIMISATION])
    if not (stamp.is_file() and stamp.read_text() == wanted):
        _build(prefix, sysroot)
        stamp.write_text(wanted)
    return program


def _build(prefix: Path, sysroot: Path) -> None:
    python = _build_python()
    archive, logs = Archive(), LOGS / "cpython-arm64"
    tarball = archive.find(PACKAGE)
    shutil.rmtree(logs, ignore_errors=True)
    started = time.monotonic()
    say(f"building a free-threaded CPython {tarball.version} for arm64 (once; some minutes)")
    with work_directory(prefix.parent) as work:
        tree = unpack(archive.download(tarball, cache_directory() / "downloads"), work / "cpython")
        run_logged(
            "CPython for arm64: configure",
            [
                *("./configure", f"--prefix={prefix}", *CONFIGURE, f"--host={HOST}"),
                *(f"--build={os.uname().machine}-linux-gnu", f"--with-build-python={python}"),
                *(f"CC={HOST}-gcc --sysroot={sysroot}", "PKG_CONFIG=/bin/false", *ANSWERS),
            ],
            logs / "configure.log",
            cwd=tree,
            env={"OPT": OPTIMISATION},
        )
        run_logged("CPython for arm64: compile", ["make", f"-j{processors()}"], logs / "compile.log", cwd=tree)
        cpython_build.install(tree, work / "staged", prefix, logs, python)
    say(f"built it in {time.monotonic() - started:.0f} s: {prefix}")


def _build_python() -> Path:
    """A Python of the same version for this machine, because building CPython runs one."""
    name = f"{PACKAGE}t"
    installed = [str(path) for path in installations() if path.name == name]
    for candidate in [*executables_on_path([name]), *installed]:
        interpreter = probe(candidate)
        if interpreter is not None and interpreter.free_threaded:
            return Path(interpreter.executable)
    return Path(cpython_build.find_or_build().executable)
