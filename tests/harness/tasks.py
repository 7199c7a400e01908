"""Event loops in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from harness.threads import LONG


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, LONG))


async def others() -> None:
    """Lets everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)
