"""Instances: registering, living, being found, being given up."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.schema.database import Conn, code, row, value

STATES = ("starting", "alive", "draining", "dead")


@pytest.fixture
def epoch(conn: Conn) -> UUID:
    return value(conn, "SELECT ensure_current_epoch(%s)", [uuid4()])


def rotate(conn: Conn) -> UUID:
    new = uuid4()
    conn.execute("SELECT set_current_epoch(%s)", [new])
    return new


def register(conn: Conn, logical_id: str = "organ_1", status: str = "starting") -> UUID:
    instance = uuid4()
    conn.execute("SELECT register_instance(%s, %s)", [instance, logical_id])
    if status != "starting":
        assert move(conn, instance, status)
    return instance


def move(conn: Conn, instance: UUID, status: str) -> bool:
    return value(conn, "SELECT set_instance_status(%s, %s)", [instance, status])


def silent(conn: Conn, instance: UUID, seconds: float) -> None:
    conn.execute(
        "UPDATE registry_instance SET last_heartbeat = now() - make_interval(secs => %s)"
        " WHERE instance_id = %s",
        [seconds, instance],
    )


def stored(conn: Conn, instance: UUID) -> dict[str, Any]:
    found = row(conn, "SELECT * FROM registry_instance WHERE instance_id = %s", [instance])
    assert found is not None
    return found


def test_registering_returns_the_epoch_and_stores_what_was_said(conn: Conn, epoch: UUID) -> None:
    instance = uuid4()
    returned = value(
        conn,
        "SELECT register_instance(%s, 'organ_1', %s, 'actor', '/route', 'node', '10.0.0.1', 7)",
        [instance, epoch],
    )
    assert returned == epoch
    found = stored(conn, instance)
    assert (found["status"], found["cluster_epoch"], found["pid"]) == ("starting", epoch, 7)
    assert (found["actor_name"], found["serve_route"], found["node_id"]) == (
        "actor",
        "/route",
        "node",
    )
    assert str(found["ip_address"]) == "10.0.0.1"


def test_registering_again_revives_the_row(conn: Conn, epoch: UUID) -> None:
    instance = register(conn, status="dead")
    silent(conn, instance, 100)
    new = rotate(conn)
    assert value(conn, "SELECT register_instance(%s, 'organ_2')", [instance]) == new
    found = stored(conn, instance)
    assert (found["status"], found["stopped_at"], found["logical_id"]) == (
        "starting",
        None,
        "organ_2",
    )
    beat = row(conn, "SELECT * FROM beat(%s)", [instance])
    assert beat == {"status": "starting", "epoch_current": True}


def test_registering_for_another_epoch_is_refused_unless_it_adopts_the_current(
    conn: Conn, epoch: UUID
) -> None:
    new = rotate(conn)
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT register_instance(%s, 'a', %s)", [uuid4(), epoch])
    assert code(caught.value) == ("SC409", "registry.epoch_changed")
    call = "SELECT register_instance(%s, 'a', %s, p_adopt => true)"
    assert value(conn, call, [uuid4(), epoch]) == new
    assert value(conn, "SELECT count(*) FROM registry_instance") == 1


def test_registering_needs_an_epoch_an_id_and_a_name(conn: Conn) -> None:
    for arguments, expected in (
        ((uuid4(), "a"), ("SC404", "registry.no_epoch")),
        ((None, "a"), ("SC422", "registry.bad_instance")),
        ((uuid4(), ""), ("SC422", "registry.bad_instance")),
    ):
        with pytest.raises(psycopg.Error) as caught:
            conn.execute("SELECT register_instance(%s, %s)", arguments)
        assert code(caught.value) == expected


def test_nobody_registers_for_an_epoch_that_is_being_left(
    conn: Conn,
    other: Conn,
    epoch: UUID,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    with conn.transaction():
        rotate(conn)
        call = "SELECT register_instance(%s, 'a', %s)"
        late = aside(value, other, call, [uuid4(), epoch])
        blocked(other)
    with pytest.raises(psycopg.Error) as caught:
        late.result(10)
    assert code(caught.value) == ("SC409", "registry.epoch_changed")


def test_two_register_at_once_without_waiting(conn: Conn, other: Conn, epoch: UUID) -> None:
    other.execute("SET lock_timeout = '2s'")
    with conn.transaction():
        register(conn)
        register(other)
    assert value(conn, "SELECT count(*) FROM registry_instance") == 2


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_a_life_has_no_way_back(conn: Conn, epoch: UUID, before: str, after: str) -> None:
    instance = register(conn, status=before)
    if before == "dead":
        assert not move(conn, instance, after)
        return
    if STATES.index(after) < STATES.index(before):
        with pytest.raises(psycopg.Error) as caught:
            move(conn, instance, after)
        assert code(caught.value) == ("SC409", "registry.bad_transition")
        assert stored(conn, instance)["status"] == before
        return
    assert move(conn, instance, after)
    found = stored(conn, instance)
    assert found["status"] == after
    assert (found["stopped_at"] is not None) == (after == "dead")


def test_an_unknown_instance_has_no_status_and_no_beat(conn: Conn, epoch: UUID) -> None:
    assert not move(conn, uuid4(), "alive")
    assert conn.execute("SELECT * FROM beat(%s)", [uuid4()]).fetchall() == []
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT set_instance_status(%s, NULL)", [uuid4()])
    assert code(caught.value) == ("SC422", "registry.bad_status")


def test_a_beat_tells_the_status_and_whether_the_epoch_is_current(conn: Conn, epoch: UUID) -> None:
    instance = register(conn, status="draining")
    silent(conn, instance, 50)
    before = stored(conn, instance)["last_heartbeat"]
    beat = "SELECT * FROM beat(%s)"
    assert row(conn, beat, [instance]) == {"status": "draining", "epoch_current": True}
    assert stored(conn, instance)["last_heartbeat"] > before
    rotate(conn)
    assert row(conn, beat, [instance]) == {"status": "draining", "epoch_current": False}


def test_a_dead_instance_stays_dead_however_it_beats(conn: Conn, epoch: UUID) -> None:
    instance = register(conn, status="dead")
    silent(conn, instance, 50)
    before = stored(conn, instance)
    assert row(conn, "SELECT * FROM beat(%s)", [instance]) == {
        "status": "dead",
        "epoch_current": True,
    }
    assert stored(conn, instance) == before


def test_beats_are_heap_only(conn: Conn, epoch: UUID) -> None:
    """An index on the heartbeat, or full pages, would make each one write every index."""
    instances = [register(conn, f"agent_{n}", "alive") for n in range(100)]
    conn.execute("SELECT pg_stat_force_next_flush()")
    counters = (
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
        " WHERE relname = 'registry_instance'"
    )
    before = row(conn, counters)
    for _ in range(5):
        conn.execute("SELECT beat(i) FROM unnest(%s::uuid[]) AS i", [instances])
    conn.execute("SELECT pg_stat_force_next_flush()")
    after = row(conn, counters)
    assert before is not None
    assert after is not None
    assert after["n_tup_upd"] - before["n_tup_upd"] == 500
    assert after["n_tup_hot_upd"] - before["n_tup_hot_upd"] == 500


def test_the_silent_are_expired_and_nobody_else(conn: Conn, epoch: UUID) -> None:
    gone, late, fine = (register(conn, status=s) for s in ("alive", "starting", "draining"))
    silent(conn, gone, 60)
    silent(conn, late, 20)
    assert value(conn, "SELECT expire_stale_instances(30)") == 1
    assert stored(conn, gone)["status"] == "dead"
    assert stored(conn, gone)["stopped_at"] is not None
    assert stored(conn, late)["status"] == "starting"
    assert value(conn, "SELECT expire_stale_instances()") == 1
    assert stored(conn, late)["status"] == "dead"
    assert stored(conn, fine)["status"] == "draining"
    assert value(conn, "SELECT expire_stale_instances()") == 0


def test_the_window_is_a_setting(conn: Conn, epoch: UUID) -> None:
    instance = register(conn, status="alive")
    silent(conn, instance, 20)
    find = "SELECT count(*) FROM active_instances"
    assert value(conn, find) == 0
    conn.execute("INSERT INTO seedcore_settings (name, value) VALUES ('instance_window_s', '30')")
    assert value(conn, find) == 1
    assert value(conn, "SELECT expire_stale_instances()") == 0


@pytest.mark.parametrize("timeout", ["0", "-1", "'NaN'", "'Infinity'"])
def test_a_timeout_that_is_none_is_refused(conn: Conn, timeout: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(f"SELECT expire_stale_instances({timeout})".encode())
    assert code(caught.value) == ("SC422", "registry.bad_timeout")


def test_who_beats_right_now_is_passed_by(conn: Conn, other: Conn, epoch: UUID) -> None:
    beating, gone = register(conn), register(conn)
    silent(conn, beating, 60)
    silent(conn, gone, 60)
    other.execute("SET lock_timeout = '2s'")
    with conn.transaction():
        conn.execute("SELECT beat(%s)", [beating])
        assert value(other, "SELECT expire_stale_instances()") == 1
    assert stored(conn, beating)["status"] == "starting"


def test_instances_of_old_epochs_are_expired(conn: Conn, epoch: UUID) -> None:
    old = register(conn, status="alive")
    assert value(conn, "SELECT expire_old_epoch_instances()") == 0
    rotate(conn)
    new = register(conn, status="alive")
    assert value(conn, "SELECT expire_old_epoch_instances()") == 1
    assert (stored(conn, old)["status"], stored(conn, new)["status"]) == ("dead", "alive")


def test_without_an_epoch_none_is_old(conn: Conn) -> None:
    assert value(conn, "SELECT expire_old_epoch_instances()") == 0


def test_the_long_dead_are_purged(conn: Conn, epoch: UUID) -> None:
    old, new = register(conn, status="dead"), register(conn, status="dead")
    alive = register(conn)
    conn.execute(
        "UPDATE registry_instance SET stopped_at = now() - interval '8 days' WHERE instance_id = %s",
        [old],
    )
    silent(conn, alive, 10**6)
    assert value(conn, "SELECT purge_dead_instances()") == 1
    left = conn.execute("SELECT instance_id FROM registry_instance").fetchall()
    assert {r["instance_id"] for r in left} == {new, alive}
    assert value(conn, "SELECT purge_dead_instances('0')") == 1
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT purge_dead_instances('-1 day')")
    assert code(caught.value) == ("SC422", "registry.bad_age")


def test_active_are_those_alive_of_the_epoch_and_heard_of(conn: Conn, epoch: UUID) -> None:
    register(conn, "old", "alive")
    rotate(conn)
    for status in STATES:
        register(conn, status, status)
    silent(conn, register(conn, "silent", "alive"), 60)
    found = conn.execute("SELECT logical_id FROM active_instances").fetchall()
    assert [r["logical_id"] for r in found] == ["alive"]


def test_the_best_instance_is_the_newest_heartbeat_then_the_earliest_start(
    conn: Conn, epoch: UUID
) -> None:
    a, b, c, d = sorted(register(conn, "x", "alive") for _ in range(4))
    best = "SELECT instance_id FROM active_instance WHERE logical_id = 'x'"
    conn.execute("UPDATE registry_instance SET last_heartbeat = now(), started_at = '2020-01-01'")
    assert value(conn, best) == a
    conn.execute(
        "UPDATE registry_instance SET started_at = '2019-01-01' WHERE instance_id = %s", [b]
    )
    assert value(conn, best) == b
    silent(conn, b, 1)
    silent(conn, a, 2)
    assert value(conn, best) == c
    move(conn, c, "draining")
    assert value(conn, best) == d


def test_nothing_is_active_without_an_epoch(conn: Conn) -> None:
    assert value(conn, "SELECT count(*) FROM active_instance") == 0


def test_an_instance_gets_one_node(conn: Conn, epoch: UUID) -> None:
    instance = register(conn)
    ensure = "SELECT ensure_instance_node(%s)"
    assert value(conn, ensure, [instance]) == value(conn, ensure, [instance])
    found = conn.execute(
        "SELECT node_type, ext_table FROM graph_node_map WHERE ext_uuid = %s", [instance]
    ).fetchall()
    assert found == [{"node_type": "instance", "ext_table": "registry_instance"}]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        conn.execute(ensure, [uuid4()])


def test_a_beat_does_not_wait_for_a_rotation(conn: Conn, other: Conn, epoch: UUID) -> None:
    instance = register(conn, status="alive")
    with conn.transaction():
        rotate(conn)
        started = time.monotonic()
        beat = row(other, "SELECT * FROM beat(%s)", [instance])
        assert beat == {"status": "alive", "epoch_current": True}
        assert time.monotonic() - started < 5
