"""What operators do to tasks. Every change is recorded with who and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.task.listing import ids_of
from seedcore.task.model import Selection
from seedcore.task.store import Row, by_id, fetch, queries

CHUNK = 1000
"""Tasks changed in one transaction."""

Target = Iterable[UUID] | Selection


def cancel(
    conn: psycopg.Connection[Any],
    target: Target,
    *,
    actor: str,
    reason: str | None = None,
    dry_run: bool = False,
) -> list[Row]:
    """Cancel unfinished tasks, running ones too: their workers learn it at the next renewal.

    Args:
        conn: A connection in autocommit.
        target: Ids, or a selection.
        actor: Who.
        reason: Why; also the tasks' error.
        dry_run: Change nothing, return what would change.

    Returns:
        A row for every task: id, before, after, changed, and error (why not changed).
    """
    said = f"cancelled: {reason}" if reason else f"cancelled by {actor}"
    return _change(
        conn,
        target,
        lambda ids: fetch(conn, queries.cancel, {"ids": ids, "reason": said}),
        refusal=lambda status: f"it is {status} already",
        actor=actor,
        reason=reason,
        dry_run=dry_run,
    )


def retry(
    conn: psycopg.Connection[Any],
    target: Target,
    *,
    actor: str,
    reason: str | None = None,
    attempts: int = 3,
    delay_s: float = 0.0,
    dry_run: bool = False,
) -> list[Row]:
    """Queue failed, cancelled and retrying tasks again.

    A task whose dependency is failed or cancelled moves only together with it, and then waits for it.

    Args:
        conn: A connection in autocommit.
        target: Ids, or a selection.
        actor: Who.
        reason: Why.
        attempts: How many more attempts each gets.
        delay_s: Not before so many seconds from now.
        dry_run: Change nothing, return what would change.

    Returns:
        As `cancel`.
    """

    def refusal(status: str) -> str:
        if status in ("failed", "cancelled"):
            return "its key has a live task, or a task that it waits for has failed"
        return f"it is {status}; only failed, cancelled and retrying tasks can be retried"

    return _change(
        conn,
        target,
        lambda ids: fetch(
            conn, queries.requeue, {"ids": ids, "extra": attempts, "delay_s": delay_s}
        ),
        refusal=refusal,
        actor=actor,
        reason=reason,
        dry_run=dry_run,
    )


def release(
    conn: psycopg.Connection[Any],
    target: Target,
    *,
    actor: str,
    reason: str | None = None,
    dry_run: bool = False,
) -> list[Row]:
    """Lift holds: the tasks are queued, or wait for what they depend on.

    Returns:
        As `cancel`.
    """

    def refusal(status: str) -> str:
        return "it is not held" if status == "created" else f"it is {status}, not held"

    return _change(
        conn,
        target,
        lambda ids: fetch(conn, queries.release, {"ids": ids}),
        refusal=refusal,
        actor=actor,
        reason=reason,
        dry_run=dry_run,
        takes_along=True,
    )


def requeue_stale(
    conn: psycopg.Connection[Any],
    ids: Iterable[UUID] | None = None,
    *,
    actor: str,
    reason: str | None = None,
    older_than_s: float | None = None,
    types: Sequence[str] | None = None,
    limit: int = 1000,
    default_max: int = 3,
    max_lapses: int = 10,
    dry_run: bool = False,
) -> list[Row]:
    """Take leases back by hand; the tasks are due at once and the attempt does not count.

    Args:
        conn: A connection in autocommit.
        ids: These, whatever their owner says; None = those whose owner is silent.
        actor: Who.
        reason: Why.
        older_than_s: Silent for so many seconds; None = the lease is past.
        types: Only these types.
        limit: At most so many.
        default_max: Attempts of a task that names no number.
        max_lapses: Lapsed leases after which a task fails.
        dry_run: Change nothing, return what would change.

    Returns:
        A row for every task: id, before, after, changed, error, owner, silent_s.
    """
    named = None if ids is None else list(dict.fromkeys(ids))
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor, reason)
        moved = fetch(
            conn,
            queries.requeue_stale,
            {
                "ids": named,
                "older_than_s": older_than_s,
                "types": None if types is None else list(types),
                "limit": limit,
                "default_max": default_max,
                "max_lapses": max_lapses,
            },
        )
    rows = [
        {
            "id": row["id"],
            "before": "running",
            "after": row["status"],
            "changed": True,
            "error": None,
            "owner": row["owner_id"],
            "silent_s": row["silent_s"],
        }
        for row in moved
    ]
    left = [i for i in named or () if i not in by_id(moved)]
    rows.extend(
        row | {"owner": None, "silent_s": None}
        for row in _unchanged(conn, left, lambda status: f"it is {status}, not running")
    )
    return rows


def add_dependency(
    conn: psycopg.Connection[Any],
    src: UUID,
    dst: UUID,
    *,
    required: bool = True,
    actor: str,
    reason: str | None = None,
) -> bool:
    """Let a task that has not started wait for one more; False when it does already.

    Args:
        conn: A connection in autocommit.
        src: The task that waits; held or waiting.
        dst: The task that it waits for.
        required: Whether that one must complete; else it must only end.
        actor: Who.
        reason: Why.

    Raises:
        NotFound: One of them is not there.
        Conflict: The first has been queued already, or the second waits for it.
    """
    with translated(), conn.transaction():
        set_actor(conn, actor, reason)
        row = fetch(conn, queries.add_dependency, {"src": src, "dst": dst, "required": required})
    return bool(row[0]["added"])


def _change(
    conn: psycopg.Connection[Any],
    target: Target,
    act: Callable[[list[UUID]], list[Row]],
    *,
    refusal: Callable[[str], str],
    actor: str,
    reason: str | None,
    dry_run: bool,
    takes_along: bool = False,
) -> list[Row]:
    """Act on tasks, chunk by chunk, and tell of each what it was and is.

    With `takes_along` a named task that `act` does not report may still get cancelled by what it does
    to another one. Without, a task that is cancelled now and not reported was cancelled by someone else.
    """
    ids = ids_of(conn, target)
    rows: list[Row] = []
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        # A dry run does it all and takes it back: so it can't tell anything else than the real one.
        with translated(), conn.transaction(force_rollback=dry_run):
            set_actor(conn, actor, reason)
            before = by_id(fetch(conn, queries.states, {"ids": chunk}))
            moved = {row["id"] for row in act(chunk)}
            after = by_id(fetch(conn, queries.states, {"ids": chunk}))
        for task_id in chunk:
            if task_id not in before or task_id not in after:  # or pruned just now
                rows.append(_row(task_id, None, None, error="there is no such task"))
                continue
            was, status = before[task_id]["status"], after[task_id]["status"]
            # What somebody else ended or moved meanwhile has not been changed by this call.
            has_changed = task_id in moved or (takes_along and was != status == "cancelled")
            error = None if has_changed else refusal(status)
            rows.append(_row(task_id, was, status, error=error))
    return rows


def _unchanged(
    conn: psycopg.Connection[Any], ids: list[UUID], refusal: Callable[[str], str]
) -> list[Row]:
    found = by_id(fetch(conn, queries.states, {"ids": ids})) if ids else {}
    rows: list[Row] = []
    for task_id in ids:
        status = found[task_id]["status"] if task_id in found else None
        error = refusal(status) if status else "there is no such task"
        rows.append(_row(task_id, status, status, error=error))
    return rows


def _row(task_id: UUID, before: str | None, after: str | None, *, error: str | None) -> Row:
    return {
        "id": task_id,
        "before": before,
        "after": after,
        "changed": error is None,
        "error": error,
    }
