"""The tasks of the Makefile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence

from tools import arm64, freethreaded, instrumented, libraries, model, release, wheels, windows, workflows
from tools.environments import (
    ENVIRONMENTS,
    Environment,
    can_make_environment,
    install_best_effort,
    install_group,
    prepare,
)
from tools.instrumented import Instrument
from tools.interpreters import Interpreter, default_interpreter
from tools.runs import (
    Arguments,
    both_environments,
    checked_title,
    default_environment,
    environment_for_sources,
    finish,
    instrumented_environment,
    instrumented_environments,
    ready_environments,
    run_lint,
    run_pytest,
    run_script,
)
from tools.shell import BUILD, ROOT, Command, Failure, capture, run, say, stop_on_sigterm
from tools.test_files import test_file

STRESS_SECONDS = "600"
EXPLORE_SECONDS = "60"


def run_instrumented(
    instrument: Instrument, environments: Sequence[Environment], arguments: Arguments
) -> int:
    """Build the extension with the instrument for each environment, and run the instrument's tests."""
    return finish(failed_instrumented(instrument, environments, arguments))


def run_on_both(instrument: Instrument, arguments: Arguments) -> int:
    return run_instrumented(instrument, instrumented_environments(instrument), arguments)


def failed_instrumented(
    instrument: Instrument, environments: Sequence[Environment], arguments: Arguments
) -> list[str]:
    failed = []
    for environment in environments:
        variables = instrumented.run_variables(instrument, environment.interpreter)
        wheels.install_wheel(environment, instrument.build_variables, instrument.change)
        instrumented.clear_reports(instrument)
        failed += run_pytest([environment], [*instrument.test_files, *instrument.options, *arguments], variables)
        failed += instrumented.show_reports(instrument)
    return failed


# --- tasks --------------------------------------------------------------------------------------


def test(arguments: Arguments) -> int:
    """static checks, tests on the default and a free-threaded Python, explored schedules (ARGS: for pytest)"""
    environments = ready_environments()
    failed = run_lint(environments[0]) + run_pytest(environments, arguments, {})
    if not arguments:
        failed += failed_instrumented(instrumented.EXPLORE, [exploring_environment(environments)], [])
    return finish(failed)


def lint(arguments: Arguments) -> int:
    """ruff, mypy --strict, stubtest and pyright"""
    environment = environment_for_sources()
    wheels.install_wheel(environment)  # Stubtest compares the stubs with what is installed.
    return finish(run_lint(environment))


def stress(arguments: Arguments) -> int:
    """long stress tests on both Pythons (SHARDMAP_STRESS_SECONDS, default 600)"""
    seconds = os.environ.get("SHARDMAP_STRESS_SECONDS") or STRESS_SECONDS
    variables = {"SHARDMAP_STRESS_SECONDS": seconds}
    return finish(run_pytest(ready_environments(), ["tests/stress", *arguments], variables))


def run_libraries(arguments: Arguments) -> int:
    """all tests of networkx, toolz and cachetools with ShardMap instead of dict, both Pythons, half an hour"""
    environments = ready_environments()
    libraries.fetch_tests(environments, environments[0])
    # Each test is a whole suite and takes long, so pytest must not print stacks.
    tests = [test_file("library_suites"), "-k", "own_tests", "-o", "faulthandler_timeout=0", *arguments]
    return finish(run_pytest(environments, tests, {"SHARDMAP_LIBRARIES": "whole"}))


def check(arguments: Arguments) -> int:
    """all tests on both Pythons, on a debug build: functions assert which mutexes are held"""
    return run_on_both(instrumented.CHECK, arguments)


def as_on_macos(arguments: Arguments) -> int:
    """all tests on both Pythons, without the features that macOS lacks, and with as coarse a clock"""
    return run_on_both(instrumented.MACOS, arguments)


def pauses(arguments: Arguments) -> int:
    """concurrent tests on both Pythons, with threads that stop between critical steps"""
    return run_on_both(instrumented.PAUSES, arguments)


def exploring_environment(environments: tuple[Environment, Environment]) -> Environment:
    """The free-threaded environment with the build that explores schedules. (With a GIL, threads that wait for their
    turn would keep it.)"""
    main, free = environments
    return instrumented_environment(instrumented.EXPLORE, free.interpreter, main)


def explore(arguments: Arguments) -> int:
    """all schedules of small scenarios, samples of large ones, free-threaded (SHARDMAP_EXPLORE_SECONDS for each)"""
    os.environ.setdefault("SHARDMAP_EXPLORE_SECONDS", EXPLORE_SECONDS)
    os.environ.setdefault("SHARDMAP_EXPLORE_MORE", "1")
    environment = exploring_environment(both_environments())
    return run_instrumented(instrumented.EXPLORE, [environment], arguments)


def asan(arguments: Arguments) -> int:
    """concurrent and hostile tests on both Pythons under AddressSanitizer"""
    instrumented.asan_library()  # Fails now if it is missing, not after the builds.
    return run_on_both(instrumented.ASAN, arguments)


