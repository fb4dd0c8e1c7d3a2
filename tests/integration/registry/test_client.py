"""The client: it stands in the registry whatever happens there, and never holds its caller up."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from seedcore.config.settings import Settings
from seedcore.errors import Conflict
from seedcore.registry import (
    InstanceStatus,
    RegistryClient,
    epoch as epochs,
    instances,
    list_active_instances,
    store,
)
from seedcore.registry.model import epoch_id
from tests.integration.registry.conftest import Conn
from tests.workers.conftest import until

StatusOf = Callable[[UUID], str | None]


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Settings with a beat every 50 ms."""
    return dataclasses.replace(settings, registry_beat_sec=0.05)


@pytest.fixture
def client(quick: Settings) -> Iterator[RegistryClient]:
    with RegistryClient("agent", settings=quick) as client:
        until(lambda: client.epoch)
        yield client


def heartbeat(conn: Conn, instance: UUID) -> Any:
    return instances.show(conn, instance)["last_heartbeat"]


def test_each_step_by_hand(settings: Settings, conn: Conn, status_of: StatusOf) -> None:
    client = RegistryClient("agent", actor_name="actor", serve_route="/x", settings=settings)
    assert client.register().result() is True
    assert client.epoch == store.current_epoch(conn)
    row = instances.show(conn, client.instance_id)
    assert (row["status"], row["actor_name"], row["serve_route"]) == ("starting", "actor", "/x")
    assert client.set_status("alive").result() is True
    before = heartbeat(conn, client.instance_id)
    assert client.beat().result() is True
    assert heartbeat(conn, client.instance_id) > before
    assert [row["logical_id"] for row in list_active_instances(settings).result()] == ["agent"]
    client.close()
    assert status_of(client.instance_id) == "dead"
    assert list_active_instances(settings).result() == []


def test_the_same_steps_in_a_coroutine(settings: Settings, conn: Conn) -> None:
    async def steps() -> list[str]:
        client = RegistryClient("my_agent", actor_name="my_agent_actor", settings=settings)
        assert await client.register()
        assert await client.set_status("alive")
        assert await client.beat()
        found = await list_active_instances(settings)
        await asyncio.to_thread(client.close)
        return [row["actor_name"] for row in found]

    assert asyncio.run(steps()) == ["my_agent_actor"]


def test_it_beats_until_closed(client: RegistryClient, conn: Conn, status_of: StatusOf) -> None:
    until(lambda: status_of(client.instance_id) == "alive")
    first = heartbeat(conn, client.instance_id)
    until(lambda: heartbeat(conn, client.instance_id) > first)
    client.close()
    assert status_of(client.instance_id) == "dead"


def test_run_beats_until_cancelled(quick: Settings, conn: Conn, status_of: StatusOf) -> None:
    client = RegistryClient("agent", settings=quick)

    async def main() -> None:
        running = asyncio.create_task(client.run())
        await asyncio.to_thread(until, lambda: status_of(client.instance_id) == "alive")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
    assert status_of(client.instance_id) == "dead"


def test_declared_dead_it_registers_again_under_its_own_name(
    client: RegistryClient, conn: Conn, status_of: StatusOf
) -> None:
    until(lambda: status_of(client.instance_id) == "alive")
    conn.execute("UPDATE registry_instance SET status = 'dead', stopped_at = now()")
    until(lambda: status_of(client.instance_id) == "alive")
    row = instances.show(conn, client.instance_id)
    assert (row["logical_id"], row["stopped_at"]) == ("agent", None)


def test_forgotten_it_registers_again(
    client: RegistryClient, conn: Conn, status_of: StatusOf
) -> None:
    conn.execute("DELETE FROM registry_instance")
    until(lambda: status_of(client.instance_id) == "alive")


