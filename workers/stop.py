"""The one way to end a worker, for signals, for limits and for callers alike."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger(__name__)


class Stop:
    """Asked once: drain. Asked again: do not wait any longer."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._urged = asyncio.Event()
        self.reason = ""

    @property
    def is_asked(self) -> bool:
        """Whether the end has begun."""
        return self._asked.is_set()

    @property
    def is_urged(self) -> bool:
        """Whether nobody wants to wait for running tasks."""
        return self._urged.is_set()

    def ask(self, reason: str) -> None:
        """Begin the end; nothing when it has begun."""
        if not self._asked.is_set():
            self.reason = reason
            self._asked.set()

    def signalled(self, name: str) -> None:
        """Take a signal: the first drains, the second skips to the deadline."""
        if self._asked.is_set():
            if not self._urged.is_set():
                log.warning(
                    "Second signal: not waiting for running tasks",
                    extra={"event": "worker.urged", "signal": name},
                )
            self._urged.set()
        else:
            self.ask(name)

    async def wait_asked(self) -> None:
        """Wait for the begin of the end."""
        await self._asked.wait()

    async def wait_urged(self) -> None:
        """Wait for the second call."""
        await self._urged.wait()
