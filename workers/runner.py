"""The slots: starts prefetched tasks as slots get free, and stops the ones that may not go on."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, cast

from seedcore.agent import envelope
from seedcore.agent.executor import HostLost, Outcome, TaskExecutor, time_limit
from seedcore.config.settings import Settings
from seedcore.errors import SeedcoreError
from seedcore.pkg.enactment import Verdict
from seedcore.telemetry import logs
from workers.ledger import Fate, Held
from workers.policy import TaskPolicy

log = logging.getLogger(__name__)

_GRACE_S = 0.5
"""The executor ends a call at its limit and knows what that means for the task; only a run that
hangs beyond it is ended from here."""

Finished = Callable[[Held, Outcome | None], None]
Lapse = Callable[[Held], Awaitable[bool]]
StoreProgress = Callable[[Held, str], "asyncio.Future[bool]"]


class Runner:
    """Runs up to `concurrency` tasks on the event loop.

    Args:
        executor: Runs one task.
        settings: Concurrency and time limits.
        finished: Called with every run's end; None as outcome when it was stopped from outside.
        owner: Who holds the leases.
        may_start: Tells whether there is room for more outcomes.
        lapse: Ends the lease of a task whose host is gone; tells whether it was ours.
        store_progress: Stores a document in the result of a running task, under the fence.
        policy: Is asked about each task before it runs, while a policy is active; None = nobody is.
    """

    def __init__(
        self,
        executor: TaskExecutor,
        settings: Settings,
        *,
        finished: Finished,
        store_progress: StoreProgress,
        owner: str = "",
        may_start: Callable[[], bool] = lambda: True,
        lapse: Lapse | None = None,
        policy: TaskPolicy | None = None,
    ) -> None:
        self._executor = executor
        self._settings = settings
        self._finished = finished
        self._store_progress = store_progress
        self._owner = owner
        self._may_start = may_start
        self._lapse = lapse
        self._policy = policy
        self._must_consent = settings.pkg_mode == "control"
        self._concurrency = settings.dispatcher_concurrency
        self.ready: deque[Held] = deque()
        self.running: dict[tuple[str, int], Held] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits for a slot."""
        return not self.running and not self.ready

    @property
    def has_free_slot(self) -> bool:
        """Whether a slot is free that nothing prefetched will fill."""
        return not self.ready and len(self.running) < self._concurrency

    def add(self, held: Iterable[Held]) -> None:
        """Take on claimed tasks, in the order in which they are to start; see `start`."""
        self.ready.extend(held)

    def take_ready(self, before: float = math.inf) -> list[Held]:
        """Hand out what has not started, for giving it back.

        Args:
            before: Only what was claimed before this `time.monotonic()`.
        """
        waiting: list[Held] = []
        while self.ready and self.ready[0].claimed_at < before:
            waiting.append(self.ready.popleft())
        return waiting

    def take_surplus(self, kept: int, before: float) -> list[Held]:
        """Hand out what is ready beyond a number, the last ones first, for giving it back.

        Args:
            kept: How many stay beside those that have a free slot.
            before: Only what was claimed before this `time.monotonic()`.
        """
        surplus: list[Held] = []
        kept += self._concurrency - len(self.running)
        while len(self.ready) > kept and self.ready[-1].claimed_at < before:
            surplus.append(self.ready.pop())
        return surplus

    def drop(self, held: Held) -> None:
        """Forget a task that has not started and is no longer ours."""
        if held.work is None:
            self.ready.remove(held)

    def stop(self, held: Held, fate: Fate) -> None:
        """End the work on a running task; its end is reported like any other."""
        if held.fate is None and held.work is not None:
            held.fate = fate
            held.stop.set()
            # Cancelling a run before its first step would end it without its clean-up.
            if held.has_begun:
                held.work.cancel()

    def stop_overdue(self) -> None:
        """End runs that hang beyond their limit. One sweep costs less than a timer per task."""
        now = time.monotonic()
        for held in list(self.running.values()):
            if now >= held.overdue_at:
                self.stop(held, Fate.TIMEOUT)

    def start(self) -> None:
        """Fill the free slots. Apart from `add`, so that the next round trip can leave before."""
        if not self._may_start():
            return
        loop = asyncio.get_running_loop()
        while self.ready and len(self.running) < self._concurrency:
            held = self.ready.popleft()
            self.running[held.key] = held
            held.started_at = time.monotonic()
            # A task of its own gives each run its own context: what a tool binds there ends with it.
            held.work = loop.create_task(self._run(held))

    async def _run(self, held: Held) -> None:
        outcome: Outcome | None = None
        held.has_begun = True
        try:
            if held.fate is None:
                outcome = await self._attempt(held)
        except asyncio.CancelledError:
            outcome = self._stopped(held)
        except HostLost as lost:
            outcome = await self._host_lost(held, lost)
        except Exception as error:  # the executor promises not to; one broken run stays one
            log.exception("A run broke", extra={"event": "task.broke", "task_id": held.task.id})
            outcome = _cut_off(held, "internal", envelope.error_text(error))
        finally:
            del self.running[held.key]
            self._finished(held, outcome)
            self.start()

    async def _attempt(self, held: Held) -> Outcome:
        task = held.task
        logs.bind(task_id=task.id, attempt=task.attempts)
        try:
            params = json.loads(task.params_json)
            task.result = json.loads(task.result_json) if task.result_json else None
        except (ValueError, RecursionError) as error:
            return failure(held, "bad_payload", f"the payload can't be read: {error}")
        if type(params) is not dict:
            return failure(held, "bad_payload", "params is not a JSON object")
        task.params = cast("dict[str, Any]", params)
        deadline = held.started_at + time_limit(task.params, self._settings)
        held.overdue_at = deadline + _GRACE_S

        async def keep(records: Sequence[envelope.Record]) -> bool:
            document = json.dumps(envelope.progress(task.id, records), ensure_ascii=False)
            return await self._store_progress(held, document)

        verdict: Verdict | None = None
        if self._policy is not None and self._policy.is_active:
            verdict = await self._policy.consult(task)
            refused = self._refused(held, verdict)
            if refused is not None:
                return refused
            task.snapshot_id = verdict.snapshot_id
        outcome = await self._executor.run(
            task,
            deadline=deadline,
            on_progress=keep,
            cancelled=held.stop,
            settling=_Settling(self._owner, held),
            left_running=held.left_running,
        )
        if verdict is not None and verdict.children and outcome.error_type == "no_executor":
            return _handed_on(held, verdict)
        return outcome

    def _refused(self, held: Held, verdict: Verdict) -> Outcome | None:
        """Return the outcome of a task that policy stops; None when it may run."""
        if not verdict.holds:
            return failure(held, "lease_expired", "the lease was lost before policy could act")
        if verdict.error is not None:
            log.warning(
                "Policy could not be evaluated",
                extra={
                    "event": "pkg.failed",
                    "task_id": held.task.id,
                    "snapshot_id": verdict.snapshot_id,
                    "error": verdict.error,
                },
            )
        if not self._must_consent:
            return None
        if verdict.error is not None:
            said = f"policy could not be evaluated: {verdict.error}"
            return failure(held, "policy_error", said, retryable=True)
        if verdict.denied:
            return failure(
                held, "policy_denied", f"policy denies it (snapshot {verdict.snapshot_id})"
            )
        if not verdict.matched:
            return failure(
                held,
                "policy_denied",
                f"no rule of policy allows it (snapshot {verdict.snapshot_id})",
            )
        return None

    async def _host_lost(self, held: Held, lost: HostLost) -> Outcome | None:
        """End an attempt that nobody knows the end of.

        A call that is made at most once is not made again. Otherwise the lease lapses now, as it would if
        this whole worker were gone: the attempt is not spent, and a task that takes every host with it
        ends as failed in the end.
        """
        if not lost.was_begun:
            held.fate = Fate.DRAINED
            return None
        if held.has_note:
            return _cut_off(held, "lease_expired", str(lost))
        try:
            is_over = self._lapse is not None and await self._lapse(held)
        except (SeedcoreError, asyncio.CancelledError) as error:
            log.warning(
                "Could not end a lease",
                extra={"event": "lease.not_ended", "task_id": held.task.id, "error": str(error)},
            )
            is_over = False
        if held.fate is None:
            held.fate = Fate.LOST if is_over else Fate.DRAINED
        return None

    def _stopped(self, held: Held) -> Outcome | None:
        if held.fate is None:
            # Nobody here asked for it.
            return _cut_off(held, "internal", "the run was cancelled from inside")
        if held.fate is Fate.TIMEOUT:
            seconds = time.monotonic() - held.started_at
            return _cut_off(held, "timeout", f"still running after {seconds:.1f} s")
        return None


