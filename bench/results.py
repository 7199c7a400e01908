"""Files of results that pyperf reads: `python -m pyperf show FILE`, `python -m pyperf compare_to A B`.

Each benchmark of a file is one case: one task of one library, with a number of threads. Each of its runs has one value,
the seconds for each operation in one round. The runs of all benchmarks are in the order of the rounds. So the n-th runs
of two benchmarks were measured in the same round, and their ratio does not depend on how fast the machine was in it.
This program writes and reads the format (version 1.0 of pyperf) itself, so that the measured Pythons need no pyperf.
"""

from __future__ import annotations

import gzip
import json
import math
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rounds import Region, is_quiet

LOOP = "empty loop"
FEWEST = 3  # undisturbed rounds that a ratio needs

Role = Literal["ours", "peer", "loop"]


@dataclass(frozen=True)
class Case:
    section: str
    task: str
    library: str
    threads: int
    role: Role

    @property
    def name(self) -> str:
        return f"{self.task}: {self.library}, {self.threads} thread{'s' * (self.threads > 1)}"


class Sample(NamedTuple):
    """What one case took in one round."""

    seconds: float  # for each operation, all threads together
    available: float | None = None  # cores, as in rounds.Region
    wanted: float = 1

    @classmethod
    def of(cls, region: Region) -> Sample:
        return cls(region.seconds / region.operations, region.available, region.wanted)

    @property
    def quiet(self) -> bool:
        return is_quiet(self.available, self.wanted)


class Ratio(NamedTuple):
    """How many times as fast one case is as another one, in the same rounds: the median and the quartiles."""

    median: float
    low: float
    high: float
    rounds: int
    disturbed: bool = False  # too few rounds were undisturbed, so all count

    @classmethod
    def of(cls, values: list[float], disturbed: bool = False) -> Ratio:
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1, disturbed)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, len(values), disturbed)

    @property
    def inverse(self) -> Ratio:
        return Ratio(1 / self.median, 1 / self.high, 1 / self.low, self.rounds, self.disturbed)

    @property
    def unclear(self) -> bool:
        """Whether the spread is larger than the difference, both as factors."""
        return self.rounds < FEWEST or math.log(self.high / self.low) >= abs(math.log(self.median))


@dataclass
class Results:
    """One run of the benchmarks, on one Python."""

    about: dict[str, Any]  # metadata of the whole file: Python, machine, version
    samples: dict[Case, list[Sample]] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        return max(map(len, self.samples.values()), default=0)

    def ratios(self, of: Case, to: Case) -> tuple[list[float], bool]:
        """Speeds of `of` divided by speeds of `to`, in undisturbed rounds; whether all rounds count instead."""
        pairs = list(zip(self.samples[of], self.samples[to], strict=True))
        quiet = [(mine, other) for mine, other in pairs if mine.quiet and other.quiet]
        disturbed = len(quiet) < min(FEWEST, len(pairs))
        return [other.seconds / mine.seconds for mine, other in (pairs if disturbed else quiet)], disturbed

    def ratio(self, of: Case, to: Case) -> Ratio:
        return Ratio.of(*self.ratios(of, to))

    def find(self, task: str, library: str, threads: int) -> Case | None:
        return next(
            (case for case in self.samples if (case.task, case.library, case.threads) == (task, library, threads)), None
        )


def as_pyperf(results: Results) -> dict[str, Any]:
    benchmarks = []
    for case, samples in results.samples.items():
        about: dict[str, Any] = {
            "name": case.name,
            "tags": [case.section],
            "task": case.task,
            "library": case.library,
            "threads": case.threads,
            "role": case.role,
            "cores_wanted": samples[0].wanted,
        }
        runs = [
            {"values": [float(f"{one.seconds:.5g}")]}
            | ({} if one.available is None else {"metadata": {"cores_available": round(one.available, 2)}})
            for one in samples
        ]
        benchmarks.append({"metadata": about, "runs": runs})
    return {"benchmarks": benchmarks, "metadata": {"unit": "second", **results.about}, "version": "1.0"}


def from_pyperf(data: dict[str, Any]) -> Results:
    common = data.get("metadata", {})
    results = Results({name: value for name, value in common.items() if name != "unit"})
    for benchmark in data["benchmarks"]:
        about = common | benchmark["metadata"]
        case = Case(about["tags"][0], about["task"], about["library"], about["threads"], about["role"])
        results.samples[case] = [
            Sample(value, run.get("metadata", {}).get("cores_available"), about["cores_wanted"])
            for run in benchmark["runs"]
            for value in run["values"]
        ]
    return results


def write(results: Results, file: Path) -> None:
    """Writes a file, compressed if its name ends with .gz. Equal results make equal files."""
    text = json.dumps(as_pyperf(results), separators=(",", ":"), sort_keys=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    file.write_bytes(gzip.compress(data, mtime=0) if file.suffix == ".gz" else data)


def read(file: Path) -> Results:
    data = file.read_bytes()
    try:
        return from_pyperf(json.loads(gzip.decompress(data) if file.suffix == ".gz" else data))
    except (ValueError, LookupError, OSError) as error:
        raise ValueError(f"{file} is not a file of results that bench/run.py wrote: {error!r}") from error
