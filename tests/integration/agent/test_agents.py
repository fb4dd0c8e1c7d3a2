"""Agents in this process: registered when there is a registry, found, chosen, given tasks; on PostgreSQL."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from seedcore.agent import (
    RayAgent,
    Tier0MemoryManager,
    ToolContext,
    ToolRegistry,
    load,
    tool,
    wire,
)
from seedcore.agent.discovery import in_registry
from seedcore.agent.dispatch import AgentsExecutor
from seedcore.agent.executor import HostLost
from seedcore.agent.ray_agent import agents_here
from seedcore.config.settings import Settings
from seedcore.errors import NotFound, Unavailable, UsageError
from seedcore.registry import InstanceStatus, list_active_instances, store
from seedcore.runtime.local import LocalRuntime
from seedcore.task.model import NewTask
from seedcore.task.submission import submit
from tests.integration.task.worker import Worker

Conn = psycopg.Connection[dict[str, Any]]

ECHO = {"type": "action", "params": {"tool_calls": [{"name": "echo", "args": {"value": 7}}]}}
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Settings with a beat every 50 ms."""
    return dataclasses.replace(settings, registry_beat_sec=0.05)


@pytest_asyncio.fixture
async def manager(quick: Settings) -> AsyncIterator[Tier0MemoryManager]:
    manager = Tier0MemoryManager(quick, runtime=LocalRuntime())
    yield manager
    await manager.close()


async def until(condition: Any) -> Any:
    """Wait until a condition holds and return its value."""
    async with asyncio.timeout(10):
        while not (value := condition()):  # noqa: ASYNC110 - what it waits for is no event of the loop
            await asyncio.sleep(0.01)
        return value


def logical_ids(settings: Settings) -> list[str]:
    return [row["logical_id"] for row in list_active_instances(settings).result()]


async def test_the_source_documents_example(quick: Settings, conn: Conn) -> None:
    agent = RayAgent(agent_id="my_agent", organ_id="vision_organ", settings=quick)
    await agent.start()
    try:
        await until(lambda: logical_ids(quick) == ["my_agent"])
        manager = Tier0MemoryManager(quick, runtime=LocalRuntime())
        assert await manager.discover_from_registry() == ["my_agent"]
        envelope = await manager.execute_task_on_agent("my_agent", ECHO)
        assert envelope["success"]
        assert envelope["payload"]["result"] == 7
        chosen = envelope["meta"]["routing_decision"]
        assert (chosen["selected_agent_id"], chosen["selected_organ_id"]) == (
            "my_agent",
            "vision_organ",
        )
        organs = "SELECT organ_id FROM agent_member_of_organ"
        await until(lambda: conn.execute(organs).fetchall() == [{"organ_id": "vision_organ"}])
    finally:
        await agent.stop()
    assert logical_ids(quick) == []
    row = conn.execute("SELECT status::text FROM registry_instance").fetchone()
    assert row == {"status": "dead"}
    assert "my_agent" not in agents_here()


async def test_without_a_database_an_agent_works_and_is_found_by_the_scan(quick: Settings) -> None:
    lost = dataclasses.replace(quick, database_url=NOWHERE)
    manager = Tier0MemoryManager(lost, runtime=LocalRuntime())
    agent = RayAgent("alone", settings=lost)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await agent.start()
    assert loop.time() - began < 0.5
    try:
        assert await manager.discover_from_registry() == ["alone"]
        assert (await manager.execute_task_on_random_agent(ECHO))["payload"]["result"] == 7
    finally:
        await agent.stop()


async def test_three_modes_of_finding_agents(quick: Settings, conn: Conn) -> None:
    """One agent is in the registry, the other only in this process."""
    runtime = LocalRuntime()

    def mode(name: str, *, enabled: bool = True) -> Tier0MemoryManager:
        settings = dataclasses.replace(quick, tier0_discovery=name, enable_runtime_registry=enabled)
        return Tier0MemoryManager(settings, runtime=runtime)

    listed = mode("registry")
    await listed.create_agent("listed", "organ")
    unlisted = RayAgent(
        "unlisted", settings=dataclasses.replace(quick, enable_runtime_registry=False)
    )
    await unlisted.start()
    await until(lambda: logical_ids(quick) == ["listed"])
    try:
        assert await listed.discover_and_refresh_agents() == ["listed"]
        assert await mode("hybrid").discover_and_refresh_agents() == ["listed", "unlisted"]
        assert await mode("ray").discover_and_refresh_agents() == ["listed", "unlisted"]
        assert mode("registry", enabled=False).mode == "ray"
        # Once the registry names nobody, the process is scanned in every mode.
        conn.execute("UPDATE cluster_metadata SET current_epoch = gen_random_uuid()")
        conn.execute("ALTER TABLE registry_instance RENAME TO hidden")
        assert await in_registry(quick, runtime) == {}
        assert await listed.discover_from_registry() == ["listed", "unlisted"]
    finally:
        await unlisted.stop()
        await listed.close()