def tsan(arguments: Arguments) -> int:
    """concurrent tests under ThreadSanitizer, on a CPython built with it (SHARDMAP_TSAN_PYTHON)"""
    instrument = instrumented.TSAN
    instrumented.quiet_tsan()
    interpreter = instrumented.find_tsan_python()
    main = default_environment() if can_make_environment(default_interpreter()) else None
    return run_instrumented(instrument, [instrumented_environment(instrument, interpreter, main)], arguments)


def on_arm64(arguments: Arguments) -> int:
    """tests on emulated arm64 Pythons, default and free-threaded, an hour (ARGS: for pytest; may name files)"""
    environments = arm64.environments()
    native = environment_for_sources()
    wheels.install_wheel(native)
    failed = run_pytest([native], [test_file("mechanisms"), "-k", "arm64"], {})
    for variables, tests in arm64.runs(arguments):
        failed += run_pytest(environments, tests, variables)
    return finish(failed)


def check_model(arguments: Arguments) -> int:
    """all executions of a model of unlocked reads on a weakly ordered machine (Spin; herd7 if it is installed)"""
    wrong = model.run()
    for problem in wrong:
        print(problem, file=sys.stderr, flush=True)
    return finish(["model"] if wrong else [])


def demo(arguments: Arguments) -> int:
    """count, share and cache with threads on your Python, then on a free-threaded one; tables and a chart"""
    results = BUILD / "demo"
    shutil.rmtree(results, ignore_errors=True)
    default = default_interpreter()
    free = None if can_make_environment(default) else freethreaded.find(None)
    say("first on the Python at hand; setting up takes about a minute")
    # It consists of waiting, so it leaves the CPU to the compiler.
    meanwhile = subprocess.Popen([sys.executable, ROOT / "examples" / "seed_program_locks.py"])
    try:
        main = demo_environment(default, pip_from=free)
        meanwhile.wait()
    finally:
        meanwhile.kill()
    run_script(main, "examples/demo.py", arguments)
    say("now on a free-threaded CPython; if there is none, it is downloaded, or built in about five minutes")
    failed = []
    try:
        other = demo_environment(free or freethreaded.find(main.python), downloader=main)
        # The remaining part consists of waiting, which takes as long on every interpreter.
        run_script(other, "examples/demo.py", arguments or ["--parts=counting,cache"])
    except Failure as failure:
        print(failure, file=sys.stderr, flush=True)
        failed.append("the demo on a free-threaded CPython")
    if not any(results.glob("*.json")):
        return finish(failed)  # ARGS asked for something else
    install_best_effort(main, "plot", main)
    if capture([main.python, "-c", "import matplotlib"]) is None:
        say("no chart: matplotlib cannot be installed here")
    else:
        run_script(main, "examples/demo_chart.py")
    return finish(failed)


def demo_environment(
    interpreter: Interpreter, *, pip_from: Interpreter | None = None, downloader: Environment | None = None
) -> Environment:
    """With the wheel, and no more than building it takes: first figures are shown within a minute or so."""
    environment = prepare(interpreter, (), pip_from=pip_from, downloader=downloader, variant="demo")
    wheels.install_wheel(environment)
    return environment


def web(arguments: Arguments) -> int:
    """load test of the example web service, ShardMaps against dicts and locks, three minutes (ARGS: for the test)"""
    free = ready_environments()[1]
    run_script(free, "examples/web_service_load.py", arguments)
    run_script(free, "examples/web_service_load.py", ["--direct", "--seconds=20", *arguments])
    return 0


def bench(arguments: Arguments) -> int:
    """benchmarks: goals, kinds of keys, costs against dict, sweep, micro, nine minutes (ARGS: for each script)"""
    return measure([*arguments, "--quick"])


def bench_full(arguments: Arguments) -> int:
    """all benchmarks: about an hour, on a machine that runs nothing else (ARGS: for each script)"""
    return measure(arguments)


def measure(arguments: Arguments) -> int:
    main, free = ready_environments()
    results = BUILD / "bench"
    results.mkdir(parents=True, exist_ok=True)
    for environment in (free, main):
        install_best_effort(environment, "peers", main)
    quick = "--quick" in arguments
    run_script(free, "bench/goals.py", arguments)
    run_script(main, "bench/goals.py", arguments)  # The goals for a build with the GIL.
    run_script(free, "bench/every_key.py", arguments)
    run_script(free, "bench/beside_dict.py", arguments)
    run_script(free, "bench/caches.py")
    run_script(free, "bench/sets_and_counters.py")
    run_script(free, "bench/cache_line.py")
    run_script(free, "bench/sweep.py", arguments)
    run_script(free, "bench/threads.py", ["--rounds=3"] if quick else [])
    run_script(free, "bench/scaling.py")
    if not quick:
        run_script(main, "bench/beside_dict.py", arguments)
    # All combinations of the micro-benchmarks would take hours. bench/micro/conftest.py has the others.
    matrix = ["--quick"] if quick else ["--keys", "str,int,str-equal", "--values", "int"]
    for environment in (free, main):
        kind = "free-threaded" if environment is free else "default"
        file = results / f"micro-{kind}.json"
        failed = run_pytest([environment], ["bench/micro", "-q", *matrix, f"--benchmark-json={file}"], {})
        if failed:
            raise Failure(f"the micro-benchmarks failed on {environment.interpreter.title}")
    run_script(main, "bench/plot.py")
    return 0


