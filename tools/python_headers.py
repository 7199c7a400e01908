"""The C headers of the default Python, which Debian has in a separate package."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tools.interpreters import Interpreter
from tools.shell import LOGS, Command, Failure, cache_directory, locked, run_logged


def build_variables(interpreter: Interpreter) -> dict[str, str]:
    """Environment variables with which the compiler finds Python.h. Downloads the headers if necessary."""
    if interpreter.headers:
        return {}
    # The second path is for pyconfig.h, which includes another file relative to it.
    include = _fetched(interpreter) / "usr" / "include"
    paths = [include / f"python{_series(interpreter)}", include]
    return {"CPATH": os.pathsep.join([*map(str, paths), *filter(None, [os.environ.get("CPATH")])])}


def _series(interpreter: Interpreter) -> str:
    return ".".join(map(str, interpreter.major_minor))


def _fetched(interpreter: Interpreter) -> Path:
    """The package of headers, unpacked in the cache. The system is not changed."""
    series = _series(interpreter)
    target = cache_directory() / "headers" / f"{interpreter.version}-{os.uname().machine}"
    missing = f"{interpreter.executable} has no Python.h: install python{series}-dev"
    of_debian = Path(interpreter.executable).is_relative_to("/usr/bin")
    if not of_debian or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Failure(missing)
    log = LOGS / "headers.log"
    with locked(cache_directory() / "headers.lock"):
        if target.is_dir():
            return target
        target.parent.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="work-", dir=target.parent))
        try:
            _download(f"libpython{series}-dev", work, log)
            package = next(work.glob("*.deb"))
            unpacked = work / "unpacked"
            run_logged("headers: unpack", ["dpkg-deb", "-x", package, unpacked], log)
            unpacked.rename(target)
        except Failure as error:
            raise Failure(f"{missing} (tried to get its headers: {error})") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target


def own_apt(work: Path) -> Command:
    """apt-get with its own package lists and cache. The system's may be missing, and only root can update them."""
    lists, cache = work / "lists", work / "cache"
    for directory in (lists / "partial", cache / "archives" / "partial"):
        directory.mkdir(parents=True)
    options = {
        "Dir::State::Lists": lists,
        "Dir::Cache": cache,
        # apt's own user cannot write to this directory.
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
    }
    return ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]


def _download(package: str, work: Path, log: Path) -> None:
    command = own_apt(work)
    run_logged("headers: package lists", [*command, "update"], log, cwd=work)
    run_logged(f"headers: {package}", [*command, "download", package], log, cwd=work)
