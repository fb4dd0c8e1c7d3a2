"""Tools that the tests run on the cluster."""

from __future__ import annotations

import os
import time

import psycopg

from seedcore.agent import ToolContext, tool
from seedcore.runtime import ray_session


@tool("ray.where")
def where(ctx: ToolContext) -> dict[str, str | int | None]:
    """Tell in which process and on which machine it runs."""
    ctx.progress(1, 2, "there")
    return {"pid": os.getpid(), "node": ray_session.node_id()}


@tool("ray.hold", timeout_s=120)
def hold(ctx: ToolContext) -> str:
    """Store where it runs, and wait until it is stopped; on another attempt return at once."""
    if ctx.attempt > 1:
        return f"again, after {ctx.checkpoint_value}"
    ctx.checkpoint(ray_session.node_id())
    while not ctx.cancelled():
        time.sleep(0.01)
    return "stopped"


@tool("ray.once", at_most_once=True, timeout_s=120)
def once(ctx: ToolContext) -> str:
    """As `ray.hold`, and never a second time."""
    return hold(ctx)


@tool("ray.settle")
def settle(url: str, ctx: ToolContext) -> str:
    """Complete its task in a transaction of its own."""
    with psycopg.connect(url) as connection:
        ctx.complete_in(connection, {"by": "the tool"})
    return "ignored"


@tool("ray.work", timeout_s=60)
def work(seconds: float) -> int:
    """Take a while."""
    time.sleep(seconds)
    return os.getpid()


@tool("ray.work_once", at_most_once=True, timeout_s=60)
def work_once(seconds: float) -> int:
    """Take a while, at most once."""
    return work(seconds)