def test_it_follows_a_new_epoch_and_says_so(
    quick: Settings, conn: Conn, status_of: StatusOf
) -> None:
    told: list[UUID] = []
    with RegistryClient("agent", settings=quick, on_epoch=told.append) as client:
        until(lambda: status_of(client.instance_id) == "alive")
        new = epochs.rotate(conn, actor="ann")["new"]
        until(lambda: told)
        assert told == [new]
        until(lambda: status_of(client.instance_id) == "alive")
        assert instances.show(conn, client.instance_id)["epoch_current"]
        assert client.epoch == new


def test_asked_to_drain_it_tells_its_process_once(
    quick: Settings, conn: Conn, status_of: StatusOf
) -> None:
    asked: list[str] = []
    with RegistryClient("agent", settings=quick, on_drain=lambda: asked.append("drain")) as client:
        until(lambda: status_of(client.instance_id) == "alive")
        instances.drain(conn, [client.instance_id])
        until(lambda: asked)
        first = heartbeat(conn, client.instance_id)
        until(lambda: heartbeat(conn, client.instance_id) > first)
        assert status_of(client.instance_id) == "draining"
    assert asked == ["drain"]
    assert status_of(client.instance_id) == "dead"


def test_a_process_without_progress_falls_silent(quick: Settings, conn: Conn) -> None:
    asked = threading.Semaphore(0)

    def stuck() -> bool:
        asked.release()
        return False

    with RegistryClient("agent", settings=quick, may_beat=stuck) as client:
        until(lambda: client.epoch)
        first = heartbeat(conn, client.instance_id)
        for _ in range(3):
            assert asked.acquire(timeout=10)
        assert heartbeat(conn, client.instance_id) == first


def test_an_epoch_of_another_name_is_refused_and_both_are_named(
    settings: Settings, conn: Conn
) -> None:
    current = store.ensure_epoch(conn, uuid4())
    client = RegistryClient("agent", cluster_epoch="epoch_123", settings=settings)
    with pytest.raises(Conflict) as caught:
        client.register().result()
    assert str(current) in caught.value.message
    assert str(epoch_id("epoch_123")) in caught.value.message
    client.close()
    assert instances.list_instances(conn, instances.Filter()) == []


def test_the_first_epoch_may_be_left_to_the_operator(settings: Settings, conn: Conn) -> None:
    client = RegistryClient("agent", settings=dataclasses.replace(settings, auto_epoch=False))
    assert client.register().result() is False
    assert store.current_epoch(conn) is None
    epochs.init(conn, actor="ann")
    assert client.register().result() is True
    client.close()


def test_switched_off_it_does_nothing(settings: Settings, conn: Conn) -> None:
    off = dataclasses.replace(settings, enable_runtime_registry=False)
    threads = threading.active_count()
    with RegistryClient("agent", settings=off) as client:
        assert client.register().result() is False
        assert client.beat().result() is False
        assert threading.active_count() == threads
    assert list_active_instances(off).result() == []


def test_without_a_database_nothing_raises_and_nobody_waits(tmp_path: Any) -> None:
    away = Settings(database_url=f"postgresql://nobody@/nowhere?host={tmp_path}")
    began = time.monotonic()
    with RegistryClient("agent", settings=away) as client:
        client.advance(InstanceStatus.DRAINING)
        assert time.monotonic() - began < 4
        assert client.register().result() is False
        assert client.set_status("alive").result() is False
        assert client.beat().result() is False
    assert list_active_instances(away).result() == []


def test_cut_off_it_comes_back(client: RegistryClient, conn: Conn, status_of: StatusOf) -> None:
    until(lambda: status_of(client.instance_id) == "alive")
    for _ in range(3):
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'seedcore registry%' AND datname = current_database()"
        )
        first = heartbeat(conn, client.instance_id)
        until(lambda first=first: heartbeat(conn, client.instance_id) > first)
    assert status_of(client.instance_id) == "alive"


def test_a_beat_leaves_the_durability_of_others_alone(
    settings: Settings, conn: Conn, register: Any
) -> None:
    conn.execute("SET synchronous_commit = on")
    store.beat(conn, register())
    row = conn.execute("SHOW synchronous_commit").fetchone()
    assert row == {"synchronous_commit": "on"}
