"""The registry's reaper: one leads, others stand by, and each pass expires who is gone."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, write_to_textfile

from seedcore.config.settings import Settings
from seedcore.errors import SeedcoreError
from seedcore.registry.reaper import Pass, Rules, Seat
from seedcore.registry.registered import instance_of
from seedcore.telemetry import logs
from workers.health import HealthServer
from workers.link import backoff_s
from workers.sdnotify import Notifier
from workers.stop import Stop

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReaperOptions:
    """One run of the reaper.

    Attributes:
        interval_s: Pause between passes, and between a standby's looks for the lead.
        rules: When an instance counts as dead.
        purge_older_s: Dead instances are forgotten after so many seconds.
        metrics_textfile: Where to leave the metrics for a textfile collector.
    """

    interval_s: float
    rules: Rules
    purge_older_s: float = 7 * 86400.0
    metrics_textfile: str | None = None


class ReaperMetrics:
    """The reaper's numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.expired = Counter(
            "seedcore_reaper_expired_total", "Instances declared dead", registry=self.registry
        )
        self.held_back = Gauge(
            "seedcore_reaper_held_back",
            "Silent instances the guard protects",
            registry=self.registry,
        )
        self.leads = Gauge("seedcore_reaper_leads", "1 while it leads", registry=self.registry)
        self.last_success = Gauge(
            "seedcore_reaper_last_success_timestamp_seconds",
            "When a pass last succeeded",
            registry=self.registry,
        )


def run_once(settings: Settings, options: ReaperOptions) -> dict[str, Any]:
    """Make one pass, for cron; a second one when the guard held back in the first.

    Raises:
        LockBusy: Another reaper leads.
        Unavailable: The database can't be reached.
    """
    metrics = ReaperMetrics()
    began = time.monotonic()
    seat = _seat(settings, options, "seedcore registry-reaper")
    try:
        done = seat.single_turn()
    finally:
        seat.close()
    metrics.expired.inc(len(done.expired))
    metrics.held_back.set(done.held_back)
    metrics.last_success.set_to_current_time()
    if options.metrics_textfile:
        write_to_textfile(options.metrics_textfile, metrics.registry)
    return {
        "expired": len(done.expired),
        "held_back": done.held_back,
        "purged": done.purged,
        "seconds": round(time.monotonic() - began, 3),
    }


def run(settings: Settings, options: ReaperOptions) -> int:
    """Reap until told to stop, and return the exit code.

    Raises:
        SeedcoreError: The database can't be used at the start.
    """
    with asyncio.Runner() as runner:
        return runner.run(RegistryReaper(settings, options).run())


