"""The benchmarks' own machinery: that they measure what they say, check the maps, and tell noise from slowness."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
if not BENCH.is_dir():
    pytest.skip("the benchmarks are not part of the sdist", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import cache_line  # noqa: E402
import counting  # noqa: E402
import environment  # noqa: E402
import every_key  # noqa: E402
import goals  # noqa: E402
import keys  # noqa: E402
import loops  # noqa: E402
import maps  # noqa: E402
import reporting  # noqa: E402
import rounds  # noqa: E402
import scaling  # noqa: E402
import sweep  # noqa: E402
import threads  # noqa: E402
import workloads  # noqa: E402
from shardmap import ShardMap  # noqa: E402

FOUND = maps.competitors()[0]
every_map = pytest.mark.parametrize("competitor", FOUND, ids=lambda one: one.name)


class Traced(dict[Any, Any]):
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []

    def __getitem__(self, key: Any) -> Any:
        self.done.append(("get", key))
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.done.append(("set", value))
        super().__setitem__(key, value)


def region_of(rate: float, *, quiet: bool = True, seconds: float = 1.0) -> rounds.Region:
    return rounds.Region(seconds, int(rate * seconds * 1e6), 2.0, 2.0 if quiet else 1.0, 2.0)


# --- keys and loops ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", keys.KINDS)
def test_another_key_is_equal_and_not_the_same(kind: str) -> None:
    key = keys.KINDS[kind](123_456)
    assert keys.another(key) == key
    assert keys.another(key) is not key


def test_zipf_draws_prefer_the_first_keys_and_can_reach_the_last() -> None:
    drawn = keys.zipf(list(range(100)), seed=1, draws=20_000)
    assert len(drawn) == 20_000
    assert drawn.count(0) > 10 * drawn.count(50) > 0
    assert max(drawn) == 99


@pytest.mark.parametrize("lookup", ["global", "local"])
@pytest.mark.parametrize("reads", loops.READS)
def test_a_loop_has_the_share_of_reads_that_it_says(reads: int, lookup: loops.Lookup) -> None:
    loop, place = loops.make_loop(reads, lookup)
    m = Traced()
    names = [f"k{number}" for number in range(100)]
    for name in names:
        dict.__setitem__(m, name, None)
    groups = loops.grouped(names, reads)
    place(m)
    loop(m, groups, ("even", "odd"), 2)
    place(None)
    assert len(m.done) == 2 * loops.operations(groups, reads)
    assert sum(what == "get" for what, _ in m.done) == len(m.done) * reads // 100
    assert {key for what, key in m.done if what == "get"} <= set(names)
    assert [value for what, value in m.done if what == "set"] == sorted(
        (value for what, value in m.done if what == "set"), key=["even", "odd"].index
    )


def test_a_mix_without_a_loop_is_refused() -> None:
    with pytest.raises(ValueError, match="42"):
        loops.turns(42)


# --- rounds -----------------------------------------------------------------------------------------------


def test_a_region_counts_the_operations_of_all_threads() -> None:
    seen: list[int] = []
    measured = rounds.region(lambda number: lambda: seen.append(number) or 10, 3)
    assert sorted(seen) == [0, 1, 2]
    assert measured.operations == 30
    assert measured.seconds > 0


def test_an_error_in_a_thread_is_raised_and_no_thread_is_left_waiting() -> None:
    def prepare(number: int) -> Callable[[], int]:
        if number == 1:
            raise KeyError("lost")
        return lambda: 1

    before = threading.active_count()
    with pytest.raises(KeyError, match="lost"):
        rounds.region(prepare, 3)
    assert threading.active_count() == before


def test_repetitions_grow_until_the_region_is_long_enough() -> None:
    asked: list[int] = []

    def measure(repetitions: int) -> rounds.Region:
        asked.append(repetitions)
        return rounds.Region(repetitions * 0.004, repetitions, 1.0, 1.0, 1.0)

    measured = rounds.Calibrated(measure, shortest=0.1)()
    assert measured.seconds >= 0.1
    assert asked[0] == 1
    assert asked[-1] < 100
    assert rounds.Calibrated(measure, shortest=0.1, most=3)().operations == 3


def test_the_ratios_are_of_the_same_round_and_the_order_turns() -> None:
    called: list[str] = []
    rates = {"a": iter([2.0, 4.0, 6.0]), "b": iter([1.0, 1.0, 2.0])}

    def measure(name: str) -> rounds.Region:
        called.append(name)
        return region_of(next(rates[name]))

    series = rounds.paired_rounds({name: lambda name=name: measure(name) for name in rates}, 3)
    assert series.ratios("a", "b") == pytest.approx([2, 4, 3])
    assert called == ["a", "b", "b", "a", "a", "b"]
    assert (series.discarded, series.noisy) == (0, False)


def test_disturbed_rounds_are_discarded_and_counted() -> None:
    quiet = iter([True, False, True, True])
    series = rounds.paired_rounds({"a": lambda: region_of(1, quiet=next(quiet))}, 3)
    assert (len(series.regions["a"]), series.discarded, series.noisy) == (3, 1, False)


def test_without_a_quiet_round_the_measurement_ends_and_says_so() -> None:
    series = rounds.paired_rounds({"a": lambda: region_of(1, quiet=False)}, 3, attempts=4)
    assert (len(series.regions["a"]), series.discarded, series.noisy) == (4, 4, True)


def test_waiting_for_a_core_is_noise_and_sleeping_on_a_lock_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "cpu_count", lambda: 2)
    still = rounds.Machine(0.0, 0.0)

    def available(*parts: rounds.Part, after: rounds.Machine = still) -> float:
        found = rounds.available_cores(list(parts), 1.0, still, after, 1.0)
        assert found is not None
        return found

    asleep = rounds.Part(0.0, 1.0, 0.1, 0.0)
    assert available(asleep, asleep) == 2.0
    assert available(asleep, rounds.Part(0.0, 1.0, 0.5, 0.5)) == pytest.approx(1.5)
    late = rounds.Part(0.3, 1.0, 0.7, 0.0)
    assert available(asleep, late) == pytest.approx(1.7)
    assert available(asleep, asleep, after=rounds.Machine(0.0, 0.5)) == pytest.approx(1.5)
    # More threads than cores: what other processes used.
    many = [rounds.Part(0.0, 1.0, 0.5, 0.5)] * 4
    assert available(*many, after=rounds.Machine(1.0, 0.0)) == 2.0
    assert available(*many, after=rounds.Machine(1.6, 0.0)) < 1.6
    assert rounds.available_cores(many, 1.0, None, None, 1.0) is None


# --- workloads --------------------------------------------------------------------------------------------


@every_map
@pytest.mark.parametrize(
    "mix",
    [
        workloads.Mix(keys=50),
        workloads.Mix(keys=50, reads=0, identity="same", lookup="local"),
        workloads.Mix(keys=50, reads=75, draw="zipf", identity="interned"),
        workloads.Mix(keys=1, reads=90, draw="hot"),
        workloads.Mix(keys=50, reads=50, disjoint=True, objects=True),
        workloads.Mix(keys=50, kind="int", draw="ordered"),
    ],
    ids=lambda mix: mix.name,
)
def test_every_mix_runs_on_every_map(mix: workloads.Mix, competitor: maps.Competitor) -> None:
    measured = mix.measure(competitor.make, 2, 2)
    assert measured.operations >= 2 * 2 * (mix.keys // (2 if mix.disjoint else 1))


@every_map
def test_insertion_iteration_and_a_map_of_its_own(competitor: maps.Competitor) -> None:
    assert workloads.Insert(keys=101).measure(competitor.make, 2, 1).operations == 101
    own = workloads.Mix(keys=20, own=True, identity="same")
    assert own.measure(competitor.make, 1, 3).operations % 20 == 0
    with pytest.raises(ValueError, match="one thread"):
        own.measure(competitor.make, 2, 1)
    if competitor.name in (maps.DICT, maps.SHARDMAP):
        assert workloads.Iterate(keys=30).measure(competitor.make, 1, 2).operations == 60


@pytest.mark.parametrize("competitor, tally", counting.counters(), ids=lambda one: getattr(one, "name", ""))
def test_every_way_to_count_counts(competitor: maps.Competitor, tally: Callable[[Any, list[Any]], None]) -> None:
    counted = counting.Counting(10_000).measure(competitor.make, tally, 2, 1)
    assert counted.operations == 20_000


class Forgetful(ShardMap[Any, Any]):
    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value if value is None else -1)


class Losing(ShardMap[Any, Any]):
    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        super().setdefault("another", 0)


def test_a_map_that_holds_the_wrong_thing_is_caught() -> None:
    with pytest.raises(workloads.Wrong, match="holds -1"):
        workloads.Mix(keys=5, reads=0).measure(Forgetful, 2, 1)
    with pytest.raises(workloads.Wrong, match="6 entries, not 5"):
        workloads.Mix(keys=5).measure(Losing, 1, 1)
    with pytest.raises(workloads.Wrong, match="holds -1"):
        workloads.Insert(keys=5).measure(Forgetful, 1, 1)


# --- goals ------------------------------------------------------------------------------------------------


def test_the_goals_are_those_of_the_table() -> None:
    said = {goal.name: [str(bar) for bar in goal.bars] for goal in goals.GOALS}
    assert said["reads"] == ["5x dict", "4x cereggii AtomicDict", "1.7x its own 1 thread"]
    assert said["overwrite"] == ["2.2x dict", "1.2x cereggii AtomicDict"]
    assert said["alone-get"] == ["at most 1.25x dict's time"]
    assert said["gil-set"] == ["at most 1.6x dict's time"]
    assert len(said) == len(goals.GOALS)


def test_the_goals_for_every_key_are_those_of_the_table() -> None:
    said = {goal.name: [str(bar) for bar in goal.bars] for goal in every_key.GOALS}
    assert said["date-get"] == ["at most 1.3x dict's time"] and said["tuple-set"] == ["at most 1.5x dict's time"]
    assert said["tuple-reads"] == ["2x dict"] and said["unchanged"] == ["3x dict"]
    assert len(said) == len(every_key.GOALS)
    for goal in every_key.GOALS:
        work = goal.work
        if isinstance(work, workloads.Mix):
            work = dataclasses.replace(work, keys=min(work.keys, 20))
        for make in (dict, ShardMap):
            assert work.measure(make, goal.threads, 1).operations > 0


def test_patterns_are_of_different_integers() -> None:
    for name, pattern in keys.PATTERNS.items():
        found = pattern()
        assert len(set(found)) == len(found) > 10_000, name
        assert all(0 <= number < 1 << 61 for number in found) or name in {"crafted", "multiples of 2^20"}


def test_a_bar_is_reached_by_the_right_side_of_it() -> None:
    series = rounds.Series({"ShardMap, 2 threads": [region_of(6)], "dict, 2 threads": [region_of(2)]}, 0, False)
    faster, shorter = goals.Bar(maps.DICT, 2, 3), goals.Bar(maps.DICT, 2, 0.3, of_time=True)
    assert faster.value(series, (maps.SHARDMAP, 2)) == [3]
    assert shorter.value(series, (maps.SHARDMAP, 2)) == pytest.approx([1 / 3])
    assert faster.met_by(3) and not faster.met_by(2.9)
    assert not shorter.met_by(1 / 3) and shorter.met_by(0.3)


def small(name: str) -> goals.Goal:
    return goals.Goal(name, "a small one", workloads.Mix(keys=10), 2, (goals.Bar(maps.DICT, 2, 1e-9),))


SMALL = reporting.Scale(2, 2, 0.0, False)


def test_a_goal_is_measured_and_told_in_one_line() -> None:
    goal, found = small("tiny"), {one.name: one for one in FOUND}
    series = goals.measure(goal, goal.work, found, SMALL, lambda said: None)
    (line,) = goals.lines(goal, "", series, found)
    assert line["low"] <= line["ratio"] <= line["high"]
    assert line["reached"] is (None if series.noisy else True)
    said = reporting.said(line, 7)
    assert " 7. a small one" in said and f"{line['ratio']:.2f}x" in said and "\n" not in said
    assert ("too noisy" if series.noisy else "reached") in said
    assert "| a small one |" in reporting.as_markdown([line], environment.environment())


def test_a_peer_that_is_not_installed_is_named() -> None:
    found = {one.name: one for one in FOUND if one.name in (maps.DICT, maps.SHARDMAP)}
    goal = goals.Goal("peer", "against a peer", workloads.Mix(keys=10), 1, (goals.Bar(maps.CEREGGII, 1, 1),))
    series = goals.measure(goal, goal.work, found, SMALL, lambda said: None)
    (line,) = goals.lines(goal, "", series, found)
    assert "cereggii AtomicDict is not installed" in reporting.said(line, 1)


def test_goals_for_another_interpreter_or_machine_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    goal = small("threads")
    monkeypatch.setattr(goals, "gil_enabled", lambda: True)
    assert "without the GIL" in str(goals.why_not(goal))
    monkeypatch.setattr(goals, "gil_enabled", lambda: False)
    monkeypatch.setattr(goals, "cpu_count", lambda: 1)
    assert goals.why_not(goal) == "needs 2 CPUs"
    monkeypatch.setattr(goals, "cpu_count", lambda: 2)
    assert goals.why_not(goal) is None


def test_an_empty_loop_is_measured_beside_threads(capsys: pytest.CaptureFixture[str]) -> None:
    goal, found = small("loop"), {one.name: one for one in FOUND}
    series = goals.measure(goal, goal.work, found, SMALL, lambda said: None)
    (line,) = goals.lines(goal, "", series, found)
    assert line["loop_scaling"] > 0
    assert f"loop {line['loop_scaling']:.2f}x" in reporting.said(line, 1)


def test_a_report_writes_what_it_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = reporting.Report(["a peer is missing"])
    line = {"goal": "a", "title": "a goal", "beside": "", "bar": "at most 3 us", "unit": "us", "detail": "dict 1 us"}
    numbers = {"ratio": 2.0, "low": 1.0, "high": 20_000.0, "rounds": 3, "discarded": 1, "noisy": False}
    report.add(line | numbers | {"reached": True}, 1)
    report.add(line | {"title": "another", "reached": None, "why": "no such machine"}, 2)
    assert report.finish("some", tmp_path) == 0
    said = capsys.readouterr().out
    assert "2 us (1 us to 20 ms)" in said and "1 of 4 rounds discarded" in said and "1 of 1 measured" in said
    (written,) = tmp_path.glob("some-*.json")
    assert json.loads(written.read_text())["lines"][0]["ratio"] == 2.0
    assert "| another | at most 3 us | not measured: no such machine | |" in written.with_suffix(".md").read_text()


@pytest.mark.parametrize(
    "value, unit, said",
    [
        (1.5, "x", "1.50x"),
        (4776, "bytes", "4,776 bytes"),
        (0.0251, "us", "25.1 ns"),
        (2, "us", "2 us"),
        (3e6, "us", "3,000 ms"),
    ],
)
def test_an_amount_is_said_in_a_unit_that_can_be_read(value: float, unit: str, said: str) -> None:
    assert reporting.amount(value, unit) == said


# --- the sweep, the cost of a line, the model ---------------------------------------------------------------


def test_the_sweep_has_a_point_for_each_combination() -> None:
    names = [(one.title, one.threads) for one in sweep.points(["uniform", "hot", "insert", "count"], [100, 0], [1, 2])]
    assert len(names) == len(set(names)) == 2 * (2 + 2 + 1 + len(sweep.COUNTED))
    (hot,) = sweep.points(["hot"], [100], [2])
    assert set(hot.measures) == {one.name for one in FOUND}
    assert hot.measures[maps.SHARDMAP][1](1).operations >= 1_000


def test_one_core_is_a_polite_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cache_line.os, "sched_getaffinity", lambda pid: {0}, raising=False)
    monkeypatch.setattr(sys, "argv", ["cache_line.py"])
    assert cache_line.main() == 0
    assert "only one CPU" in capsys.readouterr().out


def test_without_a_compiler_the_cost_of_a_line_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_line, "which", lambda program: None)
    with pytest.raises(cache_line.Impossible, match="no C compiler"):
        cache_line.compiler()


def test_without_shared_lines_the_model_scales_with_the_cores() -> None:
    assert scaling.throughput(64, 50, [], 100) == pytest.approx(64 / 50)
    assert scaling.limit([], 50, 100) is None


def test_the_model_ends_at_its_limit_and_never_exceeds_it() -> None:
    lines = [scaling.Lines("one line", 2)]
    bound = scaling.limit(lines, 50, 100)
    assert bound == (1 / 200, "one line")
    speeds = [scaling.throughput(cores, 50, lines, 100) for cores in (1, 2, 8, 64, 256)]
    assert all(speed <= 1 / 200 * 1.0001 for speed in speeds[1:])
    assert speeds[-1] == pytest.approx(1 / 200)


def test_more_lines_of_a_sort_share_the_load_in_the_model() -> None:
    alone, spread = ([scaling.Lines("lock", 1, among, 0.5)] for among in (1, 64))
    assert scaling.throughput(32, 50, spread, 100) > 5 * scaling.throughput(32, 50, alone, 100)
    # By hand: two threads, one visit of 125 ns (100 for the way, half of 50 held), 25 ns of work outside.
    # One thread alone: X = 1 / 150, and is at the line 125 / 150 of the time; so R(2) = 125 * (1 + 5 / 6).
    assert scaling.throughput(2, 50, alone, 100) == pytest.approx(2 / (25 + 125 * (1 + 5 / 6)))


def test_shards_are_as_many_as_the_map_makes() -> None:
    source = importlib.import_module("shardmap._map")
    assert (scaling.SHARDS_PER_CPU, scaling.MOST_SHARDS) == (source._SHARDS_PER_CPU, source._MOST_DEFAULT_SHARDS)
    assert [scaling.shards(cores) for cores in (1, 2, 3, 8, 64, 256)] == [8, 16, 32, 64, 256, 256]


def test_the_report_of_the_model_has_a_row_for_each_map() -> None:
    results = [
        {"map": name, "threads": threads} | {"shape": "uniform", "reads": 100, "rates": [20.0], "cores_used": [1.0]}
        for name in (maps.DICT, maps.SHARDMAP, maps.LOCKED)
        for threads in (1, 2)
    ]
    rows = scaling.report({"results": results}, {"spaced": 20.0, "handover": 100.0}, [2, 8])
    assert sum(row.startswith(f"| {maps.SHARDMAP} |") for row in rows) == 1
    assert any("reference count of the map" in row for row in rows)
    assert any("nothing shared is written" in row for row in rows)


# --- charts and micro-benchmarks ----------------------------------------------------------------------------


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run([sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


def test_charts_are_drawn_light_and_dark(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    where = {"python": "3.14.0", "gil": False, "cpus": 2, "cpu": "a CPU", "when": "2026-01-01T00:00:00"}
    measured = {"title": "100 % reads, uniform", "reads": 100, "rates": [1.0, 2.0], "ratios": [1.0, 1.1]}
    results = [measured | {"threads": threads, "map": name} for name in ("dict", "ShardMap") for threads in (1, 2)]
    (tmp_path / "sweep.json").write_text(json.dumps({"environment": where, "results": results}))
    by_threads = [
        {"work": work, "map": name, "threads": threads, "rates": [1.0 * threads, 2.0, 3.0], "noisy": False}
        for work in ("reads", "overwrites")
        for name in ("dict", "ShardMap", "empty loop")
        for threads in (1, 2, 16)
    ]
    (tmp_path / "threads.json").write_text(json.dumps({"environment": where, "results": by_threads}))
    line = {"title": "a goal", "beside": "", "bar": "at most 1.5x dict's time", "ratio": 1.2, "low": 1.0, "high": 1.4}
    written = {"environment": where, "lines": [line | {"noisy": False, "reached": True}]}
    (tmp_path / "goals-free-threaded.json").write_text(json.dumps(written))
    run(BENCH / "plot.py", tmp_path, "--output", tmp_path / "charts", folder=tmp_path)
    drawn = {file.name: file.read_text() for file in (tmp_path / "charts").iterdir()}
    assert set(drawn) == {f"{name}{dark}.svg" for name in ("threads", "mixes", "goals") for dark in ("", "-dark")}
    assert all(text.rstrip().endswith("</svg>") for text in drawn.values())
    assert "a goal" in drawn["goals.svg"] and "ShardMap" in drawn["threads.svg"]


def test_the_micro_benchmarks_run_and_skip_by_name(tmp_path: Path) -> None:
    file = tmp_path / "micro.json"
    chosen = ["--quick", "--operations", "get_hit,insert_presized,pop", "--maps", "dict,ShardMap"]
    options = [*chosen, "-q", "-rs", "-p", "no:cacheprovider", f"--benchmark-json={file}"]
    said = run("-m", "pytest", BENCH / "micro", *options, folder=BENCH.parent).stdout
    assert "dict cannot be made with room for entries" in said
    measured = {(one["extra_info"]["operation"], one["name"]) for one in json.loads(file.read_text())["benchmarks"]}
    both = {(operation, name) for operation in ("get_hit", "pop") for name in ("dict", "ShardMap")}
    assert measured == both | {("insert_presized", "ShardMap")}


def test_every_map_is_measured_with_every_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREADS", (1, 3))
    monkeypatch.setattr(threads, "SHORTEST", 0.001)
    monkeypatch.setattr(sys, "argv", ["threads.py", "--rounds", "1", "--output", str(tmp_path)])
    assert threads.main() == 0
    written = json.loads((tmp_path / "threads.json").read_text())["results"]
    measured = {(one["work"], one["map"], one["threads"]) for one in written}
    for work in ("reads", "overwrites"):
        for name in ("dict", "ShardMap", threads.LOOP):
            assert {(work, name, 1), (work, name, 3)} <= measured
    for one in written:
        if (one["map"], one["threads"]) in {("dict", 3), (threads.LOOP, 1)}:
            assert one["ratios"] == [1.0] * len(one["rates"])
