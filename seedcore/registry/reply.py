"""An answer that is still on its way, for callers that may block and for those that may not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Generic, TypeVar

from seedcore.errors import WaitTimeout

T = TypeVar("T")


class Reply(Generic[T]):
    """The outcome of something that another thread does.

    A coroutine writes `await reply`, anybody else `reply.result()`; who needs no answer goes on.

    Args:
        future: What the other thread completes.
        timeout_s: Longest wait of `result()` and `await`, in seconds.
    """

    def __init__(self, future: Future[T], timeout_s: float) -> None:
        self._future = future
        self._timeout_s = timeout_s

    def result(self) -> T:
        """Wait for the outcome.

        Raises:
            WaitTimeout: It did not come in time; it may still happen.
            SeedcoreError: What was asked for was refused.
        """
        try:
            return self._future.result(self._timeout_s)
        except TimeoutError:
            raise self._too_late() from None

    def __await__(self) -> Generator[object, None, T]:
        """Wait for the outcome without blocking the event loop; see `result`."""
        return self._awaited().__await__()

    async def _awaited(self) -> T:
        try:
            # Shielded: that one waiter gives up does not stop the other thread.
            waiting = asyncio.shield(asyncio.wrap_future(self._future))
            return await asyncio.wait_for(waiting, self._timeout_s)
        except TimeoutError:
            raise self._too_late() from None

    def _too_late(self) -> WaitTimeout:
        return WaitTimeout(
            f"the registry did not answer within {self._timeout_s:g} s",
            code="registry.wait_timeout",
        )


def in_thread(work: Callable[[], T], timeout_s: float) -> Reply[T]:
    """Do something in a thread of its own; see `Reply`."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # belongs to whoever asks for the outcome
            future.set_exception(error)

    threading.Thread(target=run, name="registry-call", daemon=True).start()
    return Reply(future, timeout_s)
