"""Running a coroutine up to where it first waits, before anything is arranged for its waiting."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Waiting:
    """The rest of a coroutine whose first step has been made; awaited once.

    Args:
        coroutine: What was started.
        awaited: What it waits for.
    """

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, T], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        """Hand its waiting to the event loop, and the loop's answers to it."""
        awaited = self._awaited
        try:
            while True:
                try:
                    answer = yield awaited
                except BaseException as error:  # a cancellation, above all
                    awaited = self._coroutine.throw(error)
                else:
                    awaited = self._coroutine.send(answer)
        except StopIteration as ended:
            return ended.value


def first_step(coroutine: Coroutine[Any, Any, T]) -> tuple[T | None, Waiting | None]:
    """Run a coroutine until it waits for the first time.

    Must be called where the coroutine could be awaited.

    Returns:
        Its value and None if it has ended already; else None and its rest.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as ended:
        return ended.value, None
    return None, Waiting(coroutine, awaited)
