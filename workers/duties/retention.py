"""What is over for long enough goes: tasks in small slices with pauses between them, events by the day."""

from __future__ import annotations

import logging

from seedcore.config.settings import Settings
from seedcore.task.sweeps import Sweeps
from workers.metrics import Metrics

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 60.0
"""How soon a setting that somebody changes in the database is seen."""


class RetainTasks:
    """Removes tasks that ended longer ago than they are kept.

    The pace is the database's: however many workers there are, they share one position and one pause.

    Args:
        settings: How long, where the database does not say; and the share of the time.
        metrics: Counted here.
    """

    name = "retention"

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics

    async def run(self, sweeps: Sweeps) -> float:
        """Remove one slice."""
        settings = self._settings
        done = await sweeps.retain_tasks(
            completed_s=settings.task_retention_completed,
            failed_s=settings.task_retention_failed,
            cancelled_s=settings.task_retention_cancelled,
            share=settings.task_retention_share,
        )
        if done is None:
            return _LOOK_EVERY_S
        self._metrics.purged.inc(done.removed)
        if done.swept:
            log.info(
                "Removed tasks that are kept no longer",
                extra={"event": "task.purged", "count": done.swept},
            )
        return min(done.wait_s, _LOOK_EVERY_S)


class RetainEvents:
    """Drops days of recorded transitions that are older than they are kept.

    Args:
        settings: How long, where the database does not say.
        metrics: Counted here.
    """

    name = "event_retention"

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics

    async def run(self, sweeps: Sweeps) -> float:
        """Drop one day."""
        done = await sweeps.retain_events(self._settings.task_event_retention)
        if done is None:
            return _LOOK_EVERY_S
        if done.day is not None:
            self._metrics.days_dropped.inc()
            log.info(
                "Dropped a day of events", extra={"event": "events.day_dropped", "day": done.day}
            )
        elif done.busy:
            log.debug(
                "A day of events is in use and will be dropped later",
                extra={"event": "events.drop_busy"},
            )
        return min(done.wait_s, _LOOK_EVERY_S)
