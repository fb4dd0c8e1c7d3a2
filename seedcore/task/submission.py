"""Submitting one task."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.errors import Duplicate, NotFound, UsageError
from seedcore.task.ids import new_id
from seedcore.task.intake import ENDED, check
from seedcore.task.line import OnConflict, Unique
from seedcore.task.lint import Finding, compact_json, lint_instance, refused
from seedcore.task.model import NewTask, Submitted, TaskStatus
from seedcore.task.references import target_of
from seedcore.task.store import fetch, fetch_one, queries


def lint_new(
    new: NewTask,
    *,
    lint_mode: str = "warn",
    params_max_bytes: int = 1_048_576,
    known_tools: Collection[str] | None = None,
) -> list[Finding]:
    """Return the linter's warnings about a task that is to be submitted.

    Raises:
        UsageError: A field can't have its value, or the linter refuses the task.
    """
    check(new)
    findings = lint_instance(
        {field.name: getattr(new, field.name) for field in dataclasses.fields(new)},
        known_tools=known_tools,
        params_max_bytes=params_max_bytes,
    )
    bad = refused(findings, lint_mode)
    if bad:
        raise UsageError(
            str(bad[0]),
            code=bad[0].code,
            hint="seedcore task lint shows all findings" if len(bad) > 1 else None,
            details={"findings": [finding._asdict() for finding in bad]},
        )
    return findings


def submit(
    conn: psycopg.Connection[Any],
    new: NewTask,
    *,
    unique: Unique = "live",
    on_conflict: OnConflict = "return",
    dry_run: bool = False,
    lint_mode: str = "warn",
    params_max_bytes: int = 1_048_576,
    known_tools: Collection[str] | None = None,
    actor: str | None = None,
    reason: str | None = None,
) -> Submitted:
    """Store one task.

    Args:
        conn: A connection in autocommit, or inside a transaction that the task is to be part of.
        new: The task.
        unique: How long its key stays taken: `waiting` until its first attempt begins, `unfinished`
            until it has ended, `live` until it failed or was cancelled, or for `ever`.
        on_conflict: What a known id or key means: `return` its task, `skip`, or `fail`.
        dry_run: Do everything and take it back; a new task has no id then.
        lint_mode: `warn`, `strict` or `off`.
        params_max_bytes: Largest params document.
        known_tools: Names of tools; None = don't check.
        actor: Who is recorded; default: the database's user.
        reason: Why.

    Raises:
        UsageError: A field can't have its value, or the linter refuses the task.
        NotFound: There is no such dependency.
        Duplicate: The id or key is taken, and `on_conflict` is `fail`.
    """
    lint_new(new, lint_mode=lint_mode, params_max_bytes=params_max_bytes, known_tools=known_tools)
    ended = [name for name in new.depends_on if name.startswith(ENDED)]
    with translated(), conn.transaction(force_rollback=dry_run):
        if actor is not None:
            set_actor(conn, actor, reason)
        row = fetch_one(
            conn,
            queries.submit,
            {
                "type": new.type,
                "description": new.description,
                "params": Jsonb(dict(new.params), dumps=compact_json),
                "domain": new.domain,
                "drift_score": new.drift_score,
                "priority": new.priority,
                "run_after": new.run_after,
                "in_s": new.in_s,
                "deadline_at": new.deadline_at,
                "expires_at": new.expires_at,
                "max_attempts": new.max_attempts,
                "idempotency_key": new.idempotency_key,
                "concurrency_key": new.concurrency_key,
                "concurrency_limit": new.concurrency_limit,
                "depends_on": _dependencies(conn, [n for n in new.depends_on if n not in ended]),
                "hold": new.hold or bool(ended),
                "id": new.id or new_id(),
                "unique": unique,
            },
        )
        if row is None:
            raise RuntimeError("task_submit returned nothing")
        if not row["created"] and on_conflict == "fail":
            what = f'key "{new.idempotency_key}"' if new.idempotency_key else "id"
            raise Duplicate(
                f"task {row['id']} has this {what} and is {row['status']}",
                code="task.duplicate_key",
                hint="--on-conflict return gives the known task",
                details={"id": str(row["id"]), "status": row["status"]},
            )
        if ended and row["created"] and row["status"] == TaskStatus.CREATED:
            targets = _dependencies(conn, [target_of(name) for name in ended])
            row["status"] = _wait_for_end(conn, row["id"], targets, is_held=new.hold)
    return Submitted(
        id=None if dry_run and row["created"] and new.id is None else row["id"],
        created=row["created"],
        status=TaskStatus(row["status"]),
        run_after=row["run_after"],
        error=row["error"],
    )


def _wait_for_end(
    conn: psycopg.Connection[Any], task_id: UUID, targets: list[UUID], *, is_held: bool
) -> str:
    """Let a task that was just stored with a hold wait until others have ended; return its status."""
    link(conn, task_id, targets, required=False)
    if is_held:
        return TaskStatus.CREATED
    row = fetch_one(conn, queries.start_waiting, {"id": task_id})
    return row["status"] if row else TaskStatus.CREATED


def link(
    conn: psycopg.Connection[Any], task_id: UUID, targets: list[UUID], *, required: bool
) -> None:
    """Write down what a held task will wait for.

    Args:
        conn: A connection.
        task_id: The task; held, as whoever ends a target meanwhile does not look at it.
        targets: Tasks to wait for.
        required: Whether they have to complete; else they only have to end.

    Raises:
        NotFound: One of them is not there.
        UsageError: It is among them.
    """
    if task_id in targets:
        raise UsageError(f"task {task_id} can't wait for itself", code="task.cycle")
    known = {row["id"] for row in fetch(conn, queries.states, {"ids": targets})}
    for target in targets:
        if target not in known:
            raise NotFound(
                f"there is no task {target} to wait for", code="task.dependency_not_found"
            )
    count = len(targets)
    fetch(
        conn,
        queries.add_edges,
        {"src": [task_id] * count, "dst": targets, "required": [required] * count},
    )


def _dependencies(conn: psycopg.Connection[Any], names: list[str]) -> list[UUID]:
    keys = [name[4:] for name in names if name.startswith("key:")]
    found = {
        row["key"]: row["id"]
        for row in (fetch(conn, queries.find_keys, {"keys": keys}) if keys else ())
    }
    for key in keys:
        if key not in found:
            raise NotFound(
                f'there is no task with the idempotency key "{key}" to wait for',
                code="task.dependency_not_found",
            )
    return [found[name[4:]] if name.startswith("key:") else UUID(name) for name in names]