async def test_what_was_learned_outlives_the_agent(quick: Settings, conn: Conn) -> None:
    conn.execute(
        "INSERT INTO graph_embeddings_128 (node_id, emb)"
        " SELECT ensure_agent_node('wise'), array_fill(0.5, ARRAY[128])::vector"
    )
    first = RayAgent("wise", "garden", specialization="Botanist", settings=quick)
    # Before the start: it counts all the same when the stored state comes in.
    await first.execute_task(ECHO)
    await first.start()
    await until(lambda: first.state.h[0])
    await first.execute_task(ECHO)
    first.learn_skills({"pruning": 0.7, "sawing": -3})
    first.met(["wise", "other"])
    await first.stop()
    row = conn.execute("SELECT props FROM agent_registry WHERE agent_id = 'wise'").fetchone()
    assert row is not None
    assert row["props"]["state"]["tasks_processed"] == 2

    second = RayAgent("wise", "forest", settings=quick)
    await second.start()
    await until(lambda: second.state.tasks_processed)
    beat = second.get_heartbeat()
    await second.stop()
    assert beat["performance_metrics"]["successful_tasks"] == 2
    assert beat["performance_metrics"]["capability_score_c"] == pytest.approx(0.595)
    assert beat["local_state"]["skill_deltas"] == {"pruning": 0.7, "sawing": -1.0}
    assert beat["local_state"]["peer_interactions"] == {"other": 1}
    assert beat["energy_state"]["state_norm"] == pytest.approx(128**0.5 / 2)
    assert json.loads(json.dumps(beat, default=str))["lifecycle"] == "Employed"
    organs = conn.execute("SELECT organ_id FROM agent_member_of_organ").fetchall()
    assert organs == [{"organ_id": "forest"}]


async def test_tasks_go_to_the_agent_that_may_and_suits_best(manager: Tier0MemoryManager) -> None:
    await manager.create_agent("clerk", "office", specialization="clerk")
    await manager.create_agent("novice", "garden")
    await manager.create_agent("gardener", "garden", allowed_tools="echo")
    await manager.execute_task_on_agent("gardener", ECHO)

    async def where(call: Any) -> str:
        return (await call)["meta"]["routing_decision"]["selected_agent_id"]

    assert await where(manager.execute_task_on_best_agent(ECHO)) == "gardener"
    assert await where(manager.execute_task_on_organ_best("garden", ECHO)) == "gardener"
    assert await where(manager.execute_task_on_best_of(["clerk", "novice"], ECHO)) == "clerk"
    special = {
        **ECHO,
        "params": {**ECHO["params"], "routing": {"required_specialization": "CLERK"}},
    }
    assert await where(manager.execute_task_on_random_agent(special)) == "clerk"
    tunnel = {
        **ECHO,
        "params": {
            **ECHO["params"],
            "interaction": {"mode": "agent_tunnel", "assigned_agent_id": "novice"},
        },
    }
    assert await where(manager.execute_task_on_graph_best(tunnel, [1.0] * 128)) == "novice"
    # Nobody in the way: who may not call a tool says so.
    sleep = {"params": {"tool_calls": [{"name": "sleep", "args": {"seconds": 0}}]}}
    refused = await manager.execute_task_on_agent("gardener", sleep)
    assert refused["error_type"] == "not_permitted"
    assert "gardener (its tools are echo)" in refused["error"]
    assert await where(manager.execute_task_on_organ_best("garden", sleep)) == "novice"

    summary = await manager.get_system_summary()
    assert (summary["agents"], summary["organs"]) == (3, ["garden", "office"])
    assert summary["tasks_processed"] == 8
    assert await manager.stop_agent("novice")
    assert manager.list_agents() == ["clerk", "gardener"]


