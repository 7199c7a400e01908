"""Builds the extension. Everything else is in pyproject.toml."""

import sys

# Before anything is imported: no traceback, and no compiler's complaint, is to hide the reason.
if sys.implementation.name != "cpython":
    sys.exit(f"error: shardmap is an extension made for CPython; it cannot be built for {sys.implementation.name}")
if sys.platform in {"emscripten", "wasi"}:
    sys.exit(f"error: shardmap needs threads: it can be built for Linux, macOS and Windows, not for {sys.platform}")
if sys.platform == "win32" and sys.maxsize < 2**32:
    sys.exit("error: shardmap can be built for a 64-bit Python on Windows, not for a 32-bit one")

import os
import re
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class BuildForCompiler(build_ext):
    """With what each compiler calls its options.

    `cdef inline` means it: left to itself, the compiler weighs the growth of the whole file, and calls what a look-up
    consists of.
    """

    def build_extensions(self) -> None:
        kind = self.compiler.compiler_type
        for each in self.extensions:
            if kind == "msvc":
                each.extra_compile_args = ["/O2", "/std:c11"]
                each.define_macros.append(("CYTHON_INLINE", "__forceinline"))
            else:
                each.extra_compile_args = ["-O3", "-std=gnu11", "-fvisibility=hidden"]
                each.define_macros.append(("CYTHON_INLINE", "inline __attribute__((always_inline))"))
            if kind == "unix":
                each.extra_compile_args.append("-pthread")
                # Debugging information takes half of the build's time. `CFLAGS=-g pip install .` has it.
                if "-g" not in os.environ.get("CFLAGS", "").split():
                    each.extra_compile_args.append("-g0")
                each.extra_link_args.append("-pthread")
            # On Windows the same header serves both builds of CPython.
            if sys.platform == "win32" and sysconfig.get_config_var("Py_GIL_DISABLED"):
                each.define_macros.append(("Py_GIL_DISABLED", "1"))
        super().build_extensions()


def about_the_project() -> dict[str, object]:
    """README.md for a package index, where links to files of the repository lead nowhere unless they are absolute.

    SHARDMAP_HOME is the repository's address, such as https://github.com/owner/shardmap. The workflows set it.
    """
    text = Path("README.md").read_text(encoding="utf-8")
    about: dict[str, object] = {"long_description": text, "long_description_content_type": "text/markdown"}
    if home := os.environ.get("SHARDMAP_HOME", "").rstrip("/"):
        text = re.sub(r"\]\((?!https?:|#)", f"]({home}/blob/HEAD/", text)
        about["long_description"] = re.sub(r'(src|srcset)="(?!https?:)', rf'\1="{home}/raw/HEAD/', text)
        about["project_urls"] = {
            "Source": home,
            "Documentation": f"{home}/blob/HEAD/docs/guide.md",
            "Changelog": f"{home}/blob/HEAD/CHANGELOG.md",
            "Issues": f"{home}/issues",
        }
    return about


core = Extension(
    "shardmap._core",
    ["src/shardmap/_core.pyx"],
    include_dirs=["src/shardmap"],
    depends=[str(file) for file in Path("src/shardmap/core").rglob("*.*")],
)

setup(
    ext_modules=cythonize([core], build_dir="build/cython"),
    cmdclass={"build_ext": BuildForCompiler},
    **about_the_project(),
)
