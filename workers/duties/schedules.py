"""Schedules whose time has come."""

from __future__ import annotations

import asyncio
import logging
import random

from seedcore.config.settings import Settings
from seedcore.errors import UsageError
from seedcore.task.model import NewTask
from seedcore.task.schedule.firing import SCHEDULES_AT_ONCE, order
from seedcore.task.schedule.store import queries
from seedcore.task.submission import lint_new
from seedcore.task.sweeps import Sweeps
from workers.metrics import Metrics

log = logging.getLogger(__name__)

_MARGIN_S = 0.02
"""Later than the minute: who looks a moment before finds nothing and has to look again."""

_SPREAD_S = 0.2
"""All workers look at the full minute; the first fires."""


class Schedules:
    """Submits the tasks of schedules that are due, near to the second.

    It looks at the beginning of each minute by the database's clock, because cron lines know no
    smaller step; so nobody has to tell a worker that a schedule was added.

    Args:
        settings: What the linter lets pass.
        metrics: Fires are counted here.
    """

    name = "schedules"

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics

    async def run(self, sweeps: Sweeps) -> float:
        """Fire one batch."""
        rows = await sweeps.rows(queries.due_schedules, {"limit": SCHEDULES_AT_ONCE})
        if rows:
            # Years of missed times take a while to count.
            found = await asyncio.to_thread(order, rows, self._refusal)
            fired = await sweeps.rows(queries.fire_schedules, found.parameters())
            for fire in fired:
                self._tell(fire["name"], fire["outcome"], fire["error"])
            submitted = sum(fire["outcome"] == "submitted" for fire in fired)
            if submitted:
                log.info("Fired schedules", extra={"event": "schedule.fired", "count": submitted})
            if found.is_more_due and fired:
                return 0.0
        pause = await sweeps.rows(queries.until_next_fire, {})
        return float(pause[0]["pause_s"]) + _MARGIN_S + random.uniform(0.0, _SPREAD_S)  # noqa: S311

    def _tell(self, name: str, outcome: str, error: str | None) -> None:
        self._metrics.schedule_fires.labels(outcome).inc()
        if outcome == "failed":
            log.warning(
                "Could not fire a schedule",
                extra={"event": "schedule.failed", "schedule": name, "error": error},
            )
        elif outcome == "missed":
            log.warning(
                "Left out a time of a schedule that came too late",
                extra={"event": "schedule.missed", "schedule": name},
            )

    def _refusal(self, task: NewTask) -> str | None:
        settings = self._settings
        try:
            lint_new(
                task, lint_mode=settings.task_lint_mode, params_max_bytes=settings.params_max_bytes
            )
        except UsageError as error:
            return error.message
        return None
