"""One tool call: checked, then run within its time on the loop or in a thread."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from seedcore.agent.arguments import BadArguments
from seedcore.agent.attempt import Attempt
from seedcore.agent.completion import Completion, Settling
from seedcore.agent.context import Flag, Submitter, ToolContext, ToolLog
from seedcore.agent.definition import Tool
from seedcore.agent.eager import first_step
from seedcore.agent.envelope import RunsIn, error_text
from seedcore.agent.failure import Failure
from seedcore.agent.reporting import ReportDesk
from seedcore.agent.threads import ToolThreads
from seedcore.agent.toolerror import ToolError
from seedcore.agent.values import BadValue, encode
from seedcore.errors import ConfigError, Conflict, NotFound, SeedcoreError, UsageError

log = logging.getLogger(__name__)

BeforeStart = Callable[[], Awaitable[None]]

# Another attempt would get the same answer.
_HOPELESS = (UsageError, NotFound, Conflict, ConfigError)


@dataclass(slots=True, eq=False)
class Surroundings:
    """What the calls of one attempt have in common.

    Attributes:
        task_id: The task's id.
        params: Its payload.
        attempt: The attempt's number.
        snapshot_id: Its policy snapshot, if any.
        ends_at: `time.monotonic()` at which the attempt is out of time.
        threads: Where plain functions run.
        submitter: What `ctx.submit()` uses.
        desk: What `ctx.progress()` and `ctx.checkpoint()` use; None = nobody listens.
        cancelled: Set when nobody waits for the outcome any more.
        left_running: Called when a thread goes on after the attempt, with what is done when it ends.
        value_max_bytes: Largest value of one call, as JSON.
        record: The attempt, for a call that completes the task by itself.
        settling: Its lease.
        runs_in: The agent that makes the calls, if one does.
    """

    task_id: str
    params: Mapping[str, Any]
    attempt: int
    snapshot_id: int | None
    ends_at: float
    threads: ToolThreads
    submitter: Submitter | None
    desk: ReportDesk | None
    cancelled: Flag | None
    value_max_bytes: int
    record: Attempt | None = None
    settling: Settling | None = None
    runs_in: RunsIn | None = None
    left_running: Callable[[asyncio.Future[Any]], None] | None = None


def check_arguments(tool: Tool[..., Any], args: object) -> dict[str, Any]:
    """Return the arguments as the function wants them, or fail with `bad_arguments`."""
    try:
        return tool.arguments.check(args)
    except BadArguments as refused:
        raise Failure("bad_arguments", f"{tool.name}: {refused}") from None


async def make_call(
    tool: Tool[..., Any],
    kwargs: dict[str, Any],
    index: int,
    around: Surroundings,
    before_start: BeforeStart | None,
) -> Any:
    """Run one call and return its value.

    Args:
        tool: The tool.
        kwargs: Its arguments, checked.
        index: The call's place in the task.
        around: The attempt.
        before_start: Awaited at the last moment before the function runs; if it fails, the function
            does not run.

    Raises:
        Failure: It ended in anything but a storable value.
        asyncio.CancelledError: The attempt was cancelled.
    """
    context = None
    if tool.arguments.context_parameter is not None:
        context = _context(tool, index, around)
        context.checkpoint_value = await _earlier_checkpoint(tool, index, around)
        kwargs = {**kwargs, tool.arguments.context_parameter: context}
    try:
        if tool.is_async:
            value = await _run_async(tool, kwargs, around, before_start)
        else:
            value = await _run_in_thread(tool, kwargs, around, before_start)
    except (Failure, asyncio.CancelledError):
        if context is not None:
            context.give_up()  # a function that is still running learns it by ctx.cancelled()
        raise
    _check_value(tool, value, around.value_max_bytes)
    return value


async def _run_async(
    tool: Tool[..., Any],
    kwargs: dict[str, Any],
    around: Surroundings,
    before_start: BeforeStart | None,
) -> Any:
    if before_start is not None:
        await before_start()
    function = cast("Callable[..., Coroutine[Any, Any, Any]]", tool.function)
    return await _within_time(tool, lambda: function(**kwargs), around)


async def _run_in_thread(
    tool: Tool[..., Any],
    kwargs: dict[str, Any],
    around: Surroundings,
    before_start: BeforeStart | None,
) -> Any:
    threads = around.threads
    try:
        async with asyncio.timeout(around.ends_at - time.monotonic()):
            await threads.acquire()
    except TimeoutError:
        raise Failure(
            "timeout",
            f"{tool.name}: none of {threads.size} threads became free in time"
            f" ({threads.abandoned} of them hang in calls that were given up)",
        ) from None
    started = False
    try:
        if before_start is not None:
            await before_start()
        started = True
        return await _within_time(
            tool,
            lambda: threads.run(tool.function, kwargs, left_running=around.left_running),
            around,
        )
    finally:
        if not started:
            threads.release()


async def _within_time(
    tool: Tool[..., Any], start: Callable[[], Coroutine[Any, Any, Any]], around: Surroundings
) -> Any:
    began = time.monotonic()
    left = around.ends_at - began
    limit = left if tool.timeout_s is None else min(tool.timeout_s, left)
    clock: asyncio.Timeout | None = None  # made when it waits; many calls never do
    try:
        value, rest = first_step(start())
        if rest is None:
            return value
        async with (clock := asyncio.timeout(limit - (time.monotonic() - began))):
            return await rest
    except asyncio.CancelledError:
        if clock is not None and clock.expired():
            # It ignored the end of its time and had to be cancelled once more. It is out of time
            # all the same, which for an at_most_once call must not look like "never happened".
            raise _out_of_time(tool, limit) from None
        if _is_cancelled_from_outside(around):
            raise
        raise _self_cancelled(tool) from None
    except TimeoutError as error:
        if clock is None or not clock.expired():
            raise _failed(tool, error) from error
        raise _out_of_time(tool, limit) from None
    except (Exception, SystemExit) as error:
        raise _failed(tool, error) from error


def _is_cancelled_from_outside(around: Surroundings) -> bool:
    """Tell whose cancellation this is, and take it back if a tool has cancelled the task it runs in.

    Whoever cancels an attempt raises its flag first (see `Executor.run`); without a flag it can't be
    told apart, and the attempt ends.
    """
    current = asyncio.current_task()
    if current is None or not current.cancelling():
        return False
    if around.cancelled is None or around.cancelled.is_set():
        return True
    while current.uncancel():
        pass
    return False


def _self_cancelled(tool: Tool[..., Any]) -> Failure:
    if tool.at_most_once:
        return Failure(
            "outcome_unknown",
            f"{tool.name}: cancelled itself; it may have done its work, so it is not called again",
        )
    return Failure("tool_error", f"{tool.name}: CancelledError")


def _out_of_time(tool: Tool[..., Any], limit: float) -> Failure:
    took = f"{tool.name}: did not end within {max(limit, 0.0):.3g} s"
    if tool.at_most_once:
        return Failure(
            "outcome_unknown", f"{took}; it may have done its work, so it is not called again"
        )
    return Failure("timeout", took)


def _failed(tool: Tool[..., Any], error: BaseException) -> Failure:
    text = f"{tool.name}: {error_text(error)}"
    if isinstance(error, ToolError):
        return Failure("tool_error", text, retryable=not error.permanent, delay_s=error.retry_after)
    if isinstance(error, SeedcoreError):
        return Failure("tool_error", text, retryable=not isinstance(error, _HOPELESS))
    # Only here is a traceback of use: the author did not expect this.
    log.warning(
        "Tool %s raised %s",
        tool.name,
        type(error).__name__,
        exc_info=error,
        extra={"event": "tool.raised", "tool": tool.name},
    )
    return Failure("tool_error", text)


def _check_value(tool: Tool[..., Any], value: object, limit: int) -> None:
    try:
        text = encode(value)
    except BadValue as bad:
        raise Failure("bad_result", f"{tool.name} returned what is not JSON: {bad}") from None
    if len(text) > limit or (len(text) * 4 > limit and len(text.encode()) > limit):
        raise Failure(
            "too_large",
            f"{tool.name} returned {len(text.encode()):,} bytes; SEEDCORE_RESULT_MAX_BYTES is {limit:,}",
        )


def _context(tool: Tool[..., Any], index: int, around: Surroundings) -> ToolContext:
    now = time.monotonic()
    ends_at = around.ends_at
    if tool.timeout_s is not None:
        ends_at = min(ends_at, now + tool.timeout_s)
    correlation = around.params.get("correlation_id")
    return ToolContext(
        task_id=around.task_id,
        correlation_id=correlation if isinstance(correlation, str) else around.task_id,
        attempt=around.attempt,
        idempotency_key=f"{around.task_id}:{index}",
        deadline=datetime.now(UTC) + timedelta(seconds=ends_at - now),
        log=ToolLog.of(tool.name, around.task_id, around.attempt),
        agent_id=around.runs_in.agent_id if around.runs_in else None,
        organ_id=around.runs_in.organ_id if around.runs_in else None,
        snapshot_id=around.snapshot_id,
        _ends_at=ends_at,
        _flag=around.cancelled,
        _submitter=around.submitter,
        _reporter=around.desk.of(around.task_id, around.attempt, index) if around.desk else None,
        _completion=Completion(around.record, around.settling, index, around.value_max_bytes)
        if around.record is not None
        else None,
    )


async def _earlier_checkpoint(tool: Tool[..., Any], index: int, around: Surroundings) -> Any:
    """Read what an earlier attempt at this call has stored; a first attempt need not ask."""
    if around.desk is None or around.attempt < 2:
        return None
    try:
        found = await asyncio.wrap_future(around.desk.earlier(around.task_id))
    except SeedcoreError as error:
        raise Failure(
            "service_unavailable",
            f"{tool.name} was not started, its checkpoint can't be read: {error_text(error)}",
        ) from error
    return json.loads(found[1]) if found is not None and found[0] == index else None
