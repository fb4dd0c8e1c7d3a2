"""Time that is over, tasks that are cancelled, and threads that go on all the same."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from seedcore.agent import Tool, ToolContext, tool
from seedcore.agent.executor import time_limit
from seedcore.config.settings import Settings
from tests.unit.agent.bench import Bench


def waiting_sync(release: threading.Event, told: threading.Event) -> Tool[..., Any]:
    @tool("demo.wait", timeout_s=0.05)
    def wait(ctx: ToolContext) -> None:
        release.wait(10)
        if ctx.cancelled():
            told.set()

    return wait


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a thread sets it, which has no asyncio.Event
            await asyncio.sleep(0.005)


async def test_a_thread_that_outlives_its_time_keeps_its_place_until_it_returns(bench: Bench):
    release, told = threading.Event(), threading.Event()
    bench.use(waiting_sync(release, told))
    outcome = await bench.run(("demo.wait", {}))
    assert (outcome.error_type, outcome.retryable) == ("timeout", True)
    assert bench.executor.threads_abandoned == 1
    await bench.run(("demo.wait", {}))
    assert bench.executor.threads_abandoned == 2

    full = await bench.run(("demo.wait", {}), deadline=time.monotonic() + 0.05)
    assert (full.error_type, full.retryable) == ("timeout", True)
    assert "none of 2 threads became free" in str(full.error)
    assert (await bench.run(("echo", {}))).success  # coroutines need no thread

    release.set()
    await until(lambda: bench.executor.threads_abandoned == 0)
    assert told.is_set()


async def test_a_coroutine_is_stopped_when_its_time_is_over(bench: Bench):
    ended: list[str] = []

    @tool("demo.wait", timeout_s=0.05)
    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    outcome = await bench.use(wait).run(("demo.wait", {}))
    assert (outcome.error_type, outcome.retryable) == ("timeout", True)
    assert ended == ["cancelled"]


async def test_the_task_s_time_ends_a_tool_that_has_none(bench: Bench):
    outcome = await bench.use().run(("sleep", {"seconds": 60}), deadline=time.monotonic() + 0.05)
    assert outcome.error_type == "timeout"


@pytest.mark.parametrize(
    ("hints", "seconds"),
    [
        ({"timeout_s": 7}, 7.0),
        ({"timeout_s": 99999}, 3600.0),
        ({"timeout_s": 0}, 120.0),
        ({"timeout_s": "7"}, 120.0),
        ({"timeout_s": True}, 120.0),
        ({}, 120.0),
        (None, 120.0),
    ],
)
def test_the_task_s_wish_is_kept_within_limits(hints: object, seconds: float):
    assert time_limit({"routing": {"hints": hints}}, Settings()) == seconds
    assert time_limit({"routing": hints}, Settings()) == 120.0


async def test_cancelling_ends_a_coroutine_and_tells_a_function(bench: Bench):
    release, told = threading.Event(), threading.Event()
    running = threading.Event()

    @tool("demo.wait")
    def wait(ctx: ToolContext) -> None:
        running.set()
        release.wait(10)
        if ctx.cancelled():
            told.set()

    bench.use(wait)
    for name, args in (("demo.wait", {}), ("sleep", {"seconds": 60})):
        attempt = asyncio.ensure_future(bench.run((name, args)))
        await until(running.is_set)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    assert running.is_set()
    assert bench.executor.threads_abandoned == 1
    release.set()
    await until(told.is_set)
    await until(lambda: bench.executor.threads_abandoned == 0)


async def test_no_further_call_starts_once_the_task_is_cancelled(bench: Bench):
    flag = threading.Event()

    @tool("demo.last")
    def last(ctx: ToolContext) -> None:
        flag.set()
        assert ctx.cancelled()

    bench.use(last)
    with pytest.raises(asyncio.CancelledError):
        await bench.run(("demo.last", {}), ("echo", {}), cancelled=flag)
    assert bench.executor.calls == {"ok": 1}


async def test_a_coroutine_that_ignores_its_end_is_out_of_time_when_stopped(bench: Bench):
    ignored = asyncio.Event()

    @tool("demo.stubborn", at_most_once=True, timeout_s=0.01)
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ignored.set()
            await asyncio.sleep(60)

    attempt = asyncio.ensure_future(bench.use(stubborn).run(("demo.stubborn", {})))
    await ignored.wait()
    attempt.cancel()
    assert (await attempt).error_type == "outcome_unknown"


@pytest.mark.parametrize(
    ("promise", "error_type"), [(True, "outcome_unknown"), (False, "tool_error")]
)
async def test_a_tool_that_cancels_its_own_task_ends_its_call_alone(
    bench: Bench, promise: bool, error_type: str
):
    @tool("demo.quits", at_most_once=promise)
    async def quits() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        current.cancel()
        await asyncio.sleep(60)

    outcome = await bench.use(quits).run(("demo.quits", {}), cancelled=threading.Event())
    assert (outcome.error_type, outcome.retryable) == (error_type, not promise)
    assert (
        await bench.run(("sleep", {"seconds": 0.001}))
    ).success  # nothing of it is left in this task


async def test_many_tasks_share_the_threads(bench: Bench):
    lock, now, most = threading.Lock(), [0], [0]

    @tool("demo.busy")
    def busy() -> str:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.002)
        with lock:
            now[0] -= 1
        return threading.current_thread().name

    bench.use(busy)
    outcomes = await asyncio.gather(*(bench.run(("demo.busy", {})) for _ in range(40)))
    names = {each.envelope["payload"]["result"] for each in outcomes}
    assert most[0] == 2
    assert len(names) == 2


async def test_a_thread_that_hangs_does_not_keep_the_process_alive(bench: Bench):
    @tool("demo.thread")
    def thread() -> bool:
        return threading.current_thread().daemon

    outcome = await bench.use(thread).run(("demo.thread", {}))
    assert outcome.envelope["payload"]["result"] is True
