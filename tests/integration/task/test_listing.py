"""Finding, listing, counting, waiting for and exporting tasks."""

from __future__ import annotations

import io
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from seedcore.errors import NotFound, Pending, UsageError, WaitTimeout
from seedcore.task import service
from seedcore.task.model import Selection, TaskStatus
from seedcore.testing import age
from tests.integration.task.worker import Worker, new, set_level, status

Conn = psycopg.Connection[dict[str, Any]]


def ids(conn: Conn, **conditions: Any) -> list[UUID]:
    return [row["id"] for row in service.list_tasks(conn, Selection(**conditions))]


def test_a_task_is_found_by_its_id_its_beginning_and_its_key(conn: Conn) -> None:
    given = UUID("0198c7a1-2b3c-7000-8000-000000000001")
    new(conn, id=given, idempotency_key="nightly")
    for ref in (given, str(given), str(given).upper(), "0198c7", "0198c7a1-2b3c-7", "key:nightly"):
        assert service.resolve(conn, ref) == given


@pytest.mark.parametrize(
    ("ref", "error", "code"),
    [
        ("0198c", UsageError, "task.bad_id"),
        ("hello!", UsageError, "task.bad_id"),
        ("", UsageError, "task.bad_id"),
        ("ffffff", NotFound, "task.not_found"),
        ("key:nobody", NotFound, "task.not_found"),
        ("0198c7a1", UsageError, "task.ambiguous_id"),
    ],
)
def test_a_reference_that_names_no_one_task_is_refused(
    conn: Conn, ref: str, error: type[Exception], code: str
) -> None:
    pair = [UUID(f"0198c7a1-2b3c-7000-8000-00000000000{n}") for n in (1, 2)]
    for given in pair:
        new(conn, id=given)
    with pytest.raises(error) as caught:
        service.resolve(conn, ref)
    assert caught.value.code == code  # pyright: ignore[reportAttributeAccessIssue]
    if code == "task.ambiguous_id":
        assert all(str(given) in str(caught.value) for given in pair)


def test_inspect_shows_the_whole_task(conn: Conn, worker: Worker) -> None:
    set_level(conn, "all")
    first = new(conn, params={"a": 1}, max_attempts=4)
    second = new(conn, "report", depends_on=(str(first),))
    worker.claim(lease_s=60)
    shown = service.inspect(conn, first)
    assert (shown["status"], shown["params"], shown["owner_id"]) == ("running", {"a": 1}, "w1")
    assert 55 < shown["lease_left_s"] <= 60
    assert 0 <= shown["heartbeat_age_s"] < 10
    assert shown["run_s"] is not None
    assert [event["to_status"] for event in shown["events"]] == ["queued", "running"]
    assert shown["dependants"] == [
        {"id": second, "status": "created", "type": "report", "required": True}
    ]
    worker.complete(first, result={"x": 1})
    shown = service.inspect(conn, second)
    assert [row["id"] for row in shown["depends_on"]] == [first]
    assert "events" not in service.inspect(conn, first, events=False, graph=False)
    with pytest.raises(NotFound):
        service.inspect(conn, uuid4())


def test_lists_narrow_by_every_condition(conn: Conn, worker: Worker) -> None:
    running = new(conn, "a", domain="lab", params={"n": 5, "deep": {"flag": True, "word": "5"}})
    worker.claim(lease_s=60)
    queued = new(conn, "b", description="open the 100% door_2")
    future = new(conn, "b", in_s=3600, domain="hall")
    old = new(conn, "c")
    age(conn, old, "2d")
    now = datetime.now(UTC)
    assert ids(conn) == [future, queued, running, old]
    assert ids(conn, statuses=(TaskStatus.RUNNING,)) == [running]
    assert ids(conn, types=("b", "c")) == [future, queued, old]
    assert ids(conn, domains=("lab", "hall")) == [future, running]
    assert ids(conn, owner="w1") == [running]
    assert ids(conn, since=now - timedelta(hours=1)) == [future, queued, running]
    assert ids(conn, until=now - timedelta(hours=1)) == [old]
    assert ids(conn, due=True) == [queued, old]
    assert ids(conn, ids=(old, queued)) == [queued, old]
    assert ids(conn, search="100% DOOR_") == [queued]
    assert ids(conn, search="100_ door") == []
    assert ids(conn, params=(("n", "5"), ("deep.flag", "true"))) == [running]
    assert ids(conn, params=(("deep.word", "5"),)) == [running]
    assert ids(conn, params=(("n", "6"),)) == []
    assert ids(conn, stale=True) == []
    age(conn, running, "2m")
    assert ids(conn, stale=True) == [running]
    assert ids(conn, statuses=(TaskStatus.RUNNING,), types=("b",)) == []


