"""The worker's own small duties, on one tick: time limits, fencing, memory, logs, signs of life."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from pathlib import Path

from seedcore.task.exchange import Lease
from seedcore.task.lease import Lost
from seedcore.telemetry import logs
from workers.gate import Veto
from workers.ledger import Fate, Held
from workers.metrics import resident_bytes
from workers.options import silence_s
from workers.parts import Parts
from workers.prefetch import SURPLUS_S
from workers.renewer import SAFE_SHARE

log = logging.getLogger(__name__)

_BUSY_TICK_S = 0.1
_IDLE_TICK_S = 0.5
_SLOW_DUTIES_S = 1.0
_TEXTFILE_S = 15.0
_ANSWER_S = 20.0
"""Longest round trip to the database; see `Engine`."""


class Housekeeper:
    """Looks after one worker from its event loop.

    Args:
        parts: The worker.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        settings = parts.settings
        self._let_go_after_s = SAFE_SHARE * silence_s(settings)
        self._memory_limit = settings.dispatcher_memory_soft_limit_mb * 1024 * 1024
        self._collected_at = 0
        self._slow_at = 0.0
        self._textfile_at = 0.0
        self._alive_at = 0.0
        self._fenced_at: float | None = None
        self._has_told_stall = False
        self.stall_after_s = settings.dispatcher_poll_interval_s + _ANSWER_S + 10.0

    @property
    def is_progressing(self) -> bool:
        """Whether the main loop still goes round."""
        return time.monotonic() - self._parts.claimer.last_round_at < self.stall_after_s

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(_IDLE_TICK_S if self._parts.runner.is_idle else _BUSY_TICK_S)
            self.tick()

    def tick(self) -> None:
        """Do everything that is due."""
        parts, now = self._parts, time.monotonic()
        parts.runner.stop_overdue()
        self._look_after_held(now)
        self._fence(now)
        self._update_gauges()
        self._collect()
        if now - self._slow_at >= _SLOW_DUTIES_S:
            self._slow_at = now
            self._watch_memory()
            self._show_life(now)
            self._recycle()
            if parts.options.metrics_textfile and now - self._textfile_at >= _TEXTFILE_S:
                self._textfile_at = now
                self.write_textfile()
        logs.flush()

    # -- leases -------------------------------------------------------------------------------

    def lost(self, leases: list[Lost]) -> None:
        """Stop working on tasks that the database says are no longer ours."""
        parts = self._parts
        for lease in leases:
            held = parts.ledger.find(lease.id, lease.attempts)
            if held is None or held.fate is not None:
                continue
            if held.may_be_settled and lease.status == "completed":
                continue  # by its own tool, which is about to return
            fate = Fate.CANCELLED if lease.status == "cancelled" else Fate.LOST
            if held.key in parts.runner.running:
                parts.runner.stop(held, fate)
                parts.completer.lingering.stopping(held)
            elif held in parts.runner.ready:
                parts.runner.drop(held)
                parts.ledger.remove(*held.key)
                parts.completer.lingering.stopped(Lease(*held.key))
            else:
                continue  # its outcome is on the way; the fence decides
            if fate is Fate.LOST:
                parts.metrics.lease_lost.inc()
                log.warning(
                    "Lost a lease",
                    extra={"event": "lease.lost", "task_id": lease.id, "status": lease.status},
                )

    def _fence(self, now: float) -> None:
        """Let go of tasks whose lease could not be renewed, before others may take them."""
        parts = self._parts
        endangered = [
            held
            for held in parts.ledger.snapshot()
            if held.fate is None
            and now - held.leased_at >= self._let_go_after_s
            and self._is_unfinished(held)
        ]
        if endangered:
            self._fenced_at = now
            parts.gate.close(Veto.FENCED)
            parts.metrics.lease_lost.inc(len(endangered))
            log.error(
                "Could not renew leases in time, so let the tasks go",
                extra={"event": "lease.fenced", "count": len(endangered)},
            )
            for held in endangered:
                if held.work is None:
                    parts.runner.drop(held)
                    held.fate = Fate.FENCED
                    parts.completer.give_back(held)
                else:
                    parts.runner.stop(held, Fate.FENCED)
        elif self._fenced_at is not None and parts.link.is_up and not parts.renewer.is_failing:
            self._fenced_at = None
            parts.gate.lift(Veto.FENCED)

    def _is_unfinished(self, held: Held) -> bool:
        runner = self._parts.runner
        return held.key in runner.running or held in runner.ready

    def _look_after_held(self, now: float) -> None:
        """Hold less when runs take long, and give back what has waited for a slot for too long."""
        parts = self._parts
        parts.prefetch.look([now - held.started_at for held in parts.runner.running.values()])
        ttl_s = parts.prefetch.ttl_s
        if ttl_s is None:
            return
        waited = parts.runner.take_ready(before=now - ttl_s)
        # Claimed while runs were thought to be short; other workers may have nothing to do.
        waited += parts.runner.take_surplus(parts.prefetch.now, before=now - SURPLUS_S)
        for held in waited:
            parts.completer.give_back(held)
        if waited:
            log.info(
                "Gave back tasks that waited too long for a slot",
                extra={"event": "task.held_too_long", "count": len(waited)},
            )

    # -- memory -------------------------------------------------------------------------------

    def _collect(self) -> None:
        every = self._parts.settings.dispatcher_force_gc_every_n
        claimed = self._parts.tally.claimed
        if every > 0 and claimed - self._collected_at >= every:
            self._collected_at = claimed
            gc.collect()

    def _watch_memory(self) -> None:
        if not self._memory_limit:
            return
        gate = self._parts.gate
        if resident_bytes() > self._memory_limit:
            gc.collect()
        is_above = resident_bytes() > self._memory_limit
        if is_above and Veto.MEMORY not in gate.vetoes:
            log.warning(
                "Stopped claiming: memory is above the soft limit",
                extra={"event": "worker.memory_high", "rss_bytes": resident_bytes()},
            )
            gate.close(Veto.MEMORY)
        elif not is_above and Veto.MEMORY in gate.vetoes:
            log.info("Claiming again", extra={"event": "worker.memory_ok"})
            gate.lift(Veto.MEMORY)

    def _recycle(self) -> None:
        limit = self._parts.settings.dispatcher_recycle_after_tasks
        if limit > 0 and self._parts.tally.claimed >= limit:
            self._parts.stop.ask("recycle")

    # -- what others see ----------------------------------------------------------------------

    def _update_gauges(self) -> None:
        parts = self._parts
        parts.metrics.inflight.set(len(parts.runner.running))
        parts.metrics.held.set(len(parts.ledger))
        parts.metrics.connections_in_use.set(int(parts.link.in_use))
        parts.metrics.connections_waiting.set(len(parts.completer))
        parts.metrics.threads_abandoned.set(parts.executor.threads_abandoned)

    def _show_life(self, now: float) -> None:
        notifier = self._parts.notifier
        if notifier.watchdog_s is None or now - self._alive_at < notifier.watchdog_s / 3:
            return
        if self.is_progressing:
            self._alive_at = now
            self._has_told_stall = False
            notifier.alive()
        elif not self._has_told_stall:
            self._has_told_stall = True
            log.error("The main loop stands still", extra={"event": "worker.stalled"})
            notifier.stalled()

    def write_textfile(self) -> None:
        """Leave the metrics where a textfile collector finds them."""
        path = self._parts.options.metrics_textfile
        if path:
            try:
                self._parts.metrics.write(Path(path))
            except OSError as error:
                log.warning(
                    "Could not write the metrics file",
                    extra={"event": "metrics.write_failed", "error": str(error)},
                )
