"""Finding and showing tasks: by id or a part of it, one in full, lists, events."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from seedcore.db import id_prefix
from seedcore.db.errors import translated
from seedcore.errors import NotFound, UsageError
from seedcore.task.gather import members_of
from seedcore.task.model import Selection
from seedcore.task.selection import COLUMNS, conditions, order
from seedcore.task.store import Row, fetch, fetch_one, queries

PAGE = 1000


def resolve(conn: psycopg.Connection[Any], ref: str | UUID) -> UUID:
    """Return the id of the task that a person means.

    Args:
        conn: A connection.
        ref: A full id, the unique beginning of one (at least six digits), or `key:K` for the task with
            that idempotency key.

    Raises:
        NotFound: There is no such task.
        UsageError: It is no part of an id, too short, or several tasks begin with it.
    """
    text = str(ref).strip()
    if text.startswith("key:"):
        row = fetch_one(conn, queries.find_keys, {"keys": [text[4:]]})
        if row is None:
            raise NotFound(f'no task has the idempotency key "{text[4:]}"', code="task.not_found")
        return row["id"]

    def between(low: UUID, high: UUID) -> list[UUID]:
        limits = {"low": low, "high": high, "limit": id_prefix.MOST_CANDIDATES}
        return [row["id"] for row in fetch(conn, queries.find_ids, limits)]

    return id_prefix.resolve(
        text,
        between,
        noun="task",
        code="task",
        bad_id_hint="give an id, its first digits, or key:K for an idempotency key",
        look="seedcore task list",
    )


def inspect(
    conn: psycopg.Connection[Any], ref: str | UUID, *, events: bool = True, graph: bool = True
) -> Row:
    """Return everything about one task, what it reported last included.

    Args:
        conn: A connection.
        ref: As `resolve` takes it.
        events: Include what was recorded about it.
        graph: Include what it waits for, and what waits for it.

    Raises:
        NotFound, UsageError: As `resolve`.
    """
    task_id = resolve(conn, ref)
    row = fetch_one(conn, queries.inspect, {"id": task_id})
    if row is None:
        raise NotFound(f"there is no task {task_id}", code="task.not_found")
    said = {key: row.pop(key) for key in ("done", "total", "message", "attempt", "call", "at")}
    checkpoint = row.pop("checkpoint")
    # Near the top, where it is still seen when a window is too small for the rest.
    first = {"id": row["id"], "status": row["status"]}
    progress = None if said["done"] is None else said
    row = {**first, "progress": progress, **row, "checkpoint": checkpoint}
    found = members_of(conn, task_id, limit=0)
    row["members"] = {"total": found.total, **found.by_status} if found.total else None
    if graph:
        relations = fetch(conn, queries.graph, {"id": task_id})
        for name, relation in (("depends_on", "depends_on"), ("dependants", "dependant")):
            row[name] = [
                {key: r[key] for key in ("id", "status", "type", "required")}
                for r in relations
                if r["relation"] == relation
            ]
    if events:
        row["events"] = fetch(conn, queries.history, {"id": task_id})
    return row


def list_tasks(conn: psycopg.Connection[Any], selection: Selection) -> Generator[Row]:
    """Yield the selected tasks, without params and results.

    Newest-first lists are read page by page, so that a slow reader holds no snapshot open; other
    orders of an unlimited list need a cursor.

    Raises:
        UsageError: It can't be sorted that way.
    """
    where, parameters = conditions(selection)
    field, direction = order(selection.sort)
    if selection.sort == "created_at:desc":
        yield from _newest_first(conn, selection, where, parameters)
        return
    statement = sql.SQL("SELECT{} FROM tasks t WHERE {} ORDER BY {} {}, t.id {}").format(
        sql.SQL(COLUMNS), where, sql.SQL(field), sql.SQL(direction), _limit(selection.limit)
    )
    if selection.limit:
        yield from fetch(conn, statement, parameters)
        return
    with (
        translated(),
        conn.transaction(),
        conn.cursor(name="task_list", row_factory=dict_row) as rows,
    ):
        yield from rows.execute(statement, parameters)


def _newest_first(
    conn: psycopg.Connection[Any],
    selection: Selection,
    where: sql.Composed,
    parameters: dict[str, Any],
) -> Iterator[Row]:
    left = selection.limit or None
    after = sql.SQL("true")
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        statement = sql.SQL(
            "SELECT{} FROM tasks t WHERE {} AND {} ORDER BY t.created_at DESC, t.id DESC {}"
        ).format(sql.SQL(COLUMNS), where, after, _limit(size))
        rows = fetch(conn, statement, parameters)
        yield from rows
        if len(rows) < size:
            return
        if left is not None:
            left -= len(rows)
        after = sql.SQL("(t.created_at, t.id) < (%(last_at)s, %(last_id)s)")
        parameters |= {"last_at": rows[-1]["created_at"], "last_id": rows[-1]["id"]}


def ids_of(conn: psycopg.Connection[Any], target: Iterable[UUID] | Selection) -> list[UUID]:
    """Return the ids of a selection (oldest first; its limit counts), or the given ones, once each."""
    if not isinstance(target, Selection):
        return list(dict.fromkeys(target))
    where, parameters = conditions(target)
    statement = sql.SQL("SELECT t.id FROM tasks t WHERE {} ORDER BY t.created_at, t.id {}").format(
        where, _limit(target.limit)
    )
    return [row["id"] for row in fetch(conn, statement, parameters)]


def events(
    conn: psycopg.Connection[Any],
    ref: str | UUID | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 0,
) -> Iterator[Row]:
    """Yield recorded changes, oldest first: those of one task, or all of a span of time.

    Args:
        conn: A connection.
        ref: A task, as `resolve` takes it; None for all.
        since: Not before; needed when no task is given.
        until: Before this time.
        limit: At most so many; 0 = all.

    Raises:
        NotFound, UsageError: As `resolve`; or neither a task nor a time is given.
    """
    if ref is not None:
        rows = fetch(conn, queries.history, {"id": resolve(conn, ref)})
        if since or until:
            rows = [r for r in rows if (not since or r["at"] >= since)]
            rows = [r for r in rows if (not until or r["at"] < until)]
        yield from rows[: limit or None]
        return
    if since is None:
        raise UsageError(
            "name a task or a time to begin at", hint="seedcore task events --since 1h"
        )
    parameters = {"since": since, "until": until, "limit": limit or None}
    with (
        translated(),
        conn.transaction(),
        conn.cursor(name="task_events", row_factory=dict_row) as found,
    ):
        yield from found.execute(queries.recent_events, parameters)


def _limit(limit: int) -> sql.Composable:
    return sql.SQL("LIMIT {}").format(sql.Literal(limit)) if limit else sql.SQL("")
