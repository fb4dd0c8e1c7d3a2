"""The watchdog's statements: what any worker may tidy up for all of them, one duty each.

Every duty runs under its own advisory lock, so that workers share the duties without waiting and a
long one never delays the reap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.rows import dict_row

from seedcore.db.deadline import answers_within
from seedcore.db.errors import translated
from seedcore.task.engine import attentive, queries

_LIMITS = {"statement_ms": "30000", "lock_ms": "2000"}
_ANSWER_S = 45.0
"""Longest wait for an answer: the statement's own limit, and some time on the way."""


class Retained(NamedTuple):
    """What one slice of the purge did.

    Attributes:
        removed: Tasks.
        seen: Tasks looked at.
        wait_s: Seconds until the next slice.
        swept: At the end of a sweep, how many it removed in all; else None.
    """

    removed: int
    seen: int
    wait_s: float
    swept: int | None


class RetainedDays(NamedTuple):
    """What one look at the days of events did.

    Attributes:
        day: The day that was dropped, or None.
        removed: Events of days without a partition that were deleted.
        wait_s: Seconds until the next look.
        busy: Whether a day could not be dropped because the table was in use.
    """

    day: str | None
    removed: int
    wait_s: float
    busy: bool


class Sweeps:
    """A connection that tidies up.

    Args:
        connection: Open, autocommit.
    """

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, conninfo: str) -> Sweeps:
        """Open a connection.

        Raises:
            SeedcoreError: The server can't be reached or refuses.
        """
        with translated():
            connection = await psycopg.AsyncConnection.connect(
                attentive(conninfo), autocommit=True, prepare_threshold=None
            )
        return cls(connection)

    async def reap(
        self, *, grace_s: float, limit: int, max_attempts: int, max_lapses: int
    ) -> int | None:
        """Give back or fail tasks whose owner is silent.

        Args:
            grace_s: Silence after which an owner counts as dead, in seconds.
            limit: How many tasks at most.
            max_attempts: Attempts of a task that names none.
            max_lapses: Lapsed leases after which a task fails.

        Returns:
            How many were moved; None when another worker is at it.
        """
        return await self._count(
            queries.reap,
            {
                "grace_s": grace_s,
                "limit": limit,
                "default_max": max_attempts,
                "max_lapses": max_lapses,
            },
        )

    async def expire(self, limit: int) -> int | None:
        """Cancel tasks past their expiry that have not started; None as in `reap`."""
        return await self._count(queries.expire, {"limit": limit})

    async def release(self, limit: int) -> int | None:
        """Free waiting tasks whose release was missed; None as in `reap`."""
        return await self._count(queries.release, {"limit": limit})

    async def age(self, age_s: float, limit: int) -> int | None:
        """Raise the priority of tasks that have waited for so long; None as in `reap`."""
        return await self._count(queries.age, {"age_s": age_s, "limit": limit})

    async def prepare_partitions(self) -> int | None:
        """Make the coming days' event partitions; None as in `reap`."""
        return await self._count(queries.prepare_partitions, {})

    async def retain_tasks(
        self, *, completed_s: float, failed_s: float, cancelled_s: float, share: float
    ) -> Retained | None:
        """Remove one slice of tasks that are over for longer than they are kept.

        Args:
            completed_s: How long completed tasks are kept where the database does not say; 0 = for
                ever. `failed_s` and `cancelled_s` likewise.
            failed_s: See there.
            cancelled_s: See there.
            share: Share of the time that all workers together may spend on it.

        Returns:
            What was done and when to go on; None when there is nothing to do here.
        """
        row = await self._row(
            queries.retain_tasks,
            {
                "completed_s": completed_s,
                "failed_s": failed_s,
                "cancelled_s": cancelled_s,
                "share": share,
            },
        )
        return None if row is None else Retained(*row)

    async def retain_events(self, events_s: float) -> RetainedDays | None:
        """Drop the oldest day of events, if all of it is older than events are kept.

        Args:
            events_s: How long that is where the database does not say; 0 = for ever.

        Returns:
            What was done and when to go on; None when there is nothing to do here.
        """
        row = await self._row(queries.retain_events, {"events_s": events_s})
        return None if row is None else RetainedDays(*row)

    async def forget_waiters(self, older_s: float) -> int:
        """Delete wishes for notifications of workers that have not looked for so long."""
        with translated(), answers_within(self._connection, _ANSWER_S):
            cursor = await self._connection.execute(queries.forget_waiters, {"older_s": older_s})
            return cursor.rowcount

    async def forget_key_holds(self) -> int:
        """Delete holds of concurrency keys that have lapsed."""
        with translated(), answers_within(self._connection, _ANSWER_S):
            cursor = await self._connection.execute(queries.forget_key_holds)
            row = await cursor.fetchone()
            return 0 if row is None else int(row[0])

    async def queue_ages(self) -> dict[str, float]:
        """Return status → age of its oldest due task in seconds, 0 when there is none."""
        with translated(), answers_within(self._connection, _ANSWER_S):
            cursor = await self._connection.execute(queries.queue_ages)
            return {str(row[0]): float(row[1]) for row in await cursor.fetchall()}

    async def rows(
        self, statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Run one statement in a transaction of its own and return its rows."""
        with translated(), answers_within(self._connection, _ANSWER_S):
            async with self._connection.pipeline():
                await self._connection.execute(queries.limit_transaction, _LIMITS)
                cursor = self._connection.cursor(row_factory=dict_row)
                await cursor.execute(statement, parameters)
            return await cursor.fetchall()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _count(self, statement: LiteralString, parameters: Mapping[str, Any]) -> int | None:
        row = await self._row(statement, parameters)
        return None if row is None or row[0] is None else int(row[0])

    async def _row(
        self, statement: LiteralString, parameters: Mapping[str, Any]
    ) -> tuple[Any, ...] | None:
        # One message, one transaction that ends by itself: a worker that is stopped between two
        # messages would keep the duty's lock, and nobody would reap any more.
        with translated(), answers_within(self._connection, _ANSWER_S):
            async with self._connection.pipeline():
                await self._connection.execute(queries.limit_transaction, _LIMITS)
                cursor = await self._connection.execute(statement, parameters)
            return await cursor.fetchone()
