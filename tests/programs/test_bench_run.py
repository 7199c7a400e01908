"""bench/run.py: its files are for pyperf, and its sentences say what the results are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
if not BENCH.is_dir():
    pytest.skip("the benchmarks are not part of the sdist", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import comparisons  # noqa: E402
import results  # noqa: E402
import rounds  # noqa: E402
import run  # noqa: E402
import sentences  # noqa: E402
from results import LOOP, Case, Ratio, Results, Sample  # noqa: E402

TASK = "reads, 1,000 str keys"
ABOUT: dict[str, Any] = {
    "python": "3.14.0",
    "python_tag": "cp314t",
    "gil": "off",
    "cpu_count": 2,
    "cpu_model_name": "a CPU",
    "machine": "linux-x86_64-2cpu",
    "date": "2026-01-01 00:00:00",
    "shardmap_version": "0.1.0",
    "commit": "0123456789ab",
}


def case(library: str = "ShardMap", threads: int = 2, task: str = TASK, section: str = "several threads") -> Case:
    role = "loop" if library == LOOP else "ours" if library.startswith(("Shard", "@")) else "peer"
    return Case(section, task, library, threads, role)  # type: ignore[arg-type]


def made(speeds: dict[Case, list[float]], **about: Any) -> Results:
    """Results with these speeds in each round, in million operations a second."""
    samples = {one: [Sample(1e-6 / speed, 2.0, 2.0) for speed in found] for one, found in speeds.items()}
    return Results(ABOUT | about, samples)


def said(results: Results) -> str:
    """The report, without the ends of its lines."""
    return " ".join(sentences.report(results).split())


# --- files of results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["some.json", "some.json.gz"])
def test_a_file_of_results_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    written = made({case(): [1, 2, 4], case("dict"): [1, 1, 1]})
    written.samples[case()][1] = Sample(5e-7, 0.5, 2.0)
    results.write(written, tmp_path / name)
    assert results.read(tmp_path / name) == written
    first = (tmp_path / name).read_bytes()
    results.write(written, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_pyperf_reads_the_files_and_compares_them(tmp_path: Path) -> None:
    pyperf = pytest.importorskip("pyperf")
    before, after = tmp_path / "before.json", tmp_path / "after.json.gz"
    results.write(made({case(): [1, 1, 0.8], case("dict"): [1, 1.1, 0.9]}), before)
    results.write(made({case(): [4, 4, 3.2], case("dict"): [1, 1.1, 0.9]}, commit="ba9876543210"), after)
    suite = pyperf.BenchmarkSuite.load(str(before))
    assert suite.get_benchmark_names() == [case().name, case("dict").name]
    assert suite.get_benchmark(case().name).get_values() == (1e-6, 1e-6, 1.25e-6)
    assert suite.get_metadata()["python_tag"] == "cp314t"
    compared = subprocess.run(
        [sys.executable, "-m", "pyperf", "compare_to", str(before), str(after)], capture_output=True, text=True
    )
    assert compared.returncode == 0, compared.stderr
    assert f"{case().name}: Mean +- std dev" in compared.stdout and "4.00x faster" in compared.stdout
    assert "ERROR" not in compared.stdout


def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    for text in ("{", "{}", '{"benchmarks": [{"metadata": {"name": "not ours"}, "runs": []}]}'):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(ValueError, match=r"other\.json is not a file of results"):
            results.read(tmp_path / "other.json")
    (tmp_path / "other.json.gz").write_text("not compressed")
    with pytest.raises(ValueError, match=r"other\.json\.gz is not a file of results"):
        results.read(tmp_path / "other.json.gz")


def test_a_ratio_is_of_the_same_rounds() -> None:
    found = made({case(): [2, 40, 6], case("dict"): [1, 10, 2]}).ratio(case(), case("dict"))
    assert (found.median, found.low, found.high) == pytest.approx((3, 2.5, 3.5))


def test_disturbed_rounds_do_not_count_if_enough_others_do() -> None:
    given = made({case(): [2, 2, 2, 50, 50], case("dict"): [1, 1, 1, 1, 1]})
    for number in (3, 4):
        given.samples[case()][number] = given.samples[case()][number]._replace(available=1.0)
    assert given.ratio(case(), case("dict")) == pytest.approx(Ratio(2, 2, 2, 3, False))
    given.samples[case()][2] = given.samples[case()][2]._replace(available=1.0)
    all_of_them = given.ratio(case(), case("dict"))
    assert all_of_them.disturbed and all_of_them.rounds == 5 and all_of_them.high == pytest.approx(50)


# --- sentences ----------------------------------------------------------------------------------------------


def test_a_win_and_a_loss_are_said_with_their_factors() -> None:
    told = said(
        made(
            {
                case(): [10, 11, 12],
                case("dict"): [2, 2, 2],
                case(threads=1): [1, 1, 1],
                case("dict", threads=1): [1.5, 1.6, 1.7],
            }
        )
    )
    assert f"ShardMap is faster than dict, by these factors: {TASK}: 5.5 (5.2 to 5.8) with 2 threads." in told
    assert f"ShardMap is SLOWER than dict. It takes so many times as long: {TASK}: 1.60 (1.55" in told
    assert "shardmap is ahead in 1 of 2 comparisons, equal in 0 and behind in 1. 0 cannot be trusted." in told
    assert f"The largest lead is a factor of 5.5: {TASK}, 2 threads, ShardMap beside dict." in told
    assert f"The largest loss is a factor of 1.60: {TASK}, 1 thread, ShardMap beside dict." in told


def test_a_report_without_a_loss_names_none() -> None:
    told = said(made({case(): [10, 11, 12], case("dict"): [2, 2, 2]}))
    assert "largest lead" in told and "largest loss" not in told and "SLOWER" not in told


def test_a_difference_within_the_spread_is_not_to_be_trusted() -> None:
    told = said(made({case(): [1, 1.2, 2], case("dict"): [1, 1, 1]}))
    assert "1 of 1 comparisons cannot be trusted, because the spread is larger than the difference" in told
    assert f"ShardMap beside dict, factors of speed: {TASK}: 1.20 (1.10 to 1.60) with 2 threads." in told
    assert "Where" not in told and "largest" not in told


def test_two_rounds_are_too_few_to_trust() -> None:
    assert "1 of 1 comparisons cannot be trusted" in said(made({case(): [9, 9], case("dict"): [1, 1]}))


def test_what_differs_by_less_than_five_per_cent_is_equal() -> None:
    told = said(made({case(): [1.00, 1.02, 1.04], case("dict"): [1, 1, 1]}))
    assert "Where it is as fast, within 5%" in told
    assert f"ShardMap beside dict, factors of speed: {TASK}: 1.02 (1.01 to 1.03) with 2 threads." in told


def test_the_empty_loop_says_what_the_machine_gives() -> None:
    loops = {case(LOOP, 1): [10.0] * 3, case(LOOP, 2): [19.0] * 3, case(LOOP, 8): [18.0] * 3}
    compared = {case(threads=1): [1.0] * 3, case(): [1.8] * 3, case("dict", 1): [1.0] * 3, case("dict"): [0.5] * 3}
    told = said(made(loops | compared))
    assert "1.90 (1.90 to 1.90) with 2 threads and 1.80 (1.80 to 1.80) with 8 threads." in told
    assert "cannot be expected to gain more" in told and "whole CPUs" not in told
    assert f"{TASK}: empty loop 1.90 (1.90 to 1.90), ShardMap 1.80 (1.80 to 1.80), dict 0.50 (0.50 to 0.50)." in told
    slow = said(made(loops | {case(LOOP, 2): [12.0] * 3} | compared))
    assert "2 threads did not get 2 whole CPUs" in slow
    one = said(made(loops | {case(LOOP, 2): [10.0] * 3} | compared, cpu_count=1))
    assert "on 1 CPU (a CPU)" in one and "whole CPUs" not in one


def test_a_python_with_the_gil_is_said_to_be_one() -> None:
    loops = {case(LOOP, 1): [10.0] * 3, case(LOOP, 2): [10.0] * 3}
    told = said(made(loops | {case(): [2.0] * 3, case("dict"): [1.0] * 3}, gil="on"))
    assert "This is Python 3.14.0 with the GIL on, on 2 CPUs (a CPU)." in told
    assert "one thread at a time runs Python code" in told and "whole CPUs" not in told


def test_missing_peers_and_missing_classes_are_named() -> None:
    compared = {case(): [2.0] * 3, case("dict"): [1.0] * 3}
    told = said(made(compared, missing_peers="cereggii, cachebox", left_out="caches: no ShardCache"))
    assert "Not installed for this Python, so not compared: cereggii, cachebox." in told
    assert "Not measured, because this version of shardmap lacks it: caches: no ShardCache." in told
    assert "Not installed" not in said(made(compared))


def test_noise_is_confessed() -> None:
    given = made({case(): [2.0] * 4, case("dict"): [1.0] * 4})
    assert "Other programs" not in said(given)
    given.samples[case()] = [sample._replace(available=1.0) for sample in given.samples[case()]]
    told = said(given)
    assert "1 of 1 comparisons had fewer than 3 undisturbed rounds" in told
    assert told.index("undisturbed rounds") < told.index("Where shardmap is faster")


def test_results_of_nothing_are_said_to_be_nothing() -> None:
    assert "Nothing was compared." in said(made({}))


# --- the program --------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regions of a millisecond, maps of 10,000 entries (a batch), three rounds."""
    monkeypatch.setattr(comparisons, "TOGETHER", 0.001)
    monkeypatch.setattr(comparisons, "BY_ITSELF", 0.001)
    monkeypatch.setattr(comparisons, "ENTRIES", 10_000)
    monkeypatch.setattr(comparisons, "thread_numbers", lambda: [1, 2])


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
    return run.main()


