"""The tests of fork, again and again (`make stress`)."""

from __future__ import annotations

import os

import pytest

if "SHARDMAP_STRESS_SECONDS" not in os.environ:
    pytest.skip("make stress runs this", allow_module_level=True)

from test_fork import *  # noqa: F403
