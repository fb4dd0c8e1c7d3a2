"""Tools that the benchmark's tasks call."""

from __future__ import annotations

import time

from seedcore.agent import tool


@tool("bench.noop", idempotent=True)
async def noop() -> None:
    """Do nothing."""


@tool("bench.stamp", idempotent=True)
async def stamp() -> float:
    """Return when it ran, on the clock that all processes of this machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)
