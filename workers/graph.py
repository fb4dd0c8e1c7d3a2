"""The graph worker: claims tasks of type graph one at a time, and does what they ask for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from seedcore.config.settings import Settings
from seedcore.db.connection import connect, redact
from seedcore.db.whereabouts import Whereabouts
from seedcore.errors import SeedcoreError, Unavailable
from seedcore.graph.store import Conn
from seedcore.graph.tasks.engine import Pool
from seedcore.graph.tasks.failure import GraphTaskFailed
from seedcore.graph.tasks.queue import Claimed, GraphLane
from seedcore.registry.port import Instance
from seedcore.registry.registered import instance_of
from seedcore.telemetry import logs
from workers.graph_attempt import Attempt, Ended
from workers.graph_backfill import Backfill
from workers.graph_metrics import GraphMetrics
from workers.health import HealthServer
from workers.link import backoff_s, blames_data
from workers.listener import Listener
from workers.sdnotify import Notifier
from workers.stop import Stop
from workers.tally import Tally

log = logging.getLogger(__name__)
T = TypeVar("T")

EXIT_DEADLINE, EXIT_TIMEOUT, EXIT_EPOCH_CHANGED = 1, 6, 75

_LAST_WORDS_S = 5.0
_DECLARATION_S = 20.0
_STALL_S = 60.0


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """One run.

    Attributes:
        once: End when nothing is due.
        max_tasks: End after so many claims; 0 = no limit.
        timeout_s: Longest time of a bounded run, in seconds; None = no limit.
        domains: Take only tasks of these domains; empty = all.
        index: Number of this worker on its host, part of its name.
        startup_timeout_s: How long to try to connect at first, in seconds.
        exit_on_epoch_change: Drain and end with 75 instead of following a new epoch.
    """

    once: bool = False
    max_tasks: int = 0
    timeout_s: float | None = None
    domains: tuple[str, ...] = ()
    index: int = 1
    startup_timeout_s: float = 30.0
    exit_on_epoch_change: bool = False

    @property
    def is_bounded(self) -> bool:
        """Whether the run ends by itself, and so has a summary."""
        return self.once or self.max_tasks > 0


def run(settings: Settings, options: GraphOptions) -> tuple[dict[str, Any] | None, int]:
    """Work until told to stop; return the summary of a bounded run and the exit code.

    Raises:
        SeedcoreError: The database can't be used at the start.
    """
    worker = GraphWorker(settings, options)
    with asyncio.Runner() as runner:
        ended = runner.run(worker.run())
        if worker.is_stuck:
            # An encoder goes on after being stopped; the interpreter would wait for its thread.
            logs.flush()
            os._exit(ended[1])
    return ended


class GraphWorker:
    """One worker.

    Args:
        settings: What holds for all.
        options: This run.
        instance: How it reports to the runtime registry. Default: as the settings say.
    """

    def __init__(
        self, settings: Settings, options: GraphOptions, *, instance: Instance | None = None
    ) -> None:
        self._settings = settings
        self._options = options
        self._name = f"graph@{socket.gethostname()}-{options.index}"
        self._instance = instance or instance_of(
            settings,
            self._name,
            may_beat=lambda: self.is_live,
            on_epoch=self._epoch_changed,
            on_drain=lambda: self._ask_to_stop("asked to drain"),
        )
        self._owner = f"{self._name}@{self._instance.instance_id.hex[:8]}"
        self._conninfo = Whereabouts(settings, f"seedcore worker {self._name}")
        self._pool = Pool(self._conninfo, settings)
        self._lane = GraphLane(self._owner, self._name, settings, options.domains)
        self._metrics = GraphMetrics(self._name)
        self._tally = Tally()
        self._stop = Stop()
        self._notifier = Notifier()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._called = asyncio.Event()
        self._attempt: Attempt | None = None
        self._failures = 0
        self._last_error: str | None = None
        self._declared_at = float("-inf")
        self._turned_at = self._began = time.monotonic()
        self.is_stuck = False

    async def run(self) -> tuple[dict[str, Any] | None, int]:
        """Start, work, end; see `run`."""
        self._loop = loop = asyncio.get_running_loop()
        logs.identify(worker=self._name, instance_id=self._owner)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.signalled, signal.Signals(number).name)
        health = HealthServer(self, self._settings, self._owner)
        helpers: list[asyncio.Task[None]] = []
        is_clean = True
        try:
            await self._wait_for_database()
            await health.start()
            self._instance.start(health.address)
            if self._settings.use_listen_notify:
                channel = self._settings.tasks_notify_channel
                listener = Listener(self._conninfo, channel, self._called.set, lane="graph")
                helpers.append(asyncio.create_task(listener.run()))
            if self._settings.task_embed_backfill_interval_s and not self._options.is_bounded:
                backfill = Backfill(self._pool, self._settings, self._name)
                helpers.append(asyncio.create_task(backfill.run()))
            self._instance.alive()
            self._metrics.up.set(1)
            log.info("Worker started", extra={"event": "worker.started", "health": health.address})
            self._notifier.ready("working")
            if self._options.timeout_s is not None:
                loop.call_later(self._options.timeout_s, self._stop.ask, "timeout")
            is_clean = await self._work()
            self._tally.last_at = time.monotonic()
            return await self._ended(is_clean=is_clean)
        finally:
            await self._end(health, helpers)

    # -- working ------------------------------------------------------------------------------

    async def _work(self) -> bool:
        """Claim and perform until told to stop, or until a bounded run is through."""
        is_clean = True
        while not self._stop.is_asked:
            self._turned_at = time.monotonic()
            self._notifier.alive()
            if self._options.max_tasks and self._tally.claimed >= self._options.max_tasks:
                break
            self._called.clear()
            try:
                task = await asyncio.to_thread(self._claim)
            except SeedcoreError as error:
                await self._lost(error)
                continue
            self._back()
            if task is not None:
                is_clean = await self._perform(task)
            elif self._options.once:
                break
            else:
                await self._wait(self._settings.graph_task_poll_interval_s, self._called)
        return is_clean

    def _claim(self) -> Claimed | None:
        with self._pool.lend() as conn:
            now = time.monotonic()
            listens = self._settings.use_listen_notify and not self._options.is_bounded
            if listens and now - self._declared_at > _DECLARATION_S:
                # Before the look, so that what is submitted after it calls.
                self._lane.declare_waiting(conn)
                self._declared_at = now
            return self._lane.claim(conn)

    async def _perform(self, task: Claimed) -> bool:
        """Perform one task and store its end; False when the drain deadline cut it off."""
        self._tally.claimed += 1
        self._metrics.claimed.inc()
        self._metrics.inflight.set(1)
        self._attempt = attempt = Attempt(
            task, self._pool, self._conninfo, self._owner, self._settings
        )
        work = asyncio.ensure_future(asyncio.to_thread(attempt.run))
        ended: Ended | None
        try:
            is_clean = await self._watch(work)
            if not work.done():
                attempt.stop("drained")
                await asyncio.wait({work}, timeout=_LAST_WORDS_S)
            ended = work.result() if work.done() else None
        finally:
            self._attempt = None
            self._metrics.inflight.set(0)
        if ended is None:
            self.is_stuck = True
            ended = Ended(abandoned="drained", seconds=time.monotonic() - attempt.began)
        outcome = await self._store(task, ended)
        self._metrics.ended(ended, outcome)
        self._report(task, ended, outcome)
        return is_clean

    async def _watch(self, work: asyncio.Future[Ended]) -> bool:
        """Wait for the work's end; False when the worker has to end before."""
        asked = asyncio.ensure_future(self._stop.wait_asked())
        urged = asyncio.ensure_future(self._stop.wait_urged())
        try:
            while not work.done() and not asked.done():
                await asyncio.wait({work, asked}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                self._turned_at = time.monotonic()
                self._notifier.alive()
            if work.done():
                return True
            drain_s = self._settings.dispatcher_drain_s
            self._instance.draining()
            self._notifier.stopping("draining 1 task")
            self._notifier.more_time(drain_s + _LAST_WORDS_S)
            log.info(
                "Draining",
                extra={
                    "event": "worker.draining",
                    "reason": self._stop.reason,
                    "running": 1,
                    "timeout_s": drain_s,
                },
            )
            await asyncio.wait({work, urged}, timeout=drain_s, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return True
            log.warning(
                "Cancelling what still runs",
                extra={"event": "worker.drain_deadline", "running": 1},
            )
            return False
        finally:
            asked.cancel()
            urged.cancel()

    # -- storing ------------------------------------------------------------------------------

    async def _store(self, task: Claimed, ended: Ended) -> str:
        """Store an attempt's end, and again if the database is away; return what came of it."""
        if ended.abandoned in ("lost", "cancelled"):
            self._metrics.lease_lost.inc()
            self._tally.cancelled += ended.abandoned == "cancelled"
            return ended.abandoned
        until = time.monotonic() + self._settings.graph_lease_extension_s
        failures = 0
        while True:
            try:
                return await asyncio.to_thread(self._store_once, task, ended)
            except SeedcoreError as error:
                if blames_data(error) and ended.failure is None:
                    log.exception(
                        "The database refused an outcome",
                        extra={
                            "event": "task.result_refused",
                            "task_id": task.id,
                            "error": error.message,
                        },
                    )
                    ended.document = None
                    ended.failure = GraphTaskFailed("bad_result", error.message)
                    continue
                failures += 1
                pause = backoff_s(failures)
                if time.monotonic() + pause > until or self._stop.is_urged:
                    return "lost"
                await self._lost(error)

    def _store_once(self, task: Claimed, ended: Ended) -> str:
        with self._pool.lend() as conn:
            if ended.abandoned == "drained":
                is_ours = self._lane.give_back(conn, task)
                self._tally.returned += is_ours
                self._metrics.returned.inc(is_ours)
                return "returned" if is_ours else "lost"
            if ended.failure is None:
                is_ours = self._lane.complete(conn, task, ended.document or "null")
                self._tally.completed += is_ours
                self._metrics.completed.inc(is_ours)
                return "completed" if is_ours else "lost"
            failure = ended.failure
            reason = f"{failure.error_type}: {failure.message}".replace("\0", "\ufffd")
            status = self._lane.fail(
                conn, task, reason, ended.document or "null", retryable=failure.retryable
            )
            if status == "retry":
                self._tally.retried += 1
                self._metrics.retried.inc()
            elif status == "failed":
                self._tally.failed += 1
                self._metrics.failed.inc()
            return status or "lost"

    def _report(self, task: Claimed, ended: Ended, outcome: str) -> None:
        extra: dict[str, Any] = {}
        if ended.failure is not None:
            extra = {"error_type": ended.failure.error_type, "error": ended.failure.message[:500]}
        logs.emit(
            log,
            logging.INFO,
            "Finished an attempt",
            event="task.finished",
            task_id=task.id,
            attempt=task.attempts,
            type="graph",
            op=ended.op,
            outcome=outcome,
            duration_ms=round(ended.seconds * 1000, 3),
            queue_wait_ms=round(task.wait_s * 1000, 3),
            **extra,
        )

    # -- start and end ------------------------------------------------------------------------

    async def _wait_for_database(self) -> None:
        deadline = time.monotonic() + self._options.startup_timeout_s
        failures = 0
        while not self._stop.is_asked:
            try:
                await asyncio.to_thread(self._look_at_schema)
            except Unavailable as error:
                pause = backoff_s(failures)
                if not error.retryable or time.monotonic() + pause > deadline:
                    raise
                failures += 1
                await asyncio.sleep(pause)
            else:
                return

    def _look_at_schema(self) -> None:
        name = f"seedcore worker {self._name}"
        connect(self._settings, application_name=name, check_schema=True).close()

    async def _ended(self, *, is_clean: bool) -> tuple[dict[str, Any] | None, int]:
        code = 0 if is_clean else EXIT_DEADLINE
        if self._stop.reason == "timeout":
            code = EXIT_TIMEOUT
        elif is_clean and self._stop.reason == "epoch changed":
            code = EXIT_EPOCH_CHANGED
        if not self._options.is_bounded:
            return None, code
        with contextlib.suppress(SeedcoreError):
            self._tally.left = {"due": await asyncio.to_thread(self._use, self._lane.left_over)}
        return self._tally.summary(), code

    async def _end(self, health: HealthServer, helpers: list[asyncio.Task[None]]) -> None:
        self._notifier.stopping("ending")
        self._instance.draining()
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        if self._declared_at > 0:
            with contextlib.suppress(SeedcoreError):
                await asyncio.to_thread(self._use, self._lane.withdraw)
        await asyncio.to_thread(self._pool.close)
        await health.stop()
        await asyncio.to_thread(self._instance.dead)
        self._metrics.up.set(0)
        log.info(
            "Worker ended",
            extra={
                "event": "worker.ended",
                "reason": self._stop.reason or "finished",
                "claimed": self._tally.claimed,
                "completed": self._tally.completed,
                "failed": self._tally.failed,
            },
        )
        logs.flush()

    def _use(self, call: Callable[[Conn], T]) -> T:
        with self._pool.lend() as conn:
            return call(conn)

    async def _lost(self, error: SeedcoreError) -> None:
        if self._failures == 0:
            log.warning(
                "Lost the database",
                extra={"event": "db.lost", "error": error.message, "code": error.code},
            )
        self._last_error = error.message
        self._failures += 1
        await self._wait(backoff_s(self._failures))

    def _back(self) -> None:
        if self._failures:
            log.info(
                "Found the database again", extra={"event": "db.back", "failures": self._failures}
            )
        self._failures = 0
        self._metrics.last_success.set_to_current_time()

    async def _wait(self, seconds: float, *others: asyncio.Event) -> None:
        waiting = [asyncio.ensure_future(self._stop.wait_asked())]
        waiting += [asyncio.ensure_future(_waited(one)) for one in others]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()

    # -- what it tells ------------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """Whether the main loop goes round."""
        return time.monotonic() - self._turned_at < _STALL_S

    def not_ready(self) -> str | None:
        """Why no work is taken on; None = it is."""
        if self._stop.is_asked:
            return "draining"
        return "the database is not reachable" if self._failures else None

    def state(self) -> str:
        """Return healthy, draining or pool_issue."""
        if self._stop.is_asked:
            return "draining"
        return "pool_issue" if self._failures else "healthy"

    async def status(self) -> dict[str, Any]:
        """Return everything worth a look."""
        attempt, now = self._attempt, time.monotonic()
        tally = self._tally
        known = self._conninfo.known
        return {
            "name": self._name,
            "instance_id": self._owner,
            "dsn": None if known is None else redact(known),
            "status": self.state(),
            "not_ready": self.not_ready(),
            "pool": {"in_use": self._pool.in_use(), "size": self._settings.graph_db_pool_size},
            "inflight_tasks": 0 if attempt is None else 1,
            "held_tasks": 0 if attempt is None else 1,
            "last_heartbeat": logs.utc_now(),
            "last_pool_error": self._last_error,
            "router_type": "graph",
            "breakers": {},
            "epoch": self._instance.epoch,
            "uptime_s": round(now - self._began, 3),
            "metrics": {
                "tasks_claimed": tally.claimed,
                "tasks_completed": tally.completed,
                "tasks_failed": tally.failed,
                "tasks_retried": tally.retried,
            },
            "tasks": [
                {"task_id": attempt.task.id, "attempt": attempt.task.attempts,
                 "seconds": round(now - attempt.began, 3)}
            ] if attempt is not None else [],
        }  # fmt: skip

    async def scrape(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        self._metrics.connections.set(self._pool.in_use())
        return self._metrics.render()

    # -- what the registry asks for, in its own thread -----------------------------------------

    def _epoch_changed(self, epoch: UUID) -> None:
        log.warning(
            "The epoch changed; registered for the new one",
            extra={"event": "registry.epoch_changed", "epoch": str(epoch)},
        )
        if self._options.exit_on_epoch_change:
            self._ask_to_stop("epoch changed")

    def _ask_to_stop(self, reason: str) -> None:
        assert self._loop is not None  # noqa: S101 - it runs, or nobody had registered
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.ask, reason)


async def _waited(event: asyncio.Event) -> None:
    await event.wait()
