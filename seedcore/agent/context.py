"""What a running tool knows about the task that called it, and what it may do through it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, Self

from seedcore.agent.reporting import (
    CHECKPOINT_MAX_BYTES,
    Reporter,
    Stored,
    checked_progress,
    checkpoint_text,
)

if TYPE_CHECKING:
    import psycopg

    from seedcore.agent.completion import Completion
    from seedcore.task.model import Members, NewTask, Submitted

_log = logging.getLogger("seedcore.tool")


class Flag(Protocol):
    """A `threading.Event` or `asyncio.Event`."""

    def is_set(self) -> bool:
        """Tell whether it happened."""
        ...


class Submitter(Protocol):
    """Stores new tasks."""

    def submit(self, new: NewTask) -> Submitted:
        """Store one task, or find the one that has its idempotency key."""
        ...

    def members(self, task_id: str, limit: int) -> Members:
        """Count the tasks that a task waited for, and name those that did not complete."""
        ...


class ToolLog(logging.LoggerAdapter[logging.Logger]):
    """A logger that adds the call's facts to each line, beside those that the tool gives."""

    @classmethod
    def of(cls, tool: str, task_id: str, attempt: int) -> Self:
        """Make the logger of one call."""
        facts = {"event": "tool.log", "tool": tool, "task_id": task_id, "attempt": attempt}
        return cls(_log, facts)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Merge the facts; LoggerAdapter itself would drop those of the tool."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


