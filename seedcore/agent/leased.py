"""What an agent stores for tasks that another process has claimed, under that process's lease.

A dispatcher holds the lease and writes the outcome. What must be stored while the task runs (start marks
of `at_most_once` calls, progress, checkpoints) goes from the agent straight to the database: the
statements are fenced by owner and attempt, so it does not matter who sends them.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seedcore.agent import envelope
from seedcore.agent.reporting import ReportDesk
from seedcore.config.settings import Settings
from seedcore.db.whereabouts import Whereabouts

if TYPE_CHECKING:
    from seedcore.task.progress import ProgressStore

_KEPT = 8
"""Desks of dispatchers without a running task that stay; each has a thread and a connection."""


class Desk:
    """Where the tasks of one owner are reported.

    Args:
        conninfo: Returns where the database is.
        owner: Owner id of the leases.
        checkpoint_max_bytes: Largest checkpoint of a tool.
    """

    def __init__(
        self, conninfo: Callable[[], str], owner: str, *, checkpoint_max_bytes: int
    ) -> None:
        self.reports = ReportDesk(conninfo, owner, checkpoint_max_bytes=checkpoint_max_bytes)
        self.users = 0
        self._conninfo, self._owner = conninfo, owner
        self._lock = threading.Lock()
        self._marks: ProgressStore | None = None

    async def mark(self, task_id: str, attempts: int, records: Sequence[envelope.Record]) -> bool:
        """Store an attempt's records so far; tells whether the lease still held.

        Raises:
            SeedcoreError: The database can't be reached or refused.
        """
        document = json.dumps(envelope.progress(task_id, records), ensure_ascii=False)
        return await asyncio.to_thread(self._mark, task_id, attempts, document)

    def _mark(self, task_id: str, attempts: int, document: str) -> bool:
        from seedcore.task.progress import ProgressStore

        with self._lock:
            if self._marks is None:
                self._marks = ProgressStore(self._conninfo, self._owner)
            return self._marks.note(task_id, attempts, document)

    def close(self) -> None:
        """Write what is left, and close the connections."""
        self.reports.close()
        with self._lock:
            if self._marks is not None:
                self._marks.close()


class Desks:
    """The desks of an agent, one per owner.

    Args:
        settings: Which database, and limits.
        name: How its sessions are named in `pg_stat_activity`.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._conninfo = Whereabouts(settings, name)
        self._desks: OrderedDict[str, Desk] = OrderedDict()

    def take(self, owner: str) -> Desk:
        """Return the desk of an owner, until `put`."""
        desk = self._desks.get(owner)
        if desk is None:
            desk = self._desks[owner] = Desk(
                self._conninfo, owner, checkpoint_max_bytes=self._settings.checkpoint_max_bytes
            )
        self._desks.move_to_end(owner)
        desk.users += 1
        return desk

    def put(self, desk: Desk) -> None:
        """Give a desk back; those unused for longest are closed."""
        desk.users -= 1
        idle = [owner for owner, one in self._desks.items() if one.users == 0]
        for owner in idle[: max(0, len(idle) - _KEPT)]:
            # Closing waits for the database, which the agent's event loop must not.
            threading.Thread(target=self._desks.pop(owner).close, daemon=True).start()

    def close(self) -> None:
        """Close them all."""
        while self._desks:
            self._desks.popitem()[1].close()
