"""What tests of task programs need and production must not have."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from seedcore.config.duration import duration

__all__ = ["age"]

_AGE = """
UPDATE tasks
   SET created_at = created_at - %(by)s, updated_at = updated_at - %(by)s, run_after = run_after - %(by)s,
       locked_at = locked_at - %(by)s, lease_expires_at = lease_expires_at - %(by)s,
       last_heartbeat = last_heartbeat - %(by)s, started_at = started_at - %(by)s,
       finished_at = finished_at - %(by)s, deadline_at = deadline_at - %(by)s,
       expires_at = expires_at - %(by)s
 WHERE id = ANY (%(ids)s::uuid[])
"""


def age(conn: psycopg.Connection[Any], task: UUID | list[UUID], by: str) -> None:
    """Make tasks older, as if so much time had passed for them: every time they carry moves back.

    A clock that tests turn would have to reach into every `now()` of the database; rows need not.

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