class _Settling:
    """A held lease, for a tool that completes its task by itself."""

    __slots__ = ("_held", "owner")

    def __init__(self, owner: str, held: Held) -> None:
        self.owner = owner
        self._held = held

    def begun(self) -> None:
        """Note that the database must be asked how the task ended."""
        self._held.may_be_settled = True

    def noted(self) -> None:
        """Note that the row may hold a start mark, stored by whoever runs the task elsewhere."""
        self._held.has_note = True


def _cut_off(held: Held, error_type: str, error: str) -> Outcome:
    """Build the outcome of an attempt whose records are lost, because its executor was.

    With a start mark in its row, another attempt would find a call that may have been made.
    """
    if held.has_note:
        return failure(
            held, "outcome_unknown", f"{error}; a call that is made at most once had begun"
        )
    return failure(held, error_type, error, retryable=True)


def _handed_on(held: Held, verdict: Verdict) -> Outcome:
    """Build the outcome of a task that has no work of its own: the tasks that policy called for do it."""
    seconds = time.monotonic() - held.started_at
    document = envelope.build(
        task_id=held.task.id,
        task_type=held.task.type,
        attempt=held.task.attempts,
        records=(),
        started_at=time.time() - seconds,
        latency_ms=round(seconds * 1000, 3),
    )
    document["decision_kind"], document["flow"], document["path"] = (
        "planner",
        "escalated",
        "escalated",
    )
    document["payload"] = {
        "plan_source": "pkg",
        "snapshot_id": verdict.snapshot_id,
        "children": list(verdict.children),
    }
    return Outcome(
        success=True, envelope=document, document=json.dumps(document, ensure_ascii=False)
    )


def failure(held: Held, error_type: str, error: str, *, retryable: bool = False) -> Outcome:
    """Build the outcome of an attempt that failed around its tools, not in them."""
    seconds = time.monotonic() - held.started_at
    text = envelope.storable(error)
    document = envelope.build(
        task_id=held.task.id,
        task_type=held.task.type,
        attempt=held.task.attempts,
        records=(),
        started_at=time.time() - seconds,
        latency_ms=round(seconds * 1000, 3),
        error=text,
        error_type=error_type,
        retry=retryable,
    )
    return Outcome(
        success=False,
        envelope=document,
        document=json.dumps(document, ensure_ascii=False),
        error=text,
        error_type=error_type,
        retryable=retryable,
    )
