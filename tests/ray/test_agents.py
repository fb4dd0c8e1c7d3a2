"""Agents as actors of the cluster: the same results, names and life as in one process."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from seedcore.agent import Tier0MemoryManager
from seedcore.config.settings import Settings
from seedcore.errors import NotFound
from seedcore.registry import list_active_instances
from tests.cli.conftest import Invoke, cli, invoke
from tests.ray.conftest import RayCluster
from tests.workers.conftest import StartWorker, until

__all__ = ["cli", "invoke"]

pytestmark = pytest.mark.ray

Conn = psycopg.Connection[dict[str, Any]]
ECHO = {"type": "action", "params": {"tool_calls": [{"name": "echo", "args": {"value": 7}}]}}


@pytest.fixture
def joined(ray_settings: Settings, database_url: str) -> Settings:
    """Settings that name the cluster and a fresh database."""
    return dataclasses.replace(ray_settings, database_url=database_url, registry_beat_sec=0.1)


async def test_actors_are_registered_found_chosen_and_stopped(joined: Settings) -> None:
    maker = Tier0MemoryManager(joined)
    await maker.create_agent("far", "away")
    await maker.create_agent("clerk", "office", specialization="clerk", allowed_tools="sleep")
    ids = lambda: [row["logical_id"] for row in list_active_instances(joined).result()]  # noqa: E731
    until(lambda: ids() == ["clerk", "far"])

    finder = Tier0MemoryManager(joined)
    assert await finder.discover_from_registry() == ["clerk", "far"]
    envelope = await finder.execute_task_on_best_agent(ECHO)
    chosen = envelope["meta"]["routing_decision"]
    assert (chosen["selected_agent_id"], chosen["selected_organ_id"]) == ("far", "away")
    refused = await finder.execute_task_on_agent("clerk", ECHO)
    assert refused["error_type"] == "not_permitted"

    # Without the registry the cluster is scanned; what is no agent is left alone.
    alone = dataclasses.replace(joined, enable_runtime_registry=False)
    scanner = Tier0MemoryManager(alone)
    assert await scanner.discover_and_refresh_agents() == ["clerk", "far"]
    beat = await scanner.get_agent_heartbeat("far")
    assert beat["performance_metrics"]["tasks_processed"] == 1
    assert await scanner.stop_agent("clerk")
    until(lambda: ids() == ["far"])
    with pytest.raises(NotFound):
        await finder.attach("clerk")
    assert await finder.discover_and_refresh_agents() == ["far"]
    await finder.stop_agent("far")
    assert ids() == []


async def test_a_cancelled_caller_stops_the_call_on_the_cluster(joined: Settings) -> None:
    alone = dataclasses.replace(joined, enable_runtime_registry=False)
    manager = Tier0MemoryManager(alone)
    await manager.create_agent("busy")
    nap = {"id": "t1", "params": {"tool_calls": [{"name": "sleep", "args": {"seconds": 60}}]}}
    running = asyncio.ensure_future(manager.execute_task_on_agent("busy", nap))

    async def load() -> float:
        return (await manager.get_agent_heartbeat("busy"))["load"]

    async with asyncio.timeout(10):
        while not await load():  # noqa: ASYNC110 - it is on another machine
            await asyncio.sleep(0.02)
        running.cancel()
        while await load():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await manager.stop_agent("busy", 0.0)


def test_the_commands_on_a_cluster(
    cli: Invoke, ray_cluster: RayCluster, joined: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.address)
    monkeypatch.setenv("SEEDCORE_NS", joined.ray_namespace)
    monkeypatch.setenv("REGISTRY_BEAT_SEC", "0.1")
    first = cli("agent", "start", "fern", "--organ", "garden", "-o", "json")
    assert (first.code, first.json[0]["created"]) == (0, True)
    again = cli("agent", "start", "fern", "-o", "json")
    assert (again.code, again.json[0]["created"]) == (0, False)

    def statuses() -> list[str]:
        return [row["status"] for row in cli("agent", "list", "--on", "ray", "-o", "json").json]

    until(lambda: statuses() == ["alive"])
    assert cli("agent", "list", "--on", "local", "-o", "name").out == ""
    shown = cli("agent", "show", "fern", "-o", "json").json
    assert (shown["where"], shown["actor_name"]) == ("ray", "fern")
    assert shown["heartbeat"]["organ_id"] == "garden"
    monkeypatch.setenv("TIER0_DISCOVERY", "ray")
    scanned = cli("agent", "list", "-o", "json").json
    assert [(row["agent_id"], row["organ"]) for row in scanned] == [("fern", "garden")]
    monkeypatch.setenv("TIER0_DISCOVERY", "registry")
    # Asked through the registry, it ends by itself, and its actor with it.
    assert cli("agent", "stop", "fern", "--timeout", "20s").code == 0
    monkeypatch.setenv("TIER0_DISCOVERY", "ray")
    until(lambda: cli("agent", "list", "-o", "name").out == "")
    gone = cli("agent", "show", "fern", "-o", "json")
    assert (gone.code, gone.error["code"]) == (4, "agent.not_found")


def test_a_worker_gives_tasks_to_agents_of_which_one_is_killed(
    ray_environment: dict[str, str],
    start_worker: StartWorker,
    submit: Callable[..., str],
    task: Callable[[str], dict[str, Any]],
    conn: Conn,
    joined: Settings,
) -> None:
    """Every task ends once, what may not be repeated is not, and the agent comes back with what it knew."""
    manager = Tier0MemoryManager(dataclasses.replace(joined, plugins="tests.ray.tools"))
    asyncio.run(manager.create_agent("one"))
    worker = start_worker("--executor", "agents", env=ray_environment, wait=False)
    worker.wait_for("worker.started", timeout=30)
    echo = submit()
    until(lambda: task(echo)["status"] == "completed")
    assert task(echo)["result"]["payload"]["routed_to"] == "one"

    held, once = submit("ray.hold"), submit("ray.once")
    until(lambda: conn.execute("SELECT count(*) AS n FROM task_progress").fetchone() == {"n": 2})
    asyncio.run(manager.create_agent("two"))
    known = "SELECT 1 FROM agent_registry WHERE props #>> '{state,tasks_processed}' = '1'"
    until(lambda: conn.execute(known).fetchone())
    row = conn.execute("SELECT pid FROM registry_instance WHERE logical_id = 'one'").fetchone()
    assert row is not None
    os.kill(row["pid"], signal.SIGKILL)
    until(lambda: task(held)["status"] == "completed", timeout=30)
    assert (task(held)["lapses"], task(held)["result"]["success"]) == (1, True)
    until(lambda: task(once)["status"] == "failed")
    assert task(once)["error"].startswith("outcome_unknown")

    born_again = "SELECT pid FROM active_instances WHERE logical_id = 'one' AND pid <> %s"
    until(lambda: conn.execute(born_again, [row["pid"]]).fetchone(), timeout=30)

    async def heartbeat() -> Any:
        fresh = Tier0MemoryManager(joined)
        await fresh.attach("one")
        return (await fresh.get_agent_heartbeat("one"))["performance_metrics"]

    until(lambda: asyncio.run(heartbeat())["tasks_processed"] >= 1)
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    for agent_id in ("one", "two"):
        asyncio.run(ended(joined, agent_id))


async def ended(settings: Settings, agent_id: str) -> None:
    manager = Tier0MemoryManager(settings)
    await manager.attach(agent_id)
    await manager.stop_agent(agent_id, 0.0)
