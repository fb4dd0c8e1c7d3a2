"""Waking one sleeping coroutine, with a time-out, without a task or an exception per sleep."""

from __future__ import annotations

import asyncio


class Nudge:
    """One coroutine sleeps; anything on its loop may wake it. A nudge while awake is remembered."""

    def __init__(self) -> None:
        self._pending = False
        self._sleeper: asyncio.Future[None] | None = None

    def __call__(self) -> None:
        """Wake the sleeper, or keep it from falling asleep once."""
        self._pending = True
        sleeper = self._sleeper
        if sleeper is not None and not sleeper.done():
            sleeper.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Sleep until nudged, at most so long."""
        if not self._pending:
            loop = asyncio.get_running_loop()
            self._sleeper = loop.create_future()
            timer = loop.call_later(seconds, self._time_is_up)
            try:
                await self._sleeper
            finally:
                timer.cancel()
                self._sleeper = None
        self._pending = False

    def _time_is_up(self) -> None:
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)
