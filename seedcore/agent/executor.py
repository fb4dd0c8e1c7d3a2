"""Runs what a task asks for: its tool calls in order, or the tool that handles its type."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, cast
from uuid import uuid4

from seedcore.agent import envelope
from seedcore.agent.access import Grants
from seedcore.agent.call import Surroundings, check_arguments, make_call
from seedcore.agent.context import Flag
from seedcore.agent.definition import NAME_MAX
from seedcore.agent.envelope import Record
from seedcore.agent.failure import Failure
from seedcore.agent.registry import AnyTool, ToolRegistry
from seedcore.agent.submitter import PooledSubmitter
from seedcore.agent.threads import ToolThreads
from seedcore.agent.values import DEPTH_MAX, encode
from seedcore.config.settings import Settings

OnProgress = Callable[[Sequence[Record]], Awaitable[bool]]
"""Stores an attempt's records so far, as `envelope.progress` writes them, under the fence.

Returns False when the lease is lost.
"""


class ClaimedTask(Protocol):
    """What the executor reads of a claimed task."""

    @property
    def id(self) -> object:
        """Its id."""
        ...

    @property
    def type(self) -> str:
        """Its type."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """Its payload."""
        ...

    @property
    def attempts(self) -> int:
        """The number of this attempt."""
        ...

    @property
    def result(self) -> object:
        """What an earlier attempt left."""
        ...


@dataclass(frozen=True, slots=True)
class AdHocTask:
    """A task that is in no queue: one call made by hand."""

    params: Mapping[str, Any]
    id: str
    type: str = "action"
    attempts: int = 1
    result: object = None


def adhoc_task(name: str, args: object) -> AdHocTask:
    """Return a task that makes one call, for `Executor.run`."""
    return AdHocTask({"tool_calls": [{"name": name, "args": args}]}, id=str(uuid4()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        success: Whether every call was made and answered.
        envelope: What to store as the task's result.
        document: The same as JSON text, ready for jsonb.
        error: The sentence to show, if it failed.
        error_type: One of the fixed words, if it failed.
        retryable: Whether another attempt may help.
        delay_s: Seconds until then, if the tool named them.
    """

    success: bool
    envelope: dict[str, Any]
    document: str
    error: str | None = None
    error_type: str | None = None
    retryable: bool = False
    delay_s: float | None = None


class _Request(NamedTuple):
    name: str
    args: object