def test_values_are_never_read_as_sql(conn: Conn) -> None:
    nasty = "'; DROP TABLE tasks; --"
    kept = new(conn, nasty, domain=nasty, description=nasty, params={nasty: nasty})
    assert ids(conn, types=(nasty,), domains=(nasty,), search=nasty) == [kept]
    assert ids(conn, owner=nasty) == []
    with pytest.raises(UsageError, match="can't sort"):
        ids(conn, sort=nasty)


@pytest.mark.parametrize("sort", ["created_at:desc", "created_at", "type:desc"])
def test_a_long_list_is_complete_and_in_order(conn: Conn, sort: str) -> None:
    conn.execute(
        "INSERT INTO tasks (type, status, created_at)"
        " SELECT lpad(n::text, 5, '0'), 'queued', now() - (5000 - n / 3) * interval '1 second'"
        " FROM generate_series(1, 2500) AS n"
    )
    rows = list(service.list_tasks(conn, Selection(limit=0, sort=sort)))
    assert len({row["id"] for row in rows}) == 2500
    field = sort.partition(":")[0]
    values = [row[field] for row in rows]
    assert values == sorted(values, reverse=sort.endswith("desc"))
    assert len(list(service.list_tasks(conn, Selection(limit=1700, sort=sort)))) == 1700


def test_lists_sort_both_ways(conn: Conn) -> None:
    low, high = new(conn, priority=1), new(conn, priority=9)
    assert ids(conn, sort="priority:desc") == [high, low]
    assert ids(conn, sort="priority") == [low, high]
    assert ids(conn, sort="priority:asc", limit=1) == [low]


def test_events_of_a_task_and_of_a_time(conn: Conn, worker: Worker) -> None:
    start = datetime.now(UTC) - timedelta(seconds=5)
    first, second = new(conn), new(conn)
    worker.claim(2)
    worker.complete(second)
    worker.complete(first)
    assert [e["task_id"] for e in service.events(conn, first)] == [first]
    assert [e["task_id"] for e in service.events(conn, since=start)] == [second, first]
    assert len(list(service.events(conn, since=start, limit=1))) == 1
    assert list(service.events(conn, since=datetime.now(UTC) + timedelta(hours=1))) == []
    with pytest.raises(UsageError):
        list(service.events(conn))


def test_stats_count_and_measure(conn: Conn, worker: Worker) -> None:
    tasks = [new(conn, "a" if n < 3 else "b") for n in range(4)]
    overdue = new(conn, "c", priority=0)
    age(conn, overdue, "10m")
    worker.claim(4)
    worker.complete(*tasks[:3])
    worker.fail(tasks[3], retryable=False)
    by_type = {row["key"]: row for row in service.stats(conn, by="type")}
    assert (by_type["a"]["completed"], by_type["b"]["failed"], by_type["c"]["count"]) == (3, 1, 1)
    assert by_type["b"]["failed_ratio"] == 1
    assert by_type["a"]["p50_s"] >= 0
    assert by_type["a"]["wait_p95_s"] >= by_type["a"]["wait_p50_s"] >= 0
    assert 600 <= by_type["c"]["oldest_age_s"] < 660
    assert by_type["c"]["p50_s"] is None
    (total,) = service.stats(conn, by="all", percentiles=False)
    assert (total["count"], total["failed_ratio"]) == (5, 0.25)
    assert total["rate_per_s"] > 0
    assert "p50_s" not in total
    recent = service.stats(conn, since=datetime.now(UTC) - timedelta(minutes=5))
    assert sum(row["count"] for row in recent) == 4
    with pytest.raises(UsageError):
        service.stats(conn, by="colour")


def test_wait_returns_what_came_of_it(conn: Conn, worker: Worker) -> None:
    good, bad = new(conn), new(conn)
    worker.claim(2)
    worker.complete(good, result={"x": 1})
    worker.fail(bad, reason="tool_error: no", retryable=False)
    rows = service.wait(conn, [good, bad])
    assert [(r["id"], r["status"], r["result"], r["reached"]) for r in rows] == [
        (good, "completed", {"x": 1}, True), (bad, "failed", None, True),
    ]  # fmt: skip
    (row,) = service.wait(conn, [bad], "completed")
    assert (row["reached"], row["error"]) == (False, "tool_error: no")


