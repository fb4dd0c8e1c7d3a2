"""Runs what a task asks for: its tool calls in order, or the tool that handles its type."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast
from uuid import uuid4

from seedcore.agent import envelope
from seedcore.agent.access import Grants, Permissions
from seedcore.agent.attempt import (
    Attempt,
    ClaimedTask,
    OnProgress,
    Outcome,
    Request,
    milliseconds_since,
)
from seedcore.agent.call import Surroundings, check_arguments, make_call
from seedcore.agent.completion import Settling
from seedcore.agent.context import Flag
from seedcore.agent.definition import NAME_MAX
from seedcore.agent.failure import Failure
from seedcore.agent.naming import GENERALIST
from seedcore.agent.registry import AnyTool, ToolRegistry
from seedcore.agent.reporting import ReportDesk
from seedcore.agent.submitter import PooledSubmitter
from seedcore.agent.threads import ToolThreads
from seedcore.capability import roles
from seedcore.config.settings import Settings

if TYPE_CHECKING:
    from seedcore.capability.model import RoleProfile
    from seedcore.capability.registry import CapabilityRegistry

__all__ = [
    "AdHocTask",
    "ClaimedTask",
    "Executor",
    "HostLost",
    "OnProgress",
    "Outcome",
    "TaskExecutor",
    "adhoc_task",
    "time_limit",
]


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


class HostLost(Exception):
    """What ran an attempt is gone; it may have done its work.

    Args:
        message: What is gone.
        was_begun: False when the attempt had not been handed over, so that nothing was done.
    """

    def __init__(self, message: str, *, was_begun: bool = True) -> None:
        super().__init__(message)
        self.was_begun = was_begun


class TaskExecutor(Protocol):
    """What a worker needs of whatever runs its tasks."""

    @property
    def calls(self) -> Mapping[str, int]:
        """Calls since the start, by outcome."""
        ...

    @property
    def tools(self) -> int:
        """How many tools there are."""
        ...

    @property
    def threads_abandoned(self) -> int:
        """Threads whose call was given up and that have not returned yet."""
        ...

    async def start(self) -> None:
        """Get ready; raises what will keep it from running anything."""
        ...

    async def stop(self) -> None:
        """Let everything go."""
        ...

    async def run(
        self,
        task: ClaimedTask,
        *,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancelled: Flag | None = None,
        settling: Settling | None = None,
        left_running: Callable[[asyncio.Future[Any]], None] | None = None,
    ) -> Outcome:
        """Run one attempt; see `Executor.run`.

        Raises:
            HostLost: What ran it is gone.
            asyncio.CancelledError: The attempt was cancelled.
        """
        ...


class Executor:
    """Runs claimed tasks on the tools of a registry, many at the same time on one event loop.

    Args:
        registry: The tools.
        settings: Limits: threads, sizes, times, grants.
        desk: Takes what tools report while they run. Default: nobody does. Closed with the executor.
        runs_in: The agent that calls the tools, if one does.
        allowed_tools: Patterns of the tools that the agent may call, of those that its role and the
            settings grant. Default: all of them.
        specialization: The agent's; without agents everybody is a generalist.
        role: The profile of that specialization. Default: as AGENT_ROLES has it.
        capabilities: Those of the snapshot that is served, for tasks that policy called for.

    Raises:
        ConfigError: DEFAULT_ALLOWED_TOOLS, the role or `allowed_tools` holds something that is no
            pattern, or AGENT_ROLES can't be read.
    """

    def __init__(
        self,
        registry: ToolRegistry,
        settings: Settings,
        *,
        desk: ReportDesk | None = None,
        runs_in: envelope.RunsIn | None = None,
        allowed_tools: str | None = None,
        specialization: str = GENERALIST,
        role: RoleProfile | None = None,
        capabilities: CapabilityRegistry | None = None,
    ) -> None:
        self.registry = registry
        self.settings = settings
        self.calls: Counter[str] = Counter()
        """Calls since the start, by outcome: `ok`, `reused`, or an error type."""
        self._threads = ToolThreads(settings.tool_threads)
        self._submitter = PooledSubmitter(settings)
        self._desk = desk
        self._runs_in = runs_in
        self._permissions = Permissions(
            roles.load(settings).profile(specialization) if role is None else role,
            specialization,
            Grants.parse(settings.default_allowed_tools),
            own=None if allowed_tools is None else Grants.parse(allowed_tools),
            holder="this role" if runs_in is None else runs_in.agent_id,
            capabilities=capabilities,
        )
        self.granted = frozenset(
            tool.name for tool in registry if self._permissions.allows(tool.name)
        )
        """Names of the tools that may be called here."""

    def granted_for(self, params: Mapping[str, Any]) -> frozenset[str]:
        """Return the names of the tools that may be called here for a task."""
        if not self._permissions.widens(params):
            return self.granted
        return frozenset(
            tool.name for tool in self.registry if self._permissions.allows(tool.name, params)
        )

    @property
    def threads_abandoned(self) -> int:
        """Threads whose call was given up and that have not returned yet."""
        return self._threads.abandoned

    @property
    def tools(self) -> int:
        """How many tools there are."""
        return len(self.registry)

    async def start(self) -> None:
        """Do nothing; it is ready when it is made."""

    async def stop(self) -> None:
        """Let idle threads and connections go."""
        self.close()

    def close(self) -> None:
        """Let idle threads and connections go."""
        self._threads.close()
        self._submitter.close()
        if self._desk is not None:
            self._desk.close()

    async def run(
        self,
        task: ClaimedTask,
        *,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancelled: Flag | None = None,
        settling: Settling | None = None,
        desk: ReportDesk | None = None,
        left_running: Callable[[asyncio.Future[Any]], None] | None = None,
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
            settling: The lease, for a tool that completes the task by itself.
            desk: Takes what this attempt's tools report. Default: the executor's own.
            left_running: Called when a plain function goes on in its thread although the attempt
                ends, with what is done when it returns.

        Returns:
            The outcome; whatever a tool does ends in one.

        Raises:
            asyncio.CancelledError: The attempt was cancelled.
        """
        attempt = Attempt(task, on_progress, self._runs_in)
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
                desk=desk or self._desk,
                cancelled=cancelled,
                value_max_bytes=self.settings.result_max_bytes,
                record=attempt,
                settling=settling,
                runs_in=self._runs_in,
                left_running=left_running,
            )
            for index, request in enumerate(requests):
                if cancelled is not None and cancelled.is_set():
                    raise asyncio.CancelledError
                await self._one(attempt, index, request, around)
        except Failure as ended:
            failure = ended
        return attempt.outcome(failure, self.settings.result_max_bytes)

    async def _one(
        self, attempt: Attempt, index: int, request: Request, around: Surroundings
    ) -> None:
        """Make one call, or find it made by an earlier attempt, and record it."""
        began = time.perf_counter()
        record = attempt.record(index, request.name)
        outcome = "ok"
        try:
            tool = self._resolve(request.name)
            self._permissions.check(request.name, around.params)
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
            record["latency_ms"] = milliseconds_since(began)
            self.calls[outcome] += 1

    def _resolve(self, name: str) -> AnyTool:
        tool = self.registry.find(name)
        if tool is None:
            raise Failure(
                "unknown_tool",
                f"there is no tool {envelope.storable(name)!r} in this process;"
                f" {self.registry.suggestion(name)}",
            )
        return tool

    def _requests(self, task: ClaimedTask) -> list[Request]:
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
        return [Request(handler.name, task.params.get("args", {}))]


def time_limit(params: Mapping[str, Any], settings: Settings) -> float:
    """Return the seconds that an attempt may take: the task's own wish within the settings' cap."""
    routing = params.get("routing")
    hints = cast("Any", routing).get("hints") if isinstance(routing, dict) else None
    wish = cast("Any", hints).get("timeout_s") if isinstance(hints, dict) else None
    if isinstance(wish, (int, float)) and not isinstance(wish, bool) and wish > 0:
        return min(float(wish), settings.dispatcher_max_timeout_s)
    return settings.serve_call_timeout_s


def _tool_calls(calls: object) -> list[Request]:
    if not isinstance(calls, list):
        raise Failure("bad_payload", "/tool_calls: is not an array")
    requests: list[Request] = []
    for i, call in enumerate(cast("list[Any]", calls)):
        if not isinstance(call, dict):
            raise Failure("bad_payload", f"/tool_calls/{i}: is not an object with name and args")
        name = cast("dict[str, Any]", call).get("name")
        if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX:
            raise Failure("bad_payload", f"/tool_calls/{i}/name: is missing, or no tool's name")
        args = cast("dict[str, Any]", call).get("args")
        requests.append(Request(name, {} if args is None else args))
    return requests
