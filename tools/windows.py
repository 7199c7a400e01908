"""Tests of the Windows build that run on Debian: MinGW-w64 compiles the extension against CPython's headers for
Windows, and the mechanisms run under wine (tests/unit/test_mechanisms.py)."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.cpython_build import unpack
from tools.debian_source import Archive
from tools.environments import Environment
from tools.shell import BUILD, LOGS, ROOT, Command, cache_directory, require_programs, run_logged

COMPILER = "x86_64-w64-mingw32-gcc"
NEEDED = {COMPILER: "gcc-mingw-w64-x86-64", "wine": "wine", "wineserver": "wine"}
PACKAGE = "python3.13"
FREE_THREADED = "-DPy_GIL_DISABLED=1"
CONFIGURATIONS = {
    "with a GIL": (),
    "free-threaded": (FREE_THREADED,),
    "free-threaded, by Microsoft's intrinsics": (FREE_THREADED, "-DSM_USE_MSVC_INTRINSICS"),
    "free-threaded, with assertions": (FREE_THREADED, "-DSHARDMAP_DEBUG=1"),
}


def check_tools() -> None:
    require_programs("Windows", NEEDED)


def headers(folder: Path) -> Path:
    """CPython's headers, with its configuration for Windows."""
    archive = Archive()
    tarball = archive.find(PACKAGE)
    target = folder / f"cpython-{tarball.version}"
    if not target.is_dir():
        unpacked = unpack(archive.download(tarball, cache_directory() / "downloads"), folder / "unpacked")
        (configuration,) = (unpacked / "PC").glob("pyconfig.h*")  # a template, from 3.13 on, that is usable as it is
        shutil.copyfile(configuration, unpacked / "Include" / "pyconfig.h")
        (unpacked / "Include").rename(target)
        shutil.rmtree(folder / "unpacked")
    return target


def compile_core(environment: Environment) -> None:
    """Compiles the core to an object file. It is not linked, because there is no CPython for Windows here."""
    folder = BUILD / "windows"
    folder.mkdir(parents=True, exist_ok=True)
    include = headers(folder)
    source = folder / "_core.c"
    log = LOGS / "windows.log"
    log.unlink(missing_ok=True)
    cython: Command = [environment.python, "-m", "cython", "-3", ROOT / "src" / "shardmap" / "_core.pyx", "-o", source]
    run_logged("cython", cython, log)
    # The disabled warnings are those that GCC gives for Cython's code on Linux, too.
    warnings = ("-Wall", "-Wno-unused", "-Wno-uninitialized", "-Wno-maybe-uninitialized", "-Werror")
    options = ("-std=gnu11", "-O1", *warnings, "-DCYTHON_INLINE=inline", f"-I{ROOT / 'src' / 'shardmap'}")
    for name, flags in CONFIGURATIONS.items():
        command: Command = [COMPILER, *options, f"-I{include}", *flags, "-c", source, "-o", folder / "_core.o"]
        run_logged(f"_core.c for Windows, {name}", command, log)
