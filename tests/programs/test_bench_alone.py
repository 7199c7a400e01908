"""The benchmarks of a map that one thread has to itself, beside a dict."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
if not BENCH.is_dir():
    pytest.skip("the benchmarks are not part of the sdist", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import alone  # noqa: E402
import beside_dict  # noqa: E402
import graphs  # noqa: E402
import reporting  # noqa: E402
from shardmap import ShardMap  # noqa: E402

SMALL = reporting.Scale(2, 2, 0.0, False)


def test_the_goals_beside_dict_are_those_of_the_table() -> None:
    said = {goal.name: goal.bar for goal in beside_dict.GOALS}
    assert len(said) == len(beside_dict.GOALS)
    assert said["bytes-10-64"] == "at most 700 bytes"
    assert said["bytes-million"] == "at most 1.15x dict's bytes"
    assert said["iterate-256"] == "at most 2.2x dict's time"
    assert said["queue"] == "at most 2 us"


OPERATIONS = [
    pytest.param(operation, size, id=operation.__name__)
    for operation, size in (
        (alone.make_and_fill, {}),
        (alone.listed, {}),
        (alone.iterated, {"size": 50}),
        (alone.first_for_new, {"size": 50}),
        (alone.constructed, {"size": 50}),
        (alone.compared, {"size": 50}),
        (alone.united, {"size": 50}),
        (alone.values_listed, {"size": 50}),
        (alone.popped, {"size": alone.POPPED}),
        (alone.popped_alone, {"size": 2 * alone.POPPED}),
        (alone.deeply_copied, {"size": 50}),
        (alone.graph_built, {"nodes": 20}),
        (alone.graph_searched, {"nodes": 20}),
        (alone.graph_copied, {"nodes": 20, "kind": "MultiGraph"}),
    )
]


@pytest.mark.parametrize("operation, size", OPERATIONS)
@pytest.mark.parametrize("make", [dict, ShardMap])
def test_what_one_thread_does_alone_is_timed_on_both(
    make: Callable[..., Any], operation: Callable[..., Any], size: dict[str, Any]
) -> None:
    if operation.__name__.startswith("graph"):
        pytest.importorskip("networkx")
    timed = alone.Timed(functools.partial(operation, **size))
    measured = timed.measure(make, 2)
    assert measured.seconds > 0
    assert measured.operations == 2 * (50 if operation is alone.iterated else 1)


def test_every_operation_alone_is_some_goal_s() -> None:
    works = [goal.work for one in beside_dict.GOALS for _, goal in one.variants(beside=True)]
    used = [work.operation for work in works if isinstance(work, alone.Timed)]
    used = [getattr(operation, "func", operation) for operation in used]
    assert {operation.values[0] for operation in OPERATIONS} == set(used)


def test_bytes_and_times_beside_dict_are_told_in_one_line() -> None:
    few = beside_dict.Goal("few", "few entries", 1e9, beside_dict.Bytes(3), "bytes", 64)
    line = beside_dict.line_of(few, "", beside_dict.measure(few, SMALL, lambda said: None))
    assert line["reached"] is True
    assert f"dict {sys.getsizeof({1: 1, 2: 2, 3: 3})} bytes" in reporting.said(line, 3)
    times = beside_dict.Goal("time", "a time", 1e9, alone.Timed(alone.listed), shards=4)
    line = beside_dict.line_of(times, "", beside_dict.measure(times, SMALL, lambda said: None))
    assert line["reached"] is (None if line["noisy"] else True)
    assert line["low"] <= line["ratio"] <= line["high"]


def test_another_machine_s_default_lasts_as_long_as_its_measurement() -> None:
    before = sys.getsizeof(ShardMap()), ShardMap.with_capacity(shards=1).stats()
    with pytest.raises(KeyError), beside_dict.default_of(64):
        raise KeyError
    assert (sys.getsizeof(ShardMap()), ShardMap.with_capacity(shards=1).stats()) == before


def test_every_dict_of_a_graph_is_a_map() -> None:
    networkx = pytest.importorskip("networkx")
    for kind in ("Graph", "DiGraph", "MultiGraph"):
        graph = graphs.graph_class(ShardMap, kind)([(1, 2)])
        made = [graph._node, graph._node[1], graph._adj, graph._adj[1], graph._adj[1][2], graph.graph]
        made += [graph._adj[1][2][0]] if graph.is_multigraph() else []
        assert {type(one) for one in made} == {ShardMap}
        assert graphs.graph_class(dict, kind) is getattr(networkx, kind)
    assert set(graphs.FACTORIES) == {name for name in dir(networkx.MultiDiGraph) if name.endswith("_dict_factory")}
