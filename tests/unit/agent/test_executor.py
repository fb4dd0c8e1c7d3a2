"""What an attempt ends in, for everything that a tool can do."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from seedcore.agent import Tool, ToolContext, ToolError, ToolRegistry, load, tool
from seedcore.agent.envelope import Record, progress
from seedcore.agent.executor import Executor, Outcome, time_limit
from seedcore.config.settings import Settings
from seedcore.errors import NotFound, Unavailable

TASK_ID = "01930000-0000-7000-8000-000000000001"


@dataclass
class Claimed:
    params: Mapping[str, Any]
    type: str = "action"
    id: str = TASK_ID
    attempts: int = 1
    result: object = None
    snapshot_id: int | None = None


@dataclass
class Bench:
    """An executor on the built-in tools and those of the test."""

    settings: Settings = field(default_factory=lambda: Settings(tool_threads=2))
    progress: list[Sequence[Record]] = field(default_factory=list)
    holds: bool = True

    def __post_init__(self) -> None:
        self.executor = Executor(ToolRegistry(), self.settings)

    def use(self, *tools: Tool[..., Any]) -> Bench:
        registry = load(Settings())
        for each in tools:
            registry.add(each)
        self.executor.close()
        self.executor = Executor(registry, self.settings)
        return self

    async def store(self, records: Sequence[Record]) -> bool:
        self.progress.append(json.loads(json.dumps(records)))
        return self.holds

    async def run(self, *calls: tuple[str, dict[str, Any]], **options: Any) -> Outcome:
        task = Claimed(
            {"tool_calls": [{"name": n, "args": a} for n, a in calls]},
            attempts=options.pop("attempts", 1),
            result=options.pop("result", None),
        )
        options.setdefault("on_progress", self.store)
        return await self.executor.run(task, **options)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.executor.close()


def records(outcome: Outcome) -> list[dict[str, Any]]:
    return outcome.envelope["payload"]["tool_results"]


async def test_calls_run_in_order_and_their_values_are_kept(bench: Bench):
    order: list[int] = []

    @tool("demo.sync")
    def sync(n: int) -> dict[str, int]:
        order.append(n)
        return {"n": n}

    @tool("demo.async")
    async def coroutine(n: int) -> list[int]:
        await asyncio.sleep(0)
        order.append(n)
        return [n]

    outcome = await bench.use(sync, coroutine).run(
        ("demo.sync", {"n": 1}), ("demo.async", {"n": 2}), ("echo", {"value": "x"})
    )
    assert outcome.success
    assert order == [1, 2]
    assert [(r["index"], r["name"], r["ok"], r["value"]) for r in records(outcome)] == [
        (0, "demo.sync", True, {"n": 1}),
        (1, "demo.async", True, [2]),
        (2, "echo", True, "x"),
    ]
    assert outcome.envelope["payload"]["result"] == "x"
    assert bench.executor.calls == {"ok": 3}


async def test_the_envelope_has_exactly_its_fields(bench: Bench):
    outcome = await bench.use().run(("echo", {"value": 1}), attempts=2)
    envelope = json.loads(outcome.document)
    assert envelope == outcome.envelope
    assert list(envelope) == [
        "kind", "task_id", "success", "decision_kind", "flow", "payload", "error", "error_type",
        "retry", "version", "metadata", "meta", "path", "created_at",
    ]  # fmt: skip
    assert (envelope["kind"], envelope["version"]) == ("task_result", "1.0")
    assert (envelope["decision_kind"], envelope["flow"]) == ("fast", "fast_path")
    assert list(envelope["payload"]) == [
        "routed_to", "organ_id", "processing_time_ms", "result", "tool_results",
    ]  # fmt: skip
    assert list(records(outcome)[0]) == [
        "index", "name", "ok", "value", "error", "error_type", "latency_ms", "reused",
    ]  # fmt: skip
    assert envelope["meta"]["exec"]["attempt"] == 2
    assert envelope["created_at"].endswith("Z")


async def test_the_tool_that_handles_a_type_runs_without_tool_calls(bench: Bench):
    @tool("billing.charge", handles=["charge"])
    def charge(account: str, cents: int = 100) -> dict[str, Any]:
        return {"account": account, "cents": cents}

    task = Claimed({"args": {"account": "a-1"}, "tool_calls": []}, type="charge")
    outcome = await bench.use(charge).executor.run(task)
    assert outcome.envelope["payload"]["result"] == {"account": "a-1", "cents": 100}


@pytest.mark.parametrize("params", [{}, {"tool_calls": []}, {"tool_calls": None}])
async def test_nothing_to_do_is_never_success(bench: Bench, params: dict[str, Any]):
    outcome = await bench.use().executor.run(Claimed(params, type="mystery"))
    assert (outcome.success, outcome.error_type, outcome.retryable) == (False, "no_executor", False)
    assert outcome.envelope["flow"] == "error"
    assert outcome.envelope["payload"] == {
        "error": outcome.error,
        "error_type": "no_executor",
        "original_type": "mystery",
    }
    assert "mystery" in str(outcome.error)


@pytest.mark.parametrize(
    ("calls", "pointer"),
    [
        ("echo", "/tool_calls"),
        ({"name": "echo"}, "/tool_calls"),
        (["echo"], "/tool_calls/0"),
        ([{"name": "echo"}, {"args": {}}], "/tool_calls/1/name"),
        ([{"name": 3}], "/tool_calls/0/name"),
        ([{"name": "x" * 121}], "/tool_calls/0/name"),
    ],
)
async def test_malformed_tool_calls_run_nothing(bench: Bench, calls: object, pointer: str):
    outcome = await bench.use().executor.run(Claimed({"tool_calls": calls}))
    assert (outcome.error_type, outcome.retryable) == ("bad_payload", False)
    assert str(outcome.error).startswith(pointer + ":")


async def test_an_unknown_tool_is_named_with_its_neighbours(bench: Bench):
    outcome = await bench.use().run(("ecco", {}))
    assert (outcome.error_type, outcome.retryable) == ("unknown_tool", False)
    assert "did you mean echo?" in str(outcome.error)


async def test_a_tool_that_is_not_granted_does_not_run(bench: Bench):
    bench.settings = Settings(default_allowed_tools="fact.*, sleep")
    outcome = await bench.use().run(("echo", {}))
    assert (outcome.error_type, outcome.retryable) == ("not_permitted", False)
    assert (await bench.run(("sleep", {"seconds": 0}))).success


async def test_bad_arguments_fail_for_good_and_name_the_place(bench: Bench):
    outcome = await bench.use().run(("sleep", {"seconds": "1", "extra": 2}))
    assert (outcome.error_type, outcome.retryable) == ("bad_arguments", False)
    assert "/seconds" in str(outcome.error)
    assert "/extra" in str(outcome.error)


async def test_the_first_failure_stops_the_list(bench: Bench):
    outcome = await bench.use().run(("echo", {"value": 1}), ("nope", {}), ("echo", {"value": 3}))
    assert [(r["name"], r["ok"], r["error_type"]) for r in records(outcome)] == [
        ("echo", True, None),
        ("nope", False, "unknown_tool"),
    ]
    assert outcome.envelope["success"] is False
    assert outcome.envelope["payload"]["result"] is None
    assert outcome.envelope["error"] == outcome.error


class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "retryable", "delay_s", "says"),
    [
        (ToolError("no such account", permanent=True), False, None, "no such account"),
        (ToolError("busy"), True, None, "busy"),
        (ToolError("busy", retry_after=7.5), True, 7.5, "busy"),
        (ValueError("bad row"), True, None, "ValueError: bad row"),
        (NotFound("gone"), False, None, "gone"),
        (Unavailable("no database"), True, None, "no database"),
        (StopIteration(), True, None, "StopIteration"),
        (SystemExit(1), True, None, "SystemExit: 1"),
        (TimeoutError("its own"), True, None, "TimeoutError: its own"),
        (asyncio.CancelledError(), True, None, "CancelledError"),
        (Odd(), True, None, "can't be shown"),
    ],
    ids=lambda value: type(value).__name__,  # their texts are more than a test's id can hold
)
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_what_a_tool_raises_decides_how_the_task_goes_on(
    bench: Bench, kind: str, error: BaseException, retryable: bool, delay_s: float | None, says: str
):
    @tool("demo.sync")
    def sync() -> None:
        raise error

    @tool("demo.async")
    async def coroutine() -> None:
        # A coroutine can't raise StopIteration, Python turns it into a RuntimeError.
        raise error

    outcome = await bench.use(sync, coroutine).run((f"demo.{kind}", {}))
    assert (outcome.success, outcome.error_type) == (False, "tool_error")
    assert (outcome.retryable, outcome.delay_s) == (retryable, delay_s)
    assert outcome.envelope["retry"] is retryable
    assert says in str(outcome.error)
    json.loads(outcome.document.encode())


async def test_an_unexpected_exception_is_logged_with_its_traceback(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    @tool("demo.bug")
    def bug() -> None:
        {}["missing"]

    @tool("demo.said")
    def said() -> None:
        raise ToolError("as planned")

    bench.use(bug, said)
    await bench.run(("demo.said", {}))
    assert not caplog.records
    await bench.run(("demo.bug", {}))
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert line.__dict__["event"] == "tool.raised"
    assert line.exc_info is not None
    assert line.exc_info[0] is KeyError


async def test_a_value_that_is_not_json_fails_for_good(bench: Bench):
    @tool("demo.nan")
    def nan() -> dict[str, Any]:
        return {"rows": [1.0, float("nan")]}

    outcome = await bench.use(nan).run(("demo.nan", {}), ("echo", {}))
    assert (outcome.error_type, outcome.retryable) == ("bad_result", False)
    assert "/rows/1" in str(outcome.error)
    assert len(records(outcome)) == 1


@pytest.mark.parametrize("size", [3000, 700])
async def test_a_value_that_is_too_large_fails_for_good(bench: Bench, size: int):
    bench.settings = Settings(result_max_bytes=2000)  # for the whole document

    @tool("demo.large")
    def large() -> str:
        return "é" * size

    outcome = await bench.use(large).run(("demo.large", {}))
    assert (outcome.error_type, outcome.retryable) == ("too_large", False)
    assert "SEEDCORE_RESULT_MAX_BYTES" in str(outcome.error)
    assert len(outcome.document) < 2000
    assert records(outcome)[0]["ok"] is False


async def test_the_context_tells_about_the_call(bench: Bench):
    seen: list[ToolContext] = []

    @tool("demo.look", timeout_s=5)
    def look(ctx: ToolContext) -> None:
        seen.append(ctx)

    bench.use(look)
    calls = {"tool_calls": [{"name": "echo"}, {"name": "demo.look"}], "correlation_id": "c-9"}
    await bench.executor.run(
        Claimed(calls, attempts=3, snapshot_id=7), deadline=time.monotonic() + 60
    )
    (ctx,) = seen
    assert (ctx.task_id, ctx.attempt, ctx.snapshot_id) == (TASK_ID, 3, 7)
    assert ctx.correlation_id == "c-9"
    assert ctx.idempotency_key == f"{TASK_ID}:1"
    assert 0 < ctx.time_left() <= 5
    assert not ctx.cancelled()


async def test_a_line_of_the_tool_s_log_carries_the_task(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    @tool("demo.talk")
    def talk(ctx: ToolContext) -> None:
        ctx.log.warning("Hello")

    await bench.use(talk).run(("demo.talk", {}))
    (line,) = caplog.records
    assert line.__dict__["tool"] == "demo.talk"
    assert line.__dict__["task_id"] == TASK_ID


def waiting_sync(release: threading.Event, told: threading.Event) -> Tool[..., Any]:
    @tool("demo.wait", timeout_s=0.05)
    def wait(ctx: ToolContext) -> None:
        release.wait(10)
        if ctx.cancelled():
            told.set()

    return wait


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a thread sets it, which has no asyncio.Event
            await asyncio.sleep(0.005)


async def test_a_thread_that_outlives_its_time_keeps_its_place_until_it_returns(bench: Bench):
    release, told = threading.Event(), threading.Event()
    bench.use(waiting_sync(release, told))
    outcome = await bench.run(("demo.wait", {}))
    assert (outcome.error_type, outcome.retryable) == ("timeout", True)
    assert bench.executor.threads_abandoned == 1
    await bench.run(("demo.wait", {}))
    assert bench.executor.threads_abandoned == 2

    full = await bench.run(("demo.wait", {}), deadline=time.monotonic() + 0.05)
    assert (full.error_type, full.retryable) == ("timeout", True)
    assert "none of 2 threads became free" in str(full.error)
    assert (await bench.run(("echo", {}))).success  # coroutines need no thread

    release.set()
    await until(lambda: bench.executor.threads_abandoned == 0)
    assert told.is_set()


async def test_a_coroutine_is_stopped_when_its_time_is_over(bench: Bench):
    ended: list[str] = []

    @tool("demo.wait", timeout_s=0.05)
    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    outcome = await bench.use(wait).run(("demo.wait", {}))
    assert (outcome.error_type, outcome.retryable) == ("timeout", True)
    assert ended == ["cancelled"]


async def test_the_task_s_time_ends_a_tool_that_has_none(bench: Bench):
    outcome = await bench.use().run(("sleep", {"seconds": 60}), deadline=time.monotonic() + 0.05)
    assert outcome.error_type == "timeout"


@pytest.mark.parametrize(
    ("hints", "seconds"),
    [
        ({"timeout_s": 7}, 7.0),
        ({"timeout_s": 99999}, 3600.0),
        ({"timeout_s": 0}, 120.0),
        ({"timeout_s": "7"}, 120.0),
        ({"timeout_s": True}, 120.0),
        ({}, 120.0),
        (None, 120.0),
    ],
)
def test_the_task_s_wish_is_kept_within_limits(hints: object, seconds: float):
    assert time_limit({"routing": {"hints": hints}}, Settings()) == seconds
    assert time_limit({"routing": hints}, Settings()) == 120.0


async def test_cancelling_ends_a_coroutine_and_tells_a_function(bench: Bench):
    release, told = threading.Event(), threading.Event()
    running = threading.Event()

    @tool("demo.wait")
    def wait(ctx: ToolContext) -> None:
        running.set()
        release.wait(10)
        if ctx.cancelled():
            told.set()

    bench.use(wait)
    for name, args in (("demo.wait", {}), ("sleep", {"seconds": 60})):
        attempt = asyncio.ensure_future(bench.run((name, args)))
        await until(running.is_set)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    assert running.is_set()
    assert bench.executor.threads_abandoned == 1
    release.set()
    await until(told.is_set)
    await until(lambda: bench.executor.threads_abandoned == 0)


async def test_no_further_call_starts_once_the_task_is_cancelled(bench: Bench):
    flag = threading.Event()

    @tool("demo.last")
    def last(ctx: ToolContext) -> None:
        flag.set()
        assert ctx.cancelled()

    bench.use(last)
    with pytest.raises(asyncio.CancelledError):
        await bench.run(("demo.last", {}), ("echo", {}), cancelled=flag)
    assert bench.executor.calls == {"ok": 1}


def counting(**options: Any) -> tuple[list[int], Tool[..., Any]]:
    made: list[int] = []

    @tool("demo.count", **options)
    def count(n: int = 0) -> int:
        made.append(n)
        return len(made)

    return made, count


async def test_a_later_attempt_reuses_the_calls_that_were_made(bench: Bench):
    made, count = counting()
    failing = [True]

    @tool("demo.shaky")
    def shaky() -> str:
        if failing:
            raise ToolError("not yet")
        return "done"

    bench.use(count, shaky)
    calls = [("demo.count", {"n": 1}), ("demo.shaky", {})]
    first = await bench.run(*calls)
    failing.clear()
    second = await bench.run(*calls, attempts=2, result=json.loads(first.document))
    assert second.success
    assert made == [1]
    assert [(r["value"], r["reused"]) for r in records(second)] == [(1, True), ("done", False)]
    assert bench.executor.calls["reused"] == 1


@pytest.mark.parametrize(
    "calls",
    [
        [("demo.count", {"n": 2}), ("nope", {})],
        [("echo", {}), ("demo.count", {"n": 1})],
    ],
)
async def test_a_call_that_differs_is_made_again(bench: Bench, calls: Any):
    made, count = counting()
    first = await bench.use(count).run(("demo.count", {"n": 1}), ("nope", {}))
    await bench.run(*calls, result=first.envelope)
    assert len(made) == 2


@pytest.mark.parametrize(
    "result",
    [
        "text",
        [],
        {},
        {"payload": None},
        {"payload": {"tool_results": "x"}},
        {"payload": {"tool_results": [None, {"index": "0"}, {"index": 0}]}},
        {"payload": {"_truncated": True, "original_size": 1}},
    ],
)
async def test_a_foreign_or_cut_result_is_no_obstacle(bench: Bench, result: object):
    made, count = counting()
    assert (await bench.use(count).run(("demo.count", {}), result=result)).success
    assert made == [0]


async def test_a_start_mark_is_stored_before_an_at_most_once_call(bench: Bench):
    seen: list[int] = []

    @tool("demo.charge", at_most_once=True)
    async def charge(cents: int) -> int:
        seen.append(len(bench.progress))
        return cents

    _, count = counting()
    outcome = await bench.use(charge, count).run(("demo.count", {}), ("demo.charge", {"cents": 5}))
    assert outcome.success
    assert seen == [1]
    (marks,) = bench.progress
    assert [(m["name"], m["ok"], m.get("started")) for m in marks] == [
        ("demo.count", True, None),
        ("demo.charge", False, True),
    ]


async def test_a_started_call_of_a_lost_attempt_is_not_made_again(bench: Bench):
    made, count = counting(at_most_once=True)
    await bench.use(count).run(("echo", {}), ("demo.count", {"n": 1}))
    stored = progress(TASK_ID, bench.progress[0])
    outcome = await bench.run(("echo", {}), ("demo.count", {"n": 1}), attempts=2, result=stored)
    assert (outcome.error_type, outcome.retryable) == ("outcome_unknown", False)
    assert made == [1]
    assert records(outcome)[0]["reused"] is True
    # What the operator sends round again is a decision: the call is made.
    again = await bench.run(("echo", {}), ("demo.count", {"n": 1}), result=outcome.envelope)
    assert again.success
    assert made == [1, 1]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_at_most_once_call_that_times_out_is_not_made_again(bench: Bench, kind: str):
    release = threading.Event()

    @tool("demo.sync", at_most_once=True, timeout_s=0.05)
    def sync() -> None:
        release.wait(10)

    @tool("demo.async", at_most_once=True, timeout_s=0.05)
    async def coroutine() -> None:
        await asyncio.sleep(60)

    outcome = await bench.use(sync, coroutine).run((f"demo.{kind}", {}))
    release.set()
    assert (outcome.error_type, outcome.retryable) == ("outcome_unknown", False)


async def test_a_coroutine_that_ignores_its_end_is_out_of_time_when_stopped(bench: Bench):
    ignored = asyncio.Event()

    @tool("demo.stubborn", at_most_once=True, timeout_s=0.01)
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ignored.set()
            await asyncio.sleep(60)

    attempt = asyncio.ensure_future(bench.use(stubborn).run(("demo.stubborn", {})))
    await ignored.wait()
    attempt.cancel()
    assert (await attempt).error_type == "outcome_unknown"


@pytest.mark.parametrize(
    ("promise", "error_type"), [(True, "outcome_unknown"), (False, "tool_error")]
)
async def test_a_tool_that_cancels_its_own_task_ends_its_call_alone(
    bench: Bench, promise: bool, error_type: str
):
    @tool("demo.quits", at_most_once=promise)
    async def quits() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        current.cancel()
        await asyncio.sleep(60)

    outcome = await bench.use(quits).run(("demo.quits", {}), cancelled=threading.Event())
    assert (outcome.error_type, outcome.retryable) == (error_type, not promise)
    assert (
        await bench.run(("sleep", {"seconds": 0.001}))
    ).success  # nothing of it is left in this task


async def test_without_the_lease_an_at_most_once_call_does_not_start(bench: Bench):
    made, count = counting(at_most_once=True)
    bench.holds = False
    outcome = await bench.use(count).run(("demo.count", {}))
    assert (outcome.error_type, outcome.retryable) == ("lease_expired", True)
    assert made == []


async def test_a_mark_that_can_t_be_stored_starts_nothing_and_is_retried(bench: Bench):
    made, count = counting(at_most_once=True)

    async def broken(_: Sequence[Record]) -> bool:
        raise ConnectionError("database is gone")

    outcome = await bench.use(count).run(("demo.count", {}), on_progress=broken)
    assert (outcome.error_type, outcome.retryable) == ("service_unavailable", True)
    # The place in the pool was given back: both threads can be taken.
    outcomes = await asyncio.gather(*(bench.run(("demo.count", {})) for _ in range(4)))
    assert all(each.success for each in outcomes)
    assert len(made) == 4


async def test_many_tasks_share_the_threads(bench: Bench):
    lock, now, most = threading.Lock(), [0], [0]

    @tool("demo.busy")
    def busy() -> str:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.002)
        with lock:
            now[0] -= 1
        return threading.current_thread().name

    bench.use(busy)
    outcomes = await asyncio.gather(*(bench.run(("demo.busy", {})) for _ in range(40)))
    names = {each.envelope["payload"]["result"] for each in outcomes}
    assert most[0] == 2
    assert len(names) == 2


async def test_a_thread_that_hangs_does_not_keep_the_process_alive(bench: Bench):
    @tool("demo.thread")
    def thread() -> bool:
        return threading.current_thread().daemon

    outcome = await bench.use(thread).run(("demo.thread", {}))
    assert outcome.envelope["payload"]["result"] is True
