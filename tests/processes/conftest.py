"""A Dask cluster for the tests of a file, and gates for functions in other processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Of a cluster of four processes."""
    from harness.cluster import local_cluster

    with local_cluster(4) as client:
        yield client


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Any]:
    from harness.cluster import Gate

    gate = Gate(tmp_path)
    yield gate
    gate.close()
