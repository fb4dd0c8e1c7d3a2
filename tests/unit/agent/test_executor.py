"""What an attempt ends in, for everything that a tool can do."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest

from seedcore.agent import ToolContext, ToolError, tool
from seedcore.config.settings import Settings
from seedcore.errors import NotFound, Unavailable
from tests.unit.agent.bench import TASK_ID, Bench, Claimed, records


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
