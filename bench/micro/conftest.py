"""Options and the matrix of the micro-benchmarks.

    python -m pytest bench/micro --quick
    python -m pytest bench/micro --operations get_hit,overwrite --keys str --sizes 1000 --benchmark-json=micro.json

One thread, one operation after another, on a map of that thread's own: what an operation costs where nothing is shared.
A group of pytest-benchmark is one operation, kind of key, number of entries and kind of value; in it, the maps. An
operation that a map does not offer is skipped by name, and so is a map that is not installed. The whole matrix takes
hours; --quick takes 1,000 str keys and small integers only, about a quarter of a minute.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCH))

from operations import KEYS, OPERATIONS, SIZES, VALUES  # noqa: E402

from maps import CEREGGII, DICT, FT_UTILS, LOCKED, SHARDMAP, competitors  # noqa: E402

MAPS = (DICT, LOCKED, SHARDMAP, CEREGGII, FT_UTILS)
QUICK = {"keys": ["str"], "sizes": ["1000"], "values": ["int"]}
ALL = {"keys": list(KEYS), "sizes": [str(size) for size in SIZES], "values": list(VALUES)}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("shardmap micro-benchmarks")
    group.addoption("--quick", action="store_true", help="1,000 str keys, small integers, short measurements")
    group.addoption("--operations", default="", help="with commas, of " + ", ".join(OPERATIONS))
    group.addoption("--maps", default="", help="with commas, of " + ", ".join(MAPS))
    for name, choices in ALL.items():
        group.addoption(f"--{name}", default="", help="with commas, of " + ", ".join(choices))


def pytest_configure(config: pytest.Config) -> None:
    # The project's own configuration skips benchmarks; these files consist of nothing else.
    if config.getoption("benchmark_skip", False):
        config.option.benchmark_skip = False
    if config.getoption("--quick"):
        config.option.benchmark_max_time = 0.05
        config.option.benchmark_min_rounds = 3
    config.option.benchmark_disable_gc = True
    config.option.benchmark_group_by = "group"
    config.option.benchmark_columns = ["median", "iqr", "ops", "rounds"]
    config.option.benchmark_sort = "mean"


def chosen(config: pytest.Config, name: str, choices: list[str]) -> list[str]:
    said = config.getoption(f"--{name}")
    if not said:
        return QUICK.get(name, choices) if config.getoption("--quick") else choices
    wanted = said.split(",")
    if unknown := set(wanted) - set(choices):
        raise pytest.UsageError(f"--{name}: no {', '.join(sorted(unknown))}; there are {', '.join(choices)}")
    return list(wanted)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    config = metafunc.config
    matrix = [
        pytest.param(operation, keys, int(size), values, name, id=f"{operation}-{keys}-{size}-{values}-{name}")
        for operation in chosen(config, "operations", list(OPERATIONS))
        for keys in chosen(config, "keys", ALL["keys"])
        for size in chosen(config, "sizes", ALL["sizes"])
        for values in chosen(config, "values", ALL["values"])
        for name in chosen(config, "maps", list(MAPS))
    ]
    metafunc.parametrize(("operation", "keys", "size", "values", "map_name"), matrix)


def pytest_report_header() -> list[str]:
    from environment import environment, headline

    return [headline(environment()), *competitors()[1]]


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    from environment import environment

    machine_info["shardmap"] = environment()
