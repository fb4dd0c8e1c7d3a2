"""Progress and checkpoints on their way to the database, over a connection of their own, synchronously."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from seedcore.db.deadline import answers_within
from seedcore.db.errors import translated
from seedcore.db.sql import Queries
from seedcore.task.engine import attentive, queries as session_queries

queries = Queries("seedcore.task", "progress.sql")


@dataclass(slots=True, frozen=True)
class Report:
    """What one attempt says of itself.

    Attributes:
        id: The task.
        attempts: The attempt's number, its fencing token.
        call: Which of the task's tool calls speaks.
        done: How much is done; None = not told, what it said before stays.
        total: How much there is to do; None = not known.
        message: A few words for people.
        checkpoint: JSON text to go on from; None clears it.
        keeps: The stored checkpoint stays, whatever `checkpoint` is.
    """

    id: str
    attempts: int
    call: int
    done: float | None
    total: float | None
    message: str | None
    checkpoint: str | None
    keeps: bool


class ProgressStore:
    """Writes what attempts of one owner report; connects when first used and again after a failure.

    Args:
        conninfo: Returns where the database is.
        owner: Owner id of the leases.
        patience_s: How long one statement may take.
    """

    def __init__(self, conninfo: Callable[[], str], owner: str, *, patience_s: float = 5.0) -> None:
        self._conninfo = conninfo
        self._owner = owner
        self._patience_s = patience_s
        self._limits = {
            "statement_ms": f"{patience_s * 1000:.0f}",
            "lock_ms": f"{patience_s * 100:.0f}",
        }
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def write(self, reports: Sequence[Report]) -> frozenset[str]:
        """Store reports, at most one of each attempt, and return the tasks whose lease still held.

        Raises:
            SeedcoreError: The database can't be reached or refused; nothing is stored.
        """
        parameters: dict[str, object] = {
            "owner": self._owner,
            "ids": [report.id for report in reports],
            "attempts": [report.attempts for report in reports],
            "calls": [report.call for report in reports],
            "done": [report.done for report in reports],
            "totals": [report.total for report in reports],
            "messages": [report.message for report in reports],
            "checkpoints": [report.checkpoint for report in reports],
            "keep": [report.keeps for report in reports],
        }
        return frozenset(str(row[0]) for row in self._rows(queries.write, parameters))

    def note(self, task_id: str, attempts: int, document: str) -> bool:
        """Keep a document in a running task's result; tells whether the lease still held.

        Raises:
            SeedcoreError: The database can't be reached or refused; nothing is stored.
        """
        parameters: dict[str, object] = {
            "owner": self._owner,
            "ids": [task_id],
            "attempts": [attempts],
            "results": [document],
        }
        return bool(self._rows(session_queries.note_progress, parameters))

    def read(self, task_id: str) -> tuple[int, str] | None:
        """Return the call and the JSON text of a task's checkpoint, or None.

        Raises:
            SeedcoreError: The database can't be reached or refused.
        """
        rows = self._rows(queries.read, {"id": task_id})
        return (int(str(rows[0][0])), str(rows[0][1])) if rows else None

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _rows(
        self, statement: LiteralString, parameters: dict[str, object]
    ) -> list[tuple[object, ...]]:
        try:
            with translated():
                if self._connection is None:
                    self._connection = psycopg.connect(
                        attentive(self._conninfo(), patience_s=self._patience_s),
                        autocommit=True,
                        prepare_threshold=None,
                    )
                # One message, one transaction: a worker that is stopped must not keep rows locked.
                with (
                    answers_within(self._connection, 2 * self._patience_s),
                    self._connection.pipeline(),
                ):
                    self._connection.execute(session_queries.limit_transaction, self._limits)
                    cursor = self._connection.execute(statement, parameters)
                return cursor.fetchall()
        except BaseException:
            self.close()
            raise
