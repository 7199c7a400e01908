"""Twenty million fresh keys through a map of a thousand: memory and capacity stay flat."""

from __future__ import annotations

import os

import pytest

from test_sizes import churn

pytestmark = pytest.mark.skipif("SHARDMAP_STRESS_SECONDS" not in os.environ, reason="make stress runs this")


@pytest.mark.parametrize("key", ["n", "str(n)"])
def test_twenty_million_fresh_keys_keep_memory_flat(key: str) -> None:
    churn(20_000_000, key=key, most=10_000, timeout=600)
