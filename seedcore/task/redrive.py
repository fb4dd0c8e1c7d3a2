"""Failed tasks back into the queue: a preview by error, and a pace that the rest can stand."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.errors import UsageError
from seedcore.task.model import Selection, TaskStatus
from seedcore.task.selection import conditions
from seedcore.task.store import Row, fetch, fetch_one, queries

CHUNK: Final = 1000
"""Tasks moved in one transaction."""

FROM: Final = (TaskStatus.FAILED, TaskStatus.CANCELLED)
"""States that a task can be redriven from."""

_CHOOSE: Final = """
SELECT x.id, task_error_group(x.error), x.type, x.ended_at
  FROM (SELECT t.id, t.error, t.type, coalesce(t.finished_at, t.updated_at) AS ended_at
          FROM tasks t
         WHERE {where}
           AND (%(error)s::text IS NULL OR strpos(lower(t.error), lower(%(error)s)) > 0
                OR task_error_group(t.error) = %(error)s)
         ORDER BY t.created_at, t.id
         LIMIT {limit}) AS x
"""


class Candidate(NamedTuple):
    """A task that could be redriven.

    Attributes:
        id: The task.
        error: Its error, with ids and numbers folded.
        type: Its type.
        ended_at: When it failed.
    """

    id: UUID
    error: str
    type: str
    ended_at: datetime


@dataclass(frozen=True)
class Pace:
    """When redriven tasks become due.

    Args:
        delay_s: Not before so many seconds from now.
        gap_s: Seconds from one to the next.
    """

    delay_s: float = 0.0
    gap_s: float = 0.0


def choose(
    conn: psycopg.Connection[Any], selection: Selection, *, error: str | None = None
) -> list[Candidate]:
    """Return the tasks that a redrive would move, oldest first.

    Args:
        conn: A connection.
        selection: Which; its states may only be failed and cancelled.
        error: Part of their error in any case, or a whole folded one as the preview shows it.

    Raises:
        UsageError: Other states are asked for.
    """
    other = [status for status in selection.statuses if status not in FROM]
    if other or not selection.statuses:
        name = other[0] if other else "any state"
        raise UsageError(
            f"only failed and cancelled tasks can be redriven, not {name}",
            hint="'seedcore task retry' also takes tasks that wait for their next attempt",
        )
    where, parameters = conditions(selection)
    statement = sql.SQL(_CHOOSE).format(where=where, limit=sql.Literal(selection.limit or None))
    # A cursor, so that no single statement takes long: folding a million errors does.
    with (
        translated(),
        conn.transaction(),
        conn.cursor(name="redrive", row_factory=tuple_row) as cursor,
    ):
        cursor.itersize = 10_000
        cursor.execute(statement, parameters | {"error": error or None})
        # A hundred thousand tasks have a handful of errors.
        return [Candidate(row[0], sys.intern(row[1]), sys.intern(row[2]), row[3]) for row in cursor]


def preview(candidates: Sequence[Candidate]) -> list[Row]:
    """Group by error, the largest group first: error, count, types, oldest, newest, example."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.error, []).append(candidate)
    rows = [
        {
            "error": error,
            "count": len(group),
            "types": sorted({candidate.type for candidate in group}),
            "oldest": min(candidate.ended_at for candidate in group),
            "newest": max(candidate.ended_at for candidate in group),
            "example": max(group, key=lambda candidate: candidate.ended_at).id,
        }
        for error, group in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["error"]))


def redrive(
    conn: psycopg.Connection[Any],
    candidates: Sequence[Candidate],
    *,
    actor: str,
    reason: str | None = None,
    attempts: int = 3,
    pace: Pace = Pace(),
) -> Generator[list[Candidate]]:
    """Queue tasks again, a thousand in a transaction.

    A task stays where it is when its key has a live task, or a task that it waits for has failed and
    is not redriven with it.

    Args:
        conn: A connection in autocommit.
        candidates: Which, in the order in which they become due.
        actor: Who is recorded.
        reason: Why.
        attempts: How many more attempts each gets.
        pace: When they become due.

    Yields:
        After each transaction those that it has moved.
    """
    row = fetch_one(conn, queries.redrive_start, {"delay_s": pace.delay_s})
    start = None if row is None else row["start"]
    moved = 0
    for first in range(0, len(candidates), CHUNK):
        chunk = {candidate.id: candidate for candidate in candidates[first : first + CHUNK]}
        with translated(), conn.transaction():
            set_actor(conn, actor, reason)
            found = fetch(
                conn,
                queries.redrive,
                {
                    "ids": list(chunk),
                    "extra": attempts,
                    "start": start,
                    "first": moved,
                    "gap_s": pace.gap_s,
                },
            )
        moved += len(found)
        yield [chunk[row["id"]] for row in found]