def instructions(arguments: Arguments) -> int:
    """instructions per operation on both Pythons, counted by valgrind, also on a busy machine (ARGS: for the script)"""
    if shutil.which("valgrind") is None:
        raise Failure("valgrind is needed to count instructions")
    for environment in ready_environments():
        run_script(environment, "bench/instructions.py", arguments)
    return 0


def docs(arguments: Arguments) -> int:
    """the documentation as a site, in build/docs; warnings are errors (ARGS: for sphinx)"""
    environment = environment_for_sources()
    install_group(environment, "docs")
    wheels.install_wheel(environment)  # The reference comes from the docstrings of the installed package.
    say(f"sphinx on {checked_title(environment)}")
    site = BUILD / "docs"
    # -E: pages also come from docstrings and from files in the root. Sphinx does not notice their changes.
    options: Command = ["-E", "-W", "--keep-going", "-b", "html", "-d", BUILD / "docs-doctrees", *arguments]
    if run([environment.python, "-P", "-m", "sphinx", *options, ROOT / "docs", site]) != 0:
        return finish(["sphinx"])
    print(f"site: {(site / 'index.html').relative_to(ROOT)}", flush=True)
    return 0


def wheel(arguments: Arguments) -> int:
    """wheels for both Pythons, in dist/: manylinux tag, checks, tests in clean environments (ARGS: for pytest)"""
    environments = both_environments()
    package_tools = release.tools_environment(environments[0])
    built = [
        release.repair(wheels.build_wheel(environment), package_tools, ROOT / "dist")
        for environment in environments
    ]
    release.check(built, package_tools)
    clean = [
        release.clean_environment(environments[0], environment, file)
        for environment, file in zip(environments, built, strict=True)
    ]
    for file in built:
        print(f"wheel: {file.relative_to(ROOT)}", flush=True)
    return finish(run_pytest(clean, [*release.test_files(), *arguments], {}))


def sdist(arguments: Arguments) -> int:
    """source distribution, in dist/"""
    environment = environment_for_sources()
    built = wheels.build_sdist(environment)
    release.check([built], release.tools_environment(environment))
    print(f"sdist: {built.relative_to(ROOT)}", flush=True)
    return 0


def check_workflows(arguments: Arguments) -> int:
    """validators of the workflows, and a check of the list of wheels that they build"""
    return finish(workflows.check(workflows.tools_environment(environment_for_sources())))


def windows_by_wine(arguments: Arguments) -> int:
    """the mechanisms under wine, and the extension compiled for Windows by MinGW-w64 (ARGS: for pytest)"""
    windows.check_tools()
    environment = environment_for_sources()
    windows.compile_core(environment)
    wheels.install_wheel(environment)
    return finish(run_pytest([environment], [test_file("mechanisms"), "-k", "windows", *arguments], {}))


def clean(arguments: Arguments) -> int:
    """remove all generated files (not the Python in the user's cache)"""
    caches = [ROOT / f".{tool}_cache" for tool in ("mypy", "pytest", "ruff")]
    records = [ROOT / ".benchmarks", ROOT / ".hypothesis"]
    for path in [BUILD, ROOT / "dist", ENVIRONMENTS, *caches, *records]:
        shutil.rmtree(path, ignore_errors=True)
    return 0


def show_help(arguments: Arguments) -> int:
    """this list"""
    print("usage: make TASK [ARGS=...] [PYTHON=python3.11]\n")
    for name, task in TASKS.items():
        print(f"  {name:10} {task.__doc__}")
    print(
        "\nEach task first sets up what it needs, under .venv and build. PYTHON is the default Python"
        "\n(3.11 or later). PYTHON_FREETHREADED is a free-threaded one (3.13 or later). Without it,"
        "\nthe tasks look for one on the PATH, then ask uv for one, then build one from Debian's"
        "\nsource (once, some minutes). It stays in ~/.cache/shardmap."
    )
    return 0


TASKS: dict[str, Callable[[Arguments], int]] = {
    "test": test,
    "lint": lint,
    "demo": demo,
    "web": web,
    "bench": bench,
    "bench-full": bench_full,
    "stress": stress,
    "libraries": run_libraries,
    "check": check,
    "pauses": pauses,
    "explore": explore,
    "asan": asan,
    "tsan": tsan,
    "arm64": on_arm64,
    "macos": as_on_macos,
    "model": check_model,
    "instructions": instructions,
    "docs": docs,
    "wheel": wheel,
    "sdist": sdist,
    "workflows": check_workflows,
    "windows": windows_by_wine,
    "clean": clean,
    "help": show_help,
}


def main(arguments: Arguments) -> int:
    name = arguments[0] if arguments else "help"
    task = TASKS.get(name)
    if task is None:
        print(f"error: no task {name}; `make help` lists them", file=sys.stderr)
        return 2
    stop_on_sigterm()
    try:
        return task(arguments[1:])
    except (Failure, PermissionError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr, flush=True)
        return 130
    return 1
