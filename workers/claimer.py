"""The main loop: one round trip writes what has ended and claims what fits, as one transaction."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time

from seedcore.config.settings import Settings
from seedcore.errors import LockBusy, SeedcoreError
from seedcore.task.engine import Engine
from seedcore.task.exchange import Answer, ClaimedTask, Lease
from workers import duplicates
from workers.completer import Completer, Shipment
from workers.floors import Floors
from workers.gate import Gate, Veto
from workers.ledger import Fate, Held, Ledger
from workers.link import Link, backoff_s, blames_data, is_loss
from workers.metrics import Metrics
from workers.nudge import Nudge
from workers.options import Options
from workers.prefetch import Prefetch
from workers.runner import Runner
from workers.tally import Tally

log = logging.getLogger(__name__)

_DECLARATION_S = 20.0
"""An idle worker renews its wish for notifications so often, long before it counts as dead."""


class Claimer:
    """Moves tasks between the database and the slots until nothing is left to move.

    Args:
        link: The connection.
        ledger: What is held.
        runner: The slots.
        completer: Outcomes to be written.
        prefetch: How much is held beside what runs.
        gate: Whether claiming is allowed.
        nudge: What wakes this loop.
        settings: How much to claim and how long to sleep.
        options: When the run ends.
        metrics: Counted here: claims.
        tally: Likewise, for the summary.
        can_listen: Whether notifications can come.
    """

    def __init__(
        self,
        link: Link,
        ledger: Ledger,
        runner: Runner,
        completer: Completer,
        prefetch: Prefetch,
        gate: Gate,
        nudge: Nudge,
        settings: Settings,
        options: Options,
        metrics: Metrics,
        tally: Tally,
        *,
        can_listen: bool,
    ) -> None:
        self._link = link
        self._ledger = ledger
        self._runner = runner
        self._completer = completer
        self._prefetch = prefetch
        self._gate = gate
        self._nudge = nudge
        self._settings = settings
        self._options = options
        self._metrics = metrics
        self._tally = tally
        self._can_listen = can_listen
        # A run that waits for others to end looks more often: nobody notifies it of an end.
        self._longest_pause_s = min(
            settings.dispatcher_poll_interval_s,
            0.25 if options.until_empty or options.once else math.inf,
        )
        self._failures = 0
        self._unknown: Shipment | None = None
        self._must_reconcile = False
        # Looking into the queue.
        self._floors = Floors()
        self._look_at = 0.0
        self._pause_s = settings.empty_sleep_seconds
        self._is_declared = False
        self._declare_again_at = 0.0
        self._empty_in_a_row = 0
        self._busy_in_a_row = 0
        self._may_be_over = False
        self.is_drained = False
        """Whether a bounded run came to its end by itself."""
        self.last_round_at = time.monotonic()
        self.has_given_up = False

    @property
    def is_declared(self) -> bool:
        """Whether submitters are asked for notifications."""
        return self._is_declared

    def wake(self) -> None:
        """Look into the queue now: somebody said there is work."""
        self._look_at = 0.0
        self._nudge()

    def give_up(self) -> None:
        """End the loop although tasks are held: the database can't be told any more."""
        self.has_given_up = True
        self._nudge()

    async def run(self) -> None:
        """Work until the run is over.

        Raises:
            SeedcoreError: The database is lost and `exit_on_db_loss` was asked.
        """
        while not await self._is_over():
            self.last_round_at = time.monotonic()
            if not self._wanted() and not self._completer.is_due() and self._unknown is None:
                self._runner.start()
                self._completer.report()
                await self._nudge.sleep(self._sleep_s())
            elif self._must_reconcile or not self._link.is_up:
                self._runner.start()
                await self._reconnect()
            else:
                await self._round(self._wanted())
        self._completer.report()

    # -- deciding -----------------------------------------------------------------------------

    async def _is_over(self) -> bool:
        if self.has_given_up:
            return True
        if len(self._ledger) or len(self._completer) or self._unknown is not None:
            return False
        if self._gate.is_stopping:
            return True
        if not self._may_be_over:
            return False
        self._may_be_over = False  # asked again after the next empty look
        try:
            if self._options.once:
                self.is_drained = not await self._link.use(Engine.is_due_later)
            elif self._options.until_empty:
                self.is_drained = await self._link.use(Engine.is_drained)
        except SeedcoreError as error:
            await self._lost(error)
        return self.is_drained

    def _wanted(self) -> int:
        """Return how many tasks to claim now."""
        if not self._gate.is_open or self._completer.is_full:
            return 0
        writes = self._completer.is_due()
        if not writes and time.monotonic() < self._look_at:
            return 0
        self._ledger.capacity = self._settings.dispatcher_concurrency + self._prefetch.now
        # What this round trip writes has left the ledger when its claim is made.
        free = self._ledger.free + (self._completer.next_finished if writes else 0)
        if self._options.max_tasks:
            free = min(free, self._options.max_tasks - self._tally.claimed)
        return free if self._is_worth_claiming(free) else 0

    def _is_worth_claiming(self, free: int) -> bool:
        """Tell whether so much room deserves a claim: a batch, or a slot that nothing else fills."""
        least = min(self._settings.claim_batch_size, self._ledger.capacity)
        return free >= least or (free > 0 and self._runner.has_free_slot)

    def _sleep_s(self) -> float:
        """Return how long nothing will happen by itself; whatever happens earlier nudges."""
        longest = min(self._longest_pause_s, max(self._completer.due_in_s(), 0.001))
        if not self._gate.is_open or not self._is_worth_claiming(self._ledger.free):
            return longest
        return min(max(self._look_at - time.monotonic(), 0.001), longest)

    # -- one round trip -----------------------------------------------------------------------

    async def _round(self, wanted: int) -> None:
        shipment = self._completer.take() if self._completer.is_due() else Shipment()
        batch = shipment.batch()
        batch.limit = wanted
        said = self._completer.lingering.say(batch)
        sent_at = time.monotonic()
        if wanted:
            batch.floors = self._floors.choose(sent_at)
            batch.measure = self._floors.wants_measure(batch.floors)
        is_idle_look = wanted > 0 and self._empty_in_a_row > 0 and not len(shipment)
        batch.ask_next = is_idle_look
        stands = self._is_declared and time.monotonic() < self._declare_again_at
        batch.declare = self._can_listen and is_idle_look and not stands
        batch.withdraw = self._is_declared and self._busy_in_a_row >= 2
        try:
            receive = self._link.send(batch)
            # While the database works on that, so do the slots, and there is something to write down.
            self._runner.start()
            self._completer.report()
            answer = await receive()
        except SeedcoreError as error:
            await self._failed(shipment, wanted, error)
            return
        self._back()
        self._completer.settle(shipment, answer)
        self._completer.lingering.heard(said, answer)
        if batch.declare or batch.withdraw:
            self._is_declared = batch.declare
            self._declare_again_at = sent_at + _DECLARATION_S
        # A write without a look may have released tasks that nobody has looked for.
        self._may_be_over = wanted > 0 and not answer.claimed and batch.floors is None
        if wanted:
            self._floors.learn(batch.floors, wanted, answer, sent_at)
            await self._looked(answer, wanted, sent_at, is_scan=batch.floors is None)

    async def _looked(self, answer: Answer, wanted: int, sent_at: float, *, is_scan: bool) -> None:
        if answer.claimed:
            self._empty_in_a_row = 0
            self._pause_s = self._settings.empty_sleep_seconds
            is_full = len(answer.claimed) == wanted
            self._prefetch.claimed(answer.claimed, is_full=is_full)
            self._busy_in_a_row = self._busy_in_a_row + 1 if self._is_declared else 0
            # Short of the limit, the queue was empty just now; the next write looks again.
            self._look_at = 0.0 if is_full else sent_at + self._settings.empty_sleep_seconds
            await self._take_on(answer.claimed, sent_at)
            return
        self._busy_in_a_row = 0
        scan_in_s = math.inf if is_scan else self._floors.scan_in_s(time.monotonic())
        if scan_in_s <= 0:
            self._look_at = 0.0  # nothing behind the floors says nothing of what is below them
            return
        self._empty_in_a_row += 1
        if self._can_listen and not self._is_declared and self._empty_in_a_row == 1:
            self._look_at = 0.0  # once more, now with submitters asked to call
            return
        pause = min(self._pause_s, scan_in_s)
        self._pause_s = min(pause * 2, self._longest_pause_s)
        if answer.next_due_s is not None:
            pause = min(pause, max(answer.next_due_s, self._settings.empty_sleep_seconds))
        self._look_at = time.monotonic() + pause * random.uniform(0.9, 1.0)  # noqa: S311

    async def _take_on(self, claimed: list[ClaimedTask], sent_at: float) -> None:
        held = [Held(task, leased_at=sent_at, claimed_at=sent_at) for task in claimed]
        self._tally.claimed += len(held)
        self._metrics.claimed.inc(len(held))
        for one in held:
            earlier = self._ledger.get(one.task.id)
            if earlier is not None:
                self._supersede(earlier)
            self._ledger.add(one)
            self._metrics.queue_wait.observe(max(one.task.wait_s, 0.0))
        log.debug("Claimed tasks", extra={"event": "task.claimed", "count": len(held)})
        if self._options.max_tasks and self._tally.claimed >= self._options.max_tasks:
            self._gate.close(Veto.LIMIT)
        if self._settings.dispatcher_cancel_duplicates:
            held = await self._without_duplicates(held)
        if Veto.STOPPING in self._gate.vetoes:
            # The claim was on its way when the end began.
            for one in held:
                self._completer.give_back(one)
            return
        self._runner.add(held)

    def _supersede(self, earlier: Held) -> None:
        """Let go of an attempt that lapsed, or was taken back by hand, when its task comes again."""
        if earlier in self._runner.ready:
            self._runner.drop(earlier)
            self._completer.lingering.stopped(Lease(*earlier.key))
        else:
            self._runner.stop(earlier, Fate.LOST)
            self._completer.lingering.stopping(earlier)
        self._metrics.lease_lost.inc()
        log.warning(
            "Lost a lease",
            extra={"event": "lease.lost", "task_id": earlier.task.id, "status": "running"},
        )

    async def _without_duplicates(self, held: list[Held]) -> list[Held]:
        """Cancel equal tasks of one batch but the oldest, naming it."""
        for oldest, others in duplicates.groups([one.task for one in held]):
            reason = f"duplicate of {oldest.id}"
            ids = [task.id for task in others]
            try:
                cancelled = await self._link.use(
                    lambda engine, ids=ids, reason=reason: engine.cancel_own(ids, reason)
                )
            except SeedcoreError as error:
                # Better run an equal task than lose it.
                log.warning(
                    "Could not cancel duplicates",
                    extra={"event": "task.duplicates_kept", "error": error.message},
                )
                continue
            for task in others:
                if task.id in cancelled:
                    self._ledger.remove(task.id, task.attempts)
            self._tally.cancelled += len(cancelled)
        return [one for one in held if one.task.id in self._ledger]

    # -- trouble ------------------------------------------------------------------------------

    async def _failed(self, shipment: Shipment, wanted: int, error: SeedcoreError) -> None:
        self._is_declared = False
        if len(shipment) and blames_data(error):
            self._completer.refused(shipment, error.message)
            return
        if len(shipment) and isinstance(error, LockBusy):
            # Somebody keeps one of the rows locked; the others need not wait for it.
            self._completer.postpone(shipment)
            await asyncio.sleep(0.05)
            return
        # Whether it was stored is unknown; the database is asked before it is sent again.
        if len(shipment):
            self._unknown = shipment
        self._must_reconcile = self._must_reconcile or wanted > 0 or bool(len(shipment))
        await self._lost(error)

    async def _reconnect(self) -> None:
        try:
            await self._link.open()
            if self._must_reconcile:
                await self._reconcile()
        except SeedcoreError as error:
            await self._lost(error)

    async def _reconcile(self) -> None:
        """Find out what became of a round trip whose answer got lost."""
        running = await self._link.use(Engine.own_running)
        orphans = [one for one in running if not self._ledger.find(one.id, one.attempts)]
        if self._unknown is not None:
            leases = [Lease(f.item.id, f.item.attempts) for f in self._unknown.finished]
            ends = await self._link.use(lambda engine: engine.own_ends(leases))
            self._completer.restore(self._completer.settle_unknown(self._unknown, ends))
            self._unknown = None
        self._completer.give_back_unknown(orphans)
        self._must_reconcile = False
        if orphans:
            log.warning(
                "Gave back tasks whose claim never arrived",
                extra={"event": "task.claim_unknown", "count": len(orphans)},
            )

    async def _lost(self, error: SeedcoreError) -> None:
        if self._failures == 0:
            log.warning(
                "Lost the database",
                extra={"event": "db.lost", "error": error.message, "code": error.code},
            )
        if self._options.exit_on_db_loss and is_loss(error):
            raise error
        self._failures += 1
        pause = backoff_s(self._failures)
        # Nudges (outcomes, notifications) must not turn the back-off into a busy loop.
        until = time.monotonic() + pause
        while not self.has_given_up and (left := until - time.monotonic()) > 0:
            self.last_round_at = time.monotonic()
            await self._nudge.sleep(left)

    def _back(self) -> None:
        self._metrics.succeeded()
        if self._failures:
            log.info(
                "The database is back",
                extra={"event": "db.back", "failures": self._failures},
            )
            self._failures = 0
            self._look_at = 0.0
