"""Failed tasks back into the queue: what is chosen, in what order, how fast."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from seedcore.errors import UsageError
from seedcore.task.model import Selection, TaskStatus
from seedcore.task.redrive import Pace, choose, preview, redrive

Conn = psycopg.Connection[dict[str, Any]]
FAILED = Selection(statuses=(TaskStatus.FAILED,), limit=0)
BOTH = Selection(statuses=(TaskStatus.FAILED, TaskStatus.CANCELLED), limit=0)


def fail(conn: Conn, count: int, error: str = "tool_error: no", type: str = "t") -> None:
    """Store tasks that failed, each a second older than the one before."""
    conn.execute(
        "INSERT INTO tasks (type, status, attempts, error, finished_at, created_at)"
        " SELECT %s, 'failed', 3, replace(%s, '#', n::text), now(), now() - n * interval '1 s'"
        " FROM generate_series(1, %s) AS n",
        [type, error, count],
    )


@pytest.mark.parametrize(
    ("error", "folded"),
    [
        ("timeout: no answer after 12.5 s", "timeout: no answer after <n> s"),
        ("tool_error: 10.0.7.1:5432 refused", "tool_error: <n> refused"),
        ("lost 0197f3a2-1111-7abc-8def-0123456789ab", "lost <id>"),
        ("key 9f86d081884c7d65 and 0xdeadbee1 differ", "key <id> and <id> differ"),
        ("the facade was defaced", "the facade was defaced"),
        ("line 1\nTraceback of 5", "line <n>"),
        ("\n \tno disk 1\n", "no disk <n>"),
        (" \n", "no error"),
        ("", "no error"),
        (None, "no error"),
    ],
)
def test_errors_of_one_kind_are_equal(conn: Conn, error: str | None, folded: str) -> None:
    row = conn.execute("SELECT task_error_group(%s) AS e", [error]).fetchone()
    assert row == {"e": folded}


def test_a_preview_groups_by_error(conn: Conn) -> None:
    fail(conn, 3, "timeout: after # s")
    fail(conn, 1, "timeout: after # s", type="u")
    fail(conn, 2, "internal: no disk")
    rows = preview(choose(conn, FAILED))
    assert [(r["error"], r["count"], r["types"]) for r in rows] == [
        ("timeout: after <n> s", 4, ["t", "u"]),
        ("internal: no disk", 2, ["t"]),
    ]
    assert preview(choose(conn, FAILED, error="NO DISK"))[0]["count"] == 2
    assert preview(choose(conn, FAILED, error="timeout: after <n> s"))[0]["count"] == 4
    assert choose(conn, FAILED, error="100%_") == []


def test_they_become_due_one_after_another_oldest_first(conn: Conn) -> None:
    fail(conn, 2500)
    chosen = choose(conn, FAILED)
    pace = Pace(delay_s=600, gap_s=0.5)
    chunks = list(redrive(conn, chosen, actor="ann", reason="it is back", pace=pace))
    assert [len(chunk) for chunk in chunks] == [1000, 1000, 500]
    rows = conn.execute("SELECT status::text, run_after FROM tasks ORDER BY created_at").fetchall()
    assert {row["status"] for row in rows} == {"queued"}
    starts = [row["run_after"] for row in rows]
    half = timedelta(seconds=0.5)
    assert all(b - a == half for a, b in itertools.pairwise(starts))
    events = conn.execute(
        "SELECT DISTINCT actor, reason, from_status::text AS old, count(*) OVER () AS n"
        " FROM task_events WHERE from_status IS NOT NULL"
    ).fetchall()
    assert events == [{"actor": "ann", "reason": "it is back", "old": "failed", "n": 2500}]


def test_without_a_pace_they_are_due_at_once_with_more_attempts(conn: Conn) -> None:
    fail(conn, 3)
    list(redrive(conn, choose(conn, FAILED), actor="ann", attempts=2))
    rows = conn.execute(
        "SELECT run_after <= clock_timestamp() AS due, max_attempts FROM tasks"
    ).fetchall()
    assert rows == [{"due": True, "max_attempts": 5}] * 3


def test_what_may_not_run_stays(conn: Conn) -> None:
    fail(conn, 2)
    conn.execute("UPDATE tasks SET idempotency_key = 'k'")
    conn.execute("INSERT INTO tasks (type, status, idempotency_key) VALUES ('t', 'queued', 'k')")
    fail(conn, 1, type="free")
    (chunk,) = redrive(conn, choose(conn, FAILED), actor="ann")
    assert [candidate.type for candidate in chunk] == ["free"]


def test_a_stopped_one_goes_on_with_what_is_left(conn: Conn) -> None:
    fail(conn, 1500)
    first = redrive(conn, choose(conn, FAILED), actor="ann")
    next(first)
    first.close()
    left = choose(conn, FAILED)
    assert len(left) == 500
    list(redrive(conn, left, actor="ann"))
    assert choose(conn, FAILED) == []


def test_only_ended_tasks_are_redriven(conn: Conn) -> None:
    for statuses in ((), (TaskStatus.COMPLETED,), (TaskStatus.FAILED, TaskStatus.RUNNING)):
        with pytest.raises(UsageError, match="only failed and cancelled"):
            choose(conn, Selection(statuses=statuses))


def test_a_task_and_what_it_waits_for_come_back_together(conn: Conn) -> None:
    fail(conn, 1)
    conn.execute(
        "INSERT INTO tasks (type, status, error) VALUES ('child', 'cancelled', 'dependency_failed: x')"
    )
    conn.execute(
        "INSERT INTO task_depends_on_task (src_task_id, dst_task_id)"
        " SELECT c.id, p.id FROM tasks c, tasks p WHERE c.type = 'child' AND p.type = 't'"
    )
    list(redrive(conn, choose(conn, BOTH), actor="ann", pace=Pace(gap_s=1)))
    rows = conn.execute(
        "SELECT type, status::text, auto_release FROM tasks ORDER BY type"
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [
        ("child", "created", True),
        ("t", "queued", False),
    ]


def test_two_redrives_at_once_move_each_task_once(
    conn: Conn, other: Conn, aside: Callable[..., Future[Any]], blocked: Callable[[Conn], None]
) -> None:
    fail(conn, 3)
    chosen, again = choose(conn, FAILED), choose(other, FAILED)
    with conn.transaction():
        assert len(next(redrive(conn, chosen, actor="ann"))) == 3
        late = aside(next, redrive(other, again, actor="bob"))
        blocked(other)
    assert late.result(10) == []
