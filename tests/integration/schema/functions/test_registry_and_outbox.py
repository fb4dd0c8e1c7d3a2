"""Instances and events while another session is at them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.schema.database import code, row, value
from tests.integration.schema.outbox.test_outbox import claim, delivered, due, failed, put, stored
from tests.integration.schema.registry.test_instance import move, register, rotate

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]
Blocked = Callable[[Conn], None]

STATUS = "SELECT status::text FROM registry_instance WHERE instance_id = %s"


@pytest.fixture
def epoch(conn: Conn) -> UUID:
    return value(conn, "SELECT ensure_current_epoch(%s)", [uuid4()])


@pytest.mark.usefixtures("epoch")
def test_two_moves_of_an_instance_at_once_follow_each_other(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    instance = register(conn)
    with conn.transaction():
        assert move(conn, instance, "dead")
        late = aside(move, other, instance, "alive")
        blocked(other)
    assert late.result(10) is False
    assert value(conn, STATUS, [instance]) == "dead"


@pytest.mark.usefixtures("epoch")
def test_a_move_back_is_refused_after_the_one_that_was_under_way(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    instance = register(conn)
    with conn.transaction():
        assert move(conn, instance, "draining")
        late = aside(move, other, instance, "alive")
        blocked(other)
    with pytest.raises(psycopg.Error) as caught:
        late.result(10)
    assert code(caught.value) == ("SC409", "registry.bad_transition")


@pytest.mark.usefixtures("epoch")
def test_a_beat_does_not_save_an_instance_of_an_old_epoch(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    instance = register(conn, status="alive")
    rotate(conn)
    with conn.transaction():
        conn.execute("SELECT beat(%s)", [instance])
        expiry = aside(value, other, "SELECT expire_old_epoch_instances()")
        blocked(other)
    assert expiry.result(10) == 1
    assert value(conn, STATUS, [instance]) == "dead"


@pytest.mark.usefixtures("epoch")
def test_an_instance_that_enters_the_new_epoch_meanwhile_stays(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    instance = register(conn, status="alive")
    rotate(conn)
    with conn.transaction():
        conn.execute("SELECT register_instance(%s, 'organ_1')", [instance])
        expiry = aside(value, other, "SELECT expire_old_epoch_instances()")
        blocked(other)
    assert expiry.result(10) == 0
    assert value(conn, STATUS, [instance]) == "starting"


@pytest.mark.usefixtures("epoch")
def test_a_dead_instance_that_registers_again_meanwhile_is_not_purged(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    revived, dead = register(conn, status="dead"), register(conn, status="dead")
    with conn.transaction():
        conn.execute("SELECT register_instance(%s, 'organ_1')", [revived])
        purge = aside(value, other, "SELECT purge_dead_instances('0')")
        blocked(other)
    assert purge.result(10) == 1
    left = conn.execute("SELECT instance_id FROM registry_instance").fetchall()
    assert [r["instance_id"] for r in left] == [revived]
    assert dead != revived


@pytest.mark.usefixtures("epoch")
def test_an_instance_that_dies_meanwhile_is_told_by_its_beat(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    instance = register(conn, status="alive")
    with conn.transaction():
        move(conn, instance, "dead")
        beat = aside(row, other, "SELECT status::text FROM beat(%s)", [instance])
        blocked(other)
    assert beat.result(10) == {"status": "dead"}


ANSWERS: dict[str, tuple[Callable[..., Any], Any]] = {
    "outbox_delivered": (lambda c, event: delivered(c, {event: 1}), 0),
    "outbox_failed": (lambda c, event: failed(c, event, 1), None),
}


@pytest.mark.parametrize("function", ANSWERS)
def test_a_consumer_whose_event_is_being_claimed_waits_and_is_told(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked, function: str
) -> None:
    say, heard = ANSWERS[function]
    event = put(conn)
    claim(conn)
    due(conn)
    with conn.transaction():
        assert claim(conn, consumer="c2") == {event: 2}
        late = aside(say, other, event)
        blocked(other)
    assert late.result(10) == heard
    found = stored(conn, event)
    assert (found["locked_by"], found["delivered_at"], found["last_error"]) == ("c2", None, None)


def test_dead_letters_that_two_revive_at_once_get_their_attempts_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    event = put(conn)
    claim(conn)
    failed(conn, event, 1, permanent=True)
    requeue = "SELECT outbox_requeue(%s)"
    with conn.transaction():
        assert value(conn, requeue, [[event]]) == 1
        rival = aside(value, other, requeue, [[event]])
        blocked(other)
    assert rival.result(10) == 0
    assert stored(conn, event)["max_attempts"] == 11


def test_two_purges_at_once_share_what_there_is(conn: Conn, other: Conn) -> None:
    for _ in range(5):
        put(conn)
    delivered(conn, claim(conn))
    other.execute("SET lock_timeout = '2s'")
    with conn.transaction():
        assert value(conn, "SELECT outbox_purge('0', 3)") == 3
        assert value(other, "SELECT outbox_purge('0')") == 2
    assert value(conn, "SELECT count(*) FROM task_outbox") == 0


def test_reviving_what_is_not_there_wakes_nobody(conn: Conn, other: Conn) -> None:
    other.execute("LISTEN task_outbox")
    alive = put(conn)
    assert value(conn, "SELECT outbox_requeue(%s)", [[alive, -1]]) == 0
    assert value(conn, "SELECT outbox_requeue('{}')") == 0
    other.execute("SELECT 1")
    assert list(other.notifies(timeout=0)) == []


def test_an_answer_for_nothing_is_none(conn: Conn) -> None:
    assert delivered(conn, {}) == 0
    assert failed(conn, -1, 1) is None
