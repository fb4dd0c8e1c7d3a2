"""A frame of `seedcore top` reads the same few rows however large the queue is."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from seedcore.task import frame

Conn = psycopg.Connection[dict[str, Any]]

ROWS = 5_000


@pytest.fixture(params=["lying", "fresh"])
def filled(request: pytest.FixtureRequest, conn: Conn) -> Conn:
    """Many tasks of every kind, with statistics of an empty table or of this one."""
    conn.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
    conn.execute("ANALYZE tasks")
    conn.execute(
        "INSERT INTO tasks (type, status, priority, run_after, finished_at)"
        " SELECT 'echo', s.status, CASE s.status WHEN 'retry' THEN 10 ELSE n %% 4 END,"
        " CASE s.status WHEN 'retry' THEN now() + interval '1 hour' END,"
        " CASE WHEN s.status IN ('completed', 'failed') THEN now() END"
        " FROM generate_series(1, %s) AS n,"
        " unnest('{queued,completed,retry,failed}'::taskstatus[]) AS s (status)",
        [ROWS],
    )
    conn.execute("SELECT count(*) FROM tasks_claim('queue', 'w1', 800)")
    if request.param == "fresh":
        conn.execute("ANALYZE tasks")
    return conn


def scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    found = [plan] if plan.get("Relation Name") == "tasks" else []
    return found + [scan for child in plan.get("Plans", []) for scan in scans(child)]


def test_every_statement_reads_a_bounded_number_of_rows(filled: Conn) -> None:
    blocks = 0
    with filled.transaction():
        filled.execute(frame.queries.pin_plan)
        for name in (
            "counts",
            "due_queue",
            "due_graph",
            "due_keyed",
            "running",
            "failures",
            "lanes",
            "counters",
        ):
            statement = getattr(frame.queries, name)
            for key, value in {"cap": "100", "shown": "20"}.items():
                statement = statement.replace(f"%({key})s", value)
            row = filled.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}").fetchone()  # pyright: ignore[reportArgumentType, reportCallIssue]
            assert row is not None
            plan = row["QUERY PLAN"][0]["Plan"]
            for scan in scans(plan):
                assert scan["Node Type"] in ("Index Scan", "Index Only Scan"), name
                read = (scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)) * scan[
                    "Actual Loops"
                ]
                assert read <= 1200, (name, scan)
            blocks += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    # Some five milliseconds at the very most; the table has thousands.
    assert blocks < 2000


def test_what_is_beyond_the_cap_is_estimated(filled: Conn) -> None:
    filled.execute("ANALYZE tasks")
    seen = frame.take(filled, cap=50)
    queue = seen.lanes[0]
    assert {"queued", "retry", "failed", "due"} <= set(queue["capped"])
    assert abs(queue["estimates"]["failed"] - ROWS) < ROWS / 5
    assert len(seen.running) == 50
