"""Ending a worker: what runs may finish, what does not goes back, and its attempt is not spent."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from tests.workers.conftest import StartWorker, until

Read = Callable[[str], dict[str, Any]]


def test_running_tasks_finish_and_prefetched_ones_go_back_at_once(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    first = submit("test.nap", seconds=3, p_priority=9)
    waiting = submit("test.nap", seconds=1.5)
    worker = start_worker("--concurrency", "1")
    worker.wait_running()

    worker.signal(signal.SIGTERM)
    until(lambda: task(waiting)["status"] == "retry")
    assert task(first)["status"] == "running"

    assert worker.end() == 0
    assert task(first)["status"] == "completed"
    given_back = task(waiting)
    assert (given_back["attempts"], given_back["max_attempts"]) == (1, 4)
    assert given_back["owner_id"] is None
    assert worker.events("worker.ended")[0]["completed"] == 1


def test_what_finds_no_slot_in_time_goes_to_others(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    submit("test.nap", seconds=60, p_priority=9)
    waiting = submit("test.nap", seconds=0.01)
    lease = {"TASK_LEASE_S": "6", "LEASE_SECONDS": "6", "DISPATCHER_RENEW_S": "0.5"}
    worker = start_worker("--concurrency", "1", "--drain-timeout", "0", env=lease)
    assert worker.wait_for("task.held_too_long")["count"] == 1
    until(lambda: task(waiting)["status"] == "retry")
    # It does not come back to the worker whose only slot is taken.
    other = start_worker("--once", env=lease)
    assert other.end() == 0
    row = task(waiting)
    assert (row["status"], row["attempts"], row["max_attempts"]) == ("completed", 2, 4)
    assert len(worker.events("task.held_too_long")) == 1
    worker.signal(signal.SIGTERM)
    worker.end()


def test_what_was_held_for_short_runs_is_not_kept_from_others_by_a_long_one(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    submit("test.nap", seconds=60, p_priority=9)
    waiting = [submit("test.nap", seconds=0.01) for _ in range(2)]
    worker = start_worker("--concurrency", "1", "--drain-timeout", "0")
    worker.wait_running()
    # A tenth of the usual lease would be nine seconds.
    until(lambda: all(task(one)["status"] == "retry" for one in waiting), timeout=6)
    assert worker.wait_for("task.held_too_long")["count"] == 2
    worker.signal(signal.SIGTERM)
    worker.end()


def test_work_is_cancelled_and_given_back_unspent_at_the_deadline(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    slow = submit("test.nap", seconds=60)
    worker = start_worker("--drain-timeout", "0.5")
    worker.wait_running()

    worker.signal(signal.SIGTERM)

    assert worker.end() == 1
    row = task(slow)
    assert (row["status"], row["attempts"], row["max_attempts"]) == ("retry", 1, 4)
    assert row["error"] is None


def test_a_second_signal_does_not_wait(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    slow = submit("test.nap", seconds=60)
    worker = start_worker("--drain-timeout", "50")
    worker.wait_running()

    worker.signal(signal.SIGINT)
    worker.wait_for("worker.draining")
    worker.signal(signal.SIGTERM)

    assert worker.end() == 1
    assert task(slow)["status"] == "retry"
    worker.wait_for("worker.urged")


def test_a_thread_that_ignores_the_end_does_not_hold_the_process(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    deaf = submit("test.deaf", seconds=60)
    worker = start_worker("--drain-timeout", "0.2")
    worker.wait_running()

    worker.signal(signal.SIGTERM)

    assert worker.end() == 1
    assert task(deaf)["status"] == "retry"


def test_a_tool_that_swallows_its_cancellation_does_not_hold_the_process(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    submit("test.stubborn", seconds=60)
    worker = start_worker("--drain-timeout", "0.2")
    worker.wait_running()

    worker.signal(signal.SIGTERM)

    assert worker.end() == 1
    worker.wait_for("worker.gave_up")


def test_an_idle_worker_ends_at_once_and_withdraws_its_wish_for_notifications(
    start_worker: StartWorker, conn: Any
) -> None:
    worker = start_worker()
    until(lambda: conn.execute("SELECT FROM queue_waiters").rowcount == 1)

    worker.signal(signal.SIGTERM)

    assert worker.end() == 0
    assert conn.execute("SELECT FROM queue_waiters").rowcount == 0


def test_a_worker_recycles_itself_after_so_many_tasks(
    start_worker: StartWorker, submit_many: Callable[..., None], counts: Callable[[], Any]
) -> None:
    submit_many(400, "test.nap", seconds=0.05)
    worker = start_worker(env={"DISPATCHER_RECYCLE_AFTER_TASKS": "50"})

    assert worker.end() == 0
    assert worker.events("worker.ended")[0]["reason"] == "recycle"
    left = counts()
    assert left["completed"] >= 50
    assert left["completed"] + left.get("retry", 0) + left.get("queued", 0) == 400
