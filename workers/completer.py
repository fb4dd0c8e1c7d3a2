"""Outcomes on their way to the database: buffered, written together, settled by its answer.

A batch whose round trip failed is kept and sent again with the same fence, so nothing is written
twice and nothing is lost while the lease holds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seedcore.agent import envelope
from seedcore.agent.executor import Outcome
from seedcore.config.settings import Settings
from seedcore.task.exchange import Answer, Batch, ClaimedTask, Failure, Lease, Note, Success
from seedcore.telemetry import logs
from workers.ledger import Fate, Held, Ledger
from workers.lingering import Lingering
from workers.metrics import Metrics
from workers.options import renewal_interval_s
from workers.prefetch import Prefetch
from workers.runner import failure
from workers.tally import Tally

log = logging.getLogger(__name__)

_IDLE_FLUSH_S = 0.002
_ERROR_SHOWN = 300
_LOCKED_S = 2.0
"""How long a write waits whose row somebody keeps locked; claims and other writes go on meanwhile."""
_TRIP_CHARS = 16 * 1024 * 1024
"""Results that one round trip carries."""
_FULL_CHARS = 64 * 1024 * 1024
"""Results that may wait here; beyond that nothing is claimed, nor started."""


@dataclass(slots=True, eq=False)
class Finished:
    """An ended run that the database does not know of yet."""

    held: Held
    outcome: Outcome
    item: Success | Failure
    seconds: float

    @property
    def size(self) -> int:
        """Characters of its result."""
        return len(self.item.result_json or "")


@dataclass(slots=True)
class Shipment:
    """What one round trip carries out of the buffer."""

    finished: list[Finished] = field(default_factory=list[Finished])
    notes: list[tuple[Note, asyncio.Future[bool]]] = field(
        default_factory=list["tuple[Note, asyncio.Future[bool]]"]
    )
    returned: list[Lease] = field(default_factory=list[Lease])
    asked: list[tuple[Held, Outcome | None]] = field(
        default_factory=list["tuple[Held, Outcome | None]"]
    )

    def __len__(self) -> int:
        """Count the writes, and the questions about them."""
        return len(self.finished) + len(self.notes) + len(self.returned) + len(self.asked)

    def batch(self) -> Batch:
        """Return it as the engine wants it."""
        items = [finished.item for finished in self.finished]
        return Batch(
            successes=[item for item in items if isinstance(item, Success)],
            failures=[item for item in items if isinstance(item, Failure)],
            notes=[note for note, _ in self.notes],
            returned=self.returned,
            asked=[Lease(*held.key) for held, _ in self.asked],
        )


class Completer:
    """The buffer between the slots and the database.

    Args:
        ledger: What is held; tasks leave it here.
        settings: When and how much to write, and size limits.
        metrics: Counted here, when the database has answered.
        tally: Counted likewise, for the run's summary.
        nudge: Wakes whoever sends.
        prefetch: Learns the run times.
        is_idle: Tells whether nothing runs any more, so that waiting for company is pointless.
        has_ready: Tells whether something waits for a slot, so that company will come.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        *,
        metrics: Metrics,
        tally: Tally,
        nudge: Callable[[], None],
        prefetch: Prefetch,
        is_idle: Callable[[], bool],
        has_ready: Callable[[], bool],
    ) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._tally = tally
        self._nudge = nudge
        self._prefetch = prefetch
        self._is_idle = is_idle
        self._has_ready = has_ready
        self._most = settings.dispatcher_flush_n
        self._least = min(settings.claim_batch_size, self._most)
        self._patience_s = settings.dispatcher_flush_ms / 1000
        self._result_max = settings.dispatcher_result_max_bytes or settings.result_max_bytes
        self._finished: deque[Finished] = deque()
        self._notes: deque[tuple[Note, asyncio.Future[bool]]] = deque()
        self._returned: deque[Lease] = deque()
        self._asked: deque[tuple[Held, Outcome | None]] = deque()
        self._locked: deque[tuple[float, Shipment]] = deque()
        self.lingering = Lingering(nudge, renewal_interval_s(settings))
        self._chars = 0
        self._oldest_at = 0.0
        self._one_by_one = 0
        self._reports: list[tuple[ClaimedTask, str, float, dict[str, Any]]] = []

    def __len__(self) -> int:
        """Count what waits to be written."""
        waiting = len(self._finished) + len(self._notes) + len(self._returned) + len(self._asked)
        waiting += sum(len(shipment) for _, shipment in self._locked)
        return waiting + len(self.lingering)

    @property
    def next_finished(self) -> int:
        """How many held tasks the next round trip will settle, at least."""
        if self._locked and self._locked[0][0] <= time.monotonic():
            return 0
        if self._chars > _TRIP_CHARS:
            return min(len(self._finished), 1)
        return min(len(self._finished), 1 if self._one_by_one else self._most)

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be written that nothing may be added."""
        return self._chars >= _FULL_CHARS

    @property
    def _enough(self) -> int:
        """How many are worth a round trip: a quarter of what is held, so that three run meanwhile."""
        return max(self._least, min(self._ledger.capacity // 4, self._most))

    # -- what comes in ------------------------------------------------------------------------

    def finish(self, held: Held, outcome: Outcome | None) -> None:
        """Take on a run's end; None = it was stopped from outside, for `held.fate`."""
        if held.may_be_settled:
            # Its tool may have stored the end itself, whatever came after.
            self._asked.append((held, outcome))
            self._nudge()
            return
        self.lingering.ended(held, is_lost=held.fate in (Fate.LOST, Fate.CANCELLED))
        if outcome is None:
            self._stopped(held)
            return
        now = time.monotonic()
        item = self._item(held, outcome)
        if not self._finished:
            self._oldest_at = now
            asyncio.get_running_loop().call_later(min(_IDLE_FLUSH_S, self._patience_s), self._nudge)
        seconds = now - held.started_at
        self._prefetch.ended(seconds)
        finished = Finished(held, outcome, item, seconds)
        self._chars += finished.size
        self._finished.append(finished)
        if len(self._finished) >= self._enough or self._is_idle():
            self._nudge()

    def note(self, held: Held, document: str) -> asyncio.Future[bool]:
        """Store a running task's progress; the future tells whether the lease still held."""
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        held.has_note = True
        self._notes.append((Note(held.task.id, held.task.attempts, document), stored))
        self._nudge()
        return stored

    def give_back(self, held: Held) -> None:
        """Return a task whose attempt was not made."""
        self._returned.append(Lease(held.task.id, held.task.attempts))
        self._nudge()

    def give_back_unknown(self, leases: Sequence[Lease]) -> None:
        """Return leases that the database says are ours and that never reached us."""
        self._returned.extend(leases)

    def _stopped(self, held: Held) -> None:
        if held.fate in (Fate.FENCED, Fate.DRAINED):
            self.give_back(held)
            return
        self._ledger.remove(*held.key)
        outcome = "cancelled" if held.fate is Fate.CANCELLED else "lost"
        if held.fate is Fate.CANCELLED:
            self._metrics.cancelled.inc()
            self._tally.cancelled += 1
        else:
            self._metrics.discarded.inc()
        self._report(held, outcome, time.monotonic() - held.started_at)
        self._nudge()

    def _item(self, held: Held, outcome: Outcome) -> Success | Failure:
        task = held.task
        document = outcome.document
        # A text of n characters has at most 4n bytes; most results are far from the limit.
        if len(document) * 4 > self._result_max:
            size = len(document.encode())
            if size > self._result_max:
                document = _truncated(outcome.envelope, size)
                self._metrics.truncated.inc()
        if outcome.success:
            return Success(task.id, task.attempts, document)
        reason = f"{outcome.error_type}: {outcome.error}"
        is_ours = outcome.envelope.get("flow") == "error"
        return Failure(
            task.id,
            task.attempts,
            envelope.storable(reason),
            None if held.has_note and is_ours else document,
            outcome.retryable,
            outcome.delay_s,
        )

    # -- what goes out ------------------------------------------------------------------------

    def is_due(self) -> bool:
        """Tell whether it is time to write."""
        return self.due_in_s() <= 0

    def due_in_s(self) -> float:
        """Return the seconds until it is time to write, if nothing else ends; infinity for never."""
        locked_s = self._locked[0][0] - time.monotonic() if self._locked else math.inf
        return min(locked_s, self._free_due_in_s(), self.lingering.due_in_s())

    def _free_due_in_s(self) -> float:
        if self._notes or self._returned or self._asked:
            return 0.0
        if not self._finished:
            return math.inf
        if len(self._finished) >= self._enough or self._chars >= _TRIP_CHARS or self._is_idle():
            return 0.0
        # Company comes soon only while something waits for a slot.
        patience = self._patience_s if self._has_ready() else min(_IDLE_FLUSH_S, self._patience_s)
        return self._oldest_at + patience - time.monotonic()

    def take(self) -> Shipment:
        """Take what the next round trip carries out of the buffer."""
        if self._locked and self._locked[0][0] <= time.monotonic():
            # Alone: it may be locked still.
            return self._locked.popleft()[1]
        most = self._most
        if self._one_by_one > 0:
            self._one_by_one -= 1
            most = 1
        shipment = Shipment()
        left = _TRIP_CHARS
        while self._finished and len(shipment) < most and left > 0:
            finished = self._finished.popleft()
            left -= finished.size
            shipment.finished.append(finished)
        for waiting, chosen in (
            (self._notes, shipment.notes),
            (self._returned, shipment.returned),
            (self._asked, shipment.asked),
        ):
            while waiting and len(shipment) < most:
                chosen.append(waiting.popleft())  # pyright: ignore[reportArgumentType]
        self._oldest_at = time.monotonic()
        return shipment

    def restore(self, shipment: Shipment) -> None:
        """Put a shipment back that did not arrive, in its old order."""
        self._finished.extendleft(reversed(shipment.finished))
        self._notes.extendleft(reversed(shipment.notes))
        self._returned.extendleft(reversed(shipment.returned))
        self._asked.extendleft(reversed(shipment.asked))

    def postpone(self, shipment: Shipment) -> None:
        """Send a shipment again, each write alone, and the locked one later: somebody has its row."""
        if len(shipment) > 1:
            self.restore(shipment)
            self._one_by_one = len(shipment)
        else:
            self._locked.append((time.monotonic() + _LOCKED_S, shipment))

    def refused(self, shipment: Shipment, error: str) -> None:
        """Deal with a shipment that the database will not have, whatever the connection.

        One bad document must not hold up the others: from several, each is sent alone; a single one
        is replaced by a failure that says so.
        """
        if len(shipment) > 1:
            self.restore(shipment)
            self._one_by_one = len(shipment)
            return
        for finished in shipment.finished:
            task = finished.held.task
            log.error(
                "The database refused an outcome",
                extra={"event": "task.result_refused", "task_id": task.id, "error": error},
            )
            if finished.item == _refused(task.id, task.attempts, error):
                self._ledger.remove(*finished.held.key)
                continue
            self._chars -= finished.size
            finished.item = _refused(task.id, task.attempts, error)
            self._finished.appendleft(finished)
        for _, stored in shipment.notes:
            if not stored.done():
                stored.set_result(False)
        for lease in shipment.returned:
            self._ledger.remove(lease.id, lease.attempts)
        self._asked.extend(shipment.asked)

    def settle(self, shipment: Shipment, answer: Answer) -> None:
        """Draw the consequences of the database's answer."""
        self._metrics.completed.inc(len(answer.completed))
        self._tally.completed += len(answer.completed)
        for finished in shipment.finished:
            self._chars -= finished.size
            task = finished.held.task
            # Answers name tasks only; with a later attempt here, they are about that one.
            latest = self._ledger.get(task.id)
            is_ours = latest is None or latest is finished.held
            self._ledger.remove(*finished.held.key)
            if is_ours and task.id in answer.completed:
                self._ended(finished, "completed")
            elif is_ours and task.id in answer.decided:
                status, delay_s = answer.decided[task.id]
                self._failed(finished, status, delay_s)
            else:
                self._metrics.discarded.inc()
                self._ended(finished, "lost")
                self.lingering.ended(finished.held, is_lost=True)
        for note, stored in shipment.notes:
            if not stored.done():
                stored.set_result(note.id in answer.noted)
        for lease in shipment.returned:
            held = self._ledger.remove(lease.id, lease.attempts)
            is_ours = lease.id in answer.returned
            if is_ours:
                self._metrics.returned.inc()
                self._tally.returned += 1
            elif held is None or not held.still_runs:
                self.lingering.stopped(lease)
            if held is not None and held.started_at:
                seconds = time.monotonic() - held.started_at
                self._report(held, "returned" if is_ours else "lost", seconds)
        for held, outcome in shipment.asked:
            self._settled(held, outcome, answer.ends.get(held.task.id, ("", None))[0])

    def _settled(self, held: Held, outcome: Outcome | None, status: str) -> None:
        """Draw the consequences of a call of `complete_in`: did its transaction commit?"""
        if status == "completed":
            self._ledger.remove(*held.key)
            self._metrics.completed.inc()
            self._tally.completed += 1
            self._report(held, "completed", time.monotonic() - held.started_at)
            return
        held.may_be_settled = False
        if outcome is not None and outcome.success and status == "running":
            outcome = failure(
                held,
                "tool_error",
                "complete_in was called, but its transaction was not committed",
                retryable=True,
            )
        self.finish(held, outcome)

    def settle_unknown(
        self, shipment: Shipment, ends: Mapping[str, tuple[str, str | None]]
    ) -> Shipment:
        """Settle what arrived although the answer got lost, and return the rest of the shipment.

        Args:
            shipment: What was sent when the connection broke.
            ends: Id → (status, error) of attempts that are still the latest of their task. A final
                status of our own attempt can only be our own doing, but for the reaper's.
        """
        answer = Answer(
            completed=frozenset(
                finished.item.id
                for finished in shipment.finished
                if isinstance(finished.item, Success)
                and ends.get(finished.item.id, ("", None))[0] == "completed"
            ),
            decided={
                finished.item.id: (ends[finished.item.id][0], None)
                for finished in shipment.finished
                if isinstance(finished.item, Failure)
                and finished.item.id in ends
                and ends[finished.item.id]
                in (
                    ("retry", finished.item.reason),
                    ("failed", finished.item.reason),
                )
            },
        )
        known = answer.completed | answer.decided.keys()
        arrived = Shipment(finished=[f for f in shipment.finished if f.item.id in known])
        self.settle(arrived, answer)
        return Shipment(
            finished=[f for f in shipment.finished if f.item.id not in known],
            notes=shipment.notes,
            returned=shipment.returned,
            asked=shipment.asked,
        )

    # -- what is told -------------------------------------------------------------------------

    def _failed(self, finished: Finished, status: str, delay_s: float | None) -> None:
        if status == "retry":
            self._metrics.retried.inc()
            self._tally.retried += 1
            extra = {} if delay_s is None else {"retry_in_s": round(delay_s, 3)}
            self._ended(finished, "retry", **extra)
        else:
            self._metrics.failed.inc()
            self._tally.failed += 1
            self._ended(finished, status)

    def _ended(self, finished: Finished, outcome: str, **extra: Any) -> None:
        if finished.outcome.error_type is not None:
            extra["error_type"] = finished.outcome.error_type
            extra["error"] = (finished.outcome.error or "")[:_ERROR_SHOWN]
        self._report(finished.held, outcome, finished.seconds, **extra)

    def _report(self, held: Held, outcome: str, seconds: float, **extra: Any) -> None:
        self._reports.append((held.task, outcome, seconds, extra))

    def report(self) -> None:
        """Write the one canonical line of each attempt that was settled since the last call.

        Apart from settling, so that it can be done while the database works on the next batch.
        """
        reports, self._reports = self._reports, []
        for task, outcome, seconds, extra in reports:
            self._metrics.finished(task.type, outcome, seconds)
            logs.emit(
                log,
                logging.INFO,
                "Finished an attempt",
                event="task.finished",
                task_id=task.id,
                attempt=task.attempts,
                type=task.type,
                outcome=outcome,
                duration_ms=round(seconds * 1000, 3),
                queue_wait_ms=round(task.wait_s * 1000, 3),
                **extra,
            )


def _truncated(document: dict[str, Any], size: int) -> str:
    """Return the envelope with a mark in place of its payload."""
    cut = {
        **document,
        "payload": {"_truncated": True, "original_size": size, "truncated_at": logs.utc_now()},
    }
    return json.dumps(cut, ensure_ascii=False)


def _refused(task_id: str, attempts: int, error: str) -> Failure:
    return Failure(
        task_id,
        attempts,
        envelope.storable(f"bad_result: the database refused the result: {error}"),
        None,
        retryable=False,
        delay_s=None,
    )
