"""Compares shardmap with dict and with other libraries, in at most five minutes, and says in sentences what it found.

    python bench/run.py --and OTHER_PYTHON      both Pythons, five minutes in all
    python bench/run.py                         this Python only, about half of that
    python bench/run.py --report FILE ...       the sentences again, of files that were written before

The rounds go over all comparisons in turn, until the time is over. So a disturbance of some seconds spoils one round of
each comparison, not all rounds of one. The first round only finds out how many repetitions each case needs, and does
not count. The results are files for pyperf:

    python -m pyperf show build/bench/run-cp314t.json
    python -m pyperf compare_to before.json after.json

pyperf tests whether a difference is significant only if both files have as many rounds (--rounds).
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shardmap
from comparisons import PEERS, SECTIONS, Group, groups, missing_peers, without_peers
from environment import RESULTS, commit, cpu_count, cpu_name, gil_enabled, version_of
from results import Case, Results, Sample, read, write
from rounds import Region
from sentences import report

ALL_SECONDS = 270  # for all Pythons; the rest of the five minutes is for their starts and for what the sums miss


def python_tag() -> str:
    free = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return f"cp{sys.version_info.major}{sys.version_info.minor}{free}"


def about(version: str | None, of_commit: str | None, left_out: list[str], peers: bool = True) -> dict[str, Any]:
    """Metadata of the file. pyperf allows numbers and lines of text, and no empty ones."""
    versions = [f"{package} {found}" for package in PEERS.values() if (found := version_of(package))]
    load = {"load_avg_1min": round(os.getloadavg()[0], 2)} if hasattr(os, "getloadavg") else {}
    said = {
        "python": platform.python_version(),
        "python_tag": python_tag(),
        "python_compiler": platform.python_compiler(),
        "gil": "on" if gil_enabled() else "off",
        "cpu_count": cpu_count(),
        "cpu_model_name": cpu_name(),
        "machine": f"{sys.platform}-{platform.machine()}-{cpu_count()}cpu".lower(),
        "platform": sysconfig.get_platform(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "shardmap_version": version or shardmap.__version__,
        "commit": of_commit or commit(),
        "peers": ", ".join(versions) if peers else "",
        "missing_peers": ", ".join(missing_peers() if peers else []),
        "left_out": "; ".join(left_out),
    }
    return {name: value for name, value in (said | load).items() if value}


@dataclass
class Progress:
    """Says on the terminal how far it is; in a log, one line for each round."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    def passed(self) -> float:
        return time.monotonic() - self.began

    def show(self, round_number: int, task: str) -> None:
        if sys.stderr.isatty():
            said = f"{python_tag()}: {self.passed():3.0f} of {self.seconds:.0f} s, round {round_number}: {task}"
            print(f"\r\x1b[K{said[:100]}", end="", file=sys.stderr, flush=True)

    def end(self, round_number: int) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            said = "repetitions found" if round_number == 0 else f"round {round_number} done"
            print(f"{python_tag()}: {said}, {self.passed():.0f} of {self.seconds:.0f} s", file=sys.stderr, flush=True)


def one_round(group: Group, turn: int) -> dict[Case, Region]:
    """Measures every case once. The order rotates from round to round."""
    cases = list(group.cases)
    turn %= len(cases)
    return {case: group.cases[case]() for case in cases[turn:] + cases[:turn]}


def measure(
    found: list[Group], progress: Progress, fewest: int = 1, exactly: int | None = None
) -> dict[Case, list[Sample]]:
    """As many rounds as the time allows, but at least `fewest`. Or `exactly` so many, however long these take."""
    samples: dict[Case, list[Sample]] = {case: [] for group in found for case in group.cases}
    longest = 0.0
    number = 0

    def more() -> bool:
        if exactly is not None:
            return number <= exactly
        return number <= fewest or progress.passed() + longest <= progress.seconds

    while more():
        began = progress.passed()
        for group in found:
            progress.show(number, group.task)
            for case, region in one_round(group, number).items():
                if number > 0:
                    samples[case].append(Sample.of(region))
        if number > 0:
            longest = max(longest, progress.passed() - began)
        progress.end(number)
        number += 1
    return samples


def run_other(python: Path, seconds: float, output: Path, arguments: list[str]) -> Path | None:
    """Runs this program on another Python; returns its file of results."""
    before = {file: file.stat().st_mtime_ns for file in output.glob("run-*.json")}
    command = [str(python), __file__, f"--seconds={seconds}", f"--output={output}", "--quiet", *arguments]
    if subprocess.run(command).returncode != 0:
        return None
    changed = [file for file in output.glob("run-*.json") if before.get(file) != file.stat().st_mtime_ns]
    return changed[0] if changed else None


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--and", dest="others", type=Path, action="append", default=[], metavar="PYTHON",
                        help="also measure this Python, which has shardmap; may be given several times")  # fmt: skip
    parser.add_argument("--seconds", type=float, help=f"for each Python (default: {ALL_SECONDS} for all together)")
    parser.add_argument("--fewest", type=int, default=1, help="rounds, even if these take longer")
    parser.add_argument("--rounds", type=int, help="exactly so many, however long these take")
    parser.add_argument("--only", help="sections, with commas, of: " + ", ".join(SECTIONS))
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True,
                        help="also measure libraries from the package index")  # fmt: skip
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--version", help="name of the measured version (default: shardmap.__version__)")
    parser.add_argument("--commit", help="the commit that the measured shardmap was built from (default: git's HEAD)")
    parser.add_argument("--quiet", action="store_true", help="write the file, and say nothing about the results")
    parser.add_argument("--report", type=Path, nargs="+", metavar="FILE", help="only say what these files show")
    options = parser.parse_args()
    options.sections = options.only.split(",") if options.only else list(SECTIONS)
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are: {', '.join(SECTIONS)}")
    for python in options.others:
        if not os.access(python, os.X_OK):
            parser.error(f"{python} is not a program")
    return options


def measure_this(options: argparse.Namespace, seconds: float, clock: Callable[[float], Progress] = Progress) -> Path:
    progress = clock(seconds)  # before the groups, which are made in this time, too
    found, left_out = groups(options.sections)
    if not options.peers:
        found = [without_peers(group) for group in found]
    gc.freeze()  # Before each region the collector runs; it need not look at the inputs of all the others.
    samples = measure(found, progress, options.fewest, options.rounds)
    file: Path = options.output / f"run-{python_tag()}.json"
    write(Results(about(options.version, options.commit, left_out, options.peers), samples), file)
    return file


def main() -> int:
    options = read_options()
    if options.report:
        print("\n\n".join(report(read(file)) for file in options.report))
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    seconds = options.seconds or ALL_SECONDS / max(2, 1 + len(options.others))
    files = [measure_this(options, seconds)]
    names = ("only", "fewest", "rounds", "version", "commit")
    passed_on = [f"--{name}={value}" for name in names if (value := getattr(options, name))]
    passed_on += [] if options.peers else ["--no-peers"]
    failed = []
    for other in options.others:
        file = run_other(other, seconds, options.output, passed_on)
        files += [file] if file else []
        failed += [] if file else [other]
    if not options.quiet:
        print("\n\n".join(report(read(file)) for file in files))
        print("\nThe files are for pyperf (python -m pyperf show FILE): " + ", ".join(map(str, files)))
    for other in failed:
        print(f"{other} could not measure: see above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
