"""Keeps the results of every version in bench/history/, and draws them: docs/benchmarks/history.svg.

    python bench/history.py measure 0.1.0=c7b2c24 main=HEAD --python .venv/free/bin/python
                                             builds and measures these versions, adds them, draws
    python bench/history.py measure          the versions of the history again, at their commits
    python bench/history.py add build/bench/run-cp314t.json --name 0.2.0
                                             adds what bench/run.py measured
    python bench/history.py draw             draws only

Every version is measured by the same programs, those of this working tree. Each file has the results of one version, on
one Python and one kind of machine, for pyperf (results.py). A new result replaces the old one of the same version,
Python and kind of machine. All speeds of the picture are relative to a dict (or to what Python has in its place) in the
same rounds, so that the machine's own speed does not matter.

`measure` needs Cython and setuptools in each Python, and the commits in this clone. Built versions stay in
build/history. So a machine can build first (--build-only), and measure when it runs nothing else.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from environment import ROOT, cpu_count
from results import FEWEST, Results, read, write

HISTORY = ROOT / "bench" / "history"
WORK = ROOT / "build" / "history"
PICTURES = ROOT / "docs" / "benchmarks"
MINUTES = 11.0
SHORTEST = 20.0  # seconds for one version on one Python; less would not be enough for three rounds


class Failure(Exception):
    """Why a version cannot be measured or added. It is said without a traceback."""


@dataclass(frozen=True)
class Version:
    name: str
    commit: str

    @classmethod
    def parse(cls, said: str) -> Version:
        name, equals, commit = said.partition("=")
        if not (name and equals and commit):
            raise argparse.ArgumentTypeError(f"{said!r} is not NAME=COMMIT, such as 0.1.0=c7b2c24")
        return cls(name, commit)


def git(*arguments: str) -> str:
    ran = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if ran.returncode != 0:
        raise Failure(f"git {' '.join(arguments)}: {ran.stderr.strip()}")
    return ran.stdout.strip()


def history(folder: Path = HISTORY) -> list[Results]:
    """All results, the oldest version first."""
    found = [read(file) for file in sorted(folder.glob("*.json.gz"))]
    return sorted(found, key=lambda results: str(results.about["commit_date"]))


def file_name(results: Results) -> str:
    about = results.about
    parts = (about["shardmap_version"], about["python_tag"], about["machine"])
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", str(part)) for part in parts) + ".json.gz"


def add(results: Results, name: str | None = None, folder: Path = HISTORY) -> Path:
    """Keeps a result. The time of its commit decides its place among the versions."""
    about = dict(results.about)
    if "commit" not in about:
        raise Failure("these results do not say which commit they are of: run bench/run.py with --commit")
    if str(about["commit"]).endswith("+"):
        raise Failure(f"these results are of {about['commit']}: of no commit, because files had changed since")
    about["shardmap_version"] = name or about["shardmap_version"]
    about["commit_date"] = git("show", "-s", "--format=%cI", f"{about['commit']}^{{commit}}")
    kept = Results(about, results.samples)
    file = folder / file_name(kept)
    write(kept, file)
    return file


def versions_of(folder: Path = HISTORY) -> list[Version]:
    """The versions that the history has, the oldest first."""
    return list(
        {
            results.about["shardmap_version"]: Version(results.about["shardmap_version"], results.about["commit"])
            for results in history(folder)
        }.values()
    )


def run(command: Sequence[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=os.environ | environment, cwd=ROOT
    )


def tree_of(version: Version) -> Path:
    """A working tree of the version, of its own."""
    commit = git("rev-parse", "--short=12", f"{version.commit}^{{commit}}")
    tree = WORK / commit
    if not tree.is_dir():
        git("worktree", "prune")
        git("worktree", "add", "--detach", str(tree), commit)
    return tree


def is_built(tree: Path, python: Path) -> bool:
    suffix = run([python, "-c", "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"]).stdout.strip()
    return bool(suffix) and (tree / "src" / "shardmap" / f"_core{suffix}").is_file()


def build(tree: Path, python: Path) -> None:
    """Builds the extension of that tree in place, unless it is there."""
    if not is_built(tree, python):
        built = subprocess.run(
            [str(python), "setup.py", "-q", "build_ext", "--inplace"], cwd=tree, capture_output=True, text=True
        )
        if built.returncode != 0:
            raise Failure(f"{python} cannot build {tree.name}:\n{built.stderr[-2000:]}")
    shown = run([python, "-c", "import shardmap; print(shardmap.__file__)"], PYTHONPATH=str(tree / "src"))
    if shown.returncode != 0 or not Path(shown.stdout.strip()).is_relative_to(tree):
        raise Failure(f"{python} does not import shardmap from {tree}:\n{shown.stdout}{shown.stderr[-2000:]}")


def build_all(trees: Sequence[Path], pythons: Sequence[Path]) -> list[Failure]:
    """Builds as many versions at once as there are CPUs. The Pythons take turns in each tree, because they share the
    C file that Cython makes. Returns what could not be built."""

    def build_tree(tree: Path) -> list[Failure]:
        failed = []
        for python in pythons:
            try:
                build(tree, python)
            except Failure as failure:
                failed.append(failure)
        return failed

    with ThreadPoolExecutor(cpu_count()) as pool:
        return [failure for failed in pool.map(build_tree, trees) for failure in failed]


def measure_one(version: Version, tree: Path, python: Path, seconds: float, only: str | None) -> Results:
    output = WORK / "results"
    shutil.rmtree(output, ignore_errors=True)
    command: list[str | Path] = [python, ROOT / "bench" / "run.py", "--quiet", "--no-peers", f"--output={output}"]
    command += [f"--seconds={seconds:.0f}", f"--fewest={FEWEST}", f"--version={version.name}", f"--commit={tree.name}"]
    ran = run([*command, *([f"--only={only}"] if only else [])], PYTHONPATH=str(tree / "src"))
    if ran.returncode != 0:
        raise Failure(f"{version.name} could not be measured on {python}:\n{ran.stderr[-2000:]}")
    (file,) = output.glob("run-*.json")
    return read(file)


def measure(options: argparse.Namespace) -> list[Failure]:
    """Measures each version on each Python, and adds the results. What the builds leave of the time is shared equally.
    Goes on if a version cannot be built or measured on a Python, and returns why it cannot."""
    began = time.monotonic()
    versions = wanted_versions(options.versions, options.all, options.history)
    # Not resolved: the name of an environment's Python is a link, and decides which packages it has.
    pythons = [python.absolute() for python in options.pythons or [Path(sys.executable)]]
    trees = [tree_of(version) for version in versions]
    print(f"building {len(trees)} versions, unless they are built already", flush=True)
    failed = build_all(trees, pythons)
    turns = [(python, version, tree) for python in pythons for version, tree in zip(versions, trees, strict=True)]
    turns = [] if options.build_only else [turn for turn in turns if is_built(turn[2], turn[0])]
    for number, (python, version, tree) in enumerate(turns):
        left = options.minutes * 60 - (time.monotonic() - began)
        seconds = max(SHORTEST, left / (len(turns) - number) - 2)
        print(f"{number + 1} of {len(turns)}: {version.name} on {python}, {seconds:.0f} s", flush=True)
        try:
            print(add(measure_one(version, tree, python, seconds, options.only), None, options.history), flush=True)
        except Failure as failure:
            failed.append(failure)
    return failed


def read_options() -> argparse.Namespace:
    folders = argparse.ArgumentParser(add_help=False)
    folders.add_argument("--history", type=Path, default=HISTORY, help="folder of the kept results")
    folders.add_argument("--pictures", type=Path, default=PICTURES, help="folder of the picture")
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure", parents=[folders], help="build, measure and add versions")
    measuring.add_argument("versions", type=Version.parse, nargs="*", metavar="NAME=COMMIT")
    measuring.add_argument("--all", action="store_true", help="the other versions of the history, too")
    measuring.add_argument("--python", dest="pythons", type=Path, action="append", metavar="PYTHON",
                           help="default: this one; may be given several times")  # fmt: skip
    measuring.add_argument("--build-only", action="store_true", help="measure nothing yet: the builds stay")
    measuring.add_argument("--minutes", type=float, default=MINUTES, help="in all")
    measuring.add_argument("--only", help="sections, as for bench/run.py")
    adding = commands.add_parser("add", parents=[folders], help="add files that bench/run.py wrote")
    adding.add_argument("files", type=Path, nargs="+")
    adding.add_argument("--name", help="of the version (default: the one that the file has)")
    commands.add_parser("draw", parents=[folders], help="draw the history")
    return parser.parse_args()


def wanted_versions(given: Sequence[Version], everything: bool, folder: Path) -> list[Version]:
    """Versions given by name replace those of the history with the same name."""
    kept = versions_of(folder) if everything or not given else []
    found = {version.name: version for version in [*kept, *given]}
    if not found:
        raise Failure("the history is empty: say which versions to measure, such as main=HEAD")
    return list(found.values())


def draw(folder: Path, pictures: Path) -> list[Path]:
    if find_spec("matplotlib") is None:
        print("matplotlib is not installed, so nothing is drawn", file=sys.stderr)
        return []
    import history_chart  # here, because the rest needs no matplotlib

    return history_chart.draw(history(folder), pictures)


def main() -> int:
    options = read_options()
    failed: list[Failure] = []
    try:
        if options.command == "measure":
            failed = measure(options)
        elif options.command == "add":
            for file in options.files:
                print(add(read(file), options.name, options.history))
        for picture in draw(options.history, options.pictures):
            print(picture)
    except (Failure, ValueError, OSError) as error:
        failed.append(Failure(error))
    for failure in failed:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