async def test_who_falls_silent_is_let_go_after_three_heartbeats(
    manager: Tier0MemoryManager,
) -> None:
    await manager.create_agent("brief")
    runtime = manager._its_runtime
    assert isinstance(runtime, LocalRuntime)
    handle = runtime.lookup("brief")
    assert handle is not None
    agent = agents_here()["brief"]
    runtime.kill(handle)
    for left in (["brief"], ["brief"], []):
        await manager.collect_heartbeats()
        assert manager.list_agents() == left
    with pytest.raises(NotFound, match="there is no agent brief"):
        await manager.execute_task_on_agent("brief", ECHO)
    await agent.stop()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"params": 3}, "the task's params are not an object"),
        ({"type": "", "params": {}}, "the task's type is not a text"),
    ],
)
async def test_what_is_no_task_is_refused(
    settings: Settings, document: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        await RayAgent("a", settings=settings).execute_task(document)


async def test_a_draining_agent_takes_no_task(manager: Tier0MemoryManager, conn: Conn) -> None:
    await manager.create_agent("tired")
    await until(lambda: logical_ids(manager._settings) == ["tired"])
    conn.execute("UPDATE registry_instance SET status = 'draining'")
    agent = agents_here()["tired"]
    await until(lambda: agent.is_draining)
    with pytest.raises(Unavailable, match="did not take the task: draining"):
        await manager.execute_task_on_agent("tired", ECHO)
    with pytest.raises(NotFound, match="none of 1 agents may do this task"):
        await manager.execute_task_on_best_agent(ECHO)
    # Nobody stops it, so it ends by itself.
    await until(
        lambda: (
            conn.execute("SELECT FROM registry_instance WHERE status = 'dead'").fetchone()
            is not None
        )
    )


# -- tasks of a queue, for the process that holds the lease ---------------------------------------


@tool("trial.once", at_most_once=True)
def once(ctx: ToolContext) -> str:
    """Tell who calls."""
    ctx.progress(1, 2, "half")
    ctx.checkpoint({"at": 1})
    return f"{ctx.agent_id} {ctx.organ_id}"


@tool("trial.slow")
async def slow() -> None:
    """Wait until cancelled."""
    await asyncio.sleep(60)


@pytest.fixture
def sent(conn: Conn) -> dict[str, Any]:
    """A task that worker `w1` has claimed, as it sends it to an agent."""
    params = {"tool_calls": [{"name": "trial.once", "args": {}}]}
    submit(conn, NewTask(type="action", params=params))
    (row,) = Worker(conn).claim()
    return {
        "id": str(row["id"]),
        "type": "action",
        "params": params,
        "attempts": row["attempts"],
        "owner": "w1",
    }


def agent_with(settings: Settings, *tools: Any) -> RayAgent:
    return RayAgent("far", "away", settings=settings, tools=ToolRegistry(tools))


async def test_a_dispatchers_task_is_marked_and_reported_under_its_lease(
    quick: Settings, conn: Conn, sent: dict[str, Any]
) -> None:
    agent = agent_with(quick, once)
    answer = await agent.execute_task(sent)
    outcome = wire.outcome_of(answer)
    assert outcome.success
    assert answer["noted"]
    assert not answer["settled"]
    assert outcome.envelope["payload"]["result"] == "far away"
    row = conn.execute("SELECT result FROM tasks").fetchone()
    assert row is not None
    assert row["result"]["tool_results"][0]["started"]
    said = conn.execute("SELECT done, total, message, checkpoint FROM task_progress").fetchone()
    assert said == {"done": 1, "total": 2, "message": "half", "checkpoint": {"at": 1}}
    # Whoever gets the task after this agent was lost knows that the call may have been made.
    again = wire.outcome_of(await agent.execute_task({**sent, "result": row["result"]}))
    assert again.error_type == "outcome_unknown"
    # A lease that is another's by now stores nothing, and starts nothing.
    lost = wire.outcome_of(await agent.execute_task({**sent, "owner": "w2"}))
    assert lost.error_type == "lease_expired"
    await agent.stop()


async def test_a_task_that_nobody_waits_for_is_cancelled(quick: Settings) -> None:
    agent = agent_with(quick, slow)
    task = {"id": "t", "params": {"tool_calls": [{"name": "trial.slow"}]}}
    running = asyncio.ensure_future(agent.execute_task(task))
    await until(lambda: agent.load)
    assert await agent.execute_task(task) == {"refused": "running"}
    assert agent.cancel_task("t")
    assert await running == {"refused": "cancelled"}
    assert not agent.cancel_task("t")
    # So it is when the caller itself is cancelled.
    running = asyncio.ensure_future(agent.execute_task(task))
    await until(lambda: agent.load)
    running.cancel()
    await until(lambda: not agent.load)
    assert agent.state.tasks_processed == 0
    await agent.stop()


async def test_what_does_not_end_by_itself_is_cancelled_when_the_agent_stops(
    quick: Settings,
) -> None:
    agent = agent_with(quick, slow)
    running = asyncio.ensure_future(
        agent.execute_task({"params": {"tool_calls": [{"name": "trial.slow"}]}})
    )
    await until(lambda: agent.load)
    assert not await agent.stop(0.05)
    assert await running == {"refused": "cancelled"}


async def test_more_tasks_than_places_wait(quick: Settings) -> None:
    agent = RayAgent("small", settings=quick, capacity=1)
    nap = {"params": {"tool_calls": [{"name": "sleep", "args": {"seconds": 0.05}}]}}
    running = [asyncio.ensure_future(agent.execute_task(nap)) for _ in range(3)]
    await until(lambda: agent.load == 3)
    assert all(answer["success"] for answer in await asyncio.gather(*running))
    await agent.stop()


def test_the_tool_that_lists_instances(settings: Settings, conn: Conn) -> None:
    current = store.ensure_epoch(conn, uuid4())
    for name in ("a", "b"):
        identity = store.Identity(instance_id=uuid4(), logical_id=name, ip_address="10.0.0.1")
        store.register(conn, identity, None)
        store.set_status(conn, identity.instance_id, InstanceStatus.ALIVE)
    tool = load(settings).get("registry.instances")
    every = json.loads(json.dumps(tool()))
    assert every["epoch"] == str(current)
    assert [one["logical_id"] for one in every["instances"]] == ["a", "b"]
    one = tool(logical_id="b")
    assert [(one["ip_address"], one["status"]) for one in one["instances"]] == [
        ("10.0.0.1", "alive")
    ]
    assert tool(logical_id="c")["instances"] == []


# -- a worker that hands its tasks to agents ------------------------------------------------------


@dataclasses.dataclass
class Claimed:
    """A claimed task as a worker's executor gets it."""

    id: str
    params: dict[str, Any]
    type: str = "action"
    attempts: int = 1
    result: object = None


class Lease:
    """Its lease."""

    owner = "w1"
    has_begun = False
    has_note = False

    def begun(self) -> None:
        self.has_begun = True

    def noted(self) -> None:
        self.has_note = True


async def test_a_worker_hands_tasks_to_agents_and_learns_of_their_loss(
    manager: Tier0MemoryManager, quick: Settings, conn: Conn
) -> None:
    seen: list[bool] = []
    executor = AgentsExecutor(quick, "w1", manager=manager, changed=seen.append)
    await executor.start()
    echo = Claimed(str(uuid4()), {"tool_calls": [{"name": "echo", "args": {"value": 7}}]})
    with pytest.raises(HostLost, match="no agent answers") as none:
        await executor.run(echo)
    assert (none.value.was_begun, seen) == (False, [False])

    await manager.create_agent("able")
    outcome = await executor.run(echo)
    assert (outcome.success, outcome.envelope["payload"]["routed_to"]) == (True, "able")
    assert executor.calls == {"ok": 1}
    pilot = Claimed("t", {"routing": {"required_specialization": "pilot"}})
    nobody = await executor.run(pilot)
    assert (nobody.error_type, nobody.retryable) == ("no_candidate", True)

    # Cancelled here, it is cancelled there, and its concurrency is free when nothing runs any more.
    nap = Claimed("t2", {"tool_calls": [{"name": "sleep", "args": {"seconds": 60}}]})
    left: list[asyncio.Future[Any]] = []
    running = asyncio.ensure_future(executor.run(nap, left_running=left.append))
    agent = agents_here()["able"]
    await until(lambda: agent.load)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(left[0], 5)
    assert not agent.load

    # The agent goes while it works: what became of the task is for the database to say.
    lease = Lease()
    running = asyncio.ensure_future(executor.run(nap, settling=lease))
    await until(lambda: agent.load)
    runtime = manager._its_runtime
    assert isinstance(runtime, LocalRuntime)
    handle = runtime.lookup("able")
    assert handle is not None
    runtime.kill(handle)
    with pytest.raises(HostLost) as lost:
        await running
    assert (lost.value.was_begun, lease.has_begun, lease.has_note) == (True, True, False)
    await executor.stop()
    await agent.stop(0.0)


async def test_a_worker_is_warned_of_calls_that_are_made_at_most_once(
    manager: Tier0MemoryManager, quick: Settings
) -> None:
    agent = agent_with(quick, once)
    await agent.start()
    executor = AgentsExecutor(quick, "w1", manager=manager)
    await executor.start()
    lease = Lease()
    outcome = await executor.run(
        Claimed(str(uuid4()), {"tool_calls": [{"name": "trial.once"}]}), settling=lease
    )
    assert (outcome.error_type, lease.has_note) == ("lease_expired", True)  # there is no such task
    await executor.stop()
    await agent.stop()
