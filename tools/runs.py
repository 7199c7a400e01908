"""The environments in which tasks run, and running pytest, the static checks and scripts in them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from tools import freethreaded, wheels
from tools.environments import (
    Environment,
    can_make_environment,
    install_best_effort,
    prepare,
    project_file,
)
from tools.instrumented import Instrument
from tools.interpreters import Interpreter, default_interpreter
from tools.python_headers import build_variables
from tools.shell import ROOT, Command, Failure, capture, run, say

DEFAULT_GROUPS = ("test", "lint", "plot", "web", "libraries")
FREE_THREADED_GROUPS = ("test", "libraries")
# Node.js from the wheel, whatever is installed; no look at whether there is a newer pyright.
PYRIGHT_VARIABLES = {"PYRIGHT_PYTHON_GLOBAL_NODE": "0", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
Arguments = Sequence[str]


# --- environments -------------------------------------------------------------------------------


def default_environment(pip_from: Interpreter | None = None) -> Environment:
    return prepare(default_interpreter(), DEFAULT_GROUPS, pip_from=pip_from)


def both_environments() -> tuple[Environment, Environment]:
    """The environments of the default and of the free-threaded Python."""
    default = default_interpreter()
    build_variables(default)  # Fetched now, so that it does not fail after a long build.
    if can_make_environment(default):
        # First, since its pip can fetch uv.
        main = default_environment()
        free = freethreaded.find(main.python)
    else:
        free = freethreaded.find(None)
        main = default_environment(pip_from=free)
    return main, prepare(free, FREE_THREADED_GROUPS, downloader=main)


def instrumented_environments(instrument: Instrument) -> list[Environment]:
    """Separate environments, so that the environments of the other tasks keep the ordinary wheel."""
    main, free = both_environments()
    return [instrumented_environment(instrument, each.interpreter, main) for each in (main, free)]


def instrumented_environment(
    instrument: Instrument, interpreter: Interpreter, downloader: Environment | None
) -> Environment:
    return prepare(interpreter, FREE_THREADED_GROUPS, downloader=downloader, variant=instrument.name)


def ready_environments() -> tuple[Environment, Environment]:
    """Both environments, with the project's current wheel installed."""
    environments = both_environments()
    for environment in environments:
        wheels.install_wheel(environment)
    return environments


def environment_for_sources() -> Environment:
    """The default environment. Looks for a free-threaded Python only if the default one has no ensurepip and no pip."""
    alone = can_make_environment(default_interpreter())
    return default_environment() if alone else both_environments()[0]


def checked_title(environment: Environment, variables: Mapping[str, str] | None = None) -> str:
    """A title for the user: the interpreter, and the state of its GIL after importing the project."""
    gil = wheels.check_installed(environment, variables)
    interpreter = environment.interpreter
    if interpreter.free_threaded and gil == "on":
        raise Failure(
            f"importing {wheels.package_name()} enables the GIL of {interpreter.title}"
        )
    return f"{interpreter.title}, GIL {gil}"


# --- running ------------------------------------------------------------------------------------


def finish(failed: Sequence[str]) -> int:
    """The exit status. Prints nothing on success, so that pytest's summary stays the last line."""
    if failed:
        print(f"error: failed: {', '.join(failed)}", file=sys.stderr, flush=True)
    return 1 if failed else 0


def run_pytest(
    environments: Sequence[Environment], arguments: Arguments, variables: dict[str, str]
) -> list[str]:
    """Run pytest in each environment; returns what failed."""
    failed = []
    for environment in environments:
        title = checked_title(environment, variables)
        say(f"pytest on {title}")
        # -P: imports come from the installed wheel only, never from the working directory.
        command: Command = [environment.python, "-P", "-m", "pytest", *arguments]
        if run(command, env=variables) != 0:
            failed.append(f"pytest on {title}")
    return failed


def run_lint(environment: Environment) -> list[str]:
    """Run the static checks; returns what failed."""
    tools = project_file().get("tool", {})
    python = environment.python
    checks: list[tuple[str, Command]] = [("ruff check", [python, "-m", "ruff", "check"])]
    if "format" in tools.get("ruff", {}):
        checks.append(("ruff format", [python, "-m", "ruff", "format", "--check"]))
    # Without a path, mypy uses `files` of its configuration.
    paths = [] if "files" in tools.get("mypy", {}) else ["src", "tools"]
    checks.append(("mypy --strict", [python, "-m", "mypy", "--strict", *paths]))
    allowlist = ROOT / "tests" / "stubtest-allowlist.txt"
    options: Command = ["--allowlist", allowlist] if allowlist.is_file() else []
    package = wheels.package_name()
    checks.append(("stubtest", [python, "-P", "-m", "mypy.stubtest", package, *options]))
    if "pyright" in tools:
        checks += pyright_check(environment)
    failed = []
    for name, command in checks:
        say(name)
        if run(command, env=PYRIGHT_VARIABLES) != 0:
            failed.append(name)
    return failed


def pyright_check(environment: Environment) -> list[tuple[str, Command]]:
    """Pyright, if it can be installed and starts. It is a program for Node.js, which is not everywhere."""
    install_best_effort(environment, "pyright", None)
    command: Command = [environment.python, "-m", "pyright"]
    if capture([*command, "--version"], env=PYRIGHT_VARIABLES) is None:
        say("pyright does not run here: tests/typing is checked with mypy only")
        return []
    return [("pyright", command)]


def run_script(environment: Environment, script: str, arguments: Arguments = ()) -> None:
    say(f"{script} on {checked_title(environment)}")
    # No -P: a script imports other scripts of its folder. The package is not in that folder.
    status = run([environment.python, ROOT / script, *arguments])
    if status != 0:
        raise Failure(f"{script} failed (exit status {status})")
