"""How many tasks a worker holds beside the running ones: many while they are short, few when not."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence

from seedcore.config.settings import Settings
from seedcore.task.exchange import ClaimedTask

_MOST = 1000
_AHEAD_S = 0.25
"""Work that is enough to cover the way to the database; more would only be kept from other workers."""
_LEASE_SHARE = 0.1
SURPLUS_S = 1.0
"""What is beyond `now` may wait so long before it is given back: four times what was meant to be held."""
_BYTES = 32 * 1024 * 1024
"""Payloads that wait here at most."""
_UP, _DOWN = 0.3, 0.02
_SIZE_WEIGHT = 0.2


class Prefetch:
    """Follows the run times that are measured, unless DISPATCHER_PREFETCH names a number.

    Args:
        settings: Concurrency, prefetch.
        silence_s: Seconds without renewal after which others may take our tasks.
    """

    def __init__(self, settings: Settings, silence_s: float) -> None:
        self._concurrency = settings.dispatcher_concurrency
        self._fixed = settings.dispatcher_prefetch
        self._ahead_s = min(_AHEAD_S, silence_s * _LEASE_SHARE)
        self._ttl_s = silence_s * _LEASE_SHARE
        self._run_s: float | None = None
        self._stuck_s = 0.0
        self._bytes = 0.0
        self._now = 2 * self._concurrency if self._fixed is None else self._fixed

    @property
    def now(self) -> int:
        """How many to hold now beside the running ones."""
        return self._now

    @property
    def ttl_s(self) -> float | None:
        """Seconds after which a task that has not started is given back; None = never."""
        return self._ttl_s if self._fixed is None else None

    def ended(self, seconds: float) -> None:
        """Take a run time into account: long ones at once, short ones by and by."""
        known = self._run_s
        if known is None:
            self._run_s = seconds
        else:
            self._run_s = known + (seconds - known) * (_UP if seconds > known else _DOWN)

    def look(self, ages: Collection[float]) -> None:
        """Take the runs into account that have not ended yet.

        Args:
            ages: For how long each has been running, in seconds.
        """
        # One of many that hangs leaves the others their pace; half of them do not.
        full = len(ages) >= self._concurrency
        self._stuck_s = statistics.median(ages) if full else 0.0
        self._shrink()

    def claimed(self, tasks: Sequence[ClaimedTask], *, is_full: bool) -> None:
        """Learn how large payloads are, and hold more when the queue gave all that was asked for."""
        if self._fixed is not None or not tasks:
            return
        size = sum(len(task.params_json) for task in tasks) / len(tasks)
        self._bytes += (size - self._bytes) * (_SIZE_WEIGHT if size < self._bytes else 1.0)
        if is_full and self._run_s is not None:
            self._now = min(self._target(), 2 * max(self._now, self._concurrency))
        else:
            self._shrink()

    def _shrink(self) -> None:
        if self._fixed is None and (self._run_s is not None or self._stuck_s):
            self._now = min(self._now, self._target())

    def _target(self) -> int:
        run_s = max(self._run_s or 0.0, self._stuck_s, 1e-6)
        most = min(_MOST, _BYTES / max(self._bytes, 1.0))
        return int(min(self._concurrency * self._ahead_s / run_s, most))
