"""The watchdog's statements: what any worker may tidy up for all of them, one duty each.

Every duty runs under its own advisory lock, so that workers share the duties without waiting and a
long one never delays the reap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from seedcore.db.errors import translated
from seedcore.task.engine import attentive, queries

_LIMITS = {"statement_ms": "30000", "lock_ms": "2000"}


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

    async def forget_waiters(self, older_s: float) -> int:
        """Delete wishes for notifications of workers that have not looked for so long."""
        with translated():
            cursor = await self._connection.execute(queries.forget_waiters, {"older_s": older_s})
            return cursor.rowcount

    async def queue_ages(self) -> dict[str, float]:
        """Return status → age of its oldest due task in seconds, 0 when there is none."""
        with translated():
            cursor = await self._connection.execute(queries.queue_ages)
            return {str(row[0]): float(row[1]) for row in await cursor.fetchall()}

    async def rows(
        self, statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Run one statement in a transaction of its own and return its rows."""
        with translated():
            async with self._connection.pipeline():
                await self._connection.execute(queries.limit_transaction, _LIMITS)
                cursor = self._connection.cursor(row_factory=dict_row)
                await cursor.execute(statement, parameters)
            return await cursor.fetchall()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _count(self, statement: LiteralString, parameters: Mapping[str, Any]) -> int | None:
        # One message, one transaction that ends by itself: a worker that is stopped between two
        # messages would keep the duty's lock, and nobody would reap any more.
        with translated():
            async with self._connection.pipeline():
                await self._connection.execute(queries.limit_transaction, _LIMITS)
                cursor = await self._connection.execute(statement, parameters)
            row = await cursor.fetchone()
        return None if row is None or row[0] is None else int(row[0])
