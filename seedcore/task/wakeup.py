"""Waiting for the notification that a lane has new work, on a connection that does nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
from psycopg import sql

from seedcore.db.deadline import answers_within
from seedcore.db.errors import translated
from seedcore.task.engine import attentive, queries

_ANSWER_S = 10.0


class Wakeups:
    """A listening connection.

    Args:
        connection: Open, autocommit, listening already.
    """

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, conninfo: str, channel: str) -> Wakeups:
        """Open a connection that listens.

        Args:
            conninfo: Where the database is. Never a pooler in transaction mode.
            channel: The channel, unless the database names another for all its users.

        Raises:
            SeedcoreError: The server can't be reached or refuses.
        """
        with translated():
            connection = await psycopg.AsyncConnection.connect(attentive(conninfo), autocommit=True)
            with answers_within(connection, _ANSWER_S):
                cursor = await connection.execute(queries.notify_channel, {"fallback": channel})
                row = await cursor.fetchone()
                name = str(row[0]) if row else channel
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
        return cls(connection)

    async def lanes(self) -> AsyncIterator[str]:
        """Yield the lane of each notification, for as long as the connection lasts.

        Raises:
            Unavailable: The connection broke.
        """
        with translated():
            async for notification in self._connection.notifies():
                yield notification.payload

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()
