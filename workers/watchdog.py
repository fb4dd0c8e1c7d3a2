"""What every worker does for all: silent owners, expiry, missed releases, partitions, dead waiters."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from seedcore.config.settings import Settings
from seedcore.errors import SeedcoreError
from seedcore.task.sweeps import Sweeps
from workers.link import backoff_s
from workers.metrics import Metrics

log = logging.getLogger(__name__)

_EXPIRE_BATCH = 500
_PARTITIONS_EVERY_S = 3600.0


class Watchdog:
    """Ticks for as long as the worker lives, also while it drains.

    Args:
        conninfo: Returns where the database is.
        settings: Interval, grace and batch sizes.
        metrics: Counted here: what was reaped and expired; the ages of the queue.
    """

    def __init__(self, conninfo: Callable[[], str], settings: Settings, metrics: Metrics) -> None:
        self._conninfo = conninfo
        self._settings = settings
        self._metrics = metrics
        self._sweeps: Sweeps | None = None
        self._partitions_at = 0.0
        # A worker shows its wish for notifications at every look, at the latest once per poll.
        self._waiter_age_s = max(60.0, 4 * settings.dispatcher_poll_interval_s)
        self.last_tick_at: float | None = None

    async def run(self) -> None:
        """Tick until cancelled; the first tick comes at once, for a restart after a crash."""
        failures = 0
        while True:
            try:
                await self._tick()
            except SeedcoreError as error:
                failures += 1
                log.info(
                    "A watchdog tick failed",
                    extra={"event": "watchdog.failed", "error": error.message},
                )
                await self.close()
                await asyncio.sleep(min(backoff_s(failures), self._settings.watchdog_interval))
                continue
            failures = 0
            self.last_tick_at = time.monotonic()
            # Earlier rather than later, and not all workers at once.
            share = random.uniform(0.85, 1.0)  # noqa: S311
            await asyncio.sleep(self._settings.watchdog_interval * share)

    async def close(self) -> None:
        """Close the connection."""
        sweeps, self._sweeps = self._sweeps, None
        if sweeps is not None:
            await sweeps.close()

    async def _tick(self) -> None:
        if self._sweeps is None:
            self._sweeps = await Sweeps.connect(await asyncio.to_thread(self._conninfo))
        sweeps = self._sweeps
        batch = self._settings.task_reap_batch

        async def reap() -> int | None:
            return await sweeps.reap(
                grace_s=self._settings.lease_seconds,
                limit=batch,
                max_attempts=self._settings.max_task_attempts,
                max_lapses=self._settings.max_task_lapses,
            )

        reaped = await _until_done(reap, batch)
        if reaped:
            self._metrics.reaped.inc(reaped)
            log.warning(
                "Took tasks from silent owners", extra={"event": "task.reaped", "count": reaped}
            )
        expired = await _until_done(lambda: sweeps.expire(_EXPIRE_BATCH), _EXPIRE_BATCH)
        if expired:
            self._metrics.expired.inc(expired)
            log.info(
                "Cancelled tasks past their expiry",
                extra={"event": "task.expired", "count": expired},
            )
        # A repair of rare faults: one batch per tick, so that it never holds up the next reap.
        released = await sweeps.release(_EXPIRE_BATCH)
        if released:
            log.warning(
                "Released waiting tasks that were missed",
                extra={"event": "task.released", "count": released},
            )
        await self._tidy(sweeps)

    async def _tidy(self, sweeps: Sweeps) -> None:
        await sweeps.forget_waiters(self._waiter_age_s)
        if time.monotonic() >= self._partitions_at:
            made = await sweeps.prepare_partitions()
            self._partitions_at = time.monotonic() + _PARTITIONS_EVERY_S
            if made:
                log.info(
                    "Made event partitions",
                    extra={"event": "events.partitions_made", "count": made},
                )
        for status, age in (await sweeps.queue_ages()).items():
            self._metrics.queue_age.labels(status).set(age)


async def _until_done(sweep: Callable[[], Awaitable[int | None]], batch: int) -> int:
    """Sweep batch after batch until one is not full, or another worker is at it."""
    total = 0
    while True:
        moved = await sweep()
        total += moved or 0
        if not moved or moved < batch:
            return total
