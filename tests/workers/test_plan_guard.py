"""The plan guard: silent on a sound database, whatever its statistics, and exact about a broken one."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from seedcore.task.plan_guard import check

Conn = psycopg.Connection[dict[str, Any]]

INDEXES = {
    "ix_tasks_claim_queue": "claim_queue",
    "ix_tasks_claim_graph": "claim_graph",
    "ix_tasks_claim_keyed": "claim_keyed",
    "ix_tasks_running_key": "running_keyed",
    "ix_tasks_status_runafter": "reap",
    "ix_tasks_expires": "expire",
    "idx_task_depends_on_task_rev": "release",
}


def test_a_sound_database_has_no_findings(conn: Conn) -> None:
    assert check(conn) == []
    conn.execute("ANALYZE tasks")
    conn.execute(
        "INSERT INTO tasks (type, status) SELECT 'x', 'queued' FROM generate_series(1, 2000)"
    )
    assert check(conn) == []
    conn.execute("ANALYZE tasks")
    assert check(conn) == []
    assert conn.execute("SHOW enable_seqscan").fetchone() == {"enable_seqscan": "on"}


@pytest.mark.parametrize("index", INDEXES)
def test_a_missing_index_is_named_and_the_cure_brings_it_back(conn: Conn, index: str) -> None:
    def definition() -> Any:
        return conn.execute("SELECT pg_get_indexdef(to_regclass(%s)) AS d", [index]).fetchone()

    before = definition()
    conn.execute(f"DROP INDEX {index}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    (finding,) = check(conn)
    assert (finding.statement, finding.index, finding.problem) == (INDEXES[index], index, "missing")
    assert index in finding.evidence
    conn.execute(finding.cure)  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert definition() == before
    assert check(conn) == []


def test_an_invalid_index_is_told_from_a_missing_one(conn: Conn, database_url: str) -> None:
    # A build that waits for this transaction, and is cancelled.
    conn.execute("DROP INDEX ix_tasks_claim_queue")
    with psycopg.connect(database_url) as old:
        old.execute("SELECT FROM tasks FOR SHARE")
        old.execute("INSERT INTO tasks (type) VALUES ('x')")
        conn.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute(
                "CREATE INDEX CONCURRENTLY ix_tasks_claim_queue"
                " ON tasks (priority DESC, (coalesce(run_after, created_at)), id)"
                " WHERE status IN ('queued', 'retry') AND type <> 'graph' AND concurrency_key IS NULL"
            )
    (finding,) = check(conn)
    assert finding.problem == "invalid"
    assert finding.cure == "REINDEX INDEX CONCURRENTLY ix_tasks_claim_queue;"
    conn.execute(finding.cure)
    assert check(conn) == []


def test_an_index_of_that_name_that_is_another_one_is_unfit(conn: Conn) -> None:
    conn.execute("DROP INDEX ix_tasks_claim_queue")
    conn.execute("CREATE INDEX ix_tasks_claim_queue ON tasks (created_at)")
    (finding,) = check(conn)
    assert finding.problem == "unfit"
    assert "created_at" in finding.evidence
    for statement in finding.cure.split("; "):
        conn.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert check(conn) == []


def test_a_worker_warns_once_with_the_cure(conn: Conn, start_worker: Any) -> None:
    conn.execute("DROP INDEX ix_tasks_claim_graph")
    worker = start_worker("--once")
    (line,) = worker.events("plan.unfit")
    assert line["level"] == "warning"
    assert line["cure"].startswith("CREATE INDEX CONCURRENTLY ix_tasks_claim_graph ON tasks (")
    assert worker.end() == 0
