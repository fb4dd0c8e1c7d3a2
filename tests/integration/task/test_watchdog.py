"""Silent owners and expired tasks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from seedcore.testing import age
from tests.integration.task.worker import Worker, history, new, set_level, status, task

Conn = psycopg.Connection[dict[str, Any]]


def reap(conn: Conn, **options: Any) -> int:
    given = {"grace_s": 90.0, "limit": 200, "default_max": 3, "max_lapses": 10} | options
    row = conn.execute(
        "SELECT tasks_reap_expired(%(grace_s)s, %(limit)s, %(default_max)s, %(max_lapses)s) AS n",
        given,
    ).fetchone()
    assert row is not None
    return row["n"]


def test_a_lease_that_is_past_is_taken_back(conn: Conn, worker: Worker, rival: Worker) -> None:
    lost, kept = new(conn), new(conn)
    worker.claim(2, lease_s=60)
    age(conn, lost, "61s")
    assert reap(conn, grace_s=3600) == 1
    row = task(conn, lost)
    assert (row["status"], row["attempts"], row["lapses"], row["max_attempts"]) == (
        "retry",
        1,
        1,
        4,
    )
    assert row["error"].startswith("lease_expired: w1 was last seen at ")
    assert row["owner_id"] is None
    assert status(conn, kept) == "running"
    assert [r["id"] for r in rival.claim()] == [lost]  # due at once


def test_a_silent_heartbeat_is_enough(conn: Conn, worker: Worker) -> None:
    silent, fresh = new(conn), new(conn)
    worker.claim(2, lease_s=3600)
    age(conn, silent, "91s")
    age(conn, fresh, "89s")
    assert reap(conn, grace_s=90) == 1
    assert status(conn, silent, fresh) == ["retry", "running"]


def test_a_renewed_lease_is_not_taken(conn: Conn, worker: Worker) -> None:
    held = new(conn)
    worker.claim(lease_s=60)
    age(conn, held, "61s")
    worker.renew(held)
    assert reap(conn) == 0


def test_a_lapse_does_not_use_up_an_attempt(conn: Conn, worker: Worker) -> None:
    unlucky = new(conn, max_attempts=2)
    for _ in range(3):
        worker.claim()
        age(conn, unlucky, "1h")
        assert reap(conn) == 1
    worker.claim()
    assert worker.fail(unlucky, delay_s=0) == {unlucky: "retry"}
    worker.claim()
    assert worker.fail(unlucky) == {unlucky: "failed"}


def test_too_many_lapses_fail_the_task_and_what_waits_for_it(conn: Conn, worker: Worker) -> None:
    poison = new(conn)
    child = new(conn, depends_on=(str(poison),))
    for expected in ("retry", "retry", "failed"):
        worker.claim()
        age(conn, poison, "1h")
        assert reap(conn, max_lapses=2) == 1
        assert status(conn, poison) == expected
    assert task(conn, poison)["error"].startswith("lease_expired")
    assert status(conn, child) == "cancelled"
    assert [event[:2] for event in history(conn, poison)] == [("running", "failed")]


def test_a_row_that_is_being_written_is_passed_over(
    conn: Conn, worker: Worker, rival: Worker, aside: Callable[..., Future[Any]]
) -> None:
    """The owner that completes at this moment is alive."""
    held = new(conn)
    rival.claim(lease_s=60)
    age(conn, held, "1h")
    with rival.conn.transaction():
        rival.complete(held)
        assert aside(reap, conn).result(10) == 0
    assert status(conn, held) == "completed"


def test_one_reap_takes_no_more_than_its_limit(conn: Conn, worker: Worker) -> None:
    tasks = [new(conn) for _ in range(5)]
    worker.claim(5)
    age(conn, tasks, "1h")
    assert [reap(conn, limit=2) for _ in range(4)] == [2, 2, 1, 0]


def test_two_reapers_take_each_row_once(
    conn: Conn, other: Conn, worker: Worker, aside: Callable[..., Future[Any]]
) -> None:
    tasks = [new(conn) for _ in range(30)]
    worker.claim(30)
    age(conn, tasks, "1h")
    with conn.transaction():
        mine = reap(conn, limit=20)
        theirs = aside(reap, other).result(10)
    assert (mine, theirs) == (20, 10)
    assert all(task(conn, i)["lapses"] == 1 for i in tasks)


@pytest.mark.parametrize("state", ["queued", "created", "retry"])
def test_what_may_not_start_any_more_is_cancelled(conn: Conn, worker: Worker, state: str) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    expired = new(conn, expires_at=soon, hold=state == "created")
    kept = new(conn, expires_at=soon + timedelta(hours=1))
    if state == "retry":
        worker.claim(1)
        worker.fail(expired, delay_s=0)
    child = new(conn, depends_on=(str(expired),))
    age(conn, expired, "2m")
    assert conn.execute("SELECT tasks_expire_due() AS n").fetchone() == {"n": 1}
    row = task(conn, expired)
    assert row["status"] == "cancelled"
    assert row["error"].startswith("expired: not started before ")
    assert status(conn, child, kept) == ["cancelled", "queued"]
    assert [event[:2] for event in history(conn, expired)] == [(state, "cancelled")]


def test_what_has_started_runs_past_its_expiry(conn: Conn, worker: Worker) -> None:
    running = new(conn, expires_at=datetime.now(UTC) + timedelta(minutes=1))
    worker.claim()
    age(conn, running, "2m")
    assert conn.execute("SELECT tasks_expire_due() AS n").fetchone() == {"n": 0}
    assert worker.complete(running) == {running}


def test_a_lapse_is_recorded_when_everything_is(conn: Conn, worker: Worker) -> None:
    set_level(conn, "all")
    lost = new(conn)
    worker.claim()
    age(conn, lost, "1h")
    reap(conn)
    assert [event[:3] for event in history(conn, lost)] == [
        (None, "queued", 0), ("queued", "running", 1), ("running", "retry", 1),
    ]  # fmt: skip
