"""What a Debian machine lacks that reaches only package registries: a free-threaded CPython, built from the source
package of Debian stable; CPython's headers and pip, which Debian has in packages of their own. apt downloads it, from
the archive that this machine is set up with, and checks it. Nothing is installed: it is kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.commands import Failure, cache, run_logged, say

STABLE, PACKAGE = "trixie", "python3.13"
LIBRARIES = ("zlib1g-dev", "libssl-dev", "libffi-dev", "libbz2-dev", "liblzma-dev", "libsqlite3-dev")  # for pip, tests
# Profile-guided optimization would triple the time. -g would only cost time here.
OPTIMIZATION = "-DNDEBUG -fwrapv -O3 -Wall"
CONFIGURE = ("--disable-gil", "--with-ensurepip=no", "--without-static-libpython")


def require(purpose: str, programs: dict[str, str]) -> None:
    """Raises Failure if programs are missing. `programs`: for each, the package of Debian that has it."""
    missing = dict.fromkeys(package for program, package in programs.items() if shutil.which(program) is None)
    if missing:
        raise Failure(f"for {purpose}, Debian's packages are needed: apt-get install {' '.join(missing)}")


def work_directory() -> tempfile.TemporaryDirectory[str]:
    cache().mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="work-", dir=cache())


def apt(work: Path, *options: str, sources: str | None = None) -> list[str]:
    """apt-get with package lists and a cache of its own: the system's may be missing, and only root can update them.
    `sources`: a line that takes the place of this machine's sources.list."""
    require("what this machine lacks", {"apt-get": "apt", "dpkg-deb": "dpkg"})
    for directory in (work / "lists" / "partial", work / "archives" / "partial", work / "sources"):
        directory.mkdir(parents=True)
    (work / "status").touch()  # of a machine on which nothing is installed
    places = [f"State::Lists={work}/lists", f"State::Status={work}/status", f"Cache={work}"]
    if sources is not None:
        (work / "sources.list").write_text(f"{sources}\n")
        places += [f"Etc::SourceList={work}/sources.list", f"Etc::SourceParts={work}/sources"]
    own = ("APT::Sandbox::User=root", "APT::Install-Recommends=0", *(f"Dir::{place}" for place in places), *options)
    command = ["apt-get", "--quiet", *(f"-o{option}" for option in own)]
    run_logged("apt-get update", [*command, "update"])
    return command


def unpacked(packages: Sequence[str], target: Path, *options: str) -> Path:
    """Binary packages of this machine's release and what they depend on, unpacked to the target."""
    if not target.is_dir():
        with work_directory() as name:
            work = Path(name)
            command = [*apt(work, *options), "--yes", "--download-only", "install", *packages]
            run_logged(f"apt-get download {packages[0]}", command)
            for package in work.glob("archives/*.deb"):
                subprocess.run(["dpkg-deb", "-x", package, work / "tree"], check=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(work / "tree", target)
    return target


def python_headers() -> list[Path]:
    """The folders with the headers of the Python that runs this. pyconfig.h includes a file relative to the second."""
    series = f"python3.{sys.version_info.minor}"
    if not Path(sys.executable).resolve().is_relative_to("/usr/bin"):
        raise Failure(f"{sys.executable} has no Python.h")
    target = cache() / "headers" / f"{sys.version.split()[0]}-{os.uname().machine}"
    include = unpacked([f"lib{series}-dev"], target) / "usr" / "include"
    return [include / series, include]


def pip_wheel() -> Path:
    """pip, which can run without being installed."""
    (wheel,) = unpacked(["python3-pip-whl"], cache() / "pip").glob("usr/share/python-wheels/pip-*.whl")
    return wheel


def source(package: str, work: Path) -> Path:
    """The unpacked source of a package of Debian stable."""
    require("the source of CPython", {"apt-get": "apt"})
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    found = subprocess.run(targets, capture_output=True, text=True, check=True).stdout.split()
    archive = next((each for each in found if each.rstrip("/").endswith("/debian")), None)
    if archive is None:
        raise Failure("apt is not set up with an archive of Debian. Name a Python with PYTHON_FREETHREADED")
    command = apt(work / "apt", sources=f"deb-src {archive} {STABLE} main")
    run_logged(f"apt-get source {package}", [*command, "source", "--download-only", package], cwd=work)
    shutil.unpack_archive(next(work.glob("*.orig.tar.*z")), work / "source")
    (tree,) = (work / "source").iterdir()
    return tree


def installations() -> list[Path]:
    return sorted((cache() / "python").glob("cpython-*/bin/python3.[0-9]*t"), reverse=True)


def build_cpython(prefix: Path | None = None, *options: str) -> Path:
    """Builds a free-threaded CPython, some minutes; returns the path of the program. `options`: more for configure."""
    require("a build of CPython", {"make": "make", (os.environ.get("CC") or "gcc").split()[0]: "gcc libc6-dev"})
    with work_directory() as name:
        work = Path(name)
        tree = source(PACKAGE, work)
        title = tree.name.replace("Python-", "CPython ")
        say(f"building a free-threaded {title} (once; some minutes)")
        prefix = prefix or cache() / "python" / f"{tree.name.replace('Python', 'cpython')}t-{os.uname().machine}"
        if not options:
            libraries = unpacked(LIBRARIES, work / "libraries") / "usr"
            (folder,) = (libraries / "lib").glob("*-linux-gnu")
            include = libraries / "include"
            flags = (f"CPPFLAGS=-I{include} -I{include / folder.name}", f"LDFLAGS=-L{folder}", "PKG_CONFIG=/bin/false")
            options = (*flags, f"--with-openssl={libraries}")
        configure = ["./configure", f"--prefix={prefix}", *CONFIGURE, *options]
        run_logged(f"{title} configure", configure, cwd=tree, env={"OPT": OPTIMIZATION})
        run_logged(f"{title} compile", ["make", f"-j{os.cpu_count()}"], cwd=tree)
        # -l: bytecode is made for the library's top level only. All of it would take long.
        install = ["make", "install", f"DESTDIR={work}/staged", "COMPILEALL_OPTS=-l"]
        run_logged(f"{title} install", install, cwd=tree)
        shutil.rmtree(prefix, ignore_errors=True)
        prefix.parent.mkdir(parents=True, exist_ok=True)
        # In one step, so that an interrupted build leaves nothing there.
        (work / "staged" / prefix.relative_to("/")).rename(prefix)
    return prefix / "bin" / f"{PACKAGE}t"
