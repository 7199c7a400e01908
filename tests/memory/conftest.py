"""What tests of memory share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shardmap import _core


@pytest.fixture
def failing() -> Iterator[Callable[[int], None]]:
    """Makes the n-th allocation from now fail; at the end none does."""
    yield _core._fail_allocation
    _core._fail_allocation(0)
