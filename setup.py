"""Builds the extension. Everything else is in pyproject.toml."""

import sys

# Before anything is imported: no traceback, and no compiler's complaint, is to hide the reason.
if sys.implementation.name != "cpython":
    sys.exit(f"error: shardmap is an extension made for CPython; it cannot be built for {sys.implementation.name}")
if sys.platform in {"win32", "emscripten", "wasi"}:
    sys.exit(
        f"error: shardmap needs POSIX threads: it can be built for Linux and macOS, not for {sys.platform}."
        " On Windows, the Windows Subsystem for Linux runs it."
    )

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

core = Extension(
    "shardmap._core",
    ["src/shardmap/_core.pyx"],
    include_dirs=["src/shardmap"],
    depends=[str(file) for file in Path("src/shardmap/core").rglob("*.*")],
    # `cdef inline` means it: left to itself, the compiler weighs the growth of the whole file, and calls what a look-up
    # consists of.
    define_macros=[("CYTHON_INLINE", "inline __attribute__((always_inline))")],
    extra_compile_args=["-O3", "-std=gnu11", "-pthread", "-fvisibility=hidden"],
    extra_link_args=["-pthread"],
)

setup(ext_modules=cythonize([core], build_dir="build/cython"))
