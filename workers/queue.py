"""The queue worker: one process that claims tasks, runs their tools and writes what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from uuid import UUID

from seedcore.agent.executor import Executor, TaskExecutor
from seedcore.agent.registry import load as load_tools
from seedcore.agent.reporting import ReportDesk
from seedcore.capability.registry import CapabilityRegistry
from seedcore.config.settings import Settings
from seedcore.db.connection import connect
from seedcore.db.whereabouts import Whereabouts
from seedcore.errors import SeedcoreError, Unavailable
from seedcore.registry.port import Instance
from seedcore.registry.registered import instance_of
from seedcore.runtime import Runtime, ray_session
from seedcore.task import plan_guard
from seedcore.task.engine import Engine
from seedcore.task.exchange import Filter, Lease, Owner
from seedcore.task.lapsing import lapse
from seedcore.task.lease import LeaseKeeper, Lost
from seedcore.telemetry import logs
from workers import options as rules
from workers.agents import Agents
from workers.claimer import Claimer
from workers.completer import Completer
from workers.drain import drain
from workers.gate import Gate, Veto
from workers.health import HealthServer
from workers.housekeeper import Housekeeper
from workers.ledger import Held, Ledger
from workers.link import Link, backoff_s
from workers.listener import Listener
from workers.metrics import Metrics
from workers.nudge import Nudge
from workers.options import Options
from workers.parts import Parts
from workers.policy import PolicyDesk
from workers.prefetch import Prefetch
from workers.renewer import Renewer
from workers.report import Reporter
from workers.runner import Runner
from workers.sdnotify import Notifier
from workers.stop import Stop
from workers.tally import Tally
from workers.watchdog import Watchdog

log = logging.getLogger(__name__)

EXIT_DEADLINE = 1
EXIT_TIMEOUT = 6
EXIT_EPOCH_CHANGED = 75

ASIDE = "aside"
"""Begins the names of the threads that wait for what can't be awaited."""
LINGER_S = 3.0
"""What such a call may take to end when the worker has."""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        exit_code: 0 drained; 1 the drain deadline passed; 6 `until_empty` took too long; 75 the epoch
            changed and that was to end it; else the code of the error that ended it.
        summary: What a bounded run did; None for others.
        is_stuck: A thread goes on that nobody can end. The interpreter would wait for it for ever, so
            the process has to `leave`.
    """

    exit_code: int
    summary: dict[str, Any] | None = None
    is_stuck: bool = False


def run(settings: Settings, options: Options | None = None) -> Ended:
    """Work in this process until told to stop, or until a bounded run is through.

    Args:
        settings: What holds for all workers.
        options: What this run was asked to do.

    Raises:
        ConfigError: A setting or a plugin is wrong; restarting will not help.
        Unavailable: The database could not be reached at the start, or was lost and
            `exit_on_db_loss` was asked; not migrated.
    """
    options = options or Options()
    rules.check(settings, options)
    worker = QueueWorker(settings, options)
    aside = ThreadPoolExecutor(thread_name_prefix=ASIDE)
    with contextlib.ExitStack() as closing:
        runner = closing.enter_context(asyncio.Runner(loop_factory=_loop_factory()))
        runner.get_loop().set_default_executor(aside)
        ended = runner.run(worker.run())
        aside.shutdown(wait=False)
        # A tool may go on after being cancelled, and so may a call into a cluster that has lost a
        # machine; closing the loop would wait for either.
        if worker.is_stuck or not _have_ended(ASIDE, LINGER_S):
            closing.pop_all()
            return replace(ended, is_stuck=True)
    return ended


def leave(exit_code: int) -> NoReturn:
    """End this process at once, though threads of it go on."""
    logs.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _have_ended(prefix: str, within_s: float) -> bool:
    """Wait for the threads of a pool; tell whether all have ended."""
    until = time.monotonic() + within_s
    threads = [one for one in threading.enumerate() if one.name.startswith(prefix)]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


class QueueWorker:
    """One worker.

    Args:
        settings: What holds for all workers.
        options: What this run was asked to do.
        instance: How it reports to the runtime registry. Default: as the settings say.
    """

    def __init__(
        self, settings: Settings, options: Options, *, instance: Instance | None = None
    ) -> None:
        self._settings = settings
        self._options = options
        name = options.agents[0].agent_id if options.agents else options.index
        logical_id = options.name or f"queue@{socket.gethostname()}-{name}"
        self._instance = instance or instance_of(
            settings,
            logical_id,
            may_beat=self._is_progressing,
            on_epoch=self._epoch_changed,
            on_drain=lambda: self._ask_to_stop("asked to drain"),
            actor_name=options.name,
        )
        self._owner = Owner(
            id=f"{logical_id}@{self._instance.instance_id.hex[:8]}",
            logical_id=logical_id,
            lease_s=settings.task_lease_s,
            max_attempts=settings.max_task_attempts,
            filter=Filter(list(options.types) or None, list(options.domains) or None),
        )
        self.is_stuck = False
        self._agents: Agents | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = Stop()
        self._housekeeper: Housekeeper | None = None
        self._conninfo = Whereabouts(settings, f"seedcore worker {logical_id}")

    async def run(self) -> Ended:
        """Start, work, end; see `run`."""
        logs.identify(worker=self._owner.logical_id, instance_id=self._owner.id)
        self._loop = asyncio.get_running_loop()
        runtime = None
        # Agents that were asked to live here run the tasks themselves.
        if self._settings.dispatcher_executor == "ray" and not self._options.agents:
            from seedcore.runtime import runtime_of

            runtime = await asyncio.to_thread(runtime_of, self._settings)
        parts, listener = self._build(runtime)
        housekeeper = Housekeeper(parts)
        self._housekeeper = housekeeper
        reporter = Reporter(parts, listener, housekeeper, self._conninfo)
        health = HealthServer(reporter, self._settings, self._owner.id)
        helpers: list[asyncio.Task[None]] = []
        self._take_signals(parts, reporter)
        try:
            await self._wait_for_database(parts.stop)
            await parts.executor.start()
            await parts.policy.start()
            await health.start()
            self._instance.start(health.address)
            if self._agents is not None:
                self._agents.begin(health.address)
            parts.renewer.start()
            watching: list[Any] = [parts.watchdog.run(), housekeeper.run()]
            if listener is not None:
                watching.append(listener.run())
            helpers = [asyncio.create_task(duty) for duty in watching]
            for helper in helpers:
                helper.add_done_callback(lambda ended: _complain(ended, parts.stop))
            return await self._work(parts, reporter, health)
        finally:
            await self._end(parts, housekeeper, health, helpers)

    def _build(self, runtime: Runtime | None) -> tuple[Parts, Listener | None]:
        settings, options, owner = self._settings, self._options, self._owner
        nudge = Nudge()
        metrics, tally = Metrics(owner.logical_id), Tally()
        concurrency = settings.dispatcher_concurrency
        prefetch = Prefetch(settings, rules.silence_s(settings))
        ledger = Ledger(concurrency + prefetch.now)
        desk = ReportDesk(
            self._conninfo, owner.id, checkpoint_max_bytes=settings.checkpoint_max_bytes
        )
        capabilities = CapabilityRegistry()
        executor = self._executor(
            desk,
            runtime,
            capabilities,
            has_hosts=lambda yes: (gate.lift if yes else gate.close)(Veto.NO_HOST),
        )
        metrics.watch_calls(executor.calls)
        completer = Completer(
            ledger,
            settings,
            metrics=metrics,
            tally=tally,
            nudge=nudge,
            prefetch=prefetch,
            is_idle=lambda: runner.is_idle,
            has_ready=lambda: bool(runner.ready),
        )
        policy = PolicyDesk(settings, self._conninfo, owner.id, metrics, capabilities)
        runner = Runner(
            executor,
            settings,
            finished=completer.finish,
            store_progress=completer.note,
            owner=owner.id,
            may_start=lambda: not completer.is_full,
            lapse=self._lapse,
            policy=policy,
        )
        gate = Gate(nudge)
        link = Link(self._conninfo, owner, prepare=settings.use_listen_notify)
        claimer = Claimer(
            link, ledger, runner, completer, prefetch, gate, nudge, settings, options, metrics, tally,
            can_listen=settings.use_listen_notify,
        )  # fmt: skip
        interval_s = rules.renewal_interval_s(settings)
        keeper = LeaseKeeper(
            self._conninfo, owner.id, settings.task_lease_s, patience_s=max(interval_s / 2, 0.5)
        )
        loop = asyncio.get_running_loop()
        renewer = Renewer(
            keeper,
            ledger,
            interval_s=interval_s,
            lost=lambda leases: _tell(loop, self._lost, leases),
        )
        parts = Parts(
            settings=settings,
            options=options,
            owner=owner,
            instance=self._instance,
            executor=executor,
            policy=policy,
            ledger=ledger,
            prefetch=prefetch,
            runner=runner,
            completer=completer,
            gate=gate,
            link=link,
            claimer=claimer,
            renewer=renewer,
            watchdog=Watchdog(self._conninfo, settings, metrics),
            metrics=metrics,
            tally=tally,
            notifier=Notifier(),
            stop=self._stop,
        )
        listener = None
        if settings.use_listen_notify:
            listener = Listener(self._conninfo, settings.tasks_notify_channel, claimer.wake)
        return parts, listener

    def _executor(
        self,
        desk: ReportDesk,
        runtime: Runtime | None,
        capabilities: CapabilityRegistry,
        *,
        has_hosts: Callable[[bool], None],
    ) -> TaskExecutor:
        if runtime is not None:
            from seedcore.agent.cluster.executor import ClusterExecutor

            return ClusterExecutor(
                self._settings,
                self._owner.id,
                runtime,
                conninfo=self._conninfo,
                changed=has_hosts,
            )
        if self._settings.dispatcher_executor == "agents" and not self._options.agents:
            from seedcore.agent.dispatch import AgentsExecutor

            return AgentsExecutor(self._settings, self._owner.id, changed=has_hosts)
        tools = load_tools(self._settings)
        if not self._options.agents:
            return Executor(tools, self._settings, desk=desk, capabilities=capabilities)
        self._agents = Agents(
            self._options.agents,
            self._settings,
            tools,
            all_draining=lambda: self._ask_to_stop("asked to drain"),
            capabilities=capabilities,
        )
        return self._agents.executor(desk)

    async def _wait_for_database(self, stop: Stop) -> None:
        """Connect once, check the schema, and keep trying while the database is not there yet."""
        deadline = time.monotonic() + self._options.startup_timeout_s
        failures = 0
        while not stop.is_asked:
            try:
                await asyncio.to_thread(self._look_at_schema)
            except Unavailable as error:
                pause = backoff_s(failures)
                if not error.retryable or time.monotonic() + pause > deadline:
                    raise
                if failures == 0:
                    log.warning(
                        "Waiting for the database",
                        extra={"event": "db.waiting", "error": error.message},
                    )
                failures += 1
                await asyncio.sleep(pause)
            else:
                return

    def _look_at_schema(self) -> None:
        name = f"seedcore worker {self._owner.logical_id}"
        connection = connect(self._settings, application_name=name, check_schema=True)
        with contextlib.closing(connection):
            findings = plan_guard.check(connection)
        for finding in findings:
            log.warning(
                "A statement of the engine does not find its index",
                extra={
                    "event": "plan.unfit",
                    "index": finding.index,
                    "problem": finding.problem,
                    "evidence": finding.evidence,
                    "cure": finding.cure,
                },
            )

    # -- working ------------------------------------------------------------------------------

    async def _work(self, parts: Parts, reporter: Reporter, health: HealthServer) -> Ended:
        # What has been imported stays for ever; collections need not look at it again and again.
        gc.collect()
        gc.freeze()
        with contextlib.suppress(SeedcoreError):
            await parts.link.open()  # else the main loop goes on trying
        self._instance.alive()
        parts.metrics.up.set(1)
        log.info(
            "Worker started",
            extra={
                "event": "worker.started",
                "concurrency": self._settings.dispatcher_concurrency,
                "prefetch": "auto" if parts.prefetch.ttl_s else parts.prefetch.now,
                "lease_s": self._settings.task_lease_s,
                "renew_s": rules.renewal_interval_s(self._settings),
                "executor": self._settings.dispatcher_executor,
                "tools": parts.executor.tools,
                "health": health.address,
            },
        )
        parts.tally.started_at = time.monotonic()
        parts.notifier.ready("working")
        if self._options.timeout_s is not None:
            asyncio.get_running_loop().call_later(
                self._options.timeout_s, parts.stop.ask, "timeout"
            )
        main = asyncio.create_task(parts.claimer.run())
        asked = asyncio.create_task(parts.stop.wait_asked())
        await asyncio.wait({main, asked}, return_when=asyncio.FIRST_COMPLETED)
        is_clean = True
        if not main.done():
            is_clean = await drain(parts, main)
        asked.cancel()
        if main.done() and not main.cancelled() and (error := main.exception()) is not None:
            raise error
        parts.tally.last_at = time.monotonic()
        return await self._ended(parts, is_clean=is_clean)

    async def _ended(self, parts: Parts, *, is_clean: bool) -> Ended:
        code = 0 if is_clean else EXIT_DEADLINE
        if parts.stop.reason == "timeout":
            code = EXIT_TIMEOUT
        elif is_clean and parts.stop.reason == "epoch changed":
            code = EXIT_EPOCH_CHANGED
        if not self._options.is_bounded:
            return Ended(code)
        try:
            left = await parts.link.use(Engine.left_over)
            parts.tally.left = {
                "due": left.due,
                "delayed": left.delayed,
                "running": left.running,
                "created": left.created,
            }
        except SeedcoreError as error:
            log.warning(
                "Could not count what is left",
                extra={"event": "db.lost", "error": error.message, "code": error.code},
            )
        return Ended(code, parts.tally.summary())

    async def _end(
        self,
        parts: Parts,
        housekeeper: Housekeeper,
        health: HealthServer,
        helpers: list[asyncio.Task[None]],
    ) -> None:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        await asyncio.to_thread(parts.renewer.stop)
        if self._agents is not None:
            await self._agents.end()
        if parts.claimer.is_declared and parts.link.is_up:
            try:
                await parts.link.use(Engine.withdraw)
            except SeedcoreError as error:
                log.debug("Could not withdraw", extra={"event": "db.lost", "error": error.message})
        self.is_stuck = bool(parts.runner.running)
        await parts.watchdog.close()
        await parts.link.close()
        await parts.executor.stop()
        await asyncio.to_thread(ray_session.disconnect)
        await parts.policy.close()
        await health.stop()
        self._instance.dead()
        parts.metrics.up.set(0)
        housekeeper.write_textfile()
        log.info(
            "Worker ended",
            extra={
                "event": "worker.ended",
                "reason": parts.stop.reason or "finished",
                "claimed": parts.tally.claimed,
                "completed": parts.tally.completed,
                "failed": parts.tally.failed,
            },
        )
        logs.flush()

    async def _lapse(self, held: Held) -> bool:
        """End the lease of a task whose host is gone, and tell whether it was ours."""
        lease = Lease(*held.key)
        ended = await asyncio.to_thread(
            lapse, self._settings, self._owner.id, [lease], conninfo=self._conninfo()
        )
        return lease.id in ended

    # -- what the registry asks for, in its own thread -----------------------------------------

    def _is_progressing(self) -> bool:
        return self._housekeeper is None or self._housekeeper.is_progressing

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

    def _lost(self, leases: list[Lost]) -> None:
        if self._housekeeper is not None:
            self._housekeeper.lost(leases)

    # -- signals ------------------------------------------------------------------------------

    def _take_signals(self, parts: Parts, reporter: Reporter) -> None:
        """Handlers only set flags; the loop acts."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, parts.stop.signalled, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGUSR1, reporter.dump)
        # Written from C, so it also tells where a loop hangs that never comes to `dump`.
        faulthandler.register(signal.SIGUSR1, all_threads=True, chain=True)


def _tell(
    loop: asyncio.AbstractEventLoop, what: Callable[[list[Lost]], None], leases: list[Lost]
) -> None:
    """Call something on the loop, from a thread; a loop that is closed has nothing left to lose."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(what, leases)


def _complain(helper: asyncio.Task[None], stop: Stop) -> None:
    """A duty ends only when cancelled; anything else is a bug that must be seen."""
    if not helper.cancelled() and (error := helper.exception()) is not None:
        log.error("A background duty broke", exc_info=error, extra={"event": "worker.duty_broke"})
        stop.ask("a background duty broke")
