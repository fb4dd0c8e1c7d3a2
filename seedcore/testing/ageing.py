"""Time for tests: rows grow older, where a clock would have to reach into every `now()` of the database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from seedcore.config.duration import duration
from seedcore.db.errors import translated
from seedcore.task.schedule.firing import SCHEDULES_AT_ONCE, order
from seedcore.task.schedule.store import queries as schedules
from seedcore.task.store import fetch

_AGE: LiteralString = """
UPDATE tasks
   SET created_at = created_at - %(by)s, updated_at = updated_at - %(by)s, run_after = run_after - %(by)s,
       locked_at = locked_at - %(by)s, lease_expires_at = lease_expires_at - %(by)s,
       last_heartbeat = last_heartbeat - %(by)s, started_at = started_at - %(by)s,
       finished_at = finished_at - %(by)s, deadline_at = deadline_at - %(by)s,
       expires_at = expires_at - %(by)s
 WHERE %(ids)s::uuid[] IS NULL OR id = ANY (%(ids)s::uuid[])
"""
_AGE_THE_REST: tuple[LiteralString, ...] = (
    """
UPDATE task_schedules
   SET next_run_at = next_run_at - %(by)s, last_run_at = last_run_at - %(by)s,
       created_at = created_at - %(by)s, updated_at = updated_at - %(by)s
""",
    "UPDATE task_schedule_fires SET fire_at = fire_at - %(by)s, fired_at = fired_at - %(by)s",
    "UPDATE task_progress SET at = at - %(by)s",
    "UPDATE task_retention SET next_at = next_at - %(by)s, position_at = position_at - %(by)s",
    "UPDATE queue_controls SET filled_at = filled_at - %(by)s, changed_at = changed_at - %(by)s",
)


def age(conn: psycopg.Connection[Any], task: UUID | list[UUID], by: str) -> None:
    """Make tasks older, as if so much time had passed for them: every time they carry moves back.

    Args:
        conn: A connection.
        task: One task, or several.
        by: A duration such as `90s` or `1h`.

    Raises:
        LookupError: One of them is not there.
    """
    ids = task if isinstance(task, list) else [task]
    with conn.cursor() as cursor:
        cursor.execute(_AGE, {"by": timedelta(seconds=duration(by)), "ids": ids})
        if cursor.rowcount != len(ids):
            raise LookupError(f"{len(ids) - cursor.rowcount} of the tasks are not there")


def travel(conn: psycopg.Connection[Any], by: str) -> None:
    """Let time pass for the whole database: tasks, leases, schedules, rates, retention.

    What becomes due meanwhile does not happen by itself: `drain` runs due tasks, `tick` does what
    workers do beside that. Recorded events keep their times.

    Args:
        conn: A connection.
        by: A duration such as `90s` or `1h`.
    """
    parameters = {"by": timedelta(seconds=duration(by)), "ids": None}
    with translated(), conn.transaction():
        conn.execute(_AGE, parameters)
        for statement in _AGE_THE_REST:
            conn.execute(statement, parameters)


def tick(conn: psycopg.Connection[Any]) -> None:
    """Do once what the watchdogs of workers do: reap silent owners, expire, release, fire schedules.

    Args:
        conn: A connection in autocommit.
    """
    with translated():
        for statement in (
            "SELECT tasks_reap_expired()",
            "SELECT tasks_expire_due()",
            "SELECT tasks_release_ready()",
        ):
            conn.execute(statement)
    while rows := fetch(conn, schedules.due_schedules, {"limit": SCHEDULES_AT_ONCE}):
        found = order(rows, lambda task: None)
        if not fetch(conn, schedules.fire_schedules, found.parameters()) or not found.is_more_due:
            return
