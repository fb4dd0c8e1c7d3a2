"""What operators do: at once, recorded, and the same in a dry run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from seedcore.task import operate, service
from seedcore.task.model import Selection, TaskStatus
from seedcore.task.store import fetch
from seedcore.testing import age
from tests.integration.task.worker import Worker, history, new, set_level, status, task

Conn = psycopg.Connection[dict[str, Any]]


def changes(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["before"], row["after"], row["changed"]) for row in rows]


def test_cancel_ends_every_unfinished_task(conn: Conn, worker: Worker) -> None:
    done, running, retried, queued, held = (new(conn, hold=n == 4) for n in range(5))
    worker.claim(3)
    worker.complete(done)
    worker.fail(retried)
    rows = service.cancel(
        conn, [done, running, retried, queued, held], actor="ann", reason="sent twice"
    )
    assert changes(rows) == [
        ("completed", "completed", False),
        ("running", "cancelled", True),
        ("retry", "cancelled", True),
        ("queued", "cancelled", True),
        ("created", "cancelled", True),
    ]
    assert rows[0]["error"] == "it is completed already"
    row = task(conn, running)
    assert (row["owner_id"], row["error"]) == (None, "cancelled: sent twice")
    assert row["finished_at"] is not None
    assert worker.complete(running) == set()


def test_what_operators_do_is_recorded_at_every_level(conn: Conn, worker: Worker) -> None:
    set_level(conn, "none")
    held, queued, stale = new(conn, hold=True), new(conn), new(conn)
    worker.claim(2)
    service.release(conn, [held], actor="ann", reason="r1")
    service.cancel(conn, [queued], actor="bob", reason="r2")
    service.retry(conn, [queued], actor="cid", reason="r3")
    service.requeue_stale(conn, [stale], actor="dan", reason="r4")
    assert history(conn, held) == [("created", "queued", 0, "ann", "r1")]
    assert history(conn, queued) == [
        ("running", "cancelled", 1, "bob", "cancelled: r2"),
        ("cancelled", "queued", 1, "cid", "r3"),
    ]
    (event,) = history(conn, stale)
    assert event[:4] == ("running", "retry", 1, "dan")
    assert event[4].startswith("lease_expired: w1 ")
    assert event[4].endswith("; r4")


def test_a_dry_run_says_what_would_happen_and_changes_nothing(conn: Conn) -> None:
    queued = new(conn)
    child = new(conn, depends_on=(str(queued),))
    dry = service.cancel(conn, [queued, child], actor="ann", dry_run=True)
    assert status(conn, queued, child) == ["queued", "created"]
    assert history(conn, queued) == []
    assert service.cancel(conn, [queued, child], actor="ann") == dry


def test_ids_of_no_task_are_told(conn: Conn) -> None:
    ghost = uuid4()
    (row,) = service.cancel(conn, [ghost], actor="ann")
    assert row == {
        "id": ghost, "before": None, "after": None, "changed": False,
        "error": "there is no such task",
    }  # fmt: skip


def test_a_selection_chooses_what_is_changed(conn: Conn) -> None:
    chosen = [new(conn, "a", domain="lab") for _ in range(3)]
    others = [new(conn, "a"), new(conn, "b", domain="lab")]
    selection = Selection(types=("a",), domains=("lab",), limit=2)
    assert len(service.cancel(conn, selection, actor="ann")) == 2
    assert status(conn, *chosen) == ["cancelled", "cancelled", "queued"]
    assert status(conn, *others) == ["queued", "queued"]


def test_more_tasks_than_one_transaction_takes(conn: Conn) -> None:
    conn.execute(
        "INSERT INTO tasks (type, status) SELECT 'a', 'queued' FROM generate_series(1, 2500)"
    )
    rows = service.cancel(conn, Selection(limit=0), actor="ann")
    assert len(rows) == 2500
    assert all(row["changed"] for row in rows)


def test_retry_gives_more_attempts_and_keeps_the_token_rising(conn: Conn, worker: Worker) -> None:
    failed = new(conn, max_attempts=1)
    worker.claim()
    worker.fail(failed)
    (row,) = service.retry(conn, [failed], actor="ann", attempts=2)
    assert (row["before"], row["after"]) == ("failed", "queued")
    stored = task(conn, failed)
    assert (stored["attempts"], stored["max_attempts"]) == (1, 3)
    assert (stored["finished_at"], stored["lapses"]) == (None, 0)
    assert stored["run_after"] is not None  # due from now on, not from long ago
    assert worker.claim()[0]["attempts"] == 2


def test_retry_can_wait(conn: Conn, worker: Worker) -> None:
    cancelled = new(conn)
    service.cancel(conn, [cancelled], actor="ann")
    service.retry(conn, [cancelled], actor="ann", delay_s=60)
    assert worker.claim() == []
    age(conn, cancelled, "61s")
    assert len(worker.claim()) == 1


def test_retry_makes_a_delayed_one_due(conn: Conn, worker: Worker) -> None:
    later = new(conn)
    worker.claim()
    worker.fail(later, delay_s=3600)
    service.retry(conn, [later], actor="ann")
    assert [row["id"] for row in worker.claim()] == [later]


@pytest.mark.parametrize("state", ["queued", "running", "completed"])
def test_only_what_stopped_can_be_retried(conn: Conn, worker: Worker, state: str) -> None:
    lively = new(conn)
    if state != "queued":
        worker.claim()
    if state == "completed":
        worker.complete(lively)
    (row,) = service.retry(conn, [lively], actor="ann")
    assert (row["changed"], row["before"]) == (False, state)
    assert row["error"].startswith(f"it is {state}; only")


def test_a_task_whose_key_is_live_elsewhere_stays_failed(conn: Conn, worker: Worker) -> None:
    old = new(conn, idempotency_key="k")
    service.cancel(conn, [old], actor="ann")
    new(conn, idempotency_key="k")
    (row,) = service.retry(conn, [old], actor="ann")
    assert (row["changed"], row["after"]) == (False, "cancelled")


def test_of_two_failures_with_one_key_the_newest_is_retried(conn: Conn) -> None:
    pair = []
    for _ in range(2):
        pair.append(new(conn, idempotency_key="k"))
        service.cancel(conn, pair[-1:], actor="ann")
    service.retry(conn, pair, actor="ann")
    assert status(conn, *pair) == ["cancelled", "queued"]


def test_a_chain_is_retried_together_and_waits_again(conn: Conn, worker: Worker) -> None:
    first = new(conn)
    second = new(conn, depends_on=(str(first),))
    service.cancel(conn, [first], actor="ann")
    assert status(conn, second) == "cancelled"
    (row,) = service.retry(conn, [second], actor="ann")
    assert not row["changed"]  # it would wait for a task that has ended badly
    rows = service.retry(conn, [second, first], actor="ann")
    assert changes(rows) == [("cancelled", "created", True), ("cancelled", "queued", True)]
    worker.claim()
    worker.complete(first)
    assert status(conn, second) == "queued"


def test_what_its_worker_ends_meanwhile_was_not_cancelled(
    conn: Conn,
    rival: Worker,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[Conn], None],
) -> None:
    held = new(conn)
    rival.claim()
    with rival.conn.transaction():
        rival.complete(held)
        late = aside(service.cancel, conn, [held], actor="ann")
        blocked(conn)
    (row,) = late.result(10)
    assert (row["after"], row["changed"], row["error"]) == (
        "completed", False, "it is completed already",
    )  # fmt: skip


def test_what_another_cancels_meanwhile_was_not_cancelled_by_this_call(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[Conn], None],
) -> None:
    queued = new(conn)
    with other.transaction():
        service.cancel(other, [queued], actor="ann")
        late = aside(service.cancel, conn, [queued], actor="bob")
        blocked(conn)
    (row,) = late.result(30)
    assert (row["after"], row["changed"], row["error"]) == (
        "cancelled", False, "it is cancelled already",
    )  # fmt: skip


def test_what_waits_for_one_that_stays_failed_stays_too(conn: Conn) -> None:
    first = new(conn, idempotency_key="k")
    second = new(conn, depends_on=(str(first),))
    third = new(conn, depends_on=(str(second),))
    service.cancel(conn, [first], actor="ann")
    new(conn, idempotency_key="k")
    rows = service.retry(conn, [first, second, third], actor="ann")
    assert changes(rows) == [("cancelled", "cancelled", False)] * 3


def test_an_expiry_that_is_past_is_forgotten_by_a_retry(conn: Conn, worker: Worker) -> None:
    expired = new(conn, params={"routing": {"hints": {"ttl_seconds": 60}}})
    age(conn, expired, "2m")
    conn.execute("SELECT tasks_expire_due()")
    service.retry(conn, [expired], actor="ann")
    assert task(conn, expired)["expires_at"] is None
    assert len(worker.claim()) == 1


def test_requeue_stale_takes_the_leases_that_are_past(conn: Conn, worker: Worker) -> None:
    stale, fresh = new(conn, "a"), new(conn, "a")
    worker.claim(2, lease_s=60)
    age(conn, stale, "90s")
    dry = service.requeue_stale(conn, actor="ann", dry_run=True)
    assert [row["id"] for row in dry] == [stale]
    assert status(conn, stale) == "running"
    (row,) = service.requeue_stale(conn, actor="ann")
    assert (row["before"], row["after"], row["owner"]) == ("running", "retry", "w1")
    assert 89 < row["silent_s"] < 120
    assert status(conn, fresh) == "running"


def test_requeue_stale_by_silence_type_and_number(conn: Conn, worker: Worker) -> None:
    tasks = [new(conn, "a"), new(conn, "a"), new(conn, "b")]
    worker.claim(3, lease_s=3600)
    age(conn, tasks, "5m")
    assert service.requeue_stale(conn, actor="ann", older_than_s=600) == []
    rows = service.requeue_stale(conn, actor="ann", older_than_s=200, types=["a"], limit=1)
    assert len(rows) == 1
    assert status(conn, tasks[2]) == "running"


def test_a_named_lease_is_taken_whatever_its_owner_does(conn: Conn, worker: Worker) -> None:
    busy, queued = new(conn), new(conn)
    worker.claim()
    rows = service.requeue_stale(conn, [busy, queued], actor="ann")
    assert changes(rows) == [("running", "retry", True), ("queued", "queued", False)]
    assert worker.complete(busy) == set()


def test_a_worker_cancels_only_what_it_holds(conn: Conn, worker: Worker, rival: Worker) -> None:
    mine, theirs = new(conn), new(conn)
    worker.claim(1)
    rival.claim(1)
    rows = worker.rows("SELECT tasks_cancel(%s, 'duplicate', 'w1') AS id", [[mine, theirs]])
    assert rows == [{"id": mine}]
    assert status(conn, mine, theirs) == ["cancelled", "running"]
    assert history(conn, mine) == [("running", "cancelled", 1, "w1", "duplicate")]


def test_a_lane_is_paused_by_name_and_shown(conn: Conn) -> None:
    new(conn)
    service.pause_lane(conn, "queue", actor="ann", reason="upgrade")
    from seedcore.task.lanes import lanes

    shown = {row["lane"]: row for row in lanes(conn)}
    assert (shown["queue"]["paused"], shown["queue"]["changed_by"]) == (True, "ann")
    assert (shown["queue"]["tasks"], shown["queue"]["due_now"]) == (1, 1)
    assert (shown["graph"]["paused"], shown["graph"]["tasks"]) == (False, 0)
    service.resume_lane(conn, "queue", actor="ann")
    assert not any(row["paused"] for row in lanes(conn))


def test_states_of_the_model_are_those_of_the_database(conn: Conn) -> None:
    rows = conn.execute("SELECT unnest(enum_range(NULL::taskstatus))::text AS s").fetchall()
    assert {row["s"] for row in rows} == set(TaskStatus)


def test_a_task_that_is_pruned_meanwhile_is_reported_as_gone(
    conn: Conn, worker: Worker, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = new(conn)
    worker.claim(1)
    worker.complete(task_id)

    def fetch_and_lose(connection: Conn, statement: Any, parameters: Any) -> list[dict[str, Any]]:
        rows = fetch(connection, statement, parameters)
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute("DELETE FROM tasks WHERE id = %s", (task_id,))
        return rows

    monkeypatch.setattr(operate, "fetch", fetch_and_lose)
    (row,) = service.cancel(conn, [task_id], actor="ann")
    assert (row["changed"], row["error"]) == (False, "there is no such task")
