"""Deleting old tasks and old records, and firing schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from seedcore.errors import UsageError
from seedcore.task import service
from seedcore.task.model import TaskStatus
from seedcore.testing import age
from tests.integration.task.worker import Worker, history, new, status, task

Conn = psycopg.Connection[dict[str, Any]]

DAY_S = 86400.0


def count(conn: Conn, table: str = "tasks") -> int:
    statement = {"tasks": "SELECT count(*) AS n FROM tasks"}.get(
        table, "SELECT count(*) AS n FROM task_events"
    )
    row = conn.execute(statement).fetchone()  # pyright: ignore[reportArgumentType]
    assert row is not None
    return row["n"]


def ended(conn: Conn, worker: Worker, number: int, by: str) -> list[Any]:
    tasks = [new(conn) for _ in range(number)]
    worker.claim(number)
    worker.complete(*tasks)
    age(conn, tasks, by)
    return tasks


def test_prune_deletes_what_ended_long_ago(conn: Conn, worker: Worker) -> None:
    ended(conn, worker, 3, "8d")
    (recent,) = ended(conn, worker, 1, "6d")
    old_but_live = new(conn)
    age(conn, old_but_live, "30d")
    seen: list[int] = []
    asked = service.prune(conn, older_than_s=7 * DAY_S, dry_run=True)
    assert (asked["tasks"], count(conn)) == (3, 5)
    done = service.prune(conn, older_than_s=7 * DAY_S, batch_size=2, on_batch=seen.append)
    assert (done["tasks"], seen) == (3, [2, 3])
    assert status(conn, recent, old_but_live) == ["completed", "queued"]


def test_an_old_task_that_ended_lately_stays(conn: Conn, worker: Worker) -> None:
    slow = new(conn)
    age(conn, slow, "30d")
    worker.claim()
    worker.complete(slow)
    assert service.prune(conn, older_than_s=7 * DAY_S)["tasks"] == 0


def test_prune_keeps_what_an_unfinished_task_waits_for(conn: Conn, worker: Worker) -> None:
    first, second = new(conn), new(conn)
    child = new(conn, depends_on=(str(first), str(second)))
    worker.claim(1)
    worker.complete(first)
    age(conn, [first, second, child], "30d")
    assert service.prune(conn, older_than_s=DAY_S)["tasks"] == 0
    worker.claim(1)
    worker.complete(second)
    worker.claim(1)
    worker.complete(child)
    age(conn, [first, second, child], "30d")
    assert service.prune(conn, older_than_s=DAY_S)["tasks"] == 3


def test_prune_takes_only_the_named_ends(conn: Conn, worker: Worker) -> None:
    (done,) = ended(conn, worker, 1, "8d")
    gone = new(conn)
    service.cancel(conn, [gone], actor="ann")
    age(conn, gone, "8d")
    assert service.prune(conn, older_than_s=DAY_S, statuses=[TaskStatus.CANCELLED])["tasks"] == 1
    assert status(conn, done) == "completed"
    with pytest.raises(UsageError):
        service.prune(conn, older_than_s=DAY_S, statuses=[TaskStatus.QUEUED])
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT tasks_purge('1 day', '{queued}')")
    assert caught.value.sqlstate == "SC422"


def test_the_audit_outlives_the_task(conn: Conn, worker: Worker) -> None:
    (done,) = ended(conn, worker, 1, "8d")
    service.prune(conn, older_than_s=DAY_S)
    assert len(history(conn, done)) == 1


def partitions(conn: Conn) -> list[str]:
    rows = conn.execute(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'task_events'::regclass ORDER BY 1"
    ).fetchall()
    return [row["name"] for row in rows if row["name"] != "task_events_default"]


def record(conn: Conn, at: datetime) -> None:
    conn.execute(
        "INSERT INTO task_events (task_id, at, to_status, attempts) VALUES (%s, %s, 'queued', 0)",
        [uuid4(), at],
    )


def test_the_coming_days_have_their_partitions(conn: Conn) -> None:
    today = datetime.now(UTC).date()
    before = partitions(conn)
    assert f"task_events_p{today:%Y%m%d}" in before
    assert len(before) >= 7
    conn.execute("SELECT task_events_ensure(7)")  # over midnight one may be missing
    assert conn.execute("SELECT task_events_ensure(7) AS n").fetchone() == {"n": 0}
    assert conn.execute("SELECT task_events_ensure(9) AS n").fetchone() == {"n": 2}


def test_rows_that_came_before_their_partition_move_into_it(conn: Conn) -> None:
    day = datetime.now(UTC) + timedelta(days=20)
    record(conn, day)
    assert conn.execute("SELECT count(*) AS n FROM task_events_default").fetchone() == {"n": 1}
    conn.execute("SELECT task_events_ensure(21)")
    assert conn.execute("SELECT count(*) AS n FROM task_events_default").fetchone() == {"n": 0}
    assert count(conn, "events") == 1


def test_old_days_are_dropped_and_the_edge_is_deleted(conn: Conn) -> None:
    now = datetime.now(UTC)
    conn.execute("CREATE TABLE task_events_p20200101 (LIKE task_events INCLUDING DEFAULTS)")
    conn.execute(
        "ALTER TABLE task_events ATTACH PARTITION task_events_p20200101"
        " FOR VALUES FROM ('2020-01-01Z') TO ('2020-01-02Z')"
    )
    record(conn, datetime(2020, 1, 1, 12, tzinfo=UTC))
    record(conn, datetime(2020, 1, 5, 12, tzinfo=UTC))  # of the default partition
    record(conn, now)
    assert conn.execute("SELECT task_events_purge('30 days') AS n").fetchone() == {"n": 2}
    assert "task_events_p20200101" not in partitions(conn)
    assert count(conn, "events") == 1


def schedule(conn: Conn, **fields: Any) -> Any:
    given = {"overlap": "allow", "ttl_seconds": None, "priority": 7} | fields
    row = conn.execute(
        "INSERT INTO task_schedules (name, cron, type, overlap, ttl_seconds, priority, next_run_at)"
        " VALUES ('nightly', '0 3 * * *', 'report', %(overlap)s, %(ttl_seconds)s, %(priority)s, now())"
        " RETURNING schedule_id",
        given,
    ).fetchone()
    assert row is not None
    return row["schedule_id"]


def fire(conn: Conn, schedule_id: Any, at: datetime, following: datetime) -> Any:
    row = conn.execute(
        "SELECT task_schedule_fire(%s, %s, %s) AS id", [schedule_id, at, following]
    ).fetchone()
    assert row is not None
    return row["id"]


MONDAY = datetime(2031, 5, 12, 3, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)
WEDNESDAY = MONDAY + timedelta(days=2)


def test_a_schedule_fires_once_for_each_time(conn: Conn, other: Conn) -> None:
    nightly = schedule(conn, ttl_seconds=3600)
    first = fire(conn, nightly, MONDAY, TUESDAY)
    assert fire(other, nightly, MONDAY, TUESDAY) == first
    second = fire(conn, nightly, TUESDAY, WEDNESDAY)
    assert second != first
    assert fire(other, nightly, MONDAY, TUESDAY) == first  # a rival that slept
    row = conn.execute("SELECT * FROM task_schedules").fetchone()
    assert row is not None
    assert (row["next_run_at"], row["last_run_at"]) == (WEDNESDAY, TUESDAY)
    assert row["last_task_id"] == second
    stored = task(conn, first)
    assert (stored["type"], stored["priority"]) == ("report", 7)
    assert stored["expires_at"] - stored["created_at"] > timedelta(minutes=59)


def test_a_schedule_may_skip_while_the_last_one_runs(conn: Conn, worker: Worker) -> None:
    nightly = schedule(conn, overlap="skip")
    first = fire(conn, nightly, MONDAY, TUESDAY)
    assert fire(conn, nightly, TUESDAY, WEDNESDAY) is None
    assert count(conn) == 1
    worker.claim()
    worker.complete(first)
    assert fire(conn, nightly, WEDNESDAY, WEDNESDAY + timedelta(days=1)) is not None


def test_a_failed_run_is_not_fired_again(conn: Conn, worker: Worker) -> None:
    nightly = schedule(conn)
    first = fire(conn, nightly, MONDAY, TUESDAY)
    worker.claim()
    worker.fail(first, retryable=False)
    assert fire(conn, nightly, MONDAY, TUESDAY) == first


def test_a_schedule_that_is_not_there_is_named(conn: Conn) -> None:
    ghost = uuid4()
    with pytest.raises(psycopg.Error, match=str(ghost)) as caught:
        fire(conn, ghost, MONDAY, TUESDAY)
    assert caught.value.sqlstate == "SC404"
