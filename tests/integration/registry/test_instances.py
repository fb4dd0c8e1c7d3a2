"""Instances as operators see and move them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from seedcore.errors import Conflict, NotFound, UsageError, WaitTimeout
from seedcore.registry import epoch as epochs, instances
from seedcore.registry.instances import Filter
from seedcore.registry.model import InstanceStatus
from tests.integration.registry.conftest import Conn, Register

StatusOf = Callable[[UUID], str | None]


def names(conn: Conn, wanted: Filter) -> list[str]:
    return [row["logical_id"] for row in instances.list_instances(conn, wanted)]


def hold_task(conn: Conn, logical_id: str, instance: UUID) -> None:
    owner = f"{logical_id}@{instance.hex[:8]}"
    conn.execute("INSERT INTO tasks (type, status) VALUES ('a', 'queued')")
    conn.execute("SELECT tasks_claim('queue', %s, 1)", [owner])


def test_lists_show_who_lives_unless_asked_otherwise(conn: Conn, register: Register) -> None:
    register("alive")
    register("starting", "starting")
    register("gone", "dead")
    register("silent", silent_s=60)
    assert names(conn, Filter()) == ["alive", "silent", "starting"]
    assert names(conn, Filter(statuses=[InstanceStatus.DEAD])) == ["gone"]
    assert names(conn, Filter(stale_s=30)) == ["silent"]
    assert names(conn, Filter(logical_id="alive", node_id="n1")) == ["alive"]
    assert names(conn, Filter(node_id="n2")) == []
    epochs.rotate(conn, actor="ann", expire_old=False)
    assert names(conn, Filter()) == []
    assert names(conn, Filter(all_epochs=True)) == ["alive", "silent", "starting"]


def test_the_best_of_several_is_located(conn: Conn, register: Register) -> None:
    register("a", silent_s=5)
    newest = register("a")
    register("a", "draining")
    register("a", silent_s=60)
    assert instances.locate(conn, "a")["instance_id"] == newest
    with pytest.raises(NotFound, match='no instance of "b" is active'):
        instances.locate(conn, "b")


def test_an_instance_is_named_by_its_first_digits(conn: Conn, register: Register) -> None:
    one = register()
    assert instances.resolve(conn, one.hex[:8]) == one
    for wrong, error in (("12345", UsageError), ("zz", UsageError), ("0" * 32, NotFound)):
        with pytest.raises(error):
            instances.resolve(conn, wrong)


def test_leases_are_counted_by_owner(conn: Conn, register: Register) -> None:
    one, other = register("a"), register("a")
    hold_task(conn, "a", one)
    assert instances.show(conn, one)["leases"] == 1
    assert instances.show(conn, other)["leases"] == 0


def test_a_life_goes_on_and_not_back(conn: Conn, register: Register, status_of: StatusOf) -> None:
    one = register(status="starting")
    assert instances.set_status(conn, one, InstanceStatus.ALIVE) == ("starting", "alive")
    with pytest.raises(Conflict, match="can't become starting"):
        instances.set_status(conn, one, InstanceStatus.STARTING)
    assert instances.set_status(conn, one, InstanceStatus.DEAD) == ("alive", "dead")
    with pytest.raises(Conflict, match="dead, which can't become alive"):
        instances.set_status(conn, one, InstanceStatus.ALIVE)
    assert status_of(one) == "dead"
    with pytest.raises(NotFound):
        instances.set_status(conn, uuid4(), InstanceStatus.ALIVE)


def test_draining_is_all_or_nothing(conn: Conn, register: Register, status_of: StatusOf) -> None:
    one, dead = register(), register(status="dead")
    for other, error in ((dead, Conflict), (uuid4(), NotFound)):
        with pytest.raises(error):
            instances.drain(conn, [one, other])
    assert status_of(one) == "alive"
    assert instances.drain(conn, [one])[0]["status"] == "draining"
    assert instances.drain(conn, [one])[0]["before"] == "draining"


def test_waiting_for_a_drain_ends_with_the_instance(
    conn: Conn, register: Register, status_of: StatusOf
) -> None:
    silent, busy = register("silent", "draining", silent_s=60), register("busy", "draining")
    instances.wait_drained(conn, [silent], timeout_s=0)
    assert status_of(silent) == "dead"
    hold_task(conn, "busy", busy)
    with pytest.raises(WaitTimeout, match="busy holds 1 tasks"):
        instances.wait_drained(conn, [busy], timeout_s=0)
    # Silent but holding a task, it is for the task's lease to end first.
    conn.execute("UPDATE registry_instance SET last_heartbeat = now() - interval '1 minute'")
    with pytest.raises(WaitTimeout):
        instances.wait_drained(conn, [busy], timeout_s=0)
    instances.set_status(conn, busy, InstanceStatus.DEAD)
    instances.wait_drained(conn, [busy], timeout_s=0)


def test_watching_shows_what_comes_changes_and_goes(conn: Conn, register: Register) -> None:
    one = register("a", "starting")
    changes = instances.watch(conn, Filter(), timeout_s=20)
    assert (first := next(changes))["type"] == "added"
    assert first["object"]["instance_id"] == one
    instances.set_status(conn, one, InstanceStatus.ALIVE)
    assert (second := next(changes))["type"] == "modified"
    assert second["object"]["status"] == "alive"
    instances.set_status(conn, one, InstanceStatus.DEAD)
    assert next(changes)["type"] == "removed"
    with pytest.raises(WaitTimeout):
        list(instances.watch(conn, Filter(), timeout_s=0))
