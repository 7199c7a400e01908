"""Building the project's wheels and sdist, and installing wheels. Wheels are built only if their sources changed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from tools.environments import PIP, Environment, digest, project_file
from tools.python_headers import build_variables
from tools.shell import BUILD, LOGS, ROOT, Command, Failure, capture, locked, run_logged

# The sources of the wheel. README and licences become part of its metadata.
WHEEL_SOURCES = (
    "src",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "MANIFEST.in",
    "README*",
    "LICEN*",
)
# Output of builds in the tree. If it were copied, old code could get into a wheel.
_GENERATED_DIRECTORIES = {"__pycache__", "build", "dist"}
_GENERATED_SUFFIXES = {".pyc", ".so", ".html", ".o"}


def source_files(root: Path, patterns: Iterable[str]) -> list[Path]:
    """The source files under these top-level names, sorted, without anything generated."""
    found: set[Path] = set()
    for pattern in patterns:
        for top in root.glob(pattern):
            found.update(_walk(top))
    return sorted(found)


def _walk(path: Path) -> Iterator[Path]:
    if path.is_dir():
        if path.name not in _GENERATED_DIRECTORIES and not path.name.endswith("_cache"):
            for entry in path.iterdir():
                if not entry.name.endswith(".egg-info"):
                    yield from _walk(entry)
    elif path.is_file() and not _is_generated(path):
        yield path


def _is_generated(path: Path) -> bool:
    if path.suffix in {".c", ".cpp"} and path.with_suffix(".pyx").exists():
        return True
    return path.suffix in _GENERATED_SUFFIXES


def content_hash(root: Path, files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        total.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def _stage(files: Iterable[Path], target: Path) -> None:
    """Copy the sources to an empty folder, so that a build never uses files of an earlier build."""
    shutil.rmtree(target, ignore_errors=True)
    for path in files:
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)


def package_name() -> str:
    name = project_file().get("project", {}).get("name")
    if not isinstance(name, str):
        raise Failure("pyproject.toml states no project name")
    return name.replace("-", "_")


Change = Callable[[Path], None]
"""A function that changes the copy of the sources before the build. Its argument is the copy's root. The stamp of a
wheel contains the variables, not this function."""


def build_wheel(
    environment: Environment, variables: Mapping[str, str] | None = None, change: Change | None = None
) -> Path:
    """The project's wheel for this environment's interpreter. `variables`: environment variables for the build."""
    name = environment.name
    variables = variables or {}
    files = source_files(ROOT, WHEEL_SOURCES)
    output = BUILD / "wheels" / name
    stamp_file = output / "stamp"
    stamp = digest([content_hash(ROOT, files), environment.read_stamp("environment"), variables])
    with locked(BUILD / f"wheel-{name}.lock"):
        wheels = list(output.glob("*.whl"))
        if len(wheels) == 1 and stamp_file.is_file() and stamp_file.read_text() == stamp:
            return wheels[0]
        shutil.rmtree(output, ignore_errors=True)
        stage = BUILD / "stage" / name
        _stage(files, stage)
        if change is not None:
            change(stage)
        log = LOGS / f"wheel-{name}.log"
        log.unlink(missing_ok=True)
        run_logged(
            f"building the wheel of {package_name()} for {name}",
            [environment.python, "-m", "build", "--wheel", "--no-isolation", "--outdir", output],
            log,
            cwd=stage,
            env={**build_variables(environment.interpreter), **variables},
        )
        wheels = list(output.glob("*.whl"))
        if len(wheels) != 1:
            raise Failure(f"the build made {len(wheels)} wheels instead of one: see {log}")
        # Written last, so that an interrupted build runs again.
        stamp_file.write_text(stamp)
    return wheels[0]


def install_wheel(
    environment: Environment, variables: Mapping[str, str] | None = None, change: Change | None = None
) -> Path:
    """Build the wheel if necessary, and install it if it is not installed yet."""
    wheel = build_wheel(environment, variables, change)
    stamp = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if environment.read_stamp("wheel") != stamp:
        command: Command = [environment.python, *PIP, "install", "--no-deps", "--no-index"]
        run_logged(
            f"installing {wheel.name}",
            [*command, "--force-reinstall", wheel],
            environment.log,
        )
        environment.write_stamp("wheel", stamp)
    return wheel


def build_sdist(environment: Environment) -> Path:
    """The sdist, from a copy of the whole tree."""
    stage = BUILD / "stage" / "sdist"
    # MANIFEST.in selects some of these.
    names = [path.name for path in ROOT.iterdir() if not path.name.startswith(".")]
    _stage(source_files(ROOT, sorted(names)), stage)
    output = ROOT / "dist"
    log = LOGS / "sdist.log"
    log.unlink(missing_ok=True)
    before = {path: path.stat().st_mtime_ns for path in output.glob("*.tar.gz")}
    run_logged(
        f"building the sdist of {package_name()}",
        [environment.python, "-m", "build", "--sdist", "--no-isolation", "--outdir", output],
        log,
        cwd=stage,
    )
    for path in output.glob("*.tar.gz"):
        if before.get(path) != path.stat().st_mtime_ns:
            return path
    raise Failure(f"the build made no sdist: see {log}")


def check_installed(environment: Environment, variables: Mapping[str, str] | None = None) -> str:
    """Raise if the package is not imported from the installed wheel. Returns the state of the GIL: "on" or "off"."""
    name = package_name()
    script = (
        f"import sys, {name}; from pathlib import Path\n"
        f"print(Path({name}.__file__).resolve().is_relative_to(Path(sys.prefix).resolve()))\n"
        "print('off' if not getattr(sys, '_is_gil_enabled', lambda: True)() else 'on')\n"
    )
    # -P: modules in the working directory are not imported, as in the test runs.
    output = capture([environment.python, "-P", "-c", script], env=variables)
    words = (output or "").split()
    if len(words) != 2:
        command = f"{environment.python} -P -c 'import {name}'"
        raise Failure(f"the installed {name} cannot be imported; see: {command}")
    if words[0] != "True":
        raise Failure(f"{environment.python} imports {name} from outside its environment")
    return words[1]
