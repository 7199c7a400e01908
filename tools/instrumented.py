"""Builds of the extension that find rare errors: with pauses, AddressSanitizer, ThreadSanitizer and others."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools import planted
from tools.environments import digest
from tools.interpreters import FREE_THREADED_NAMES, Interpreter, executables_on_path, is_usable_free_threaded, probe
from tools.shell import BUILD, ROOT, Failure, capture
from tools.test_files import test_file

SUPPRESSIONS = ROOT / "tools" / "tsan-suppressions.txt"


@dataclass(frozen=True)
class Instrument:
    """A way to build the extension, and the tests to run with it."""

    name: str
    flags: str  # for compiling and linking
    tests: tuple[str, ...]
    options: tuple[str, ...] = ()  # to pytest
    change: Callable[[Path], None] | None = None  # changes the copy of the sources before the build
    variables: Mapping[str, str] = field(default_factory=dict)  # more variables for the build

    @property
    def test_files(self) -> list[str]:
        if self.tests == ("*",):
            return ["tests"]
        return [test_file(name) for name in (*self.tests, "contracts")]

    @property
    def build_variables(self) -> dict[str, str]:
        # setuptools passes CFLAGS to the linker as well.
        return {"CFLAGS": f"{self.flags} -g -fno-omit-frame-pointer", **self.variables}


CONCURRENT = (
    "linearizable",
    "cache_threads",
    "loading",
    "loading_many",
    "loading_outcomes",
    "loading_async",
    "refresh",
    "cached",
    "cached_threads",
    "shared_collections",
    "unlocked_reads",
    "unlocked_reads_shared",
    "unlocked_keys",
    "shared_iterators",
    "merge_windows",
    "threads",
    "bulk_threads",
    "atomic_ref",
    "point_in_time",
    "counters",
    "splits",
    "key_lock_after_split",
    "shards_fixed_by_second_thread",
    "writing_while_iterating",
    "loops_beside_writers",
    "shared_tables_iterated",
    "filling_threads",
)
DEBUG = "-DSHARDMAP_DEBUG"  # contracts are asserted (core/contracts.h)
CHECK = Instrument("check", DEBUG, ("*",))
MACOS = Instrument("macos", f"{DEBUG} -DSHARDMAP_AS_ON_MACOS", ("*",))
PAUSES = Instrument(
    "pauses",
    f"{DEBUG} -DSHARDMAP_PAUSES",
    (
        *CONCURRENT,
        "order",
        "key_locks",
        "key_locks_together",
        "key_lock_waits",
        "key_lock_owners",
        "key_locks_async",
        "key_locks_async_ends",
        "invalidation",
        "interrupts",
        "reentrancy_threads",
        "eventual_map",
        "eventual_histories",
    ),
)
ASAN = Instrument(
    "asan",
    f"{DEBUG} -fsanitize=address",
    (
        *CONCURRENT,
        "hostile_keys",
        "reentrance",
        "reentrancy_threads",
        "core_misuse",
        "allocation_failure",
        "bulk_memory",
        "compound_memory",
        "gc",
        "fork",
        "key_lock_owners",
        "key_locks_async",
        "key_locks_async_ends",
        "invalidation",
        "comparisons",
        "missing",
        "interrupts",
        "partitions",
        "snapshots",
    ),
)
TSAN = Instrument(
    "tsan",
    f"{DEBUG} -fsanitize=thread",
    (
        *CONCURRENT,
        "key_locks_together",
        "key_lock_owners",
        "key_locks_async",
        "key_locks_async_ends",
        "invalidation",
        "reentrancy_threads",
    ),
    ("-k", "not fork"),  # ThreadSanitizer aborts a child process that starts threads
)

EXPLORE = Instrument(
    "explore",
    f"-O1 {DEBUG} -DSHARDMAP_EXPLORE",
    ("explore",),
    ("-rP", "--no-header"),  # shows how many schedules ran
    change=planted.plant,
    variables={"SHARDMAP_PLANTED": digest(repr(planted.PLANTED))},  # if they change, the wheel is built again
)


# --- reports ------------------------------------------------------------------------------------


def reports_path(instrument: Instrument) -> Path:
    """Where the sanitizer writes its reports, with a process's number appended. (pytest would capture its stderr.)"""
    return BUILD / "reports" / instrument.name


def clear_reports(instrument: Instrument) -> None:
    path = reports_path(instrument)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{path.name}.*"):
        left.unlink()


