"""Every operation on every map; run with `python -m pytest bench/micro` (options: conftest.py)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
from operations import OPERATIONS, Data, NotOffered, left_behind, prepare, set_up

from maps import competitors

FOUND = {one.name: one for one in competitors()[0]}
TIME = 1.0  # seconds of an operation that needs a fresh map for each round

data_for = lru_cache(maxsize=1)(prepare)


def check(m: Any, right: dict[Any, Any], data: Data) -> None:
    for key, value in right.items():
        assert m[key] is value
    if not right:
        for key in data.stored[:: max(1, len(data.stored) // 100)]:
            with pytest.raises(KeyError):
                m[key]
    if hasattr(m, "__len__"):
        assert len(m) == len(right)


def test_operation(
    benchmark: Any, request: pytest.FixtureRequest, operation: str, keys: str, size: int, values: str, map_name: str
) -> None:
    if map_name not in FOUND:
        pytest.skip(f"{map_name} is not installed for this interpreter")
    data = data_for(keys, size, values)
    what = OPERATIONS[operation]
    try:
        timed, make = set_up(what, FOUND[map_name], data)
    except NotOffered as why:
        pytest.skip(str(why))
    benchmark.group = f"{operation}: {size:,} {keys} keys, {values} values"
    benchmark.name = map_name
    benchmark.extra_info.update(operation=operation, keys=keys, entries=size, values=values)
    benchmark.extra_info["version"] = FOUND[map_name].version
    if what.changes:
        made: list[Any] = []

        def fresh() -> tuple[tuple[Any], dict[str, Any]]:
            made[:] = [make()]
            return (made[0],), {}

        # A round costs its set-up too, some times what is timed: about 100 ns an entry.
        seconds = 0.05 if request.config.getoption("--quick") else TIME
        benchmark.pedantic(timed, setup=fresh, rounds=max(3, min(200, int(seconds / (size * 4e-7)))), warmup_rounds=1)
        m = made[0]
    else:
        m = make()
        benchmark(timed, m)
    if benchmark.enabled:
        benchmark.extra_info["ns_per_entry"] = benchmark.stats.stats.median / size * 1e9
    check(m, left_behind(operation, what, FOUND[map_name], data), data)
