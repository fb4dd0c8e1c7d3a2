"""What this worker holds: every task whose lease is its own, until the database has taken it back."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from seedcore.task.exchange import ClaimedTask


class Fate(StrEnum):
    """Why the work on a task is stopped from outside."""

    LOST = "lost"
    """Another owner may have it; whatever comes out is dropped."""
    CANCELLED = "cancelled"
    """An operator cancelled the task."""
    TIMEOUT = "timeout"
    """The tool did not obey its time limit."""
    FENCED = "fenced"
    """The lease could not be renewed in time; others may take the task soon."""
    DRAINED = "drained"
    """The worker ends; the task goes back unspent."""


class Flag:
    """A flag that only goes up; plain functions in threads ask it whether they may stop."""

    __slots__ = ("_up",)

    def __init__(self) -> None:
        self._up = False

    def set(self) -> None:
        """Raise it."""
        self._up = True

    def is_set(self) -> bool:
        """Tell whether it is up."""
        return self._up


@dataclass(slots=True, eq=False)
class Held:
    """One held task.

    Attributes:
        task: The task.
        claimed_at: `time.monotonic()` before the claim was sent.
        leased_at: `time.monotonic()` before the claim or the latest renewal was sent.
        started_at: `time.monotonic()` when its run began; 0 = not yet.
        overdue_at: `time.monotonic()` when the run counts as hanging.
        has_begun: Whether the run took its first step; before that it can't be cancelled.
        may_be_settled: Whether its tool may have stored the end by itself.
        has_note: Whether its row holds progress that a failure must not overwrite.
        work: The run, while there is one.
        fate: Why it was stopped, if it was.
        stop: Tells plain functions that nobody waits for them.
        thread: Done when a plain function returns that went on after its run; None = none did.
    """

    task: ClaimedTask
    leased_at: float
    claimed_at: float = 0.0
    started_at: float = 0.0
    overdue_at: float = math.inf
    has_begun: bool = False
    has_note: bool = False
    may_be_settled: bool = False
    work: asyncio.Task[None] | None = None
    fate: Fate | None = None
    stop: Flag = field(default_factory=Flag)
    thread: asyncio.Future[Any] | None = None

    @property
    def still_runs(self) -> bool:
        """Whether a thread of it goes on although nobody waits for it."""
        return self.thread is not None and not self.thread.done()

    def left_running(self, thread: asyncio.Future[Any]) -> None:
        """Note that a thread goes on; see `thread`."""
        self.thread = thread

    @property
    def key(self) -> tuple[str, int]:
        """Task and attempt: after a lapse this worker may hold a later attempt of the same task."""
        return self.task.id, self.task.attempts


class Ledger:
    """Held tasks by id, of each the latest attempt. Written by the event loop alone; the renewing
    thread reads copies.

    Args:
        capacity: How many may be held: running, prefetched, and finished but not yet written.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._held: dict[str, Held] = {}

    def __len__(self) -> int:
        """Count what is held."""
        return len(self._held)

    def __contains__(self, task_id: str) -> bool:
        """Tell whether a task is held."""
        return task_id in self._held

    @property
    def free(self) -> int:
        """How many more may be claimed."""
        return self.capacity - len(self._held)

    def add(self, held: Held) -> None:
        """Enter a claimed task, in place of an earlier attempt."""
        self._held[held.task.id] = held

    def get(self, task_id: str) -> Held | None:
        """Return a held task."""
        return self._held.get(task_id)

    def find(self, task_id: str, attempts: int) -> Held | None:
        """Return a held task, if it is this attempt that is held."""
        held = self._held.get(task_id)
        return held if held is not None and held.task.attempts == attempts else None

    def remove(self, task_id: str, attempts: int) -> Held | None:
        """Forget an attempt that is no longer ours; a later one stays."""
        held = self.find(task_id, attempts)
        if held is not None:
            del self._held[task_id]
        return held

    def snapshot(self) -> list[Held]:
        """Return what is held now; safe from any thread, as copying a dict is one step."""
        return list(self._held.copy().values())