def show_reports(instrument: Instrument) -> list[str]:
    """Print the reports of the last run; returns the names of their files."""
    path = reports_path(instrument)
    found = sorted(path.parent.glob(f"{path.name}.*"))
    for report in found:
        print(report.read_text(errors="replace"), flush=True)
    return [str(report.relative_to(ROOT)) for report in found]


# --- the variables of a run ---------------------------------------------------------------------


def run_variables(instrument: Instrument, interpreter: Interpreter) -> dict[str, str]:
    """Environment variables for tests of this build of the extension."""
    if instrument is ASAN:
        return asan_variables(interpreter, asan_library())
    if instrument is TSAN:
        return tsan_variables()
    if instrument is MACOS:
        return {"SHARDMAP_STAMP": "slow:5"}  # 32 ns; the counter of macOS's arm64 processors ticks every 42 ns
    return {}


def asan_library() -> str:
    """The run-time library of AddressSanitizer. An interpreter that was built without it must load it first."""
    compiler = os.environ.get("CC") or "gcc"
    output = capture([*compiler.split(), "-print-file-name=libasan.so"])
    library = (output or "").strip()
    if not Path(library).is_absolute():
        raise Failure(f"{compiler} has no libasan.so here: AddressSanitizer needs gcc with its run-time libraries")
    return library


def asan_variables(interpreter: Interpreter, library: str) -> dict[str, str]:
    options: dict[str, str | Path] = {
        "detect_leaks": "0",  # CPython frees little of its own at exit
        "allocator_may_return_null": "1",  # tests ask for more memory than there is
        "log_path": reports_path(ASAN),
    }
    variables = {"LD_PRELOAD": library, "ASAN_OPTIONS": _joined(options)}
    if not interpreter.free_threaded:
        # So that it checks keys and values, too, not only tables. Free-threaded builds need their own allocator.
        variables["PYTHONMALLOC"] = "malloc"
    return variables


def tsan_variables() -> dict[str, str]:
    options: dict[str, str | Path] = {
        "suppressions": SUPPRESSIONS,
        "log_path": reports_path(TSAN),
        "history_size": "4",
        "detect_deadlocks": "0",  # it supports 64 mutexes at once, and a map may have more shards
    }
    # ThreadSanitizer does not know membarrier().
    return {"TSAN_OPTIONS": _joined(options), "SHARDMAP_READS": "fenced"}


def _joined(options: dict[str, str | Path]) -> str:
    # Quoted, because a path may contain a separator.
    return ":".join(f'{name}="{value}"' for name, value in options.items())


# --- a CPython for ThreadSanitizer --------------------------------------------------------------

MISSING = """{reason}
ThreadSanitizer sees the interpreter's own synchronisation only in a CPython that was built with it. With any other
CPython, its reports would not be reliable. To build one, in the sources of CPython 3.14 or later (some 15 minutes):
    ./configure --prefix="$HOME/python-tsan" --disable-gil --with-thread-sanitizer
    make -j4 && make install
    make tsan SHARDMAP_TSAN_PYTHON="$HOME/python-tsan/bin/python3.14t"      (in this directory)"""

CONFIGURED = "import sysconfig; print(sysconfig.get_config_var('CONFIG_ARGS'))"


def quiet_tsan() -> None:
    """Set-up runs the interpreter, too. No races are reported there, and set-up does not fail because of them."""
    os.environ.setdefault("TSAN_OPTIONS", "report_bugs=0")


def find_tsan_python() -> Interpreter:
    """SHARDMAP_TSAN_PYTHON, or the first on the PATH that was configured for ThreadSanitizer."""
    wanted = os.environ.get("SHARDMAP_TSAN_PYTHON")
    candidates: Sequence[str] = [wanted] if wanted else executables_on_path(FREE_THREADED_NAMES)
    for candidate in candidates:
        if "thread-sanitizer" in (capture([candidate, "-P", "-c", CONFIGURED]) or ""):
            interpreter = probe(candidate)
            if interpreter is not None and is_usable_free_threaded(interpreter):
                return interpreter
    reason = (
        f"SHARDMAP_TSAN_PYTHON={wanted} is no working free-threaded CPython built with ThreadSanitizer."
        if wanted
        else f"no CPython built with ThreadSanitizer was found (looked for {', '.join(FREE_THREADED_NAMES)} on PATH)."
    )
    raise Failure(MISSING.format(reason=reason))
