"""arm64 Pythons on another Linux machine: a sysroot of Debian's packages, a cross compiler, and qemu, which translates
the program and hands its system calls to this machine's kernel.

A script starts the Python in qemu. Other code uses this script like any Python. The script is also the Python's
sys.executable, so the Python can start more of its kind. All other programs that it starts are this machine's own. One
of them is the cross compiler, which setuptools uses as the compiler there."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools import arm64_cpython, wheels
from tools.environments import Environment, digest, prepare
from tools.interpreters import Interpreter, probe
from tools.python_headers import own_apt
from tools.shell import BUILD, LOGS, ROOT, Command, Failure, capture, locked, require_programs, run_logged, say
from tools.test_files import test_file

FOLDER = BUILD / "arm64"
QEMU = "qemu-aarch64-static"
GCC = "aarch64-linux-gnu-gcc"
NEEDED = {  # and the package of Debian that has it
    QEMU: "qemu-user-static",
    GCC: "gcc-aarch64-linux-gnu",
    "make": "make",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
# The second line is for CPython's own modules.
PACKAGES = (
    *("python3", "python3-dev", "python3-venv", "libc6-dev"),
    *("zlib1g-dev", "libffi-dev", "libssl-dev", "libbz2-dev", "liblzma-dev", "libsqlite3-dev"),
)
PYTHON = "python"  # the script; neither Debian nor CPython installs a file of that name


# --- what to run --------------------------------------------------------------------------------

VARIABLES = {"SHARDMAP_EMULATED": "1"}  # tests/harness/threads.py
OPTIONS = ("-o", "faulthandler_timeout=1800")
FOLDERS = ("caches", "memory", "processes", "threads", "unit")
LEFT_OUT = {
    "mechanisms": "compiles its programs for this machine; a test that runs on this machine compiles them for arm64",
    "cpython_suite": "CPython's tests of dict: they take long, and do not depend on the processor",
    "cpython_collections": "CPython's tests of Counter, defaultdict and sets: the same",
    "library_suites": "the tests of networkx, toolz and cachetools: the same",
}
# The first is about as coarse as arm64's counter may be (a tick of 24 MHz takes 42 ns). The second is coarser by the
# factor by which emulation is slower.
CLOCKS = ("slow:6", "slow:10")
ORDER = ("order", "merge_windows", "splits", "partitions")


def runs(arguments: Sequence[str]) -> list[tuple[dict[str, str], list[str]]]:
    """pytest's variables and arguments: first for all tests except LEFT_OUT, then for the tests that depend on stamps,
    with coarse clocks. If `arguments` name files, only for these."""
    options = [*OPTIONS, *arguments]
    if any((ROOT / each.partition("::")[0]).exists() for each in arguments if not each.startswith("-")):
        return [(VARIABLES, options)]
    left_out = [f"--ignore={test_file(name)}" for name in LEFT_OUT]
    order = [test_file(name) for name in ORDER]
    most = (VARIABLES, [*(f"tests/{folder}" for folder in FOLDERS), *left_out, *options])
    return [most, *(({**VARIABLES, "SHARDMAP_STAMP": clock}, [*order, *options]) for clock in CLOCKS)]


# --- the environments ---------------------------------------------------------------------------


def environments() -> list[Environment]:
    """The environments of Debian's arm64 Python and of a free-threaded one, each with the project's wheel."""
    check_tools()
    with locked(BUILD / "arm64.lock"):
        sysroot = _sysroot()
        default = (sysroot / "usr" / "bin" / "python3").resolve()
        programs = [default, arm64_cpython.find_or_build(FOLDER, sysroot)]
        interpreters = [_emulated(program, sysroot) for program in programs]
    found = [prepare(interpreter, ("wheel-test",), variant="arm64") for interpreter in interpreters]
    for environment in found:
        wheels.install_wheel(environment, build_variables(environment.interpreter, sysroot))
    return found


def check_tools() -> None:
    require_programs("arm64", NEEDED)


def build_variables(interpreter: Interpreter, sysroot: Path) -> dict[str, str]:
    """Variables with which the compiler finds arm64's files: setuptools would give it this machine's headers."""
    include = capture([interpreter.executable, "-c", "import sysconfig; print(sysconfig.get_path('include'))"])
    if not include:
        raise Failure(f"{interpreter.executable} does not run")
    flags = (f"--sysroot={sysroot}", f"-I{include.strip()}")
    return {"CC": GCC, "CFLAGS": shlex.join(flags)}


def script_of(program: Path, sysroot: Path) -> str:
    """Runs the program under the script's name, from which Python derives sys.executable and its environment."""
    command = f'exec {QEMU} -0 "$0" -L {shlex.quote(str(sysroot))} {shlex.quote(str(program))} "$@"'
    return f"#!/bin/sh\n{command}\n"


def _emulated(program: Path, sysroot: Path) -> Interpreter:
    script, text = program.with_name(PYTHON), script_of(program, sysroot)
    # Written only if it changes, because its modification time is part of the interpreter's identity.
    if not script.is_file() or script.read_text() != text:
        script.write_text(text)
        script.chmod(0o755)
    interpreter = probe(script)
    if interpreter is None:
        raise Failure(f"{script} does not run")
    return interpreter


def _sysroot() -> Path:
    """The packages that Python needs from this machine's release of Debian, for arm64: unpacked, not installed."""
    target, log = FOLDER / "sysroot", LOGS / "arm64-sysroot.log"
    stamp, wanted = FOLDER / "sysroot.stamp", digest([str(target), PACKAGES])
    if stamp.is_file() and stamp.read_text() == wanted:
        return target
    shutil.rmtree(FOLDER, ignore_errors=True)
    log.unlink(missing_ok=True)
    say("arm64: making a sysroot (once; half a minute)")
    work = FOLDER / "packages"
    apt = _apt(work)
    run_logged("arm64: package lists", [*apt, "update"], log)
    run_logged("arm64: packages", [*apt, "--yes", "--download-only", "install", *PACKAGES], log)
    for package in sorted((work / "cache" / "archives").glob("*.deb")):
        unpack: Command = ["dpkg-deb", "-x", package, target]
        if capture(unpack) is None:
            raise Failure(f"cannot unpack {package}")
    # From Debian 13 on these are links that no package has.
    for name in ("bin", "lib", "sbin"):
        if not (target / name).exists():
            (target / name).symlink_to(Path("usr", name))
    shutil.rmtree(work)
    stamp.write_text(wanted)
    return target


def _apt(work: Path) -> Command:
    """apt-get for an arm64 machine on which nothing is installed."""
    command = own_apt(work)
    (work / "status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "0",
        "Dir::State::Status": work / "status",
    }
    return [*command, *(f"-o{name}={value}" for name, value in options.items())]
