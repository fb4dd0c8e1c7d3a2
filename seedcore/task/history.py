"""The history checker: whether what was recorded about tasks can have happened.

Four rules, whatever ran, crashed or was cut off meanwhile: attempts strictly rise from claim to claim; a
status follows from the one before by a move of the life cycle; an end is written by the attempt that was
claimed last, and by its owner; nothing is written after an end but an operator's retry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row

from seedcore.db.errors import translated
from seedcore.task.model import FINAL, NEXT, TaskStatus

_ENDED_BY_OWNER: Final = frozenset({TaskStatus.COMPLETED})

_EVENTS: Final[LiteralString] = """
SELECT task_id, from_status::text, to_status::text, attempts, actor
  FROM task_events
 ORDER BY task_id, id
"""


class Event(NamedTuple):
    """One recorded change, as far as the rules look at it."""

    task_id: UUID
    from_status: TaskStatus | None
    to_status: TaskStatus
    attempts: int
    actor: str | None


class Violation(NamedTuple):
    """A change that can't have happened.

    Attributes:
        task_id: The task.
        rule: `attempts`, `transition`, `owner` or `after_end`.
        evidence: The change and what it contradicts, as a sentence.
    """

    task_id: UUID
    rule: str
    evidence: str


def check_history(events: Iterable[Event], *, complete: bool = True) -> Iterator[Violation]:
    """Yield what breaks the rules.

    Args:
        events: Changes, those of one task together and in their order.
        complete: Every change was recorded (event level `all`); else only ends and operators' changes
            are expected, and gaps between them mean nothing.
    """
    for _, group in groupby(events, key=lambda event: event.task_id):
        yield from _check_task(group, complete=complete)


def verify(conn: psycopg.Connection[Any], *, complete: bool = False) -> Iterator[Violation]:
    """Check everything recorded in a database, in bounded memory.

    Args:
        conn: A connection in autocommit.
        complete: As in `check_history`.
    """
    with (
        translated(),
        conn.transaction(),
        conn.cursor(name="task_verify", row_factory=tuple_row) as rows,
    ):
        rows.itersize = 10_000
        found = (
            Event(task_id, TaskStatus(old) if old else None, TaskStatus(new), attempts, actor)
            for task_id, old, new, attempts, actor in rows.execute(_EVENTS)
        )
        yield from check_history(found, complete=complete)


def _check_task(events: Iterable[Event], *, complete: bool) -> Iterator[Violation]:
    status: TaskStatus | None = None
    attempts = 0
    owner: str | None = None
    for event in events:

        def broken(rule: str, why: str, event: Event = event) -> Violation:
            move = f"{event.from_status or 'new'} → {event.to_status}, attempt {event.attempts}"
            return Violation(event.task_id, rule, f"{move} by {event.actor}: {why}")

        if status in FINAL and event.from_status != status:
            yield broken("after_end", f"the task was {status} for good")
        if complete and event.from_status != status:
            yield broken("transition", f"the task was {status or 'not there'}")
        if event.from_status is not None and not _follows(event.from_status, event.to_status):
            yield broken("transition", "the life cycle has no such move")
        if event.to_status == TaskStatus.RUNNING:
            if event.attempts <= attempts or (complete and event.attempts != attempts + 1):
                yield broken("attempts", f"the attempt before was {attempts}")
            owner = event.actor
        elif event.attempts < attempts or (complete and event.attempts != attempts):
            yield broken("attempts", f"the attempt was {attempts}")
        if complete and event.to_status in _ENDED_BY_OWNER and event.actor != owner:
            yield broken("owner", f"the lease was {owner}'s")
        status, attempts = event.to_status, max(attempts, event.attempts)


def _follows(old: TaskStatus, new: TaskStatus) -> bool:
    # A hold that is lifted from a task that still waits is recorded without a move.
    return new in NEXT[old] or old == new == TaskStatus.CREATED