@pytest.mark.parametrize("section", comparisons.SECTIONS)
def test_every_task_of_a_section_runs_and_is_compared(tiny: None, section: str) -> None:
    found, left_out = comparisons.groups([section])
    assert found and not left_out
    assert len({one.name for group in found for one in group.cases}) == sum(len(group.cases) for group in found)
    for group in found:
        measured = run.one_round(comparisons.without_peers(group), 1)
        assert all(region.operations > 0 for region in measured.values()), group.task
        assert {one.role for one in group.cases} >= {"ours", "peer"}, group.task
    assert all(one.task for row in found for one in row.cases)


def test_a_run_writes_a_file_and_ends_with_sentences(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comparisons, "KINDS", ("str",))
    assert run_main(monkeypatch, "--only=one thread", "--seconds=0.01", "--rounds=3", f"--output={tmp_path}") == 0
    (file,) = tmp_path.glob("run-*.json")
    told = capsys.readouterr()
    assert "m[k], 1,000 str keys" in " ".join(told.out.split()) and str(file) in told.out
    assert "round 3 done" in told.err
    written = results.read(file)
    assert written.rounds == 3
    assert written.about["python_tag"] == run.python_tag() and written.about["cpu_count"] >= 1
    assert run_main(monkeypatch, "--report", file) == 0
    assert capsys.readouterr().out.strip() == sentences.report(written)
    pyperf = pytest.importorskip("pyperf")
    assert len(pyperf.BenchmarkSuite.load(str(file))) == len(written.samples)


