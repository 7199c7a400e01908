"""Building a free-threaded CPython from Debian's source package, once per machine and version."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.debian_source import Archive
from tools.interpreters import Interpreter, is_usable_free_threaded, probe
from tools.shell import (
    LOGS,
    Command,
    Failure,
    cache_directory,
    clean_environment,
    locked,
    run_logged,
    say,
)

PACKAGE = "python3.13"
ZLIB_PACKAGE = "zlib"

# PGO would triple the build time. Optimisation stays at CPython's own level, since benchmarks run
# on it and extensions inherit the flags; debug information (-g) only costs time here.
OPTIMISATION = "-DNDEBUG -fwrapv -O3 -Wall"
CONFIGURE = ("--disable-gil", "--with-ensurepip=no", "--without-static-libpython")
# Installing would compile the whole library, with its tests, to bytecode at three levels, which
# takes long. -l limits that to the top level of folders. _compile_library compiles what is needed.
INSTALL = ("COMPILEALL_OPTS=-l",)
# Files with intentional errors, for CPython's tests.
NOT_COMPILED = r"bad_?(coding|syntax)|tokenizedata|lib2to3|_data/bad"


def installations() -> list[Path]:
    """Finished builds of earlier runs, newest version first."""
    found = (cache_directory() / "python").glob("cpython-*/bin/python3.[0-9]*t")
    return sorted(found, key=lambda path: _version_key(path.parent.parent.name), reverse=True)


def _version_key(name: str) -> tuple[int, ...]:
    version = name.removeprefix("cpython-").partition("-")[0].rstrip("t")
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))


def find_or_build() -> Interpreter:
    compiler = _compiler()
    for tool in (compiler, "make"):
        if shutil.which(tool) is None:
            raise Failure(f"{tool} is needed to build Python: install gcc, libc6-dev and make")
    cache = cache_directory()
    with locked(cache / "build.lock"):
        # Another run may have built it while we waited for the lock.
        for executable in installations():
            interpreter = probe(executable)
            if interpreter is not None and is_usable_free_threaded(interpreter):
                return interpreter
        return _build(Archive(), cache)


def _compiler() -> str:
    return (os.environ.get("CC") or "gcc").split()[0]


def processors() -> int:
    # The processors that this process may use. macOS has no such function.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _build(archive: Archive, cache: Path) -> Interpreter:
    tarball = archive.find(PACKAGE)
    prefix = cache / "python" / f"cpython-{tarball.version}t-{os.uname().machine}"
    logs = LOGS / "cpython"
    shutil.rmtree(logs, ignore_errors=True)
    started = time.monotonic()
    say(f"building a free-threaded CPython {tarball.version} (once; some minutes)")
    source = archive.download(tarball, cache / "downloads")
    with work_directory(cache) as work:
        environment = _zlib_environment(archive, cache, work, logs)
        tree = unpack(source, work / "cpython")
        run_logged(
            "CPython: configure",
            ["./configure", f"--prefix={prefix}", *CONFIGURE],
            logs / "configure.log",
            cwd=tree,
            env={**environment, "OPT": OPTIMISATION},
        )
        run_logged("CPython: compile", ["make", f"-j{processors()}"], logs / "compile.log", cwd=tree)
        install(tree, work / "staged", prefix, logs)
    for executable in installations():
        interpreter = probe(executable)
        if executable.is_relative_to(prefix) and interpreter is not None:
            if not is_usable_free_threaded(interpreter):
                raise Failure(
                    f"the CPython built in {prefix} lacks zlib or has the GIL: see {logs}"
                )
            say(f"built {interpreter.title} in {time.monotonic() - started:.0f} s: {prefix}")
            return interpreter
    raise Failure(f"the CPython built in {prefix} does not run: see {logs}")


def install(tree: Path, staged: Path, prefix: Path, logs: Path, python: Path | None = None) -> None:
    """Installs to `staged`, then renames it to `prefix` in one step, so that an interrupted build leaves nothing there.
    `python`: another Python of the same version, if the new one does not run on this machine."""
    log = logs / "install.log"
    run_logged("CPython: install", ["make", "install", f"DESTDIR={staged}", *INSTALL], log, cwd=tree)
    installed = staged / prefix.relative_to("/")
    _compile_library(python or next((installed / "bin").glob("python3.[0-9]*t")), staged, installed, log)
    shutil.rmtree(prefix, ignore_errors=True)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    installed.rename(prefix)


def _compile_library(python: Path, staged: Path, installed: Path, log: Path) -> None:
    """Write the bytecode now: users may have PYTHONDONTWRITEBYTECODE set."""
    library = next((installed / "lib").glob("python3.[0-9]*t"))
    command: Command = [python, "-m", "compileall", "-q", f"-j{processors()}", "-x", NOT_COMPILED]
    paths: Command = ["-s", staged, "-p", "/", library]
    run_logged("CPython: compile the library", [*command, *paths], log)


@contextmanager
def work_directory(cache: Path) -> Iterator[Path]:
    """A new directory. First removes the directories of runs that were killed. The caller holds the lock."""
    for left in cache.glob("work-*"):
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=cache))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _zlib_environment(archive: Archive, cache: Path, work: Path, logs: Path) -> dict[str, str]:
    """If the machine has no zlib headers, builds zlib and returns the variables that make CPython use it."""
    if _has_header("zlib.h"):
        return {}
    say("no zlib headers on this machine: building zlib as well")
    tarball = archive.find(ZLIB_PACKAGE)
    tree = unpack(archive.download(tarball, cache / "downloads"), work / "zlib")
    installed = work / "zlib-installed"
    log = logs / "zlib.log"
    run_logged(
        "zlib: configure",
        ["./configure", "--static", f"--prefix={installed}"],
        log,
        cwd=tree,
        # Linked into a shared module of CPython, hence position-independent.
        env={"CFLAGS": "-O2 -fPIC"},
    )
    run_logged("zlib: compile", ["make", "install"], log, cwd=tree)
    return {
        "ZLIB_CFLAGS": f"-I{installed}/include",
        "ZLIB_LIBS": f"{installed}/lib/libz.a",
    }


def _has_header(name: str) -> bool:
    command = [*(os.environ.get("CC") or "gcc").split(), "-E", "-x", "c", "-"]
    done = subprocess.run(
        command,
        input=f"#include <{name}>\n".encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
        check=False,
    )
    return done.returncode == 0


def unpack(tarball: Path, target: Path) -> Path:
    """Unpack a source tarball and return its top directory."""
    target.mkdir(parents=True)
    with tarfile.open(tarball) as archive:
        # The filter came with 3.11.4; the tarball's SHA256 was checked in any case.
        if hasattr(tarfile, "data_filter"):
            archive.extractall(target, filter="data")
        else:
            archive.extractall(target)
    entries = list(target.iterdir())
    if len(entries) != 1:
        raise Failure(f"{tarball.name} has no single top directory")
    return entries[0]
