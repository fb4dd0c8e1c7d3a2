"""Submits tasks for tools, from any thread, over a few connections that are kept.

The driver is imported with the first submission: most tools never submit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from seedcore.config.settings import Settings
from seedcore.errors import Unavailable

if TYPE_CHECKING:
    from psycopg import Connection

    from seedcore.task.model import Members, NewTask, Submitted

T = TypeVar("T")


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
        # Trying again is harmless: a tool's submission always has an idempotency key.
        return self._with_connection(lambda connection: self._submit(connection, new))

    def members(self, task_id: str, limit: int) -> Members:
        """Count the tasks that a task waited for, and name those that did not complete.

        Raises:
            SeedcoreError: The database can't be reached.
        """
        from seedcore.task import service

        return self._with_connection(
            lambda connection: service.members_of(connection, UUID(task_id), limit=limit)
        )

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _with_connection(self, work: Callable[[Connection[dict[str, Any]]], T]) -> T:
        from seedcore.db.connection import connect

        kept = self._take()
        if kept is not None:
            try:
                return self._work(kept, work)
            except Unavailable:
                pass  # it may only have been closed since the last time
        return self._work(connect(self._settings, application_name="seedcore tool"), work)

    def _work(
        self,
        connection: Connection[dict[str, Any]],
        work: Callable[[Connection[dict[str, Any]]], T],
    ) -> T:
        try:
            return work(connection)
        finally:
            self._put(connection)

    def _submit(self, connection: Connection[dict[str, Any]], new: NewTask) -> Submitted:
        from seedcore.task import service

        return service.submit(
            connection,
            new,
            lint_mode=self._settings.task_lint_mode,
            params_max_bytes=self._settings.params_max_bytes,
        )

    def _take(self) -> Connection[dict[str, Any]] | None:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection
        return None

    def _put(self, connection: Connection[dict[str, Any]]) -> None:
        with self._lock:
            if not self._closed and not connection.closed:
                self._idle.append(connection)
                return
        with suppress(OSError):
            connection.close()
