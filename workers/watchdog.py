"""What every worker does for all: runs the duties of `workers.duties`, the reap apart from the others."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from seedcore.config.settings import Settings
from seedcore.errors import SeedcoreError
from seedcore.task.sweeps import Sweeps
from workers.duties.canary import Canaries
from workers.duties.port import Duty
from workers.duties.retention import RetainEvents, RetainTasks
from workers.duties.schedules import Schedules
from workers.duties.tasks import Age, Expire, Reap, Release
from workers.duties.upkeep import ForgetKeyHolds, ForgetWaiters, Partitions, QueueAges
from workers.link import backoff_s
from workers.metrics import Metrics

log = logging.getLogger(__name__)

_SHORTEST_PAUSE_S = 0.1


def chores(settings: Settings, metrics: Metrics) -> list[Duty]:
    """Return every duty but the reap, in the order in which a tick runs them."""
    return [
        Expire(metrics),
        Age(settings, metrics),
        Release(),
        ForgetWaiters(settings),
        ForgetKeyHolds(),
        Partitions(),
        QueueAges(metrics),
        RetainTasks(settings, metrics),
        RetainEvents(settings, metrics),
        Schedules(settings, metrics),
        Canaries(),
    ]


class Watchdog:
    """Ticks for as long as the worker lives, also while it drains.

    The reap has a connection and a rhythm of its own, so that no other duty delays it.

    Args:
        conninfo: Returns where the database is.
        settings: The interval, and what the duties need.
        metrics: What the duties count.
    """

    def __init__(self, conninfo: Callable[[], str], settings: Settings, metrics: Metrics) -> None:
        self._reaper = Round(conninfo, [Reap(settings, metrics)], settings.watchdog_interval)
        self._chores = Round(conninfo, chores(settings, metrics), settings.watchdog_interval)

    @property
    def last_tick_at(self) -> float | None:
        """`time.monotonic()` of the last reap that went through."""
        return self._reaper.last_tick_at

    async def run(self) -> None:
        """Tick until cancelled; the first tick comes at once, for a restart after a crash."""
        await asyncio.gather(self._reaper.run(), self._chores.run())

    async def close(self) -> None:
        """Close the connections."""
        await self._reaper.close()
        await self._chores.close()


class Round:
    """Duties that follow each other on one connection, each at its own times.

    Args:
        conninfo: Returns where the database is.
        duties: What is to be done, in order.
        interval_s: Pause between two runs of a duty that wishes nothing else, in seconds.
    """

    def __init__(
        self, conninfo: Callable[[], str], duties: Sequence[Duty], interval_s: float
    ) -> None:
        self._conninfo = conninfo
        self._duties = duties
        self._interval_s = interval_s
        self._due_at = {duty.name: 0.0 for duty in duties}
        self._failures = 0
        self._sweeps: Sweeps | None = None
        self.last_tick_at: float | None = None

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            pause_s = await self.tick()
            await asyncio.sleep(pause_s)

    async def tick(self) -> float:
        """Run what is due and return the seconds until something else is."""
        failures = self._failures
        for duty in self._duties:
            if time.monotonic() < self._due_at[duty.name]:
                continue
            try:
                sweeps = await self._connected()
            except SeedcoreError as error:
                self._failed("connect", error.message)
                return min(backoff_s(self._failures), self._interval_s)
            self._due_at[duty.name] = time.monotonic() + await self._run(duty, sweeps)
        if self._failures == failures:
            self._failures = 0
            self.last_tick_at = time.monotonic()
        return max(min(self._due_at.values()) - time.monotonic(), 0.0)

    async def _run(self, duty: Duty, sweeps: Sweeps) -> float:
        """Run one duty and return the pause after it; its failure is its own."""
        try:
            wish_s = await duty.run(sweeps)
        except Exception as error:
            if isinstance(error, SeedcoreError):
                self._failed(duty.name, error.message)
            else:
                self._failed(duty.name, str(error), exc_info=True)
            # In what state the connection is, nobody knows; the next duty gets a new one.
            await self.close()
            return min(backoff_s(self._failures), self._interval_s)
        if wish_s is not None:
            return max(wish_s, _SHORTEST_PAUSE_S)
        # Earlier rather than later, and not all workers at once.
        return self._interval_s * random.uniform(0.85, 1.0)  # noqa: S311

    async def _connected(self) -> Sweeps:
        if self._sweeps is None:
            self._sweeps = await Sweeps.connect(await asyncio.to_thread(self._conninfo))
        return self._sweeps

    def _failed(self, duty: str, error: str, *, exc_info: bool = False) -> None:
        self._failures += 1
        log.log(
            logging.ERROR if exc_info else logging.INFO,
            "A watchdog duty failed",
            exc_info=exc_info,
            extra={"event": "watchdog.failed", "duty": duty, "error": error},
        )

    async def close(self) -> None:
        """Close the connection."""
        sweeps, self._sweeps = self._sweeps, None
        if sweeps is not None:
            await sweeps.close()
