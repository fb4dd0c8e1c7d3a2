"""What the watchdog asks of a duty."""

from __future__ import annotations

from typing import Protocol

from seedcore.task.sweeps import Sweeps


class Duty(Protocol):
    """Something that any one worker does now and then for all of them.

    A duty takes an advisory lock of its own in the transaction that does the work (see `Sweeps`), so
    that workers share the duties without waiting for each other. One run does a bounded piece of
    work, such as one batch: the duties of one watchdog follow each other on one connection, and
    only the reap has another.

    Attributes:
        name: What its lock and its log lines call it.
    """

    name: str

    async def run(self, sweeps: Sweeps) -> float | None:
        """Do what is due.

        Args:
            sweeps: The watchdog's connection.

        Returns:
            Seconds until it wants to run again; None = at the next tick of the watchdog. A
            duty that needs more or less often says so each time.

        Raises:
            SeedcoreError: It failed; that is logged, the other duties go on, and it runs again at
                the next tick.
        """
        ...
