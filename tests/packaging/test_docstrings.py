"""The examples in docstrings, run."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

import shardmap

pytestmark = pytest.mark.first_use

WITH_EXAMPLES = ["AtomicRef", "EventualMap", "ShardMap", "ShardWorkers", "Snapshot"]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_example_in_a_docstring_is_right(name: str) -> None:
    names: dict[str, Any] = {each: getattr(shardmap, each) for each in shardmap.__all__}
    test = doctest.DocTestParser().get_doctest(getattr(shardmap, name).__doc__, names, name, None, 0)
    assert test.examples
    results = doctest.DocTestRunner(verbose=False).run(test)
    assert results.failed == 0
