"""Running tasks in the test's own process: the real executor, the real database, no worker."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from seedcore.agent import envelope
from seedcore.agent.definition import Tool
from seedcore.agent.executor import Executor, Outcome
from seedcore.agent.registry import load
from seedcore.agent.reporting import ReportDesk
from seedcore.config.settings import Settings
from seedcore.db.errors import translated
from seedcore.db.sql import Queries
from seedcore.errors import Conflict, NotFound
from seedcore.task import service
from seedcore.task.model import NewTask
from seedcore.task.store import fetch_one

queries = Queries("seedcore.testing", "performing.sql")

AnyTool = Tool[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """What came of one attempt.

    Attributes:
        id: The task.
        type: Its type.
        attempt: The attempt's number.
        status: Where the task stands afterwards: `completed`, `retry` or `failed`, or what somebody
            else has made of it meanwhile.
        result: What the last tool call returned; None if it failed.
        error: What the operator reads, if it failed.
        error_type: The fixed word for that.
        envelope: What is stored as the task's result.
    """

    id: UUID
    type: str
    attempt: int
    status: str
    result: Any
    error: str | None
    error_type: str | None
    envelope: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether the task is completed."""
        return self.status == "completed"


@dataclass(slots=True)
class _Claimed:
    id: str
    type: str
    params: Mapping[str, Any]
    attempts: int
    result: object
    snapshot_id: int | None


def perform(
    conn: psycopg.Connection[Any],
    what: UUID | str | AnyTool,
    args: Mapping[str, Any] | None = None,
    *,
    tools: Iterable[AnyTool] = (),
    settings: Settings | None = None,
) -> Performed:
    """Run one attempt at a task, here and now, and store what comes of it.

    Args:
        conn: A connection in autocommit.
        what: A task's id, or a tool: then a task that calls it is submitted first.
        args: The tool's arguments.
        tools: Tools beside those of installed plugins.
        settings: Limits and plugins. Default: all at their defaults.

    Returns:
        What came of it; a failure is no exception.

    Raises:
        NotFound: There is no such task.
        Conflict: The task is not one that could be started.
    """
    if isinstance(what, Tool):
        tools = [*tools, what]
        params = {"tool_calls": [{"name": what.name, "args": dict(args or {})}]}
        submitted = service.submit(conn, NewTask(type="action", params=params))
        task_id = str(submitted.id)
    else:
        task_id = str(what)
    with _bench(conn, tools, settings) as bench:
        row = fetch_one(conn, queries.take, {"owner": bench.owner, "id": task_id})
        if row is None:
            raise _not_startable(conn, task_id)
        return bench.perform(_Claimed(**row))


def drain(
    conn: psycopg.Connection[Any],
    *,
    tools: Iterable[AnyTool] = (),
    types: Sequence[str] | None = None,
    failures: str = "raise",
    most: int = 10_000,
    settings: Settings | None = None,
) -> list[Performed]:
    """Run every task that is due, one after the other, until none is; also those they submit.

    A task that is to be tried again later is left; see `travel`.

    Args:
        conn: A connection in autocommit.
        tools: Tools beside those of installed plugins.
        types: Only tasks of these types.
        failures: `raise` ends at the first attempt that fails, `return` goes on.
        most: After so many attempts something submits itself for ever.
        settings: Limits and plugins. Default: all at their defaults.

    Returns:
        What came of each attempt, in order.

    Raises:
        AssertionError: An attempt failed; or there were more than `most`.
        ValueError: `failures` is neither of the two.
    """
    if failures not in ("raise", "return"):
        raise ValueError(f"failures is 'raise' or 'return', not {failures!r}")
    done: list[Performed] = []
    with _bench(conn, tools, settings) as bench:
        parameters = {"owner": bench.owner, "types": None if types is None else list(types)}
        while row := fetch_one(conn, queries.claim_one, parameters):
            if len(done) == most:
                raise AssertionError(f"{most} tasks were run, and more are due")
            one = bench.perform(_Claimed(**row))
            done.append(one)
            if failures == "raise" and not one.ok and one.error is not None:
                raise AssertionError(
                    f"task {one.id} ({one.type}), attempt {one.attempt}, ended in {one.status}:"
                    f" {one.error_type}: {one.error}"
                )
    return done


