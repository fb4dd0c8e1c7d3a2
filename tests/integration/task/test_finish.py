"""Ending an attempt: accepted once, by the holder of the lease, and decided in one place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from seedcore.testing import age
from tests.integration.task.worker import Worker, history, new, status, task

Conn = psycopg.Connection[dict[str, Any]]

LEASE = ("owner_id", "locked_by", "locked_at", "lease_expires_at", "last_heartbeat")


def test_a_completion_stores_the_result_and_clears_the_lease(conn: Conn, worker: Worker) -> None:
    done = new(conn)
    worker.claim()
    assert worker.complete(done, result={"payload": "ü"}) == {done}
    row = task(conn, done)
    assert (row["status"], row["result"], row["error"]) == ("completed", {"payload": "ü"}, None)
    assert all(row[column] is None for column in LEASE)
    assert row["finished_at"] >= row["started_at"] >= row["created_at"]


def test_only_the_holder_of_the_lease_completes(conn: Conn, worker: Worker, rival: Worker) -> None:
    done = new(conn)
    worker.claim()
    rival.held[done] = 1
    assert rival.complete(done) == set()
    assert status(conn, done) == "running"
    assert worker.complete(done) == {done}
    assert worker.complete(done) == set()  # an end is accepted once


def test_a_late_result_never_overwrites_the_new_owner(
    conn: Conn, worker: Worker, rival: Worker
) -> None:
    stalled = new(conn)
    worker.claim(lease_s=10)
    age(conn, stalled, "11s")
    conn.execute("SELECT tasks_reap_expired()")
    rival.claim()
    assert worker.complete(stalled, result="late") == set()
    assert worker.fail(stalled) == {}
    assert worker.give_back(stalled) == set()
    assert rival.complete(stalled, result="right") == {stalled}
    assert task(conn, stalled)["result"] == "right"


def test_a_batch_is_accepted_in_part(conn: Conn, worker: Worker) -> None:
    tasks = [new(conn) for _ in range(5)]
    worker.claim(5)
    conn.execute("SELECT tasks_cancel(%s, 'no')", [[tasks[1]]])
    assert worker.complete(*tasks) == set(tasks) - {tasks[1]}
    assert status(conn, tasks[1]) == "cancelled"


def test_an_empty_batch_is_fine(worker: Worker) -> None:
    assert worker.complete() == set()
    assert worker.fail() == {}
    assert worker.give_back() == set()
    assert worker.renew() == {}


def test_errors_are_retried_later_and_later_then_fail(conn: Conn, worker: Worker) -> None:
    flaky = new(conn)
    for attempt, pause in ((1, 20), (2, 40)):
        worker.claim()
        assert worker.fail(flaky, reason="tool_error: no") == {flaky: "retry"}
        row = task(conn, flaky)
        assert (row["attempts"], row["error"]) == (attempt, "tool_error: no")
        delay = row["run_after"] - row["updated_at"]
        assert timedelta(seconds=pause) <= delay <= timedelta(seconds=pause + 5)
        assert all(row[column] is None for column in LEASE)
        age(conn, flaky, "1m")
    worker.claim()
    assert worker.fail(flaky) == {flaky: "failed"}
    assert task(conn, flaky)["finished_at"] is not None


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(0, 10), (1, 20), (2, 40), (4, 160), (5, 300), (40, 300), (10**9, 300)],
)
def test_the_retry_delay_doubles_up_to_five_minutes(
    conn: Conn, attempts: int, seconds: int
) -> None:
    row = conn.execute("SELECT task_retry_delay(%s, 0) AS delay", [attempts]).fetchone()
    assert row == {"delay": timedelta(seconds=seconds)}


def test_a_permanent_error_fails_at_once(conn: Conn, worker: Worker) -> None:
    wrong = new(conn)
    worker.claim()
    assert worker.fail(wrong, reason="bad_arguments", retryable=False) == {wrong: "failed"}
    assert history(conn, wrong) == [("running", "failed", 1, "w1", "bad_arguments")]


def test_a_task_may_name_its_own_number_of_attempts(conn: Conn, worker: Worker) -> None:
    once = new(conn, max_attempts=1)
    worker.claim()
    assert worker.fail(once, default_max=9) == {once: "failed"}


def test_the_caller_names_the_number_for_the_others(conn: Conn, worker: Worker) -> None:
    once = new(conn)
    worker.claim()
    assert worker.fail(once, default_max=1) == {once: "failed"}


def test_each_of_a_batch_is_decided_by_itself(conn: Conn, worker: Worker) -> None:
    soon, wrong, late = (new(conn) for _ in range(3))
    worker.claim(3)
    ids = [soon, wrong, late]
    rows = conn.execute(
        "SELECT id, status::text, run_after FROM tasks_retry_or_fail(%s, %s, %s, %s, %s, 'w1', %s)",
        [
            ids,
            ["timeout", "bad_payload", "tool_error"],
            [Jsonb({"n": 1}), Jsonb({"n": 2}), None],
            [True, False, True],
            [0.0, None, 500.0],
            [1, 1, 1],
        ],
    ).fetchall()
    assert {row["id"]: row["status"] for row in rows} == {
        soon: "retry", wrong: "failed", late: "retry",
    }  # fmt: skip
    assert [task(conn, i)["result"] for i in ids] == [{"n": 1}, {"n": 2}, None]
    now = task(conn, soon)["updated_at"]
    assert task(conn, soon)["run_after"] == now
    assert task(conn, late)["run_after"] == now + timedelta(seconds=500)


def test_without_an_owner_a_running_attempt_can_be_ended(conn: Conn, worker: Worker) -> None:
    running, queued = new(conn), new(conn)
    worker.claim()
    rows = conn.execute(
        "SELECT id, status::text FROM tasks_retry_or_fail(%s, %s)",
        [[running, queued], ["internal", "internal"]],
    ).fetchall()
    assert rows == [{"id": running, "status": "retry"}]
    assert status(conn, queued) == "queued"


def test_a_former_result_stays_until_there_is_a_new_one(conn: Conn, worker: Worker) -> None:
    flaky = new(conn)
    worker.claim()
    ends = "SELECT tasks_retry_or_fail(%s, '{tool_error}', %s, NULL, '{0}', 'w1', %s)"
    conn.execute(ends, [[flaky], [Jsonb({"calls": 1})], [1]])
    worker.claim()
    conn.execute(ends, [[flaky], None, [2]])
    assert task(conn, flaky)["result"] == {"calls": 1}


def test_what_is_given_back_spends_no_attempt(conn: Conn, worker: Worker) -> None:
    parked = new(conn, max_attempts=1)
    for _ in range(5):
        worker.claim()
        assert worker.give_back(parked) == {parked}
    row = task(conn, parked)
    assert (row["status"], row["attempts"], row["max_attempts"]) == ("retry", 5, 6)
    assert (row["lapses"], row["error"]) == (0, None)
    assert all(row[column] is None for column in LEASE)
    worker.claim()
    assert worker.fail(parked) == {parked: "failed"}  # its one attempt is the sixth


def test_what_is_given_back_may_wait(conn: Conn, worker: Worker) -> None:
    parked = new(conn)
    worker.claim()
    worker.give_back(parked, delay_s=60)
    row = task(conn, parked)
    assert row["run_after"] == row["updated_at"] + timedelta(seconds=60)


def test_the_limit_of_attempts_never_overflows(conn: Conn, worker: Worker) -> None:
    parked = new(conn, max_attempts=32767)
    worker.claim()
    assert worker.give_back(parked) == {parked}
    assert task(conn, parked)["max_attempts"] == 32767


def test_the_clean_up_that_old_programs_call_decides_alike(conn: Conn, worker: Worker) -> None:
    silent, busy = new(conn), new(conn)
    worker.claim(2, lease_s=600)
    age(conn, silent, "16m")
    row = conn.execute("SELECT cleanup_stale_running_tasks(stale_minutes => 15) AS n").fetchone()
    assert row == {"n": 1}
    assert status(conn, silent, busy) == ["retry", "running"]
