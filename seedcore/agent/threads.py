"""The threads that plain functions run in: a fixed number, and none that hangs is forgotten.

A thread can't be stopped from outside. One whose call was given up (time-out, cancel) keeps its
place until it returns, so that a hanging tool slows its own process down but never fills the machine
with threads. They are daemon threads: such a call can't keep the process from ending either.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any


class ToolThreads:
    """Runs functions in at most `size` threads, started when first needed.

    Args:
        size: Number of threads.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.abandoned = 0
        """Calls that nobody waits for any more and that still hold their thread."""
        self._free = asyncio.Semaphore(size)
        self._started = 0
        self._idle = 0
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()

    async def acquire(self) -> None:
        """Wait for a place; each one is given up by the `run` or `release` that follows."""
        await self._free.acquire()

    def release(self) -> None:
        """Give a place back that was acquired and not used."""
        self._free.release()

    async def run(
        self,
        function: Callable[..., Any],
        kwargs: dict[str, Any],
        *,
        left_running: Callable[[asyncio.Future[Any]], None] | None = None,
    ) -> Any:
        """Call a function in a thread, in an acquired place, and return its value.

        Cancelling this leaves the thread running; its place is free again when it returns.

        Args:
            function: What to call.
            kwargs: Its arguments.
            left_running: Called when the thread is left running, with what is done when it returns.
        """
        work = _Work(asyncio.get_running_loop(), function, kwargs)
        if self._idle > 0:
            self._idle -= 1
        else:
            self._start_thread()
        work.ended.add_done_callback(self._returned)
        self._work.put(work)
        try:
            # Shielded, because the end of the thread must be seen even if this is cancelled.
            error, value = await asyncio.shield(work.ended)
        except asyncio.CancelledError:
            if not work.ended.done():
                self.abandoned += 1
                work.ended.add_done_callback(self._abandoned_returned)
                if left_running is not None:
                    left_running(work.ended)
            raise
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """Let idle threads end; those at work end after their call."""
        for _ in range(self._started):
            self._work.put(None)
        self._started = self._idle = 0

    def _start_thread(self) -> None:
        name = f"tool-{self._started + 1}"
        thread = threading.Thread(target=_serve, args=(self._work,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine has no more threads to give
            self._free.release()
            raise
        self._started += 1

    def _returned(self, _: object) -> None:
        self._idle += 1
        self._free.release()

    def _abandoned_returned(self, _: object) -> None:
        self.abandoned -= 1


class _Work:
    """One call on its way through a thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., Any],
        kwargs: dict[str, Any],
    ) -> None:
        self.loop = loop
        self.function = function
        self.kwargs = kwargs
        self.context = contextvars.copy_context()
        # A pair rather than an exception: a Future refuses StopIteration, and warns about an
        # exception that nobody fetched after a time-out.
        self.ended: asyncio.Future[tuple[BaseException | None, Any]] = loop.create_future()

    def run(self) -> None:
        """Call the function and tell the loop how it ended."""
        error, value = None, None
        try:
            value = self.context.run(self.function, **self.kwargs)
        except BaseException as raised:  # a thread hands everything to its caller
            error = raised
        try:
            self.loop.call_soon_threadsafe(self._end, error, value)
        except RuntimeError:
            return  # the loop has been closed meanwhile: nobody is left to tell

    def _end(self, error: BaseException | None, value: Any) -> None:
        if not self.ended.done():
            self.ended.set_result((error, value))


def _serve(work: queue.SimpleQueue[_Work | None]) -> None:
    while (item := work.get()) is not None:
        item.run()
        del item  # an idle thread must not keep the last call's arguments alive
