"""arm64 Pythons on another Linux machine: a sysroot of Debian's packages, a cross compiler, and qemu, which translates
the program and hands its system calls to this machine's kernel.

A script starts the Python in qemu. Other code uses this script like any Python. The script is also the Python's
sys.executable, so the Python can start more of its kind. All other programs that it starts are this machine's own. One
of them is the cross compiler, which setuptools uses as the compiler there."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools import debian
from tools.commands import ROOT

FOLDER = ROOT / "build" / "arm64"
SYSROOT = FOLDER / "sysroot"
QEMU, HOST = "qemu-aarch64-static", "aarch64-linux-gnu"
PACKAGES = ("python3", "python3-dev", "python3-venv", "libc6-dev", *debian.LIBRARIES)
# configure could find these answers only by running a program.
ANSWERS = ("ac_cv_file__dev_ptmx=yes", "ac_cv_file__dev_ptc=no", "ac_cv_buggy_getaddrinfo=no", "PKG_CONFIG=/bin/false")

TESTS = tuple(f"tests/{name}" for name in ("caches", "memory", "processes", "threads", "unit"))
# These depend on stamps. The first clock is about as coarse as arm64's counter may be (a tick of 24 MHz takes 42 ns).
# The second is coarser by the factor by which emulation is slower.
ORDER = tuple(f"tests/unit/test_{name}.py" for name in ("order", "merge_windows", "splits", "partitions"))
CLOCKS = ("slow:6", "slow:10")


def pythons() -> Iterator[tuple[str, Path, dict[str, str]]]:
    """Debian's Python and a free-threaded one: a name, the script that starts it, variables for building extensions."""
    debian.require("arm64", {QEMU: "qemu-user-static", f"{HOST}-gcc": "gcc-aarch64-linux-gnu"})
    debian.unpacked(PACKAGES, SYSROOT, "APT::Architecture=arm64", "APT::Architectures=arm64")
    for name in ("bin", "lib", "sbin"):  # From Debian 13 on these are links that no package has.
        if not (SYSROOT / name).exists():
            (SYSROOT / name).symlink_to(Path("usr", name))
    prefix = FOLDER / "cpython"
    if not prefix.exists():
        # Building CPython runs a CPython of the same version.
        same = shutil.which(f"{debian.PACKAGE}t") or next(iter(debian.installations()), None) or debian.build_cpython()
        build = (f"--build={os.uname().machine}-linux-gnu", f"--with-build-python={same}")
        debian.build_cpython(prefix, f"--host={HOST}", *build, f"CC={HOST}-gcc --sysroot={SYSROOT}", *ANSWERS)
    programs = {"default": (SYSROOT / "usr/bin/python3").resolve(), "free": prefix / "bin" / f"{debian.PACKAGE}t"}
    for name, program in programs.items():
        script = program.with_name("python")  # neither Debian nor CPython installs a file of that name
        script.write_text(script_of(program))
        script.chmod(0o755)
        query = "import sysconfig; print(sysconfig.get_path('include'))"
        include = subprocess.run([script, "-c", query], capture_output=True, text=True, check=True).stdout.strip()
        # setuptools would give the compiler this machine's headers.
        yield name, script, {"CC": f"{HOST}-gcc", "CFLAGS": shlex.join([f"--sysroot={SYSROOT}", f"-I{include}"])}


def script_of(program: Path) -> str:
    """Runs the program under the script's name, from which Python derives sys.executable and its environment."""
    return f'#!/bin/sh\nexec {QEMU} -0 "$0" -L {shlex.quote(str(SYSROOT))} {shlex.quote(str(program))} "$@"\n'
