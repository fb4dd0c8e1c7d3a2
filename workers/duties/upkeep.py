"""The tables around the queue: event partitions, wishes of dead waiters, the ages that are measured."""

from __future__ import annotations

import logging

from seedcore.config.settings import Settings
from seedcore.task.sweeps import Sweeps
from workers.metrics import Metrics

log = logging.getLogger(__name__)

_PARTITIONS_EVERY_S = 3600.0


class ForgetWaiters:
    """Deletes wishes for notifications of workers that died while waiting.

    Args:
        settings: How often a live worker renews its wish.
    """

    name = "waiters"

    def __init__(self, settings: Settings) -> None:
        # A worker shows its wish at every look, at the latest once per poll.
        self._older_s = max(60.0, 4 * settings.dispatcher_poll_interval_s)

    async def run(self, sweeps: Sweeps) -> None:
        """Delete old rows."""
        await sweeps.forget_waiters(self._older_s)


class ForgetKeyHolds:
    """Deletes holds of concurrency keys that have lapsed."""

    name = "key_holds"

    async def run(self, sweeps: Sweeps) -> None:
        """Delete old rows."""
        await sweeps.forget_key_holds()


class Partitions:
    """Makes the coming days' event partitions."""

    name = "partitions"

    async def run(self, sweeps: Sweeps) -> float:
        """Make what is missing."""
        made = await sweeps.prepare_partitions()
        if made:
            log.info(
                "Made event partitions", extra={"event": "events.partitions_made", "count": made}
            )
        return _PARTITIONS_EVERY_S


class QueueAges:
    """Measures how old the oldest due tasks are.

    Args:
        metrics: Where it is shown.
    """

    name = "ages"

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def run(self, sweeps: Sweeps) -> None:
        """Measure."""
        for status, age in (await sweeps.queue_ages()).items():
            self._metrics.queue_age.labels(status).set(age)
