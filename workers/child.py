"""One worker process as its supervisor sees it: its pipes, its signs of life, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from seedcore.config.settings import Settings
from seedcore.errors import Unavailable
from workers import probe
from workers.options import Options
from workers.process import order

log = logging.getLogger(__name__)

SIGN_EVERY_S = 20.0
_SILENT_AFTER_S = 60.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_AFTER_S = 60.0


def restart_pause_s(failures: int) -> float:
    """Return the longest pause before the next start, after so many ends in a row."""
    return min(_FIRST_PAUSE_S * 2 ** min(failures, 8), _LONGEST_PAUSE_S)


class Child:
    """Starts one worker process, and knows how it is.

    Args:
        number: Its number, part of its name.
        settings: Its settings; the health address is replaced by a socket of its own.
        options: What it is asked to do.
        health: Its health socket.
        notify: Where it says READY and shows signs of life.
        changed: Called when it got ready.
    """

    def __init__(
        self,
        number: int,
        settings: Settings,
        options: Options,
        *,
        health: Path,
        notify: Path,
        changed: Callable[[], None],
    ) -> None:
        self.number = number
        self.health = health
        self.is_ready = False
        self.answer: dict[str, Any] = {}
        self.page = ""
        self.started_at = time.monotonic()
        self._order = order(
            replace(settings, dispatcher_count=1, health_addr=f"unix:{health}"),
            replace(options, index=number, metrics_textfile=None),
        )
        self._notify = notify
        self._changed = changed
        self._sign_at = time.monotonic()
        self._process: asyncio.subprocess.Process | None = None
        self._inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return None if self._process is None else self._process.pid

    @property
    def was_steady(self) -> bool:
        """Whether it has lived for so long that its end does not look like one of a series."""
        return time.monotonic() - self.started_at > _STEADY_AFTER_S

    @property
    def is_silent(self) -> bool:
        """Whether it got ready and has shown no sign of life for too long."""
        return self.is_ready and time.monotonic() - self._sign_at > _SILENT_AFTER_S

    async def run(self) -> int:
        """Start it, wait for its end and return its exit code (negative: the signal)."""
        self._notify.unlink(missing_ok=True)
        self._inbox.bind(str(self._notify))
        self._inbox.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._inbox, self._hear)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WATCHDOG_")}
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "workers.process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                # A Ctrl-C reaches the supervisor alone, which passes it on.
                start_new_session=True,
                env={
                    **inherited,
                    "NOTIFY_SOCKET": str(self._notify),
                    "WATCHDOG_USEC": str(int(SIGN_EVERY_S * 3_000_000)),
                },
            )
            assert self._process.stdin is not None  # noqa: S101 - for the type checker
            assert self._process.stdout is not None  # noqa: S101
            with contextlib.suppress(OSError):
                self._process.stdin.write(self._order)
                await self._process.stdin.drain()
            said = await self._process.stdout.read()
            code = await self._process.wait()
        finally:
            loop.remove_reader(self._inbox)
            self._inbox.close()
            self._notify.unlink(missing_ok=True)
            self.is_ready = False
        self.answer = _parsed(said)
        return code

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once; its leases lapse."""
        self.signal(signal.SIGKILL)

    async def scrape(self) -> str:
        """Return its metrics; the last known ones when it does not answer."""
        try:
            code, body = await asyncio.to_thread(probe.get, self.health, "/metrics")
        except Unavailable:
            return self.page
        if code == 200:
            self.page = body.decode()
        return self.page

    async def status(self) -> dict[str, Any]:
        """Return what it says about itself, or that it says nothing."""
        try:
            return await asyncio.to_thread(probe.status, self.health)
        except Unavailable as error:
            return {"name": f"worker {self.number}", "status": "silent", "error": error.message}

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._inbox.recv(4096).decode("utf-8", "replace").splitlines()
                self._sign_at = time.monotonic()
                if "READY=1" in lines:
                    self.is_ready = True
                    self._changed()


def _parsed(said: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        return {}
    return cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
