"""Keeping a lease, and losing it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from seedcore.testing import age
from tests.integration.task.worker import Worker, new, status, task

Conn = psycopg.Connection[dict[str, Any]]


def test_a_renewal_prolongs_the_lease(conn: Conn, worker: Worker) -> None:
    held = new(conn)
    worker.claim(lease_s=10)
    age(conn, held, "5s")
    assert worker.renew(held, lease_s=60) == {held: (True, "running")}
    row = task(conn, held)
    assert row["lease_expires_at"] - row["last_heartbeat"] == timedelta(seconds=60)
    assert row["last_heartbeat"] - row["locked_at"] > timedelta(seconds=4)


def test_a_lost_lease_is_told_with_the_true_status(
    conn: Conn, worker: Worker, rival: Worker
) -> None:
    taken, cancelled, kept, gone = (new(conn) for _ in range(4))
    worker.claim(4)
    age(conn, taken, "1h")
    conn.execute("SELECT tasks_reap_expired()")
    assert [row["id"] for row in rival.claim()] == [taken]
    conn.execute("SELECT tasks_cancel(%s, 'no more')", [[cancelled]])
    conn.execute("DELETE FROM tasks WHERE id = %s", [gone])
    assert worker.renew(taken, cancelled, kept, gone) == {
        taken: (False, "running"),
        cancelled: (False, "cancelled"),
        kept: (True, "running"),
        gone: (False, None),
    }
    assert task(conn, taken)["owner_id"] == "w2"


def test_the_same_owner_with_an_older_attempt_has_lost_it(conn: Conn, worker: Worker) -> None:
    held = new(conn)
    worker.claim()
    worker.fail(held, delay_s=0)
    worker.claim()
    worker.held[held] = 1
    assert worker.renew(held) == {held: (False, "running")}
    assert worker.complete(held) == set()


def test_an_unknown_id_is_not_renewed(worker: Worker) -> None:
    ghost = uuid4()
    worker.held[ghost] = 1
    assert worker.renew(ghost) == {ghost: (False, None)}


def test_renewals_are_heap_only(conn: Conn, worker: Worker) -> None:
    """An index on any column that a renewal writes would make it as dear as a claim."""
    tasks = [new(conn, params={"n": n}) for n in range(400)]
    worker.claim(400)
    conn.execute("VACUUM tasks")
    held = tasks[::20]  # a page has room for some new versions, not for all of its rows at once
    before = updates(conn)
    for _ in range(10):
        assert all(renewed for renewed, _ in worker.renew(*held).values())
    after = updates(conn)
    assert after["n_tup_upd"] - before["n_tup_upd"] == 200
    assert after["n_tup_hot_upd"] - before["n_tup_hot_upd"] == 200


def test_an_index_mentions_no_column_of_a_heartbeat(conn: Conn) -> None:
    rows = conn.execute(
        "SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index"
        " WHERE indrelid = 'tasks'::regclass"
    ).fetchall()
    for row in rows:
        for column in ("lease_expires_at", "last_heartbeat", "updated_at", "owner_id"):
            assert column not in row["definition"]


def test_a_running_row_without_an_owner_cannot_be_stored(conn: Conn) -> None:
    queued = new(conn)
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        conn.execute("UPDATE tasks SET status = 'running' WHERE id = %s", [queued])
    assert caught.value.diag.constraint_name == "ck_tasks_lease"
    assert status(conn, queued) == "queued"


def updates(conn: Conn) -> dict[str, int]:
    conn.execute("SELECT pg_stat_force_next_flush()")
    row = conn.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'tasks'"
    ).fetchone()
    assert row is not None
    return row
