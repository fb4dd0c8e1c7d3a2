"""Batches: a task that waits for many others, its members, and what it may ask about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.task.model import FailedMember, Members, NewTask, Submitted, TaskStatus
from seedcore.task.store import fetch, fetch_one, queries
from seedcore.task.submission import link, submit

CHUNK = 5000
"""Members written down in one transaction."""


def submit_after(
    conn: psycopg.Connection[Any],
    new: NewTask,
    members: Sequence[UUID],
    *,
    required: bool,
    actor: str,
    reason: str | None = None,
    **rules: Any,
) -> Submitted:
    """Submit a task that waits for very many others.

    It is stored with a hold, learns its members in several transactions, and waits from the last one
    on; no member is locked meanwhile. Called again with the same idempotency key it goes on where it
    was interrupted.

    Args:
        conn: A connection in autocommit.
        new: The task.
        members: Ids of stored tasks.
        required: Whether all must complete, else they only have to end.
        actor: Who is recorded.
        reason: Why.
        rules: As `submit` takes them.

    Returns:
        The task; `created` is False when there was one with its key.

    Raises:
        SeedcoreError: As `submit`.
    """
    held = dataclasses.replace(new, hold=True)
    done = submit(conn, held, actor=actor, reason=reason, **rules)
    if done.id is None or done.status is not TaskStatus.CREATED:
        return done
    for start in range(0, len(members), CHUNK):
        with translated(), conn.transaction():
            set_actor(conn, actor, reason)
            link(conn, done.id, list(members[start : start + CHUNK]), required=required)
    with translated(), conn.transaction():
        set_actor(conn, actor, reason)
        row = fetch_one(conn, queries.start_waiting, {"id": done.id})
    return dataclasses.replace(done, status=TaskStatus(row["status"]) if row else done.status)


def members_of(conn: psycopg.Connection[Any], task_id: UUID, *, limit: int = 100) -> Members:
    """Count the tasks that one waits for or waited for, by status.

    Args:
        conn: A connection.
        task_id: The task that waits.
        limit: How many of those that failed or were cancelled to name at most.
    """
    by_status = {
        row["status"]: row["tasks"] for row in fetch(conn, queries.members, {"id": task_id})
    }
    has_failed = bool({"failed", "cancelled"} & set(by_status))
    failed = (
        fetch(conn, queries.failed_members, {"id": task_id, "limit": limit}) if has_failed else []
    )
    return Members(
        total=sum(by_status.values()),
        by_status=by_status,
        failed=[FailedMember(str(row["id"]), row["status"], row["error"]) for row in failed],
    )
