"""Renewing leases over a connection of its own, synchronously: it runs in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from seedcore.db.deadline import answers_within
from seedcore.db.errors import translated
from seedcore.task.engine import attentive, queries
from seedcore.task.exchange import Lease


@dataclass(slots=True, frozen=True)
class Lost:
    """A lease that was not renewed, and the status that its task has now (None = no such task)."""

    id: str
    attempts: int
    status: str | None


class LeaseKeeper:
    """Extends what one owner holds; connects when first used and again after a failure.

    Args:
        conninfo: Returns where the database is.
        owner: Owner id of the leases.
        lease_s: How long a renewal is good for, in seconds.
        patience_s: How long one renewal may take, so that another try is left.
    """

    def __init__(
        self, conninfo: Callable[[], str], owner: str, lease_s: float, *, patience_s: float
    ) -> None:
        self._conninfo = conninfo
        self._owner = owner
        self._lease_s = lease_s
        self._patience_s = patience_s
        self._limits = {
            "statement_ms": f"{patience_s * 1000:.0f}",
            "lock_ms": f"{patience_s * 500:.0f}",
        }
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def renew(self, leases: Sequence[Lease]) -> list[Lost]:
        """Renew the leases and return those that are lost.

        Raises:
            SeedcoreError: The database can't be reached or refused.
        """
        parameters = {
            "owner": self._owner,
            "lease_s": self._lease_s,
            "ids": [lease.id for lease in leases],
            "attempts": [lease.attempts for lease in leases],
        }
        try:
            with translated():
                if self._connection is None:
                    self._connection = psycopg.connect(
                        attentive(self._conninfo(), patience_s=self._patience_s),
                        autocommit=True,
                        prepare_threshold=None,
                    )
                # As in Sweeps: a worker that is stopped must not keep the rows from the reaper.
                with (
                    answers_within(self._connection, 2 * self._patience_s),
                    self._connection.pipeline(),
                ):
                    self._connection.execute(queries.limit_transaction, self._limits)
                    cursor = self._connection.execute(queries.renew, parameters)
                rows = cursor.fetchall()
        except BaseException:
            self.close()
            raise
        renewed = {str(row[0]) for row in rows if row[1]}
        status = {str(row[0]): None if row[2] is None else str(row[2]) for row in rows}
        return [
            Lost(lease.id, lease.attempts, status.get(lease.id))
            for lease in leases
            if lease.id not in renewed
        ]

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
