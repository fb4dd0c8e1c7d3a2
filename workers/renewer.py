"""Keeps leases alive from a thread of its own, so that a busy event loop can't lose them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from seedcore.errors import LockBusy, SeedcoreError, WaitTimeout
from seedcore.task.exchange import Lease
from seedcore.task.lease import LeaseKeeper, Lost
from workers.ledger import Held, Ledger

log = logging.getLogger(__name__)

SAFE_SHARE = 0.8
"""A task is let go when this share of its lease passed without a renewal: before others may take it."""


class Renewer:
    """Renews what has been held for longer than the interval; short tasks are never renewed.

    Args:
        keeper: Speaks to the database.
        ledger: What is held.
        interval_s: Age of a lease from which it is renewed.
        lost: Called from the thread with leases that are gone.
    """

    def __init__(
        self,
        keeper: LeaseKeeper,
        ledger: Ledger,
        *,
        interval_s: float,
        lost: Callable[[list[Lost]], None],
    ) -> None:
        self._keeper = keeper
        self._ledger = ledger
        self._interval_s = interval_s
        self._lost = lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-renewer", daemon=True)
        self.is_failing = False
        self.last_renewal_at: float | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close its connection."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        # Looking at every half interval, a lease is renewed at one and a half of them at the latest.
        while not self._stop.wait(self._pause_s()):
            now = time.monotonic()
            due = [held for held in self._ledger.snapshot() if self._is_due(held, now)]
            if due or self.is_failing:
                self._renew(due)
        self._keeper.close()

    def _pause_s(self) -> float:
        return self._interval_s / 8 if self.is_failing else self._interval_s / 2

    def _is_due(self, held: Held, now: float) -> bool:
        return now - held.leased_at >= self._interval_s

    def _renew(self, due: list[Held]) -> None:
        try:
            lost = self._together(due)
        except SeedcoreError as error:
            if not self.is_failing:
                log.warning(
                    "Could not renew leases",
                    extra={"event": "lease.renew_failed", "error": error.message},
                )
            self.is_failing = True
            return
        self.is_failing = False
        self.last_renewal_at = time.monotonic()
        if lost:
            self._lost(lost)

    def _together(self, due: Sequence[Held]) -> list[Lost]:
        try:
            return self._some(due)
        except (LockBusy, WaitTimeout):
            # One row that somebody keeps locked must not cost the other leases.
            if len(due) < 2:
                raise
        lost: list[Lost] = []
        for held in due:
            try:
                lost += self._some([held])
            except (LockBusy, WaitTimeout):
                continue
        return lost

    def _some(self, due: Sequence[Held]) -> list[Lost]:
        sent_at = time.monotonic()
        lost = self._keeper.renew([Lease(held.task.id, held.task.attempts) for held in due])
        for held in due:
            held.leased_at = sent_at
        return lost