class Executor:
    """Runs claimed tasks on the tools of a registry, many at the same time on one event loop.

    Args:
        registry: The tools.
        settings: Limits: threads, sizes, times, grants.

    Raises:
        ConfigError: DEFAULT_ALLOWED_TOOLS holds something that is no pattern.
    """

    def __init__(self, registry: ToolRegistry, settings: Settings) -> None:
        self.registry = registry
        self.settings = settings
        self.calls: Counter[str] = Counter()
        """Calls since the start, by outcome: `ok`, `reused`, or an error type."""
        self._threads = ToolThreads(settings.tool_threads)
        self._submitter = PooledSubmitter(settings)
        grants = Grants.parse(settings.default_allowed_tools)
        self._granted = frozenset(tool.name for tool in registry if grants.allows(tool.name))

    @property
    def threads_abandoned(self) -> int:
        """Threads whose call was given up and that have not returned yet."""
        return self._threads.abandoned

    def close(self) -> None:
        """Let idle threads and connections go."""
        self._threads.close()
        self._submitter.close()

    async def run(
        self,
        task: ClaimedTask,
        *,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancelled: Flag | None = None,
    ) -> Outcome:
        """Run one attempt.

        To cancel it, set `cancelled` (which tells the plain functions) and cancel the asyncio task
        that awaits this (which ends the coroutines).

        Args:
            task: The task, claimed.
            deadline: `time.monotonic()` at which the attempt is out of time. Default: `time_limit`
                from now.
            on_progress: Stores the start mark of an `at_most_once` call; without it such a call is
                not made.
            cancelled: Set when nobody waits for the outcome any more.

        Returns:
            The outcome; whatever a tool does ends in one.

        Raises:
            asyncio.CancelledError: The attempt was cancelled.
        """
        attempt = _Attempt(task, on_progress)
        failure: Failure | None = None
        try:
            requests = attempt.requests = self._requests(task)
            if deadline is None:
                deadline = time.monotonic() + time_limit(task.params, self.settings)
            around = Surroundings(
                task_id=attempt.task_id,
                params=task.params,
                attempt=task.attempts,
                snapshot_id=getattr(task, "snapshot_id", None),
                ends_at=deadline,
                threads=self._threads,
                submitter=self._submitter,
                cancelled=cancelled,
                value_max_bytes=self.settings.result_max_bytes,
            )
            for index, request in enumerate(requests):
                if cancelled is not None and cancelled.is_set():
                    raise asyncio.CancelledError
                await self._one(attempt, index, request, around)
        except Failure as ended:
            failure = ended
        return attempt.outcome(failure, self.settings.result_max_bytes)

    async def _one(
        self, attempt: _Attempt, index: int, request: _Request, around: Surroundings
    ) -> None:
        """Make one call, or find it made by an earlier attempt, and record it."""
        began = time.perf_counter()
        record = attempt.record(index, request.name)
        outcome = "ok"
        try:
            tool = self._resolve(request.name)
            kwargs = check_arguments(tool, request.args)
            if attempt.reuse(index, request):
                outcome = "reused"
                return
            mark = (lambda: attempt.mark_start(index, request)) if tool.at_most_once else None
            record["value"] = await make_call(tool, kwargs, index, around, mark)
            record["ok"] = True
        except Failure as failure:
            record["error"], record["error_type"] = failure.message, failure.error_type
            outcome = failure.error_type
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            record["latency_ms"] = _milliseconds_since(began)
            self.calls[outcome] += 1

    def _resolve(self, name: str) -> AnyTool:
        tool = self.registry.find(name)
        if tool is None:
            raise Failure(
                "unknown_tool",
                f"there is no tool {envelope.storable(name)!r} in this process;"
                f" {self.registry.suggestion(name)}",
            )
        if name not in self._granted:
            raise Failure(
                "not_permitted",
                f"{name} is not among the tools granted here"
                f" (DEFAULT_ALLOWED_TOOLS={self.settings.default_allowed_tools})",
            )
        return tool

    def _requests(self, task: ClaimedTask) -> list[_Request]:
        """Find out what the task asks for."""
        calls = task.params.get("tool_calls")
        if calls is not None and calls != []:
            return _tool_calls(calls)
        handler = self.registry.for_type(task.type)
        if handler is None:
            raise Failure(
                "no_executor",
                f"nothing here runs a task of type {envelope.storable(task.type)!r}:"
                " it names no tool_calls, and no tool handles its type",
            )
        return [_Request(handler.name, task.params.get("args", {}))]


