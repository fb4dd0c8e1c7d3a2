"""The helpers for users' own tests, tested as they would use them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from seedcore.agent import ToolContext, ToolError, tool
from seedcore.errors import Conflict, NotFound
from seedcore.task import service
from seedcore.task.schedule.model import NewSchedule
from seedcore.task.schedule.service import add
from seedcore.testing import assert_enqueued, drain, perform, tick, travel
from tests.integration.task.worker import new, status, task

Conn = psycopg.Connection[dict[str, Any]]


@tool("shop.order", handles=["order"])
def order(article: str, ctx: ToolContext, packs: int = 1) -> dict[str, Any]:
    """Order, and have it counted."""
    ctx.submit("count", {"args": {"article": article}}, domain="stock")
    ctx.progress(1, 1, "ordered")
    return {"article": article, "packs": packs}


@tool("shop.count", handles=["count"])
async def count(article: str) -> int:
    """Count."""
    return len(article)


@tool("shop.fail")
def fail(permanent: bool = False) -> None:
    """Fail."""
    raise ToolError("no luck", permanent=permanent)


@tool("shop.resume")
def resume(ctx: ToolContext) -> Any:
    """Fail the first time."""
    if ctx.checkpoint_value is None:
        ctx.checkpoint({"page": 7})
        raise ToolError("not yet", retry_after=600)
    return ctx.checkpoint_value


@tool("shop.settle")
def settle(url: str, ctx: ToolContext) -> None:
    """Complete the task by itself."""
    with psycopg.connect(url) as conn:
        ctx.complete_in(conn, "settled")


@tool("shop.once", at_most_once=True)
def once() -> str:
    """Be called once."""
    return "once"


def test_a_tool_is_performed_as_a_worker_would(conn: Conn) -> None:
    done = perform(conn, order, {"article": "A-7"})
    assert (done.ok, done.status, done.attempt) == (True, "completed", 1)
    assert done.result == {"article": "A-7", "packs": 1}
    assert task(conn, done.id)["result"] == done.envelope
    (counted,) = assert_enqueued(conn, "count", params={"args": {"article": "A-7"}}, domain="stock")
    assert counted["status"] == "queued"
    row = conn.execute("SELECT message FROM task_progress WHERE task_id = %s", [done.id]).fetchone()
    assert row == {"message": "ordered"}
    assert perform(conn, once).result == "once"


async def test_it_also_works_where_a_loop_is_running(conn: Conn) -> None:
    assert perform(conn, count, {"article": "abc"}).result == 3


def test_a_failure_is_returned_and_stored(conn: Conn) -> None:
    done = perform(conn, fail)
    assert (done.ok, done.status, done.error_type) == (False, "retry", "tool_error")
    assert done.error == "shop.fail: no luck"
    assert perform(conn, fail, {"permanent": True}).status == "failed"
    assert perform(conn, fail, {"permanent": "perhaps"}).error_type == "bad_arguments"


def test_a_stored_task_is_performed_whether_due_or_not(conn: Conn) -> None:
    later = new(conn, "count", params={"args": {"article": "ab"}}, in_s=3600)
    assert perform(conn, later, tools=[count]).result == 2
    with pytest.raises(Conflict, match="is completed"):
        perform(conn, later, tools=[count])
    with pytest.raises(NotFound):
        perform(conn, "00000000-0000-7000-8000-000000000000")
    assert perform(conn, new(conn, "nobody")).error_type == "no_executor"


def test_an_attempt_goes_on_from_the_last_ones_checkpoint(conn: Conn) -> None:
    first = perform(conn, resume)
    assert first.status == "retry"
    assert drain(conn, tools=[resume]) == []  # due in ten minutes
    travel(conn, "11m")
    (second,) = drain(conn, tools=[resume])
    assert (second.id, second.attempt, second.result) == (first.id, 2, {"page": 7})


def test_a_tool_that_completes_its_task_by_itself(conn: Conn, database_url: str) -> None:
    done = perform(conn, settle, {"url": database_url})
    assert (done.ok, done.result) == (True, "settled")


def test_drain_runs_everything_that_is_due_and_what_that_submits(conn: Conn) -> None:
    first = new(conn, "order", params={"args": {"article": "A"}})
    urgent = new(conn, "order", params={"args": {"article": "BB"}}, priority=9)
    later = new(conn, "order", params={"args": {"article": "C"}}, in_s=60)
    done = drain(conn, tools=[order, count])
    assert [one.type for one in done] == ["order", "order", "count", "count"]
    assert [done[0].id, done[1].id] == [urgent, first]
    assert status(conn, later) == "queued"
    assert drain(conn, tools=[order, count], types=["count"]) == []


def test_drain_tells_of_the_first_failure_or_returns_all(conn: Conn) -> None:
    params = {"tool_calls": [{"name": "shop.fail", "args": {"permanent": True}}]}
    bad = new(conn, "action", params=params, priority=9)
    good = new(conn, "count", params={"args": {"article": "A"}})
    with pytest.raises(AssertionError) as raised:
        drain(conn, tools=[fail, count])
    assert str(raised.value) == (
        f"task {bad} (action), attempt 1, ended in failed: tool_error: shop.fail: no luck"
    )
    service.retry(conn, [bad], actor="ann")
    done = drain(conn, tools=[fail, count], failures="return")
    assert [(one.id, one.status) for one in done] == [(bad, "failed"), (good, "completed")]
    with pytest.raises(ValueError, match="'raise' or 'return'"):
        drain(conn, failures="ignore")


def test_drain_ends_what_never_would(conn: Conn) -> None:
    @tool("shop.again", handles=["again"])
    def again(ctx: ToolContext) -> None:
        ctx.submit("again")

    new(conn, "again")
    with pytest.raises(AssertionError, match="3 tasks were run, and more are due"):
        drain(conn, tools=[again], most=3)


def test_a_transaction_that_is_open_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url) as conn, pytest.raises(ValueError, match="autocommit"):
        drain(conn)


# -- assert_enqueued ---------------------------------------------------------------------------


def test_tasks_are_found_by_a_part_of_them(conn: Conn) -> None:
    new(conn, "order", params={"args": {"article": "A", "packs": 2}}, domain="shop")
    new(conn, "action", params={"tool_calls": [{"name": "echo", "args": {"value": [1, 2]}}]})
    assert_enqueued(conn)
    assert_enqueued(conn, "order", count=1)
    assert_enqueued(conn, "order", params={"args": {"packs": 2}})
    assert_enqueued(conn, tool="echo")
    assert_enqueued(conn, tool="echo", args={"value": [2]}, count=1)
    assert_enqueued(conn, count=2)
    assert_enqueued(conn, "count", count=0)
    assert_enqueued(conn, "order", statuses=["completed"], count=0)


def test_a_miss_says_what_is_there_instead_and_where_it_differs(conn: Conn) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_enqueued(conn, "order")
    assert str(raised.value) == (
        "expected at least one task of type 'order', found 0\nnothing is enqueued at all"
    )
    new(conn, "count", params={"x": 1})
    new(conn, "order", params={"args": {"article": "A", "packs": 2}}, domain="shop")
    with pytest.raises(AssertionError) as raised:
        assert_enqueued(conn, "order", params={"args": {"packs": 3}}, count=1)
    assert str(raised.value).splitlines() == [
        'expected 1 task of type \'order\' with params {"args": {"packs": 3}}, found 0',
        "enqueued:",
        '    order (queued) {"args": {"packs": 2, "article": "A"}}',
        "      /args/packs is 2, not 3",
        '    count (queued) {"x": 1}',
    ]
    with pytest.raises(AssertionError, match="its domain is 'shop'"):
        assert_enqueued(conn, "order", domain="lab")
    with pytest.raises(AssertionError, match="/args/colour is missing"):
        assert_enqueued(conn, "order", params={"args": {"colour": "red"}})
    with pytest.raises(AssertionError, match=r"expected 0 tasks of type 'order', found 1\n"):
        assert_enqueued(conn, "order", count=0)


# -- time --------------------------------------------------------------------------------------


def test_an_hour_later_leases_have_lapsed_and_schedules_have_fired(conn: Conn) -> None:
    lost = new(conn, "count")
    conn.execute("SELECT id FROM tasks_claim('queue', 'w', 1, 600)")
    doomed = new(conn, "count", in_s=86400)
    conn.execute(
        "UPDATE tasks SET expires_at = now() + interval '30 minutes' WHERE id = %s", [doomed]
    )
    add(conn, NewSchedule(name="hourly", cron="0 * * * *", type="report"), actor="ann")
    tick(conn)
    assert status(conn, lost, doomed) == ["running", "queued"]
    assert_enqueued(conn, "report", count=0)
    travel(conn, "61m")
    tick(conn)
    assert status(conn, lost, doomed) == ["retry", "cancelled"]
    assert_enqueued(conn, "report", count=1)
