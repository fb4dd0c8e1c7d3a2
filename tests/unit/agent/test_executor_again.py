"""Later attempts: calls that were made are not made again, started ones not blindly."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from seedcore.agent import Tool, ToolError, tool
from seedcore.agent.envelope import Record, progress
from tests.unit.agent.bench import TASK_ID, Bench, records


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