class _Settling:
    """The lease, for a tool that completes its task by itself."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    def begun(self) -> None:
        """Nothing to note: what the row says afterwards is what counts."""


class _Bench:
    """An executor and the loop it runs on, in a thread: the test may have a loop of its own."""

    def __init__(
        self, conn: psycopg.Connection[Any], tools: Iterable[AnyTool], settings: Settings
    ) -> None:
        self._conn = conn
        self._settings = settings
        self.owner = f"test@{secrets.token_hex(4)}"
        desk = ReportDesk(
            lambda: str(settings.database_url),
            self.owner,
            checkpoint_max_bytes=settings.checkpoint_max_bytes,
        )
        registry = load(settings)
        for each in tools:
            registry.add(each)
        self._executor = Executor(registry, settings, desk=desk)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="perform")
        self._runner = asyncio.Runner()

    def close(self) -> None:
        self._executor.close()
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def perform(self, task: _Claimed) -> Performed:
        outcome = self._thread.submit(self._runner.run, self._run(task)).result()
        self._store(task, outcome)
        row = fetch_one(self._conn, queries.outcome, {"id": task.id}) or {}
        stored: Mapping[str, Any] = row.get("result") or outcome.envelope
        is_over = row.get("status") == "completed"
        return Performed(
            id=UUID(task.id),
            type=task.type,
            attempt=task.attempts,
            status=str(row.get("status", "deleted")),
            result=(stored.get("payload") or {}).get("result") if is_over else None,
            error=None if is_over else outcome.error,
            error_type=None if is_over else outcome.error_type,
            envelope=stored,
        )

    async def _run(self, task: _Claimed) -> Outcome:
        async def keep(records: Sequence[envelope.Record]) -> bool:
            document = json.dumps(envelope.progress(task.id, records), ensure_ascii=False)
            row = fetch_one(self._conn, queries.note, {**self._lease(task), "result": document})
            return row is not None

        return await self._executor.run(task, on_progress=keep, settling=_Settling(self.owner))

    def _store(self, task: _Claimed, outcome: Outcome) -> None:
        parameters = {**self._lease(task), "result": outcome.document}
        if outcome.success:
            fetch_one(self._conn, queries.complete, parameters)
            return
        more = {
            "reason": envelope.storable(f"{outcome.error_type}: {outcome.error}"),
            "retryable": outcome.retryable,
            "delay_s": outcome.delay_s,
            "default_max": self._settings.max_task_attempts,
        }
        fetch_one(self._conn, queries.fail, parameters | more)

    def _lease(self, task: _Claimed) -> dict[str, Any]:
        return {"owner": self.owner, "id": task.id, "attempts": task.attempts}


@contextmanager
def _bench(
    conn: psycopg.Connection[Any], tools: Iterable[AnyTool], settings: Settings | None
) -> Generator[_Bench]:
    if not conn.autocommit:
        raise ValueError(
            "the connection must be in autocommit: tools have connections of their own"
        )
    with translated():
        url = make_conninfo(conn.info.dsn, password=conn.info.password or None)
    bench = _Bench(conn, tools, replace(settings or Settings(), database_url=url))
    try:
        yield bench
    finally:
        bench.close()


def _not_startable(conn: psycopg.Connection[Any], task_id: str) -> NotFound | Conflict:
    row = fetch_one(conn, queries.outcome, {"id": task_id})
    if row is None:
        return NotFound(f"there is no task {task_id}", code="task.not_found")
    return Conflict(
        f"task {task_id} is {row['status']}, not queued or retry", code="task.not_startable"
    )