class _Attempt:
    """What has happened in one attempt so far."""

    def __init__(self, task: ClaimedTask, on_progress: OnProgress | None) -> None:
        self.task = task
        self.task_id = str(task.id)
        self.requests: list[_Request] = []
        self._records: list[Record] = []
        self._earlier = envelope.earlier_records(task.result) if task.result is not None else {}
        self._on_progress = on_progress
        self._started_at = datetime.now(UTC)
        self._began = time.perf_counter()

    def record(self, index: int, name: str) -> Record:
        """Begin the record of a call."""
        record: Record = {
            "index": index,
            "name": name,
            "ok": False,
            "value": None,
            "error": None,
            "error_type": None,
            "latency_ms": 0.0,
            "reused": False,
        }
        self._records.append(record)
        return record

    def reuse(self, index: int, request: _Request) -> bool:
        """Take the value of an equal call that an earlier attempt has made, if there is one.

        Raises:
            Failure: That attempt has started the call, and nobody knows how it ended.
        """
        earlier = self._earlier.get(index)
        if (
            earlier is None
            or earlier.get("name") != request.name
            or earlier.get("args_digest") != _digest(request)
        ):
            return False
        if earlier.get("ok"):
            self._records[-1].update(ok=True, value=earlier.get("value"), reused=True)
            return True
        if earlier.get("started"):
            raise Failure(
                "outcome_unknown",
                f"{request.name}: an earlier attempt was lost after it had started this call;"
                " it may have done its work, so it is not called again",
            )
        return False

    async def mark_start(self, index: int, request: _Request) -> None:
        """Store that a call is about to start, before it does.

        Raises:
            Failure: It can't be stored, so the call must not start.
        """
        if self._on_progress is None:
            raise Failure("internal", f"{request.name} needs a start mark, which can't be stored")
        self._add_digests()
        mark: Record = {**self._records[index], "args_digest": _digest(request), "started": True}
        try:
            holds = await self._on_progress([*self._records[:index], mark])
        except Exception as error:
            raise Failure(
                "service_unavailable",
                f"{request.name} was not started, its start mark can't be stored:"
                f" {envelope.error_text(error)}",
            ) from error
        if not holds:
            raise Failure("lease_expired", f"{request.name} was not started, the lease is lost")

    def outcome(self, failure: Failure | None, max_bytes: int) -> Outcome:
        """Write the envelope."""
        built, document = self._envelope(failure)
        if len(document) * 4 > max_bytes and (size := len(document.encode())) > max_bytes:
            failure = Failure(
                "too_large",
                f"the result is {size:,} bytes; SEEDCORE_RESULT_MAX_BYTES is {max_bytes:,}",
            )
            # Without the values it is small; which call made it large is of no use to a program.
            for record in self._records:
                record.update(ok=False, value=None)
            built, document = self._envelope(failure)
        if failure is None:
            return Outcome(True, built, document)
        return Outcome(
            False,
            built,
            document,
            failure.message,
            failure.error_type,
            failure.retryable,
            failure.delay_s,
        )

    def _envelope(self, failure: Failure | None) -> tuple[dict[str, Any], str]:
        if failure is not None:
            self._add_digests()
        error = envelope.storable(failure.message) if failure is not None else None
        built = envelope.build(
            task_id=self.task_id,
            task_type=self.task.type,
            attempt=self.task.attempts,
            records=self._records,
            started_at=self._started_at,
            latency_ms=_milliseconds_since(self._began),
            error=error,
            error_type=failure.error_type if failure is not None else None,
            retry=failure.retryable if failure is not None else False,
        )
        # The values have been checked; the envelope around them only adds its own levels.
        return built, encode(built, DEPTH_MAX + 8)

    def _add_digests(self) -> None:
        """Let a later attempt recognise the calls that need not be made again."""
        for record, request in zip(self._records, self.requests, strict=False):
            if record["ok"]:
                record["args_digest"] = _digest(request)


def time_limit(params: Mapping[str, Any], settings: Settings) -> float:
    """Return the seconds that an attempt may take: the task's own wish within the settings' cap."""
    routing = params.get("routing")
    hints = cast("Any", routing).get("hints") if isinstance(routing, dict) else None
    wish = cast("Any", hints).get("timeout_s") if isinstance(hints, dict) else None
    if isinstance(wish, (int, float)) and not isinstance(wish, bool) and wish > 0:
        return min(float(wish), settings.dispatcher_max_timeout_s)
    return settings.serve_call_timeout_s


def _tool_calls(calls: object) -> list[_Request]:
    if not isinstance(calls, list):
        raise Failure("bad_payload", "/tool_calls: is not an array")
    requests: list[_Request] = []
    for i, call in enumerate(cast("list[Any]", calls)):
        if not isinstance(call, dict):
            raise Failure("bad_payload", f"/tool_calls/{i}: is not an object with name and args")
        name = cast("dict[str, Any]", call).get("name")
        if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX:
            raise Failure("bad_payload", f"/tool_calls/{i}/name: is missing, or no tool's name")
        args = cast("dict[str, Any]", call).get("args")
        requests.append(_Request(name, {} if args is None else args))
    return requests


def _digest(request: _Request) -> str:
    return envelope.args_digest(request.args)


def _milliseconds_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
