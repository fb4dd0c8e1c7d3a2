"""Reports of tools on their way to the database: coalesced, fenced, durable when they say so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from seedcore.agent import ToolContext, ToolError, tool
from seedcore.agent.definition import Tool
from seedcore.agent.executor import Executor, Outcome
from seedcore.agent.registry import ToolRegistry
from seedcore.agent.reporting import ReportDesk
from seedcore.config.settings import Settings
from seedcore.errors import SeedcoreError, Unavailable
from tests.integration.task.worker import Worker, new
from tests.unit.agent.bench import Claimed

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def worker(conn: Conn) -> Worker:
    return Worker(conn, "w1")


@pytest.fixture
def other(database_url: str) -> Iterator[Conn]:
    """A second connection to the same database."""
    with Conn.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


class Desks:
    """Desks that are closed at the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.opened: list[ReportDesk] = []

    def __call__(self, owner: str = "w1", **options: Any) -> ReportDesk:
        options.setdefault("every_s", 0.02)
        desk = ReportDesk(options.pop("conninfo", lambda: self._url), owner, **options)
        self.opened.append(desk)
        return desk


@pytest.fixture
def desks(database_url: str) -> Iterator[Desks]:
    made = Desks(database_url)
    yield made
    for desk in made.opened:
        desk.close()


def claimed(conn: Conn, worker: Worker) -> UUID:
    task = new(conn)
    worker.claim()
    return task


def row(conn: Conn, task: UUID) -> dict[str, Any] | None:
    return conn.execute("SELECT * FROM task_progress WHERE task_id = %s", [task]).fetchone()


def kept(conn: Conn, task: UUID) -> dict[str, Any]:
    """Read what is there of a task's progress."""
    found = row(conn, task)
    assert found is not None
    return found


def until(condition: Callable[[], Any]) -> Any:
    waiting = threading.Event()
    for _ in range(1000):
        if value := condition():
            return value
        waiting.wait(0.01)
    raise AssertionError("did not happen")


def test_of_many_reports_the_last_one_is_written(conn: Conn, worker: Worker, desks: Desks) -> None:
    task = claimed(conn, worker)
    desk = desks(every_s=60)
    call = desk.of(str(task), 1, 0)
    call.progress(1, 10, "first")  # written at once, the next ones together
    until(lambda: row(conn, task))
    for n in range(2, 9):
        call.progress(n, 10, None)
    assert kept(conn, task)["message"] == "first"
    desk.close()
    stored = row(conn, task)
    assert stored is not None
    assert (stored["done"], stored["message"], stored["checkpoint"]) == (8, None, None)


def test_a_checkpoint_is_there_when_it_says_so_and_takes_the_progress_along(
    conn: Conn, worker: Worker, desks: Desks
) -> None:
    task = claimed(conn, worker)
    desk = desks(every_s=60)
    call = desk.of(str(task), 1, 0)
    for n in range(3):
        call.progress(n, None, f"at {n}")
        assert call.checkpoint(f'{{"page": {n}}}').result() is True
        stored = row(conn, task)
        assert stored is not None
        assert (stored["checkpoint"], stored["done"]) == ({"page": n}, n)
    assert call.checkpoint('"without progress"').result() is True
    stored = row(conn, task)
    assert stored is not None
    assert (stored["checkpoint"], stored["message"]) == ("without progress", "at 2")
    assert call.checkpoint(None).result() is True
    assert kept(conn, task)["checkpoint"] is None
    assert desk.earlier(str(task)).result() is None


def test_who_has_lost_the_lease_cannot_overwrite_its_successor(
    conn: Conn, worker: Worker, desks: Desks
) -> None:
    task = claimed(conn, worker)
    zombie = desks("w1").of(str(task), 1, 0)
    assert zombie.checkpoint('"old"').result() is True
    conn.execute("SELECT tasks_requeue_stale(%s)", [[task]])
    assert zombie.checkpoint('"nobody holds it"').result() is False
    successor = Worker(conn, "w2")
    successor.claim()
    desk = desks("w2")
    assert desk.earlier(str(task)).result() == (0, '"old"')
    assert desk.of(str(task), 2, 0).checkpoint('"new"').result() is True
    assert zombie.checkpoint('"too late"').result() is False
    assert desks("w1").of(str(task), 2, 0).checkpoint('"not mine"').result() is False
    zombie.progress(99, None, "too late")
    desks.opened[0].close()
    stored = row(conn, task)
    assert stored is not None
    assert (stored["checkpoint"], stored["attempt"], stored["done"]) == ("new", 2, None)


