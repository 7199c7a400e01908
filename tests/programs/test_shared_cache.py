"""The example examples/shared_cache.py: each page once, every page the right one, and wrong pages are noticed."""

from __future__ import annotations

import functools
import threading
from types import ModuleType
from typing import Any

import pytest

from harness.examples import import_example
from harness.threads import LONG, interrupt_third_start, join_all


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = import_example("shared_cache")
    monkeypatch.setattr(module, "QUERY", 0.0005)
    monkeypatch.setattr(module, "HITS", 1000)
    return module


@pytest.mark.parametrize("way", ["lock", "shardmap"])
def test_each_page_is_queried_once(example: ModuleType, way: str) -> None:
    run = example.run(way, threads=8, seed=3)
    assert run.queries == run.distinct > 100
    assert run.seconds > 0 and run.million_hits > 0


def test_lru_cache_queries_every_page_at_least_once(example: ModuleType) -> None:
    run = example.run("lru_cache", threads=8, seed=3)
    assert run.queries >= run.distinct


def test_every_way_gets_the_same_requests(example: ModuleType) -> None:
    assert example.requests(3, 7) == example.requests(3, 7) != example.requests(3, 8)


def test_threads_that_want_a_page_at_the_same_time_load_it_once(example: ModuleType) -> None:
    """Without a clock: the query ends when all have asked for the page."""
    asked = threading.Semaphore(0)
    queries: list[int] = []

    def load(number: int) -> str:
        queries.append(number)
        for _ in range(8):
            assert asked.acquire(timeout=LONG)
        return str(example.content(number))

    get_page = example.cached_load("shardmap", load)

    def ask(numbers: list[int]) -> None:
        asked.release()
        assert get_page(numbers[0]) == example.content(7)

    example.run_threads(ask, [[7]] * 8)
    assert queries == [7]


@pytest.mark.parametrize("way", ["lru_cache", "lock", "shardmap"])
def test_a_wrong_page_is_an_error(example: ModuleType, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    def load_another(self: Any, number: int) -> str:
        return str(example.content(number + 1))

    monkeypatch.setattr(example.Database, "load", load_another)
    with pytest.raises(example.WrongPage, match="page"):
        example.run(way, threads=2, seed=0)


def test_the_table_has_a_row_for_every_way(example: ModuleType) -> None:
    results = example.measured(threads=4, rounds=2)
    text = example.table(results)
    for label in example.WAYS.values():
        assert text.count(f"    {label} ") == 1
    assert [row["way"] for row in results["results"]] == list(example.WAYS)
    for row in results["results"]:
        low, high = row["seconds_spread"]
        assert 0 < low <= row["seconds"] <= high


def test_without_threads_there_is_nothing_to_measure(example: ModuleType) -> None:
    with pytest.raises(SystemExit):
        example.main(["--threads", "0"])


def test_what_is_compared_with_is_the_standard_librarys(example: ModuleType) -> None:
    assert isinstance(example.cached_load("lru_cache", str), functools._lru_cache_wrapper)


def test_threads_do_not_wait_for_one_that_never_starts(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl-C while they are started."""
    started = interrupt_third_start(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        example.run_threads(lambda numbers: None, [[1]] * 4)
    assert len(started) == 2
    join_all(started, [], LONG)