def test_rounds_go_on_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def measured() -> rounds.Region:
        clock[0] += 10
        return rounds.Region(1.0, 10, 1.0, None, 1.0)

    monkeypatch.setattr(run.time, "monotonic", lambda: clock[0])
    group = comparisons.Group("several threads", TASK, {case(): measured})
    # One round that does not count, and five more: a sixth would end after the limit.
    assert len(run.measure([group], run.Progress(65.0, 0.0))[case()]) == 5
    for chosen, count in (({"fewest": 3}, 3), ({"exactly": 2}, 2), ({"exactly": 8}, 8)):
        clock[0] = 0.0
        assert len(run.measure([group], run.Progress(1.0, 0.0), **chosen)[case()]) == count


def test_what_a_version_lacks_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def half() -> Any:
        yield comparisons.Group("caches", "first", {})
        raise ImportError("cannot import name 'ShardCache' from 'shardmap' (/home/somebody/shardmap/__init__.py)")

    monkeypatch.setitem(comparisons.SECTIONS, "caches", half)
    monkeypatch.setattr(comparisons, "ShardMap", dict)
    found, left_out = comparisons.groups(["caches", "many keys"])
    assert [group.task for group in found] == ["first"]
    assert left_out == ["caches: cannot import name 'ShardCache' from 'shardmap'", "many keys: dict has no get_many"]


def test_libraries_of_the_package_index_can_be_left_out() -> None:
    names = ("ShardMap", "dict", "cereggii AtomicDict", "cachetools, lock", "lru_cache")
    group = comparisons.Group("caches", TASK, {case(name): lambda: rounds.Region(1, 1, 1, 1, 1) for name in names})
    assert [one.library for one in comparisons.without_peers(group).cases] == ["ShardMap", "dict", "lru_cache"]


def test_missing_peers_are_packages_that_could_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "find_spec", lambda module: None)
    assert set(comparisons.missing_peers()) >= {"cereggii", "cachetools", "cachebox", "moka-py"}
    assert ("ft_utils" in comparisons.missing_peers()) == (sys.version_info < (3, 14))


def test_wrong_options_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"no such section: nonsense": ["--only", "nonsense"], "not a program": ["--and", "nowhere"]}
    for why, options in wrong.items():
        with pytest.raises(SystemExit):
            run_main(monkeypatch, *options)
        assert why in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="the other Python is a shell script")
def test_another_python_is_measured_and_reported_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = tmp_path / "run-cp314t.json", tmp_path / "theirs.json"
    results.write(made({case(): [2.0] * 3, case("dict"): [1.0] * 3}), mine)
    results.write(made({case(): [9.0] * 3, case("dict"): [1.0] * 3}, python="3.11.9"), theirs)
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncp {theirs} {tmp_path}/run-cp311.json\n')
    other.chmod(0o755)
    monkeypatch.setattr(run, "measure_this", lambda options, seconds: mine)
    options = ["--output", tmp_path, "--only", "caches", "--no-peers"]
    assert run_main(monkeypatch, "--and", other, *options) == 0
    told = capsys.readouterr().out
    assert "This is Python 3.14.0" in told and "This is Python 3.11.9" in told
    given = (tmp_path / "arguments").read_text().split()
    assert given[1:3] == [f"--seconds={run.ALL_SECONDS / 2}", f"--output={tmp_path}"]
    assert given[3:] == ["--quiet", "--only=caches", "--fewest=1", "--no-peers"]
    other.write_text("#!/bin/sh\nexit 3\n")
    assert run_main(monkeypatch, "--and", other, *options) == 1
    told = capsys.readouterr()
    assert "This is Python 3.14.0" in told.out and "could not measure" in told.err
