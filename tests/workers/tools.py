"""Tools that misbehave on purpose; loaded by the workers of these tests."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import psycopg

from seedcore.agent import ToolContext, ToolError, tool


@tool("test.nap", timeout_s=120, idempotent=True)
async def nap(seconds: float) -> float:
    """Sleep on the event loop."""
    await asyncio.sleep(seconds)
    return seconds


@tool("test.deaf", timeout_s=120, idempotent=True)
def deaf(seconds: float) -> float:
    """Sleep in a thread, and never ask whether anybody still waits."""
    time.sleep(seconds)
    return seconds


@tool("test.trace", timeout_s=120, idempotent=True)
def trace(path: str, seconds: float, ctx: ToolContext) -> None:
    """Write down when it begins and ends, and between the two never ask whether anybody still waits."""
    for word, pause in (("begins", seconds), ("ends", 0.0)):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{ctx.task_id} {word}\n")
        time.sleep(pause)


@tool("test.hog", timeout_s=120, idempotent=True)
async def hog(seconds: float) -> float:
    """Keep the event loop to itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))
    return seconds


@tool("test.freeze", timeout_s=120, idempotent=True)
async def freeze(seconds: float) -> float:
    """Block the event loop without using it."""
    time.sleep(seconds)  # noqa: ASYNC251 - that is the point
    return seconds


@tool("test.stubborn", timeout_s=120, idempotent=True)
async def stubborn(seconds: float) -> float:
    """Go on whatever happens."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue
    return seconds


@tool("test.fail", idempotent=True)
async def fail(permanent: bool = False, retry_after: float | None = None) -> None:
    """Fail."""
    raise ToolError("on purpose", permanent=permanent, retry_after=retry_after)


@tool("test.mark", idempotent=True)
async def mark(path: str, ctx: ToolContext) -> str:
    """Append the task and the attempt to a file, in one write."""
    with Path(path).open("a", encoding="utf-8") as file:  # noqa: ASYNC230 - one line
        file.write(f"{ctx.task_id} {ctx.attempt}\n")
    return ctx.task_id


@tool("test.once", at_most_once=True)
async def once(path: str, seconds: float, ctx: ToolContext) -> str:
    """Leave a trace, then take long: what must not be done a second time."""
    with Path(path).open("a", encoding="utf-8") as file:  # noqa: ASYNC230 - one line
        file.write(f"{ctx.task_id} {ctx.attempt}\n")
    await asyncio.sleep(seconds)
    return "done"


@tool("test.once_quits", at_most_once=True)
async def once_quits(path: str, ctx: ToolContext) -> None:
    """Leave a trace, then cancel the asyncio task that it runs in."""
    with Path(path).open("a", encoding="utf-8") as file:  # noqa: ASYNC230 - one line
        file.write(f"{ctx.task_id} {ctx.attempt}\n")
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    await asyncio.sleep(60)


@tool("test.big", idempotent=True)
async def big(size: int) -> str:
    """Return a long text."""
    return "x" * size


@tool("test.suicide", idempotent=True)
async def suicide() -> None:
    """Kill the worker."""
    os.kill(os.getpid(), signal.SIGKILL)


@tool("test.steps", idempotent=True)
def steps(path: str, count: int, die_at: int, ctx: ToolContext) -> int:
    """Do one step after the other, each written to a file; the first attempt kills the worker on the way."""
    start = ctx.checkpoint_value or 0
    for step in range(start, count):
        if step == die_at and ctx.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{step} {ctx.attempt}\n")
        ctx.progress(step + 1, count, f"step {step}")
        ctx.checkpoint(step + 1)
    return start


@tool("test.settle", timeout_s=60, idempotent=True)
def settle(url: str, end: str, ctx: ToolContext) -> str:
    """Write a row and complete the task in one transaction, and then meet some end."""
    first = ctx.attempt == 1
    with psycopg.connect(url) as conn:
        conn.execute("INSERT INTO written (task_id) VALUES (%s)", (ctx.task_id,))
        if end == "lose" and first:
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("SELECT tasks_requeue_stale(ARRAY[%s]::uuid[])", (ctx.task_id,))
        ctx.complete_in(conn, {"attempt": ctx.attempt})
        if end == "kill before" and first:
            os.kill(os.getpid(), signal.SIGKILL)
        if end == "roll back" and first:
            conn.rollback()
    if end == "kill after":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "raise":
        raise RuntimeError("after the commit")
    if end == "hang":
        while not ctx.cancelled():
            time.sleep(0.02)
    return "ignored"


@tool("test.settle_async", timeout_s=60, idempotent=True)
async def settle_async(url: str, ctx: ToolContext) -> None:
    """Do the same in a coroutine."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        await conn.execute("INSERT INTO written (task_id) VALUES (%s)", (ctx.task_id,))
        await ctx.complete_in_async(conn, {"attempt": ctx.attempt})


@tool("test.settle_badly", timeout_s=60, idempotent=True)
def settle_badly(url: str, how: str, ctx: ToolContext) -> None:
    """Complete the task in a way that is refused."""
    with psycopg.connect(url, autocommit=how == "autocommit") as conn:
        result = {"set": {1}} if how == "not JSON" else "x" * (3000 if how == "too large" else 1)
        ctx.complete_in(conn, result)
        if how == "twice":
            ctx.complete_in(conn, result)
