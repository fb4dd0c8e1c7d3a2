"""What `seedcore top` shows is what there is."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from seedcore.task import frame
from tests.integration.task.worker import Worker

Conn = psycopg.Connection[dict[str, Any]]


def submit(conn: Conn, task_type: str, **more: Any) -> Any:
    row = conn.execute(
        "SELECT id FROM task_submit(p_type => %s, p_run_after => %s)",
        [task_type, more.get("run_after")],
    ).fetchone()
    assert row is not None
    return row["id"]


def test_lanes_running_tasks_workers_and_failures(conn: Conn) -> None:
    failed, running, delayed = (
        submit(conn, "bad"),
        submit(conn, "good"),
        submit(conn, "later", run_after="2999-01-01"),
    )
    submit(conn, "graph")
    worker = Worker(conn, "w@host-1")
    worker.claim(1, types=["bad"])
    conn.execute(
        "SELECT tasks_retry_or_fail(%s::uuid[], %s::text[], p_retryable => ARRAY[false])",
        [[failed], ["tool_error: no such door"]],
    )
    worker.claim(1, types=["good"])
    conn.execute("INSERT INTO queue_waiters (lane, worker) VALUES ('queue', 'w@host-2')")
    conn.execute("SELECT queue_pause('graph', 'ann', 'repairs')")
    seen = frame.take(conn)
    queue, graph = seen.lanes
    assert (queue["lane"], queue["queued"], queue["running"], queue["failed"]) == ("queue", 1, 1, 1)
    assert (queue["due"], queue["waiting"], queue["capped"]) == (0, 1, [])
    assert (graph["paused"], graph["reason"], graph["due"]) == (True, "repairs", 1)
    (task,) = seen.running
    assert (task["id"], task["owner"], task["attempt"]) == (running, "w@host-1", 1)
    assert task["lease_left_s"] > 0
    assert [(w["owner"], w["running"]) for w in seen.workers] == [("w@host-1", 1), ("w@host-2", 0)]
    (failure,) = seen.failures
    assert (failure["id"], failure["error"]) == (failed, "tool_error: no such door")
    assert delayed not in {task["id"] for task in seen.running}
    assert seen.rates == dict.fromkeys(("submitted", "started", "ended", "failed"))


def test_progress_is_that_of_the_attempt_that_runs(conn: Conn) -> None:
    task = submit(conn, "long")
    worker = Worker(conn)
    worker.claim(1)
    conn.execute(
        "INSERT INTO task_progress (task_id, attempt, done, total, message) VALUES (%s, 1, 3, 4, 'page 3')",
        [task],
    )
    (seen,) = frame.take(conn).running
    assert seen["progress"] == {"done": 3.0, "total": 4.0, "message": "page 3"}
    conn.execute("UPDATE task_progress SET attempt = 2")
    (seen,) = frame.take(conn).running
    assert seen["progress"] is None


def test_due_tasks_with_a_concurrency_key_count_as_well(conn: Conn) -> None:
    conn.execute(
        "INSERT INTO tasks (type, status, concurrency_key, concurrency_limit, created_at)"
        " VALUES ('echo', 'queued', 'k', 1, now() - interval '1 min'), ('echo', 'queued', NULL, NULL, now())"
    )
    queue = frame.take(conn).lanes[0]
    assert queue["due"] == 2
    assert queue["oldest_due_s"] >= 60


@pytest.mark.parametrize("level", ["terminal", "all", "none"])
def test_rates_come_from_the_counters_of_the_server(conn: Conn, level: str) -> None:
    conn.execute(
        "INSERT INTO seedcore_settings (name, value, changed_by) VALUES ('task_event_level', %s, 'test')",
        [level],
    )
    conn.execute("SELECT pg_stat_force_next_flush()")
    before = frame.take(conn).counters
    for _ in range(10):
        submit(conn, "echo")
    worker = Worker(conn)
    ids = [row["id"] for row in worker.claim(10)]
    worker.complete(*ids)
    conn.execute("SELECT pg_stat_force_next_flush()")
    seen = frame.take(conn, before)
    seconds = seen.counters.at - before.at
    counted = {name: round((rate or 0) * seconds) for name, rate in seen.rates.items()}
    assert counted == {"submitted": 10, "started": 10, "ended": 10, "failed": 0}
