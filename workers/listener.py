"""Hears notifications of new work and passes them on; reconnects for as long as the worker lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from seedcore.errors import SeedcoreError
from seedcore.task.wakeup import Wakeups
from workers.link import backoff_s

log = logging.getLogger(__name__)


class Listener:
    """Listens on one channel.

    Args:
        conninfo: Returns where the database is.
        channel: The channel.
        wake: Called at every notification for the lane, and after a reconnection.
        lane: The lane to listen for.
    """

    def __init__(
        self,
        conninfo: Callable[[], str],
        channel: str,
        wake: Callable[[], None],
        *,
        lane: str = "queue",
    ) -> None:
        self._conninfo = conninfo
        self._channel = channel
        self._wake = wake
        self._lane = lane
        self.is_up = False

    async def run(self) -> None:
        """Listen until cancelled."""
        failures = 0
        while True:
            try:
                conninfo = await asyncio.to_thread(self._conninfo)
                wakeups = await Wakeups.connect(conninfo, self._channel)
            except SeedcoreError as error:
                failures += 1
                log.debug(
                    "Could not listen", extra={"event": "listen.failed", "error": error.message}
                )
                await asyncio.sleep(backoff_s(failures))
                continue
            self.is_up = True
            # What was announced while nobody listened is found by looking.
            self._wake()
            try:
                async for lane in wakeups.lanes():
                    failures = 0
                    if lane == self._lane:
                        self._wake()
            except SeedcoreError as error:
                failures += 1
                log.info(
                    "Lost the listening connection",
                    extra={"event": "listen.lost", "error": error.message},
                )
            finally:
                self.is_up = False
                await wakeups.close()
            await asyncio.sleep(backoff_s(failures))