def test_a_zombies_write_waits_for_the_one_that_takes_its_lease(
    conn: Conn, other: Conn, worker: Worker, desks: Desks
) -> None:
    """The check and the write are one: nothing slips through between them."""
    task = claimed(conn, worker)
    zombie = desks("w1").of(str(task), 1, 0)
    with other.transaction():
        other.execute("SELECT tasks_requeue_stale(%s)", [[task]])
        other.execute("SELECT id FROM tasks_claim('queue', 'w2', 1)")
        late = zombie.checkpoint('"late"')
        until(
            lambda: (
                conn.execute(
                    "SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
                ).fetchone()
                is not None
            )
        )
    assert late.result() is False
    assert row(conn, task) is None


def test_progress_may_still_arrive_when_the_attempt_has_completed(
    conn: Conn, worker: Worker, desks: Desks
) -> None:
    task, failed = claimed(conn, worker), claimed(conn, worker)
    worker.complete(task)
    worker.fail(failed, retryable=False)
    desk = desks()
    desk.of(str(task), 1, 0).progress(10, 10, "done")
    desk.of(str(failed), 1, 0).progress(3, 10, None)
    assert desk.of(str(task), 1, 0).checkpoint("1").result() is False
    desk.of(str(task), 1, 0).progress(10, 10, "done")
    desk.close()
    assert kept(conn, task)["message"] == "done"
    assert row(conn, failed) is None


def test_another_calls_checkpoint_is_of_no_use(conn: Conn, worker: Worker, desks: Desks) -> None:
    task = claimed(conn, worker)
    desk = desks()
    assert desk.of(str(task), 1, 0).checkpoint('"of the first"').result() is True
    desk.of(str(task), 1, 1).progress(1, 2, None)
    desk.close()
    stored = row(conn, task)
    assert stored is not None
    assert (stored["call_index"], stored["checkpoint"]) == (1, None)


def test_reports_stay_on_their_page(conn: Conn, worker: Worker, desks: Desks) -> None:
    tasks = [claimed(conn, worker) for _ in range(20)]
    with conn.transaction():
        for n in range(3):
            conn.execute(
                "SELECT task_progress_write('w1', %s::uuid[], %s::int[], %s::int[], %s::float8[],"
                " %s::float8[], %s::text[], %s::jsonb[], %s::bool[])",
                [tasks, *([value] * 20 for value in (1, 0, n, 3, "x" * 40, None, True))],
            )
        counted = conn.execute(
            "SELECT pg_stat_get_xact_tuples_updated('task_progress'::regclass) AS updated,"
            " pg_stat_get_xact_tuples_hot_updated('task_progress'::regclass) AS hot"
        ).fetchone()
    assert counted == {"updated": 40, "hot": 40}


def test_what_one_attempt_may_not_store_does_not_cost_the_others(
    conn: Conn, worker: Worker, desks: Desks
) -> None:
    tasks = [claimed(conn, worker) for _ in range(3)]
    desk = desks()
    bad, *good = [desk.of(str(task), 1, 0) for task in tasks]
    hold = threading.Barrier(3)

    def store(call: Any, text: str) -> Any:
        hold.wait()
        return call.checkpoint(text).result()

    with ThreadPoolExecutor(3) as pool:
        refused = pool.submit(store, bad, "{not json")
        kept = [pool.submit(store, call, "1") for call in good]
    assert [k.result() for k in kept] == [True, True]
    with pytest.raises(SeedcoreError):
        refused.result()


def test_a_task_that_somebody_has_locked_holds_up_only_itself(
    conn: Conn, other: Conn, worker: Worker, desks: Desks
) -> None:
    tasks = [claimed(conn, worker) for _ in range(3)]
    desk = desks()
    with other.transaction():
        other.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", [tasks[0]])
        locked, *free = [desk.of(str(task), 1, 0).checkpoint("1") for task in tasks]
        assert [stored.result(timeout=30) for stored in free] == [True, True]
        assert not locked.done()
    assert locked.result(timeout=30) is True


