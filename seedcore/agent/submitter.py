"""Submits tasks for tools, from any thread, over a few connections that are kept."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from seedcore.config.settings import Settings

if TYPE_CHECKING:
    from psycopg import Connection

    from seedcore.task.model import NewTask, Submitted


class PooledSubmitter:
    """Keeps the connections that tools submit on: at most one per thread that submits at once.

    Args:
        settings: Which database.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._idle: list[Connection[dict[str, Any]]] = []
        self._closed = False

    def submit(self, new: NewTask) -> Submitted:
        """Store one task, or find the one that has its idempotency key.

        Raises:
            SeedcoreError: It was refused, or the database can't be reached.
        """
        from seedcore.task import service

        connection = self._take()
        try:
            return service.submit(connection, new)
        finally:
            self._put(connection)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> Connection[dict[str, Any]]:
        from seedcore.db.connection import connect

        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection
        return connect(self._settings, application_name="seedcore tool")

    def _put(self, connection: Connection[dict[str, Any]]) -> None:
        with self._lock:
            if not self._closed and not connection.closed:
                self._idle.append(connection)
                return
        with suppress(OSError):
            connection.close()
