"""Random sequences of every operation, in lock-step with a dict (`make stress`); other ones in every run."""

from __future__ import annotations

import os
import random
import time

import pytest
from hypothesis import settings

from test_model import MODEL_SETTINGS, grow_and_shrink, run_in_lock_step

SECONDS = float(os.environ.get("SHARDMAP_STRESS_SECONDS") or 0)

pytestmark = pytest.mark.skipif(not SECONDS, reason="set SHARDMAP_STRESS_SECONDS, or run `make stress`")


@pytest.mark.parametrize("shards", [1, 2, 64])
def test_random_operations_do_what_they_do_to_a_dict(shards: int) -> None:
    until = time.monotonic() + SECONDS / 6
    while time.monotonic() < until:
        run_in_lock_step(shards, settings(MODEL_SETTINGS, max_examples=100, derandomize=False))


@pytest.mark.parametrize("shards", [1, 2, 64])
def test_maps_that_grow_and_shrink_by_thousands_stay_like_a_dict(shards: int) -> None:
    until = time.monotonic() + SECONDS / 30
    while time.monotonic() < until:
        grow_and_shrink(shards, seed=random.randrange(2**32))  # the seed is in pytest's report, should it fail