@dataclass(slots=True, eq=False)
class ToolContext:
    """The call that is running.

    Attributes:
        task_id: The task's id.
        correlation_id: What ties tasks of one cause together. Default: the task's id.
        attempt: 1 for the first attempt at this task.
        agent_id: The agent that runs the call, if one was chosen.
        organ_id: That agent's organ.
        snapshot_id: The policy snapshot that the task belongs to, if any.
        idempotency_key: `<task_id>:<index>`: equal for every attempt at this call, different for
            every other call. Hand it to the service you call, so that a second attempt does
            nothing twice.
        deadline: When the call is stopped (UTC).
        log: A logger whose lines carry the task's id and the tool's name.
        checkpoint_value: What an earlier attempt at this call stored last by `checkpoint()`; None when
            there is nothing to go on from.
    """

    task_id: str
    correlation_id: str
    attempt: int
    idempotency_key: str
    deadline: datetime
    log: ToolLog
    agent_id: str | None = None
    organ_id: str | None = None
    snapshot_id: int | None = None
    checkpoint_value: Any = None
    _ends_at: float = 0.0
    _flag: Flag | None = field(default=None, repr=False)
    _given_up: bool = False
    _submitter: Submitter | None = field(default=None, repr=False)
    _completion: Completion | None = field(default=None, repr=False)
    _submitted: int = 0
    _reporter: Reporter | None = field(default=None, repr=False)

    def time_left(self) -> float:
        """Return the seconds until the deadline, never less than 0."""
        return max(0.0, self._ends_at - time.monotonic())

    def cancelled(self) -> bool:
        """Tell whether nobody waits for this call any more: cancelled, or out of time.

        A coroutine is cancelled where it waits. A plain function can't be interrupted: one that
        takes long asks this now and then, and returns when it is true.
        """
        if self._given_up or (self._flag is not None and self._flag.is_set()):
            return True
        return time.monotonic() >= self._ends_at

    def give_up(self) -> None:
        """Make `cancelled()` true from now on."""
        self._given_up = True

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the call is, for people who watch the task.

        Costs nothing worth mentioning: it never waits, and of everything said within a second only
        the last word is stored. The same in plain functions and coroutines.

        Args:
            done: How much is done, in any unit.
            total: How much there is to do, in the same unit; None = not known.
            message: A few words (the first 500 characters count).

        Raises:
            ToolError: A number is none, or negative; permanent.
        """
        said = checked_progress(done, total, message)
        if self._reporter is not None and not self._given_up:
            self._reporter.progress(*said)

    def checkpoint(self, value: Any) -> Stored:
        """Store where a next attempt may go on, should this one be lost.

        The next attempt at this call finds it in `checkpoint_value`. It is durable when a plain
        function's call returns; a coroutine writes `await ctx.checkpoint(value)`. Each one is a commit,
        shared with others of the same moment.

        Args:
            value: Any JSON; None forgets what is stored.

        Raises:
            ToolError: The value is not JSON or too large (permanent); or the lease is lost, and
                another attempt may have begun.
            SeedcoreError: The database can't be reached.
        """
        reporter = self._reporter
        text = checkpoint_text(
            value, reporter.checkpoint_max_bytes if reporter else CHECKPOINT_MAX_BYTES
        )
        if self._given_up:
            stored = Stored.refused()
        else:
            stored = Stored(reporter.checkpoint(text)) if reporter else Stored.nowhere()
        if not _on_event_loop():
            stored.wait()
        return stored

    def complete_in(self, conn: psycopg.Connection[Any], result: Any = None) -> None:
        """Complete the task in the transaction that is open on `conn`, and that you commit.

        What the tool wrote in it and the task's result are stored together, or neither is: a crash
        before the commit runs the task again, one right after it does not. The call must be the
        task's last; what the function returns afterwards is ignored.

            with psycopg.connect(url) as conn:
                conn.execute("INSERT INTO invoices …")
                ctx.complete_in(conn, {"invoice": number})

        Args:
            conn: A psycopg connection to the tasks' database.
            result: What would otherwise be returned.

        Raises:
            Conflict: The task is no longer this worker's: let it out of the block, which rolls back.
            UsageError: It is not the last call, no transaction can be open, or the result is not
                JSON or too large.
        """
        self._completing().complete_in(conn, result)

    async def complete_in_async(
        self, conn: psycopg.AsyncConnection[Any], result: Any = None
    ) -> None:
        """Do what `complete_in` does, in a coroutine on an asynchronous connection."""
        await self._completing().complete_in_async(conn, result)

    def _completing(self) -> Completion:
        if self._completion is None:
            from seedcore.errors import UsageError

            raise UsageError(
                "only the task of a worker can be completed, and this call is none's",
                code="task.not_claimed",
            )
        return self._completion

    def submit(
        self,
        type: str,
        params: Mapping[str, Any] | None = None,
        *,
        description: str = "",
        domain: str | None = None,
        priority: int | None = None,
        run_after: datetime | None = None,
        in_s: float | None = None,
        depends_on: Sequence[str] = (),
        max_attempts: int | None = None,
        idempotency_key: str | None = None,
        concurrency_key: str | None = None,
        concurrency: int | None = None,
    ) -> Submitted:
        """Submit another task.

        This waits for the database, so it belongs into a thread: a plain function just calls it, a
        coroutine writes `await asyncio.to_thread(ctx.submit, …)`.

        Args:
            type: The new task's type.
            params: Its payload; `correlation_id` is added unless given.
            description: A sentence for people.
            domain: Its domain.
            priority: 0 to 10, higher first.
            run_after: When it may start at the earliest.
            in_s: The same, as seconds from now.
            depends_on: Ids of tasks that must be completed first; `ended:ID` only has to end.
            max_attempts: Attempts before it counts as failed.
            idempotency_key: Default: this call's own key, with `:2`, `:3`, … for its further
                tasks; so a second attempt at the call finds the tasks of the first.
            concurrency_key: Tasks with the same key share a limit on how many of them run at once.
            concurrency: That limit; default 1: one after the other.

        Returns:
            id, whether it was created now, its status.

        Raises:
            RuntimeError: Called on the event loop.
            SeedcoreError: The task was refused, or the database can't be reached.
        """
        from seedcore.task.model import NewTask

        submitter = self._database("submit")
        self._submitted += 1
        suffix = f":{self._submitted}" if self._submitted > 1 else ""
        return submitter.submit(
            NewTask(
                type=type,
                params={"correlation_id": self.correlation_id, **(params or {})},
                description=description,
                domain=domain,
                priority=priority,
                run_after=run_after,
                in_s=in_s,
                depends_on=tuple(depends_on),
                max_attempts=max_attempts,
                idempotency_key=idempotency_key or self.idempotency_key + suffix,
                concurrency_key=concurrency_key,
                concurrency_limit=concurrency,
            )
        )

    def members(self, *, limit: int = 100) -> Members:
        """Count the tasks that this one waited for, and name those that did not complete.

        For tasks that gather what others made. Waits for the database, as `submit` does.

        Args:
            limit: How many of those that failed or were cancelled to name at most.

        Returns:
            total, by_status (counts), failed (id, status and error of each).

        Raises:
            RuntimeError: Called on the event loop.
            SeedcoreError: The database can't be reached.
        """
        return self._database("members").members(self.task_id, limit)

    def _database(self, method: str) -> Submitter:
        if _on_event_loop():
            raise RuntimeError(
                f"ctx.{method}() waits for the database; in a coroutine write"
                f" 'await asyncio.to_thread(ctx.{method}, …)'"
            )
        if self._submitter is None:
            raise RuntimeError("this ToolContext was made without a database to submit to")
        return self._submitter

    @classmethod
    def for_test(
        cls,
        *,
        task_id: str = "00000000-0000-7000-8000-000000000000",
        attempt: int = 1,
        time_left_s: float = 60.0,
        submitter: Submitter | None = None,
        reporter: Reporter | None = None,
        checkpoint_value: Any = None,
    ) -> ToolContext:
        """Make a context for calling a tool's function from a test.

        Args:
            task_id: The task's id.
            attempt: The attempt's number.
            time_left_s: Seconds until the deadline.
            submitter: What `submit()` uses; None refuses to submit.
            reporter: What `progress()` and `checkpoint()` tell; None forgets it.
            checkpoint_value: What an earlier attempt has stored.
        """
        return cls(
            task_id=task_id,
            correlation_id=task_id,
            attempt=attempt,
            idempotency_key=f"{task_id}:0",
            deadline=datetime.now(UTC) + timedelta(seconds=time_left_s),
            log=ToolLog.of("test", task_id, attempt),
            _ends_at=time.monotonic() + time_left_s,
            _submitter=submitter,
            _reporter=reporter,
            checkpoint_value=checkpoint_value,
        )


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
