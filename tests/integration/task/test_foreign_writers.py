"""Programs that write to the table itself: what the triggers do for them, and against them."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from tests.integration.task.worker import Worker, history, new, set_level, status, task

Conn = psycopg.Connection[dict[str, Any]]


def move(conn: Conn, task_id: Any, to: str) -> None:
    conn.execute("UPDATE tasks SET status = %s WHERE id = %s", [to, task_id])


def test_leaving_running_clears_the_lease(conn: Conn, worker: Worker) -> None:
    held = new(conn)
    worker.claim()
    move(conn, held, "completed")
    row = task(conn, held)
    assert [row[c] for c in ("owner_id", "locked_by", "locked_at", "lease_expires_at")] == [
        None
    ] * 4
    assert row["last_heartbeat"] is None
    assert worker.complete(held) == set()
    assert history(conn, held) == [("running", "completed", 1, "w1", None)]


@pytest.mark.parametrize(
    ("end", "to"),
    [
        ("completed", "queued"),
        ("completed", "failed"),
        ("failed", "running"),
        ("cancelled", "retry"),
    ],
)
def test_an_end_stays_an_end(conn: Conn, worker: Worker, end: str, to: str) -> None:
    ended = new(conn)
    worker.claim()
    move(conn, ended, end)
    with pytest.raises(psycopg.Error, match=f"is {end}, which can't become {to}") as caught:
        conn.execute("UPDATE tasks SET status = %s, owner_id = 'x' WHERE id = %s", [to, ended])
    assert caught.value.sqlstate == "SC409"
    assert status(conn, ended) == end


def test_running_does_not_go_back_into_the_queue(conn: Conn, worker: Worker) -> None:
    held = new(conn)
    worker.claim()
    with pytest.raises(psycopg.Error, match="can't become queued"):
        conn.execute("UPDATE tasks SET status = 'queued', owner_id = NULL WHERE id = %s", [held])


def test_a_failed_task_may_be_queued_again(conn: Conn, worker: Worker) -> None:
    failed = new(conn)
    worker.claim()
    worker.fail(failed, retryable=False)
    move(conn, failed, "queued")
    assert worker.claim()[0]["attempts"] == 2


def test_dependants_follow_a_foreign_end(conn: Conn, worker: Worker) -> None:
    good, bad = new(conn), new(conn)
    after_good, after_bad = (new(conn, depends_on=(str(i),)) for i in (good, bad))
    move(conn, good, "completed")
    move(conn, bad, "cancelled")
    assert status(conn, after_good, after_bad) == ["queued", "cancelled"]


def test_foreign_rows_are_recorded_when_everything_is(conn: Conn) -> None:
    set_level(conn, "all")
    row = conn.execute("INSERT INTO tasks (type) VALUES ('a') RETURNING id").fetchone()
    assert row is not None
    with conn.transaction():
        conn.execute("SELECT set_config('seedcore.actor', 'ann', true)")
        conn.execute("SELECT set_config('seedcore.reason', 'by hand', true)")
        move(conn, row["id"], "queued")
    conn.execute("UPDATE tasks SET description = 'x' WHERE id = %s", [row["id"]])
    assert history(conn, row["id"]) == [
        (None, "created", 0, "seedcore_test", None),
        ("created", "queued", 0, "ann", "by hand"),
    ]


def test_the_engine_is_not_recorded_twice(conn: Conn, worker: Worker) -> None:
    set_level(conn, "all")
    done = new(conn)
    worker.claim()
    worker.complete(done)
    assert [event[1] for event in history(conn, done)] == ["queued", "running", "completed"]


def test_a_foreign_change_after_the_engines_in_one_transaction_is_seen(
    conn: Conn, worker: Worker
) -> None:
    set_level(conn, "all")
    with conn.transaction():
        queued = new(conn)
        move(conn, queued, "cancelled")
    assert [event[1] for event in history(conn, queued)] == ["queued", "cancelled"]


def test_a_large_foreign_update_is_not_quadratic(conn: Conn) -> None:
    conn.execute(
        "INSERT INTO tasks (type, status) SELECT 'a', 'queued' FROM generate_series(1, 20000)"
    )
    conn.execute("UPDATE tasks SET status = 'cancelled' WHERE id = (SELECT id FROM tasks LIMIT 1)")
    started = time.monotonic()
    conn.execute("UPDATE tasks SET status = 'cancelled' WHERE status = 'queued'")
    assert time.monotonic() - started < 10  # 20,000² comparisons take minutes
    assert conn.execute("SELECT count(*) AS n FROM task_events").fetchone() == {"n": 20000}


def test_updated_at_is_kept_for_those_who_forget_it(conn: Conn) -> None:
    queued = new(conn)
    before = task(conn, queued)["updated_at"]
    conn.execute("UPDATE tasks SET description = 'x' WHERE id = %s", [queued])
    assert task(conn, queued)["updated_at"] > before
