"""Deleting what is over and old."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import psycopg

from seedcore.db.errors import translated
from seedcore.errors import UsageError
from seedcore.task.model import FINAL, TaskStatus
from seedcore.task.store import fetch_one, queries


def prune(
    conn: psycopg.Connection[Any],
    *,
    older_than_s: float,
    statuses: Collection[TaskStatus] = FINAL,
    events_older_than_s: float | None = None,
    batch_size: int = 5000,
    dry_run: bool = False,
    on_batch: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Delete tasks that ended long ago, in batches; those that an unfinished task waits for stay.

    Args:
        conn: A connection in autocommit.
        older_than_s: Ended before so many seconds.
        statuses: Final states.
        events_older_than_s: Also delete recorded events older than that; None = keep them.
        batch_size: Rows in a transaction.
        dry_run: Count only.
        on_batch: Is told how many are deleted so far.

    Returns:
        `tasks` and `events`, how many were (or would be) deleted.

    Raises:
        UsageError: A state is not final.
    """
    if not set(statuses) <= FINAL:
        raise UsageError(
            "only completed, failed and cancelled tasks can be deleted", code="task.not_final"
        )
    parameters = {
        "older_than_s": older_than_s,
        "statuses": [str(status) for status in statuses],
        "limit": batch_size,
    }
    if dry_run:
        return {"tasks": _count(conn, queries.purgeable, parameters), "events": 0}
    done = {"tasks": 0, "events": 0}
    while batch := _count(conn, queries.purge, parameters):
        done["tasks"] += batch
        if on_batch:
            on_batch(done["tasks"])
    if events_older_than_s is not None:
        parameters = {"older_than_s": events_older_than_s, "limit": 4 * batch_size}
        while batch := _count(conn, queries.purge_events, parameters):
            done["events"] += batch
    return done


def _count(conn: psycopg.Connection[Any], statement: Any, parameters: dict[str, Any]) -> int:
    with translated():
        row = fetch_one(conn, statement, parameters)
    return int(row["done"]) if row else 0
