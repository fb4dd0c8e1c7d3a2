"""The history checker: whether what was recorded about tasks can have happened, and nothing is missing.

The rules hold whatever ran, crashed or was cut off meanwhile. They are checked by the database, in one
pass over the recorded events in the order of their key and one over the tasks: what travels is only
what is wrong, and neither side keeps more than one task's line at a time.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row

from seedcore.db.errors import translated
from seedcore.db.sql import Queries
from seedcore.task.model import NEXT

queries = Queries("seedcore.task", "verify.sql")

Level = Literal["all", "terminal", "none"]

LAPSED_AFTER_S: Final = 300.0
"""A lease may be past for as long as the next watchdog takes; longer than this, none is at work."""

# A hold that is lifted from a task that still waits is recorded without a move.
_MOVES: Final = [
    "created>created",
    *(f"{old}>{new}" for old, after in NEXT.items() for new in after),
]


class Violation(NamedTuple):
    """Something that can't have happened, or that nothing will ever put right.

    Attributes:
        task_id: The task.
        rule: A name of `RULES`.
        evidence: The change or the row, and what it contradicts, as a sentence.
    """

    task_id: UUID
    rule: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What the checker holds a database to.

    Attributes:
        name: Its word in the output.
        means: What has to be so.
        terminal: What of it can be seen when only ends are recorded: `yes`, `no`, or which part.
        none: The same when nothing but operators' changes is recorded.
    """

    name: str
    means: str
    terminal: str = "yes"
    none: str = "no"

    def covered(self, level: Level) -> str:
        """Return `yes`, `no`, or which part of the rule is checked at this event level."""
        return {"all": "yes", "terminal": self.terminal, "none": self.none}[level]


RULES: Final = (
    Rule(
        "attempts",
        "attempts rise by one with every claim and never fall",
        "they never fall",
        "they never fall",
    ),
    Rule("two_ends", "a task ends once, unless an operator retried it in between"),
    Rule("after_end", "nothing follows an end but an operator's retry"),
    Rule(
        "transition",
        "every change is a move of the life cycle, from where the change before led",
        "the moves",
        "the moves",
    ),
    Rule("owner", "a result is written by the attempt's own owner", "no"),
    Rule("state", "the row says what the last event says", "ends"),
    Rule("unrecorded", "no change is missing from the record", "ends"),
    Rule("lost", "a task is deleted only when it is over", "after a retry"),
    Rule("lease", "a running task has an owner and a lease", "yes", "yes"),
    Rule("lapsed", "no lease has been past for long", "yes", "yes"),
    Rule("stranded", "no task waits for tasks that are all over", "yes", "yes"),
)
"""Every rule, in the order of the documentation."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a check can rely on.

    Attributes:
        level: Which changes this database records.
        since: From when on something that is missing is a fault; None = nothing is recorded.
    """

    level: Level
    since: datetime | None


def scope(conn: psycopg.Connection[Any], since: datetime | None = None) -> Scope:
    """Return what a database records, and from when on it does.

    Args:
        conn: A connection.
        since: Not before this moment.

    Raises:
        SeedcoreError: The database failed.
    """
    with translated(), conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(queries.scope, {"since": since}).fetchone()
    level, recorded = row or ("terminal", None)
    return Scope(level if level in ("all", "none") else "terminal", recorded)


def verify(
    conn: psycopg.Connection[Any],
    since: datetime | None = None,
    *,
    level: Level | None = None,
    lapsed_after_s: float = LAPSED_AFTER_S,
) -> Generator[Violation]:
    """Check a database, live or not, against `RULES`, and yield what breaks them.

    One snapshot is held from the first violation asked for to the last; `close()` ends it early.

    Args:
        conn: A connection in autocommit.
        since: Look only at events from then on. Rows are looked at whatever their age.
        level: The caller knows that these changes were recorded, all the time that counts. Default:
            what the database is set to, from the moment it was set.
        lapsed_after_s: Seconds that a lease may be past, or a wait be over.

    Raises:
        SeedcoreError: The database failed.
    """
    with translated(), conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Everything will be read, so a plan that begins quickly is of no use.
        conn.execute("SET LOCAL cursor_tuple_fraction = 1")
        conn.execute("SET LOCAL jit = off")
        if level is None:
            found = scope(conn, since)
            level, recorded = found.level, found.since
        else:
            recorded = since or datetime.min.replace(tzinfo=UTC)
        parameters = {
            "since": since,
            "recorded": recorded,
            "complete": level == "all",
            "ends": level != "none",
            "moves": _MOVES,
            "lapsed_s": lapsed_after_s,
        }
        statements = (
            (queries.events, queries.rows)
            if level == "none"
            else (queries.events, queries.unrecorded, queries.rows)
        )
        for statement in statements:
            with conn.cursor(name="task_verify", row_factory=tuple_row) as rows:
                for task_id, rule, evidence in rows.execute(statement, parameters):
                    yield Violation(task_id, rule, evidence)
