"""Several queue workers as one service: started together, restarted alone, seen as one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from seedcore.config.settings import Settings
from seedcore.errors import ConfigError, SeedcoreError, Unavailable, UsageError
from seedcore.telemetry import logs
from workers import address, merge
from workers.child import Child, restart_pause_s
from workers.health import HealthServer
from workers.options import Options, check
from workers.queue import EXIT_DEADLINE, EXIT_TIMEOUT, Ended
from workers.sdnotify import Notifier
from workers.stop import Stop
from workers.tally import total

log = logging.getLogger(__name__)

_HOPELESS = {2: UsageError, 69: Unavailable, 78: ConfigError}
"""Exit codes before readiness that another start will not change."""
_LAST_WORDS_S = 15.0
"""After the drain deadline: what a worker may take to write, give back and close."""
_TICK_S = 1.0
_SCRAPE_S = 15.0


def run(settings: Settings, options: Options) -> Ended:
    """Run `dispatcher_count` worker processes until told to stop, or until they are through.

    Raises:
        ConfigError, Unavailable, UsageError: What kept the workers from starting.
    """
    check(settings, options)
    return asyncio.run(Supervisor(settings, options).run())


class Supervisor:
    """Keeps a number of workers running.

    Args:
        settings: For all of them.
        options: What the run is asked to do; `max_tasks` is shared out.
    """

    def __init__(self, settings: Settings, options: Options) -> None:
        self._settings = settings
        self._options = options
        self._count = min(settings.dispatcher_count, options.max_tasks or settings.dispatcher_count)
        self._name = f"queue@{socket.gethostname()}"
        self._stop = Stop()
        self._notifier = Notifier()
        self._children: dict[int, Child] = {}
        self._ended_pages: list[str] = []
        self._summaries: list[dict[str, Any]] = []
        self._codes: list[int] = []
        self._failure: SeedcoreError | None = None
        self._was_ready = False
        self._folder = Path()
        self._started_at = time.monotonic()

    async def run(self) -> Ended:
        """Start, keep, end; see `run`."""
        logs.identify(worker=self._name)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        loop.add_signal_handler(signal.SIGUSR1, self._pass_on, signal.SIGUSR1)
        # Short and private: it holds sockets whose names must fit and which only we may write to.
        self._folder = Path(tempfile.mkdtemp(prefix="seedcore-"))
        health = HealthServer(self, self._settings, f"{self._name}-all@{os.getpid()}")
        try:
            await health.start()
            log.info(
                "Supervisor started",
                extra={
                    "event": "supervisor.started",
                    "count": self._count,
                    "health": health.address,
                },
            )
            watch = asyncio.create_task(self._watch())
            await asyncio.gather(*(self._keep(n) for n in range(1, self._count + 1)))
            watch.cancel()
        finally:
            await health.stop()
            shutil.rmtree(self._folder, ignore_errors=True)
            log.info("Supervisor ended", extra={"event": "supervisor.ended"})
            logs.flush()
        return self._result()

    # -- one worker ---------------------------------------------------------------------------

    async def _keep(self, number: int) -> None:
        """Run one worker again and again until it is through or nobody wants it any more."""
        failures = 0
        while not self._stop.is_asked:
            child = self._child(number)
            self._children[number] = child
            code = await child.run()
            del self._children[number]
            if child.page:
                self._ended_pages = [merge.total([], [*self._ended_pages, child.page])]
            if self._is_over(child, code):
                return
            failures = 0 if child.was_steady else failures + 1
            if code == 0:
                continue  # it has recycled itself
            pause = restart_pause_s(failures)
            log.warning(
                "A worker died and is started again",
                extra={
                    "event": "supervisor.restart",
                    "number": number,
                    "exit_code": code,
                    "pause_s": round(pause, 3),
                },
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(pause / 2, pause)):  # noqa: S311
                    await self._stop.wait_asked()

    def _child(self, number: int) -> Child:
        run_folder = address.run_folder(self._settings)
        options = self._options
        if options.max_tasks:
            share, rest = divmod(options.max_tasks, self._count)
            options = replace(options, max_tasks=share + (number <= rest))
        return Child(
            number,
            self._settings,
            options,
            health=run_folder / f"{self._name}-{number}.{os.getpid()}.sock",
            notify=self._folder / f"{number}.sock",
            changed=self._tell_ready,
        )

    def _is_over(self, child: Child, code: int) -> bool:
        """Judge an end: whether this worker is not to be started again."""
        error = child.answer.get("error")
        if code in _HOPELESS and not self._was_ready:
            if self._failure is None:
                said = error or {"message": f"a worker ended with code {code}", "code": None}
                self._failure = _HOPELESS[code](
                    said["message"], code=said["code"], hint=said.get("hint")
                )
            self._stop.ask("a worker can't start")
            self._pass_on(signal.SIGTERM)
            return True
        if child.answer.get("summary"):
            self._summaries.append(child.answer["summary"])
        if self._stop.is_asked or (self._options.is_bounded and code in (0, EXIT_TIMEOUT)):
            self._codes.append(code)
            return True
        return False

    # -- all of them --------------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        self._stop.signalled(signal.Signals(number).name)
        self._notifier.stopping(f"draining {len(self._children)} workers")
        self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: int) -> None:
        for child in self._children.values():
            child.signal(number)

    def _tell_ready(self) -> None:
        ready = sum(child.is_ready for child in self._children.values())
        if ready == self._count and not self._was_ready:
            self._was_ready = True
            log.info("All workers are ready", extra={"event": "supervisor.ready"})
            self._notifier.ready(f"{ready} workers")

    async def _watch(self) -> None:
        """Kill who is silent, show systemd that we are not, and end who does not end."""
        deadline: float | None = None
        scraped_at = 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            for child in list(self._children.values()):
                if child.is_silent:
                    log.error(
                        "A worker shows no sign of life",
                        extra={"event": "supervisor.killed", "number": child.number},
                    )
                    child.kill()
            self._notifier.alive()
            if now - scraped_at >= _SCRAPE_S:
                # So that what a worker counted is known when it is gone.
                scraped_at = now
                await asyncio.gather(*(c.scrape() for c in list(self._children.values())))
            if self._stop.is_asked:
                wait_s = self._settings.dispatcher_drain_s + _LAST_WORDS_S
                deadline = deadline or now + wait_s
                self._notifier.more_time(5.0)
                if now > deadline:
                    for child in self._children.values():
                        child.kill()
            logs.flush()

    def _result(self) -> Ended:
        if self._failure is not None:
            raise self._failure
        code = 0
        if any(c not in (0, EXIT_TIMEOUT) for c in self._codes):
            code = EXIT_DEADLINE
        elif EXIT_TIMEOUT in self._codes:
            code = EXIT_TIMEOUT
        if not self._options.is_bounded:
            return Ended(code)
        return Ended(code, total(self._summaries))

    # -- what others see ----------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """Whether it answers, which it just does."""
        return True

    def not_ready(self) -> str | None:
        """Return why no work is taken on; None = it is."""
        if self._stop.is_asked:
            return "draining"
        ready = sum(child.is_ready for child in self._children.values())
        if ready < self._count:
            return f"{ready} of {self._count} workers are ready"
        return None

    async def status(self) -> dict[str, Any]:
        """Return itself in short, and what each worker says."""
        said = await asyncio.gather(*(child.status() for child in self._children.values()))
        counted = [worker["metrics"] for worker in said if "metrics" in worker]
        names = dict.fromkeys(name for metrics in counted for name in metrics)
        metrics = {name: sum(m[name] for m in counted) for name in names}
        return {
            "name": f"{self._name}-all",
            "instance_id": f"{self._name}-all@{os.getpid()}",
            "status": "draining" if self._stop.is_asked else "healthy",
            "not_ready": self.not_ready(),
            "inflight_tasks": metrics.get("inflight_tasks", 0),
            "held_tasks": metrics.get("held_tasks", 0),
            "uptime_s": round(time.monotonic() - self._started_at, 3),
            "metrics": metrics,
            "workers": said,
        }

    async def scrape(self) -> bytes:
        """Return the workers' metrics as one page."""
        pages = await asyncio.gather(*(child.scrape() for child in self._children.values()))
        return merge.total(pages, self._ended_pages).encode()
