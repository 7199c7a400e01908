"""Fixtures: every map test runs with 1, 2 and many shards, so that all of them meet collision and growth; and where it
does not ask for the number, with maps that are split under it."""

from __future__ import annotations

import gc
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.machine import splitting
from harness.threads import EMULATED, switching_often
from shardmap import ShardMap, _core

if EMULATED:
    from hypothesis import HealthCheck, settings

    settings.register_profile("emulated", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("emulated")

SPLIT = 0  # a number of shards that changes

# Dask's workers sample the frames of running threads. That crashes free-threaded builds (many-machines.md).
os.environ.setdefault("DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED", "False")


@pytest.fixture(autouse=True, scope="module")
def few_objects_to_collect() -> None:
    """The collector looks at what a file's tests make, and no more at what was there before: among all that pytest and
    hypothesis have, each gc.collect() took a tenth of a second, and in a forked child it copied all their pages."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Threads take turns as often as can be."""
    with switching_often():
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    markers = metafunc.definition.iter_markers("parametrize")
    if "shards" in metafunc.fixturenames and not any("shards" in str(marker.args[0]) for marker in markers):
        cases = [1, 2, 64]
        if "make_map" in metafunc.fixturenames and "shards" not in inspect.signature(metafunc.function).parameters:
            cases.append(SPLIT)
        metafunc.parametrize("shards", cases, ids=[f"shards={n}" if n else "split" for n in cases], indirect=True)


@pytest.fixture
def shards(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def make_map(shards: int) -> Iterator[Callable[..., ShardMap]]:
    """Makes maps like ShardMap(...), with the fixture's number of shards. At the end each is checked."""
    made: list[ShardMap] = []

    def make(*args: Any, **kwargs: Any) -> ShardMap:
        m = ShardMap.with_capacity(shards=shards) if shards != SPLIT else ShardMap()
        m.update(*args, **kwargs)
        made.append(m)
        return m

    if shards == SPLIT:
        with splitting():
            yield make
    else:
        yield make
    for m in made:
        m._check()


@pytest.fixture
def default_shards(shards: int) -> Iterator[int]:
    """Makes `shards` what a map begins with when nobody says how many."""
    _core._set_first_shards((shards - 1).bit_length())
    yield shards
    _core._set_first_shards(0)


def pytest_report_header() -> str:
    gil = "off" if not getattr(sys, "_is_gil_enabled", lambda: True)() else "on"
    return f"shardmap on Python {sys.version.split()[0]}, GIL {gil}"