class RegistryReaper:
    """One reaper: leads, or stands by for the one that does.

    Args:
        settings: What holds for all daemons.
        options: This run.
    """

    def __init__(self, settings: Settings, options: ReaperOptions) -> None:
        self._settings = settings
        self._options = options
        self._metrics = ReaperMetrics()
        self._stop = Stop()
        self._has_led = False
        self._failures = 0
        self._pass_at: float | None = None
        self._purge_at = 0.0
        self._began = time.monotonic()
        self._name = f"registry-reaper@{socket.gethostname()}"
        self._seat = _seat(settings, options, f"seedcore {self._name}")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._instance = instance_of(
            settings,
            self._name,
            may_beat=lambda: self.is_live,
            on_epoch=lambda _: None,
            on_drain=self._asked_to_drain,
        )

    async def run(self) -> int:
        """Start, reap, end."""
        self._loop = loop = asyncio.get_running_loop()
        owner = f"{self._name}@{self._instance.instance_id.hex[:8]}"
        logs.identify(worker=self._name, instance_id=owner)
        notifier = Notifier()
        health = HealthServer(self, self._settings, owner)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.signalled, signal.Signals(number).name)
        await asyncio.to_thread(self._seat.open)
        await health.start()
        self._instance.start(health.address)
        self._instance.alive()
        log.info("Worker started", extra={"event": "worker.started", "health": health.address})
        notifier.ready("standing by")
        try:
            while not self._stop.is_asked:
                await self._turn(notifier)
        finally:
            notifier.stopping("ending")
            self._instance.draining()
            await asyncio.to_thread(self._seat.close)
            await health.stop()
            await asyncio.to_thread(self._instance.dead)
            log.info(
                "Worker ended",
                extra={"event": "worker.ended", "reason": self._stop.reason or "failed"},
            )
            logs.flush()
        return 0

    async def _turn(self, notifier: Notifier) -> None:
        """Make one pass, or look for the lead, and wait for the next turn."""
        pause = self._options.interval_s
        try:
            done = await asyncio.to_thread(self._seat.turn)
        except SeedcoreError as error:
            pause = min(pause, backoff_s(self._failures))
            if self._failures == 0:
                log.warning(
                    "Lost the database",
                    extra={"event": "db.lost", "error": error.message, "code": error.code},
                )
            self._failures += 1
            await asyncio.to_thread(self._seat.close)
        else:
            self._failures = 0
            self._pass_at = time.monotonic()
            if done is not None:
                self._note(done)
        if self._seat.leads != self._has_led:
            self._has_led = self._seat.leads
            log.info(
                "Leading" if self._has_led else "Lost the lead", extra={"event": "reaper.lead"}
            )
        self._metrics.leads.set(self._seat.leads)
        notifier.send(status=self._state)
        notifier.alive()
        waiting = asyncio.ensure_future(self._stop.wait_asked())
        await asyncio.wait({waiting}, timeout=pause)
        waiting.cancel()

    # -- what it tells ------------------------------------------------------------------------

    def _note(self, done: Pass) -> None:
        metrics = self._metrics
        metrics.expired.inc(len(done.expired))
        metrics.held_back.set(done.held_back)
        metrics.last_success.set_to_current_time()
        for row in done.expired:
            log.warning(
                "Declared an instance dead",
                extra={
                    "event": "registry.expired",
                    "instance": str(row["instance_id"]),
                    "logical_id": row["logical_id"],
                    "silent_s": round(row["heartbeat_age_s"], 1),
                    "old_epoch": row["old_epoch"],
                },
            )
        if done.held_back:
            log.warning(
                "Held back: too many instances fell silent together",
                extra={
                    "event": "reaper.held_back",
                    "silent": done.held_back,
                    "patience_s": round(self._seat.reaper.patience_s, 1),
                },
            )
        if self._options.metrics_textfile:
            write_to_textfile(str(Path(self._options.metrics_textfile)), metrics.registry)

    @property
    def _state(self) -> str:
        return "leading" if self._seat.leads else "standing by"

    @property
    def is_live(self) -> bool:
        """Whether passes go on; a standby's look for the lead is one too."""
        if self._pass_at is None:
            return time.monotonic() - self._began < 60.0
        return time.monotonic() - self._pass_at < 3 * self._options.interval_s + 60.0

    def not_ready(self) -> str | None:
        """Why nothing is reaped here; None = it leads or stands by."""
        if self._stop.is_asked:
            return "ending"
        return "the database can't be reached" if self._failures else None

    async def status(self) -> dict[str, Any]:
        """Return everything worth a look."""
        now = time.monotonic()
        return {
            "name": self._name,
            "instance_id": f"{self._name}@{self._instance.instance_id.hex[:8]}",
            "status": self._state,
            "not_ready": self.not_ready(),
            "epoch": self._instance.epoch,
            "uptime_s": round(now - self._began, 3),
            "last_pass_s": None if self._pass_at is None else round(now - self._pass_at, 3),
            "metrics": {},
        }

    async def scrape(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self._metrics.registry)

    def _asked_to_drain(self) -> None:
        assert self._loop is not None  # noqa: S101 - it runs, or nobody had registered
        self._loop.call_soon_threadsafe(self._stop.ask, "asked to drain")


def _seat(settings: Settings, options: ReaperOptions, name: str) -> Seat:
    return Seat(settings, name, options.rules, purge_older_s=options.purge_older_s)
