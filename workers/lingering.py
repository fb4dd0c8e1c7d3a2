"""Tools that run on although their attempt is over: for so long their concurrency keys stay taken.

An operator's cancel ends an attempt in the database before its tool knows of it, and a plain function
can't be stopped at all. The database keeps the key of such an attempt for what is left of its lease. This
worker says when the tool has really stopped, and until then that it has not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from seedcore.task.exchange import Answer, Batch, Lease
from workers.ledger import Held

_LAST_S = 15.0
"""A worker that ends takes its threads with it within this time."""


class Said(NamedTuple):
    """What one round trip said about tools."""

    lingering: tuple[Lease, ...]
    gone: tuple[Lease, ...]


class Lingering:
    """Which tools go on, and which have stopped without the database knowing.

    What was said is forgotten only when the database has answered, and may be said twice.

    Args:
        nudge: Wakes whoever sends.
        interval_s: How often to say that a tool goes on; well below the lease.
    """

    def __init__(self, nudge: Callable[[], None], interval_s: float) -> None:
        self._nudge = nudge
        self._interval_s = interval_s
        self._say_at: dict[Lease, float] = {}
        self._gone: dict[Lease, None] = {}
        self.is_ending = False
        """Whether the worker ends, and its threads with it."""

    def __len__(self) -> int:
        """Count what must be said before the worker ends: of tools that go on, its end says enough."""
        return len(self._gone)

    def stopping(self, held: Held) -> None:
        """Note an attempt that was lost and whose tool has just been told to stop."""
        # Its hold is there already, for what is left of a lease that was prolonged not long ago.
        self._say_at[Lease(*held.key)] = time.monotonic() + self._interval_s

    def ended(self, held: Held, *, is_lost: bool) -> None:
        """Note the end of a run.

        Args:
            held: The attempt.
            is_lost: Whether the database took it back, so that it waits for the tool's end.
        """
        lease = Lease(*held.key)
        if held.thread is not None and held.still_runs:
            # At once, which is with the outcome at the latest.
            self._say_at.setdefault(lease, 0.0)
            held.thread.add_done_callback(lambda _: self.stopped(lease))
        elif self._say_at.pop(lease, None) is not None or is_lost:
            self.stopped(lease)

    def stopped(self, lease: Lease) -> None:
        """Note that nothing of an attempt runs any more."""
        self._say_at.pop(lease, None)
        self._gone[lease] = None
        self._nudge()

    def due_in_s(self) -> float:
        """Return the seconds until there is something to say; infinity for never."""
        if self._gone:
            return 0.0
        if not self._say_at:
            return math.inf
        return min(self._say_at.values()) - time.monotonic()

    def say(self, batch: Batch) -> Said:
        """Put what is due into a round trip."""
        if not self._say_at and not self._gone:
            return Said((), ())
        now = time.monotonic()
        said = Said(
            tuple(lease for lease, at in self._say_at.items() if at <= now), tuple(self._gone)
        )
        batch.lingering, batch.gone = said
        batch.linger_s = _LAST_S if self.is_ending else None
        return said

    def heard(self, said: Said, answer: Answer) -> None:
        """Draw the consequences of the database's answer: most tasks have no key to keep."""
        now = time.monotonic()
        for lease in said.gone:
            self._gone.pop(lease, None)
        for lease in said.lingering:
            if lease in self._say_at:
                if lease.id in answer.lingering:
                    pause = (
                        min(self._interval_s, _LAST_S / 3) if self.is_ending else self._interval_s
                    )
                    self._say_at[lease] = now + pause
                else:
                    del self._say_at[lease]
