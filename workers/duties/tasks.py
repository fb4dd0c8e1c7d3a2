"""Tasks that nobody looks after: of silent owners, past their expiry, with a release that was missed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from seedcore.config.settings import Settings
from seedcore.task.sweeps import Sweeps
from workers.metrics import Metrics

log = logging.getLogger(__name__)

_BATCH = 500


class Reap:
    """Takes tasks from owners that are silent.

    Args:
        settings: The grace, the batch and the limits.
        metrics: Counted here.
    """

    name = "reap"

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics

    async def run(self, sweeps: Sweeps) -> None:
        """Sweep until nothing is left: a node that died may have held much."""
        settings = self._settings

        async def reap() -> int | None:
            return await sweeps.reap(
                grace_s=settings.lease_seconds,
                limit=settings.task_reap_batch,
                max_attempts=settings.max_task_attempts,
                max_lapses=settings.max_task_lapses,
            )

        reaped = await _until_done(reap, settings.task_reap_batch)
        if reaped:
            self._metrics.reaped.inc(reaped)
            log.warning(
                "Took tasks from silent owners", extra={"event": "task.reaped", "count": reaped}
            )


class Expire:
    """Cancels tasks that may not start any more.

    Args:
        metrics: Counted here.
    """

    name = "expire"

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def run(self, sweeps: Sweeps) -> None:
        """Sweep until nothing is left."""
        expired = await _until_done(lambda: sweeps.expire(_BATCH), _BATCH)
        if expired:
            self._metrics.expired.inc(expired)
            log.info(
                "Cancelled tasks past their expiry",
                extra={"event": "task.expired", "count": expired},
            )


class Age:
    """Raises the priority of tasks that wait long, unless that is switched off.

    Args:
        settings: How long.
        metrics: Counted here.
    """

    name = "age"

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._age_s = settings.task_priority_age_s
        self._metrics = metrics

    async def run(self, sweeps: Sweeps) -> None:
        """Sweep until nothing is left that has waited for another level."""
        if not self._age_s:
            return
        aged = await _until_done(lambda: sweeps.age(self._age_s, _BATCH), _BATCH)
        if aged:
            self._metrics.aged.inc(aged)
            log.debug("Raised tasks that wait long", extra={"event": "task.aged", "count": aged})


class Release:
    """Frees waiting tasks whose release was missed: a repair of rare faults."""

    name = "release"

    async def run(self, sweeps: Sweeps) -> None:
        """Free one batch."""
        released = await sweeps.release(_BATCH)
        if released:
            log.warning(
                "Released waiting tasks that were missed",
                extra={"event": "task.released", "count": released},
            )


async def _until_done(sweep: Callable[[], Awaitable[int | None]], batch: int) -> int:
    """Sweep batch after batch until one is not full, or another worker is at it."""
    total = 0
    while True:
        moved = await sweep()
        total += moved or 0
        if not moved or moved < batch:
            return total
