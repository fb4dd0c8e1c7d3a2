"""Events: in once, claimed by one, delivered or given up, brought back by hand."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.schema.database import Conn, code, row, value

NONE = UUID(int=0)


def put(conn: Conn, event_type: str = "a", key: str | None = None, **more: Any) -> int:
    available_at = more.get("available_at", "now")
    return value(
        conn,
        "SELECT outbox_enqueue(%s, %s, '{}', %s, %s::timestamptz)",
        [NONE, event_type, key, available_at],
    )


def claim(
    conn: Conn, limit: int = 10, consumer: str = "c1", lease_s: float = 60, types: Any = None
) -> dict[int, int]:
    rows = conn.execute(
        "SELECT id, attempts FROM outbox_claim(%s, %s, %s, %s)", [consumer, limit, lease_s, types]
    )
    return {r["id"]: r["attempts"] for r in rows}


def delivered(conn: Conn, held: dict[int, int], consumer: str = "c1") -> int:
    return value(conn, "SELECT outbox_delivered(%s, %s, %s)", [consumer, [*held], [*held.values()]])


def failed(conn: Conn, event: int, attempts: int, **more: Any) -> dict[str, Any] | None:
    return row(
        conn,
        "SELECT dead, extract(epoch FROM available_at - now())::float8 AS delay"
        " FROM outbox_failed(%s, %s, %s, %s, %s)",
        [
            more.get("consumer", "c1"),
            event,
            attempts,
            more.get("error", "no"),
            more.get("permanent", False),
        ],
    )


def due(conn: Conn) -> None:
    """Let every lease and every pause be over."""
    conn.execute("UPDATE task_outbox SET available_at = now() - interval '1 second'")


def stored(conn: Conn, event: int) -> dict[str, Any]:
    found = row(conn, "SELECT * FROM task_outbox WHERE id = %s", [event])
    assert found is not None
    return found


def test_an_event_with_a_known_key_is_the_event_that_is_there(conn: Conn) -> None:
    first = put(conn, key="k")
    assert put(conn, "b", key="k") == first
    assert put(conn) != put(conn)
    assert stored(conn, first)["event_type"] == "a"


def test_of_two_with_one_key_at_once_the_second_gets_the_id_of_the_first(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    with conn.transaction():
        first = put(conn, key="k")
        second = aside(put, other, key="k")
        blocked(other)
    assert second.result(10) == first


def test_an_event_is_gone_with_the_change_it_speaks_of(conn: Conn) -> None:
    with conn.transaction(force_rollback=True):
        put(conn)
    assert claim(conn) == {}


@pytest.mark.parametrize("arguments", [(None, "a", "{}"), (NONE, "", "{}"), (NONE, "a", None)])
def test_an_event_needs_task_type_and_payload(conn: Conn, arguments: Any) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT outbox_enqueue(%s, %s, %s)", arguments)
    assert code(caught.value) == ("SC422", "outbox.bad_event")


def test_events_are_claimed_in_the_order_in_which_they_are_due(conn: Conn) -> None:
    later = put(conn, available_at="2020-01-02")
    sooner = put(conn, available_at="2020-01-01")
    tomorrow = put(conn, available_at="tomorrow")
    assert list(claim(conn)) == [sooner, later]
    found = stored(conn, sooner)
    assert (found["locked_by"], found["attempts"]) == ("c1", 1)
    assert stored(conn, tomorrow)["attempts"] == 0


def test_a_claim_of_certain_types_takes_only_those_in_order(conn: Conn) -> None:
    a, b, c = (
        put(conn, kind, available_at=f"2020-01-0{day}")
        for kind, day in (("a", 3), ("b", 1), ("c", 2))
    )
    assert list(claim(conn, types=["a", "b", "b"])) == [b, a]
    assert list(claim(conn)) == [c]


def test_the_limit_holds(conn: Conn) -> None:
    for _ in range(5):
        put(conn)
    assert [len(claim(conn, n)) for n in (0, 2, 10)] == [0, 2, 3]


def test_two_consumers_at_once_share_nothing_and_do_not_wait(conn: Conn, other: Conn) -> None:
    events = {put(conn, kind) for kind in ("a", "b") * 10}
    other.execute("SET lock_timeout = '2s'")
    with conn.transaction():
        mine = claim(conn, 8)
        theirs = claim(other, 8, "c2") | claim(other, 8, "c2", types=["a", "b"])
    assert len(mine) == 8
    assert len(theirs) == 12
    assert set(mine) | set(theirs) == events


def test_what_a_consumer_never_answers_returns_after_its_lease(conn: Conn) -> None:
    event = put(conn)
    claim(conn, lease_s=60)
    assert claim(conn, consumer="c2") == {}
    due(conn)
    assert claim(conn, consumer="c2") == {event: 2}


def test_a_late_answer_changes_nothing(conn: Conn) -> None:
    event = put(conn)
    late = claim(conn)
    due(conn)
    claim(conn, consumer="c2")
    before = stored(conn, event)
    assert delivered(conn, late) == 0
    assert failed(conn, event, 1) is None
    assert delivered(conn, {event: 2}) == 0
    assert delivered(conn, {event: 1}, "c2") == 0
    assert stored(conn, event) == before
    assert delivered(conn, {event: 2}, "c2") == 1


def test_the_same_consumer_with_an_older_attempt_has_lost_it(conn: Conn) -> None:
    event = put(conn)
    late = claim(conn)
    due(conn)
    claim(conn)
    assert delivered(conn, late) == 0
    assert failed(conn, event, 1) is None


def test_delivered_is_the_end(conn: Conn) -> None:
    event = put(conn)
    held = claim(conn)
    assert delivered(conn, held) == 1
    assert delivered(conn, held) == 0
    due(conn)
    assert claim(conn) == {}
    found = stored(conn, event)
    assert (found["locked_by"], found["dead_at"]) == (None, None)
    assert found["delivered_at"] is not None


def test_each_event_needs_its_attempts(conn: Conn) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT outbox_delivered('c1', ARRAY[1, 2], ARRAY[1])")
    assert code(caught.value) == ("SC422", "outbox.bad_batch")


@pytest.mark.parametrize(("attempts", "least"), [(1, 5), (2, 10), (5, 80), (9, 900), (2000, 900)])
def test_a_failure_waits_twice_as_long_each_time(conn: Conn, attempts: int, least: float) -> None:
    event = put(conn)
    conn.execute("UPDATE task_outbox SET attempts = %s, max_attempts = 9999", [attempts - 1])
    claim(conn)
    outcome = failed(conn, event, attempts)
    assert outcome is not None
    assert not outcome["dead"]
    assert least - 1 <= outcome["delay"] <= least * 1.2 + 0.1
    found = stored(conn, event)
    assert (found["last_error"], found["locked_by"]) == ("no", None)


def test_the_last_attempt_makes_a_dead_letter(conn: Conn) -> None:
    event = put(conn)
    conn.execute("UPDATE task_outbox SET max_attempts = 2")
    for attempt in (1, 2):
        assert claim(conn) == {event: attempt}
        outcome = failed(conn, event, attempt)
        assert outcome is not None
        assert outcome["dead"] == (attempt == 2)
        due(conn)
    assert claim(conn) == {}
    assert stored(conn, event)["dead_at"] is not None


def test_a_refusal_for_good_makes_a_dead_letter_at_once(conn: Conn) -> None:
    event = put(conn)
    claim(conn)
    outcome = failed(conn, event, 1, permanent=True)
    assert outcome is not None
    assert outcome["dead"]


def test_a_consumer_that_dies_each_time_makes_a_dead_letter(conn: Conn) -> None:
    """And what was given up takes no place in the claim."""
    poison, fine = put(conn, available_at="2020-01-01"), put(conn)
    conn.execute("UPDATE task_outbox SET attempts = 10 WHERE id = %s", [poison])
    assert claim(conn, 1) == {fine: 1}
    found = stored(conn, poison)
    assert found["dead_at"] is not None
    assert "lease" in found["last_error"]


def test_dead_letters_are_revived_with_more_attempts(conn: Conn) -> None:
    dead, alive = put(conn), put(conn)
    held = claim(conn)
    failed(conn, dead, held[dead], permanent=True)
    assert value(conn, "SELECT outbox_requeue(%s)", [[dead, alive]]) == 1
    found = stored(conn, dead)
    assert (found["dead_at"], found["max_attempts"]) == (None, 11)
    assert claim(conn) == {dead: 2}
    # The answer to the attempt before is late, and stays so.
    assert delivered(conn, {dead: 1}) == 0


def test_only_what_was_delivered_long_ago_is_purged(conn: Conn) -> None:
    old, new, dead, waiting = (put(conn) for _ in range(4))
    held = claim(conn, 3)
    delivered(conn, {old: 1, new: 1})
    failed(conn, dead, held[dead], permanent=True)
    conn.execute(
        "UPDATE task_outbox SET delivered_at = now() - interval '2 days' WHERE id = %s", [old]
    )
    assert value(conn, "SELECT outbox_purge('1 day')") == 1
    left = {r["id"] for r in conn.execute("SELECT id FROM task_outbox")}
    assert left == {new, dead, waiting}
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT outbox_purge('-1 day')")
    assert code(caught.value) == ("SC422", "outbox.bad_age")


def test_a_purge_takes_so_many_at_a_time(conn: Conn) -> None:
    for _ in range(5):
        put(conn)
    delivered(conn, claim(conn))
    assert [value(conn, "SELECT outbox_purge('0', 3)") for _ in range(3)] == [3, 2, 0]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("", 1, 60), "outbox.no_consumer"),
        (("c", 1, 0), "outbox.bad_lease"),
        (("c", 1, float("nan")), "outbox.bad_lease"),
        (("c", 1, None), "outbox.bad_lease"),
    ],
)
def test_a_claim_needs_a_consumer_and_a_lease(conn: Conn, arguments: Any, wrong: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT outbox_claim(%s, %s, %s::float8)", arguments)
    assert code(caught.value) == ("SC422", wrong)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("attempts = -1", "task_outbox_attempts_nonneg"),
        ("max_attempts = 0", "ck_task_outbox_max_attempts"),
        ("delivered_at = now(), dead_at = now()", "ck_task_outbox_one_end"),
    ],
)
def test_the_checks_refuse(conn: Conn, change: str, constraint: str) -> None:
    put(conn)
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        conn.execute(f"UPDATE task_outbox SET {change}".encode())


def test_two_rows_with_one_key_are_refused(conn: Conn) -> None:
    put(conn, key="k")
    with pytest.raises(psycopg.errors.UniqueViolation, match="task_outbox_dedupe_key_key"):
        conn.execute(
            "INSERT INTO task_outbox (task_id, event_type, payload, dedupe_key)"
            " VALUES (%s, 'a', '{}', 'k')",
            [uuid4()],
        )


def test_a_relay_that_waits_is_woken_once_and_nobody_else_costs_anything(
    conn: Conn, other: Conn
) -> None:
    other.execute("LISTEN task_outbox")
    put(conn)
    conn.execute("INSERT INTO queue_waiters (lane, worker) VALUES ('outbox', 'relay')")
    with conn.transaction():
        put(conn)
        put(conn)
    assert len(list(other.notifies(timeout=2, stop_after=1))) == 1
    assert list(other.notifies(timeout=0)) == []
    conn.execute("INSERT INTO seedcore_settings (name, value) VALUES ('notify_enabled', 'off')")
    put(conn)
    assert list(other.notifies(timeout=0.1)) == []


def test_every_change_stamps_the_row(conn: Conn) -> None:
    event = put(conn)
    before = stored(conn, event)["updated_at"]
    conn.execute("UPDATE task_outbox SET last_error = 'by hand'")
    assert stored(conn, event)["updated_at"] > before
