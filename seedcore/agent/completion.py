"""`ctx.complete_in`: a tool stores its own writes and the task's result in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from seedcore.agent.attempt import Attempt
from seedcore.agent.values import BadValue, encode
from seedcore.errors import UsageError
from seedcore.task.exchange import Lease

if TYPE_CHECKING:
    import psycopg


class Settling(Protocol):
    """The lease of the running task, as the worker hands it to the executor."""

    @property
    def owner(self) -> str:
        """Who holds it."""
        ...

    def begun(self) -> None:
        """Note that the tool may complete the task by itself; called before it tries."""
        ...


class Completion:
    """Completes the task of one call.

    Args:
        attempt: The attempt that makes the call.
        settling: The lease; None outside a worker.
        index: The call's place in the task.
        value_max_bytes: Largest value, as JSON.
    """

    def __init__(
        self, attempt: Attempt, settling: Settling | None, index: int, value_max_bytes: int
    ) -> None:
        self._attempt = attempt
        self._settling = settling
        self._index = index
        self._value_max_bytes = value_max_bytes
        self._is_used = False

    def complete_in(self, conn: psycopg.Connection[Any], value: Any) -> None:
        """Complete the task in the connection's transaction; see `ToolContext.complete_in`."""
        from seedcore.task.settle import complete_in

        document = self._document(value)
        complete_in(conn, self._begin(), self._lease, document)

    async def complete_in_async(self, conn: psycopg.AsyncConnection[Any], value: Any) -> None:
        """Do the same on an asynchronous connection."""
        from seedcore.task.settle import complete_in_async

        document = self._document(value)
        await complete_in_async(conn, self._begin(), self._lease, document)

    @property
    def _lease(self) -> Lease:
        return Lease(self._attempt.task_id, self._attempt.task.attempts)

    def _begin(self) -> str:
        """Tell the worker, and return who it is."""
        if self._settling is None:
            raise UsageError(
                "only the task of a worker can be completed, and this call is none's",
                code="task.not_claimed",
            )
        self._settling.begun()
        self._is_used = True
        return self._settling.owner

    def _document(self, value: Any) -> str:
        attempt = self._attempt
        if self._index != len(attempt.requests) - 1:
            raise UsageError(
                f"call {self._index + 1} of {len(attempt.requests)} can't complete the task:"
                " the others would not be made",
                code="task.calls_left",
                hint="complete the task in its last call",
            )
        if self._is_used:
            raise UsageError("this call has completed its task before", code="task.completed_twice")
        try:
            size = len(encode(value).encode())
        except BadValue as bad:
            raise UsageError(f"the result is not JSON: {bad}", code="task.bad_result") from None
        if size <= self._value_max_bytes:
            document = attempt.completed(value)
            size = len(document.encode())
            if size <= self._value_max_bytes:
                return document
        raise UsageError(
            f"the result is {size:,} bytes; SEEDCORE_RESULT_MAX_BYTES is {self._value_max_bytes:,}",
            code="task.result_too_large",
        )
