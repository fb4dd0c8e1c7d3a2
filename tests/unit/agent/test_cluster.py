"""The cluster's executor, on the runtime of this process: the same objects without a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from seedcore.agent import ToolContext, ToolRegistry, tool
from seedcore.agent.cluster import host
from seedcore.agent.cluster.executor import ClusterExecutor
from seedcore.agent.envelope import Record
from seedcore.agent.executor import HostLost, adhoc_task
from seedcore.config.settings import Settings
from seedcore.errors import Unavailable
from seedcore.runtime.local import LocalRuntime
from workers.ledger import Flag


@tool("t.add")
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool("t.once", at_most_once=True)
def once() -> str:
    """Be called at most once."""
    return "done"


@tool("t.until_stopped")
def until_stopped(ctx: ToolContext) -> None:
    """Go on until nobody waits."""
    while not ctx.cancelled():
        pass


@pytest.fixture
def runtime() -> LocalRuntime:
    return LocalRuntime()


@pytest.fixture
def has_hosts() -> asyncio.Queue[bool]:
    """What the executor said of its having hosts."""
    return asyncio.Queue()


@pytest.fixture
async def executor(
    runtime: LocalRuntime, has_hosts: asyncio.Queue[bool], monkeypatch: pytest.MonkeyPatch
) -> Any:
    monkeypatch.setattr(host, "load", lambda _: ToolRegistry([add, once, until_stopped]))
    monkeypatch.setattr(host.ToolHost, "_try_database", lambda *_: None)
    made = ClusterExecutor(
        Settings(ray_tool_hosts=2),
        "me",
        runtime,
        conninfo=lambda: "",
        changed=has_hosts.put_nowait,
    )
    await made.start()
    yield made
    await made.stop()
    assert runtime.list() == []


async def test_a_call_is_made_on_a_host_and_counted(
    executor: ClusterExecutor, runtime: LocalRuntime
) -> None:
    assert runtime.list() == ["seedcore_tools_me_1", "seedcore_tools_me_2"]
    assert executor.tools == 3
    outcome = await executor.run(adhoc_task("t.add", {"a": 1, "b": 2}))
    assert outcome.success
    assert outcome.envelope["payload"]["result"] == 3
    refused = await executor.run(adhoc_task("t.add", {"a": 1}))
    assert refused.error_type == "bad_arguments"
    assert executor.calls == {"ok": 1, "bad_arguments": 1}


@pytest.mark.parametrize("holds", [True, False])
async def test_a_start_mark_is_stored_by_the_worker_before_the_call(
    executor: ClusterExecutor, holds: bool
) -> None:
    marks: list[Record] = []

    async def store(records: Sequence[Record]) -> bool:
        marks.extend(records)
        return holds

    outcome = await executor.run(adhoc_task("t.once", {}), on_progress=store)
    assert [mark.get("started") for mark in marks] == [True]
    assert outcome.error_type == (None if holds else "lease_expired")
    unstored = await executor.run(adhoc_task("t.once", {}))
    assert unstored.error_type == "service_unavailable"


async def test_a_cancelled_attempt_stops_on_its_host_and_tells_when_it_has(
    executor: ClusterExecutor,
) -> None:
    left: list[asyncio.Future[Any]] = []
    running = asyncio.create_task(
        executor.run(adhoc_task("t.until_stopped", {}), cancelled=Flag(), left_running=left.append)
    )
    await executor.run(adhoc_task("t.add", {"a": 1, "b": 2}))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(left[0], 10)


async def test_a_lost_host_is_told_and_replaced(
    executor: ClusterExecutor, runtime: LocalRuntime, has_hosts: asyncio.Queue[bool]
) -> None:
    assert await has_hosts.get()
    runs = [asyncio.create_task(executor.run(adhoc_task("t.until_stopped", {}))) for _ in range(2)]
    await executor.run(adhoc_task("t.add", {"a": 1, "b": 2}))
    for name in runtime.list():
        handle = runtime.lookup(name)
        assert handle is not None
        runtime.kill(handle)
    for ended in await asyncio.gather(*runs, return_exceptions=True):
        assert isinstance(ended, HostLost)
        assert ended.was_begun
    with pytest.raises(HostLost) as none_left:
        await executor.run(adhoc_task("t.add", {"a": 1, "b": 2}))
    assert not none_left.value.was_begun
    assert not await has_hosts.get()
    while not (await asyncio.wait_for(has_hosts.get(), 10)):
        pass


async def test_a_host_that_can_not_use_the_database_says_where_it_is() -> None:
    made = host.ToolHost(Settings(database_url="host=/nonexistent"), "me", logs_here=False)
    with pytest.raises(
        Unavailable, match=r"the tools' host on .* can't use the database"
    ) as refused:
        await made.ready()
    assert refused.value.code == "ray.no_database"