def test_wait_sees_the_end_of_a_running_task(conn: Conn, rival: Worker) -> None:
    slow = new(conn)
    rival.claim()
    timer = threading.Timer(0.3, rival.complete, [slow])
    timer.start()
    started = time.monotonic()
    (row,) = service.wait(conn, [slow], timeout_s=10)
    assert (row["status"], row["reached"]) == ("completed", True)
    assert time.monotonic() - started < 8
    timer.join()


def test_wait_for_any_and_for_a_state(conn: Conn, worker: Worker) -> None:
    first, second = new(conn), new(conn)
    worker.claim(1)
    rows = service.wait(conn, [first, second], "running", any_=True)
    assert [row["id"] for row in rows] == [first]
    worker.complete(first)
    rows = service.wait(conn, [first, second], any_=True)
    assert [row["id"] for row in rows] == [first]


def test_wait_gives_up(conn: Conn) -> None:
    queued = new(conn)
    with pytest.raises(Pending, match=f"{queued} is queued"):
        service.wait(conn, [queued], timeout_s=0)
    started = time.monotonic()
    with pytest.raises(WaitTimeout) as caught:
        service.wait(conn, [queued], timeout_s=0.25)
    assert 0.25 <= time.monotonic() - started < 8
    assert caught.value.details["open"] == [{"id": str(queued), "status": "queued"}]
    with pytest.raises(NotFound):
        service.wait(conn, [queued, uuid4()])
    with pytest.raises(UsageError, match="no state"):
        service.wait(conn, [queued], "finished")


def test_watch_tells_what_changes_and_ends(conn: Conn, rival: Worker) -> None:
    first = new(conn)
    changes: list[tuple[str, str]] = []
    for change in service.watch(conn, Selection(ids=(first,)), timeout_s=10):
        changes.append((change["type"], change["object"]["status"]))
        if len(changes) == 1:
            rival.claim()
        elif len(changes) == 2:
            rival.complete(first)
    assert changes == [("added", "queued"), ("modified", "running"), ("modified", "completed")]


def test_watch_tells_of_tasks_that_come_and_go(conn: Conn, other: Conn) -> None:
    first = new(conn)
    changes = service.watch(conn, Selection(statuses=(TaskStatus.QUEUED,)), timeout_s=10)
    assert (next(changes)["type"], status(conn, first)) == ("added", "queued")
    second = new(other)
    assert next(changes)["object"]["id"] == second
    service.cancel(other, [first], actor="ann")
    gone = next(changes)
    assert (gone["type"], gone["object"]["id"]) == ("removed", first)


def test_watch_gives_up(conn: Conn) -> None:
    new(conn)
    with pytest.raises(WaitTimeout):
        list(service.watch(conn, Selection(), timeout_s=0.2))


def test_an_export_can_be_submitted_again(conn: Conn, worker: Worker) -> None:
    params = {
        "big": 12345678901234567890,
        "fraction": 0.1,
        "text": 'ü"\\\n',
        "none": None,
        "l": [{}],
    }
    first = new(conn, "a", params=params, description="x\ty", domain="lab", drift_score=0.5,
                priority=9, max_attempts=2, idempotency_key="k", hold=True)  # fmt: skip
    second = new(conn, "b", depends_on=(str(first),), in_s=3600)
    conn.execute(
        """UPDATE tasks SET params = params || '{"exact": 0.1234567890123456789012345}' WHERE id = %s""",
        [first],
    )
    columns = (
        "SELECT id, type, params::text, description, domain, drift_score, priority, run_after,"
        " max_attempts, idempotency_key, status, auto_release FROM tasks ORDER BY created_at, id"
    )
    before = conn.execute(columns).fetchall()
    lines = list(service.export(conn, Selection(limit=0, sort="created_at")))
    assert len(lines) == 2

    def again(text: list[str]) -> list[Any]:
        stream = io.BytesIO("\n".join(text).encode())
        return list(
            service.submit_lines(conn, service.read_lines(stream, max_bytes=1 << 20), actor="ann")
        )

    assert [r.created for r in again(lines)] == [False, False]
    conn.execute("DELETE FROM tasks")
    assert [(r.id, r.created) for r in again(lines)] == [(str(first), True), (str(second), True)]
    after = conn.execute(columns).fetchall()
    exact = '"exact": 0.1234567890123456789012345'
    assert exact in lines[0]
    for row in (*before, *after):  # a second reading has the digits of a double
        row["params"] = row["params"].split('"exact"')[0]
    assert after == before
    anew = list(service.export(conn, Selection(limit=0, types=("b",)), ids=False))
    assert '"id"' not in anew[0]
    assert '"depends_on"' not in anew[0]