def test_a_database_that_is_away_is_waited_for_and_then_said(
    conn: Conn, worker: Worker, desks: Desks, database_url: str
) -> None:
    task = claimed(conn, worker)
    is_back = threading.Event()

    def conninfo() -> str:
        if not is_back.is_set():
            raise Unavailable("away")
        return database_url

    patient = desks(conninfo=conninfo).of(str(task), 1, 0)
    patient.progress(1, 2, None)
    waiting = patient.checkpoint("1")
    hurried = desks(conninfo=conninfo, patience_s=0.05)
    with pytest.raises(Unavailable):
        hurried.of(str(task), 1, 0).checkpoint("2").result()
    with pytest.raises(Unavailable):
        hurried.earlier(str(task)).result()
    is_back.set()
    assert waiting.result() is True
    assert (row(conn, task) or {})["checkpoint"] == 1  # what was given up is not stored later


# -- through the executor ----------------------------------------------------------------------


@tool("trial.walk")
def walk(ctx: ToolContext) -> Any:
    """Report from a thread."""
    found = ctx.checkpoint_value
    ctx.progress(1, 2, "half")
    ctx.checkpoint({"seen": [1, 2]})
    return found


@tool("trial.walk_async")
async def walk_async(ctx: ToolContext) -> Any:
    """Report from a coroutine."""
    found = ctx.checkpoint_value
    ctx.progress(1)
    await ctx.checkpoint({"seen": [3]})
    return found


@tool("trial.bad")
async def bad(ctx: ToolContext) -> None:
    """Store what is not JSON."""
    await ctx.checkpoint({"pages": [1, {2, 3}]})


@tool("trial.large")
def large(ctx: ToolContext) -> None:
    """Store too much."""
    ctx.checkpoint("x" * 2000)


@tool("trial.backwards")
def backwards(ctx: ToolContext) -> None:
    """Report nonsense."""
    ctx.progress(-1)


def run(desk: ReportDesk | None, task: Claimed, *tools: Tool[..., Any]) -> Outcome:
    registry = ToolRegistry()
    for each in tools:
        registry.add(each)
    executor = Executor(registry, Settings(), desk=desk)
    try:
        return asyncio.run(executor.run(task))
    finally:
        executor.close()


def call_of(*names: str, **fields: Any) -> Claimed:
    return Claimed({"tool_calls": [{"name": name, "args": {}} for name in names]}, **fields)


@pytest.mark.parametrize(("each", "seen"), [(walk, [1, 2]), (walk_async, [3])])
def test_a_next_attempt_finds_what_the_last_one_stored(
    conn: Conn, worker: Worker, desks: Desks, each: Tool[..., Any], seen: list[int]
) -> None:
    task = claimed(conn, worker)
    first = run(desks(), call_of(each.name, id=str(task)), each)
    assert (first.success, first.envelope["payload"]["result"]) == (True, None)
    conn.execute("SELECT tasks_requeue_stale(%s)", [[task]])
    worker.claim()
    second = run(desks(), call_of(each.name, id=str(task), attempts=2), each)
    assert second.envelope["payload"]["result"] == {"seen": seen}


@pytest.mark.parametrize(
    ("each", "why"),
    [
        (bad, "trial.bad: ctx.checkpoint(): the value is not JSON: /pages/1: set is not JSON"),
        (large, "trial.large: ctx.checkpoint(): 2,002 bytes; CHECKPOINT_MAX_BYTES is 1,000"),
        (backwards, "trial.backwards: ctx.progress(): done is -1, not a number from 0 up"),
    ],
)
def test_what_cannot_be_reported_ends_the_task_with_one_clear_line(
    conn: Conn, worker: Worker, desks: Desks, each: Tool[..., Any], why: str
) -> None:
    task = claimed(conn, worker)
    ended = run(desks(checkpoint_max_bytes=1000), call_of(each.name, id=str(task)), each)
    assert (ended.success, ended.retryable, ended.error_type) == (False, False, "tool_error")
    assert (ended.error or "").startswith(why)
    assert row(conn, task) is None


def test_a_lost_lease_ends_the_run(conn: Conn, desks: Desks) -> None:
    ended = run(desks(), call_of("trial.walk", id=str(new(conn))), walk)
    assert not ended.success
    assert "the lease is lost" in (ended.error or "")


def test_without_a_stored_task_nothing_is_kept_and_nothing_fails() -> None:
    ended = run(None, call_of("trial.walk"), walk)
    assert ended.success
    ctx = ToolContext.for_test(checkpoint_value=7)
    ctx.checkpoint([1])
    assert ctx.checkpoint_value == 7
    with pytest.raises(ToolError, match="done is str"):
        ctx.progress(cast("Any", "a"))
