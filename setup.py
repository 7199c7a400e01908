"""Builds the extension. Everything else is in pyproject.toml."""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

if sys.platform == "win32":
    raise SystemExit("shardmap needs POSIX threads (pthread); Windows is not supported yet")

core = Extension(
    "shardmap._core",
    ["src/shardmap/_core.pyx"],
    include_dirs=["src/shardmap"],
    depends=[entry.path for entry in os.scandir("src/shardmap/core") if entry.name.endswith((".pxi", ".h"))],
    extra_compile_args=["-O3", "-std=gnu11", "-pthread", "-fvisibility=hidden"],
    extra_link_args=["-pthread"],
)

setup(ext_modules=cythonize([core], build_dir="build/cython"))
