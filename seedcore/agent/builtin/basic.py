"""Two tools without effects: for trying things out, and as fillers in a plan."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from pydantic import Field

from seedcore.agent.definition import tool


@tool("echo")
async def echo(value: Any = None) -> Any:
    """Return the value it is given."""
    return value


@tool("sleep")
async def sleep(seconds: Annotated[float, Field(ge=0, le=3600)]) -> dict[str, float]:
    """Wait for some seconds, then tell how many."""
    await asyncio.sleep(seconds)
    return {"slept": seconds}
