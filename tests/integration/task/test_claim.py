"""Claiming: who gets which task, in which order, and who gets none."""

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


def test_a_claim_gives_a_lease_and_counts_the_attempt(conn: Conn, worker: Worker) -> None:
    queued = new(conn, params={"a": 1})
    (row,) = worker.claim(lease_s=30)
    assert (row["id"], row["status"], row["attempts"]) == (queued, "running", 1)
    assert (row["owner_id"], row["locked_by"], row["params"]) == ("w1", "w1", {"a": 1})
    assert row["lease_expires_at"] - row["last_heartbeat"] == timedelta(seconds=30)
    assert row["started_at"] == row["locked_at"] == row["last_heartbeat"] == row["updated_at"]
    assert row == task(conn, queued)


def test_the_name_of_the_worker_can_differ_from_the_owner(conn: Conn) -> None:
    new(conn)
    row = conn.execute(
        "SELECT locked_by FROM tasks_claim('queue', 'w1', 1, 60, 'host-7')"
    ).fetchone()
    assert row == {"locked_by": "host-7"}


def test_the_urgent_come_first_then_the_longest_due(conn: Conn, worker: Worker) -> None:
    late = new(conn, priority=5)
    early = new(conn, priority=5)
    age(conn, early, "1h")
    urgent = new(conn, priority=10)
    lazy = new(conn, priority=0)
    age(conn, lazy, "1d")
    overdue = new(conn, priority=5, run_after=datetime.now(UTC) - timedelta(minutes=30))
    got = [worker.claim()[0]["id"] for _ in range(5)]
    assert got == [urgent, early, overdue, late, lazy]


def test_a_claim_takes_no_more_than_asked_from_many_priorities(conn: Conn, worker: Worker) -> None:
    tasks = [new(conn, priority=n % 11) for n in range(33)]
    got = worker.claim(7)
    assert [row["priority"] for row in got] == [10, 10, 10, 9, 9, 9, 8]
    assert status(conn, *tasks).count("running") == 7


def test_a_task_of_the_future_is_left_alone(conn: Conn, worker: Worker) -> None:
    future = new(conn, in_s=60, priority=10)
    assert worker.claim() == []
    age(conn, future, "61s")
    assert [row["id"] for row in worker.claim()] == [future]


def test_an_expired_task_is_never_started(conn: Conn, worker: Worker) -> None:
    expired = new(conn, expires_at=datetime.now(UTC) + timedelta(seconds=60))
    age(conn, expired, "61s")
    fresh = new(conn)
    assert [row["id"] for row in worker.claim(10)] == [fresh]
    assert status(conn, expired) == "queued"


def test_a_retry_is_claimed_when_it_is_due(conn: Conn, worker: Worker) -> None:
    retried = new(conn)
    worker.claim()
    worker.fail(retried, delay_s=60)
    assert worker.claim() == []
    age(conn, retried, "61s")
    assert [row["attempts"] for row in worker.claim()] == [2]


def test_lanes_do_not_mix(conn: Conn, worker: Worker) -> None:
    graph, plain = (
        new(conn, "graph", params={"graph_op": "embed", "graph": {"op": "embed"}}),
        new(conn),
    )
    assert [row["id"] for row in worker.claim(10, lane="queue")] == [plain]
    assert [row["id"] for row in worker.claim(10, lane="graph")] == [graph]


def test_a_lane_that_is_not_there_is_named(worker: Worker) -> None:
    with pytest.raises(psycopg.Error, match='no lane "slow"') as caught:
        worker.claim(lane="slow")
    assert caught.value.sqlstate == "SC404"


def test_a_claim_without_an_owner_is_refused(conn: Conn) -> None:
    with pytest.raises(psycopg.Error, match="owner") as caught:
        Worker(conn, "").claim()
    assert caught.value.sqlstate == "SC422"


def test_a_paused_lane_gives_nothing_and_then_goes_on(conn: Conn, worker: Worker) -> None:
    queued = new(conn)
    conn.execute("SELECT queue_pause('queue', 'ann', 'upgrade')")
    assert worker.claim() == []
    lane = conn.execute("SELECT * FROM queue_lanes WHERE lane = 'queue'").fetchone()
    assert lane is not None
    assert (lane["paused"], lane["reason"], lane["changed_by"]) == (True, "upgrade", "ann")
    conn.execute("SELECT queue_resume('queue', 'bob')")
    assert [row["id"] for row in worker.claim()] == [queued]


@pytest.mark.parametrize("call", ["queue_pause('slow', 'ann')", "queue_resume('slow', 'ann')"])
def test_only_known_lanes_can_be_paused(conn: Conn, call: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(f"SELECT {call}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert caught.value.sqlstate == "SC404"


def test_types_and_domains_narrow_a_claim(conn: Conn, worker: Worker) -> None:
    new(conn, "a", priority=10)
    wanted = new(conn, "b", domain="lab")
    new(conn, "b", domain="hall", priority=10)
    other = new(conn, "c", domain="lab")
    assert [row["id"] for row in worker.claim(10, types=["b"], domains=["lab"])] == [wanted]
    assert [row["id"] for row in worker.claim(10, domains=["lab"])] == [other]
    assert worker.claim(10, types=["z"]) == []


def test_rivals_share_without_waiting(conn: Conn, worker: Worker, rival: Worker) -> None:
    tasks = {new(conn) for _ in range(6)}
    with conn.transaction():
        mine = {row["id"] for row in worker.claim(4)}
        theirs = {row["id"] for row in rival.claim(4)}  # does not wait for the open transaction
    assert len(mine) == 4
    assert len(theirs) == 2
    assert mine | theirs == tasks


def test_a_claim_that_is_rolled_back_never_was(conn: Conn, worker: Worker, rival: Worker) -> None:
    queued = new(conn)
    with conn.transaction(force_rollback=True):
        worker.claim()
    (row,) = rival.claim()
    assert (row["id"], row["attempts"], row["owner_id"]) == (queued, 1, "w2")


def test_a_task_that_is_cancelled_meanwhile_is_not_claimed(
    conn: Conn, worker: Worker, rival: Worker, aside: Callable[..., Future[Any]]
) -> None:
    queued = new(conn)
    with conn.transaction():
        conn.execute("SELECT tasks_cancel(%s, 'changed my mind')", [[queued]])
        assert aside(rival.claim).result(10) == []
    assert worker.claim() == []


def test_claims_are_recorded_when_everything_is(conn: Conn, worker: Worker) -> None:
    set_level(conn, "all")
    queued = new(conn)
    worker.claim()
    assert history(conn, queued)[1:] == [("queued", "running", 1, "w1", None)]


def test_only_ends_are_recorded_by_default(conn: Conn, worker: Worker) -> None:
    queued = new(conn)
    worker.claim()
    worker.fail(queued, delay_s=0)
    worker.claim()
    assert history(conn, queued) == []
    worker.complete(queued)
    assert history(conn, queued) == [("running", "completed", 2, "w1", None)]


def test_nothing_is_recorded_at_level_none(conn: Conn, worker: Worker) -> None:
    set_level(conn, "none")
    queued = new(conn)
    worker.claim()
    worker.complete(queued)
    assert history(conn, queued) == []
