"""Leases: kept while working, lost by the dead and the silent, never fought over."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from seedcore.task import service
from tests.workers.conftest import SHORT_LEASE, StartWorker, check_history, until

Read = Callable[[str], dict[str, Any]]


def test_a_killed_workers_task_runs_again_within_lease_and_tick(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    slow = submit("test.nap", seconds=60)
    first = start_worker(env=SHORT_LEASE)
    until(lambda: task(slow)["status"] == "running")
    second = start_worker("--index", "2", env=SHORT_LEASE)

    first.signal(signal.SIGKILL)
    killed_at = time.monotonic()
    until(lambda: task(slow)["attempts"] == 2, timeout=15)

    # Lease 2 s, tick 0.5 s, and the time of a wake-up on a busy machine; the usual lease is 60 s.
    assert time.monotonic() - killed_at < 2 + 0.5 + 5
    row = task(slow)
    assert (row["lapses"], row["max_attempts"]) == (1, 4)
    assert row["locked_by"].endswith("-2")
    second.signal(signal.SIGKILL)


def test_a_zombies_late_result_is_refused(
    start_worker: StartWorker,
    submit: Callable[..., str],
    task: Read,
    conn: Any,
    all_events: None,
) -> None:
    # The tool holds the loop, so that the first thing after the stop is its result.
    contested = submit("test.freeze", seconds=1)
    # It holds up the log as well, so the worker's start can't be waited for there.
    zombie = start_worker(env=SHORT_LEASE, wait=False)
    until(lambda: task(contested)["status"] == "running", timeout=40)
    zombie.signal(signal.SIGSTOP)

    other = start_worker("--index", "2", env=SHORT_LEASE)
    until(lambda: task(contested)["status"] == "completed", timeout=15)
    finished = task(contested)
    zombie.signal(signal.SIGCONT)

    assert zombie.wait_for("task.finished")["outcome"] == "lost"
    assert other.wait_for("task.finished")["outcome"] == "completed"
    assert task(contested)["result"] == finished["result"]
    assert task(contested)["attempts"] == 2
    check_history(conn)


def test_a_worker_lets_go_of_what_it_could_not_renew(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    contested = submit("test.nap", seconds=4)
    zombie = start_worker(env=SHORT_LEASE)
    until(lambda: task(contested)["status"] == "running")
    zombie.signal(signal.SIGSTOP)
    start_worker("--index", "2", env=SHORT_LEASE)
    until(lambda: task(contested)["attempts"] == 2, timeout=15)
    zombie.signal(signal.SIGCONT)

    assert zombie.wait_for("task.finished")["outcome"] == "lost"
    until(lambda: task(contested)["status"] == "completed", timeout=15)
    assert task(contested)["attempts"] == 2
    # It works on.
    other = submit("test.nap", seconds=0.01, p_priority=10)
    until(lambda: task(other)["status"] == "completed")


def test_a_long_task_keeps_its_short_lease(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    asleep = submit("test.nap", seconds=5)
    hogging = submit("test.hog", seconds=5)
    start_worker(env=SHORT_LEASE)
    start_worker("--index", "2", env=SHORT_LEASE)

    until(lambda: task(asleep)["status"] == task(hogging)["status"] == "completed", timeout=20)

    assert task(asleep)["attempts"] == task(hogging)["attempts"] == 1


def test_a_cancelled_task_is_stopped_at_the_next_renewal(
    start_worker: StartWorker, submit: Callable[..., str], task: Read, conn: Any
) -> None:
    slow = submit("test.nap", seconds=60)
    worker = start_worker(env={"DISPATCHER_RENEW_S": "0.4"})
    worker.wait_running()

    conn.execute("SELECT tasks_cancel(ARRAY[%s]::uuid[], 'changed my mind')", (slow,))

    assert worker.wait_for("task.finished", timeout=15)["outcome"] == "cancelled"
    assert task(slow)["status"] == "cancelled"


def test_a_task_that_takes_too_long_is_tried_again(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    slow = submit("test.nap", seconds=60, p_hints={"timeout_s": 0.3})
    worker = start_worker()

    line = worker.wait_for("task.finished")

    assert (line["outcome"], line["error_type"]) == ("retry", "timeout")
    row = task(slow)
    assert row["status"] == "retry"
    assert row["error"].startswith("timeout: ")
    assert row["result"]["success"] is False


def test_the_cap_holds_against_a_tasks_own_wish(
    start_worker: StartWorker, submit: Callable[..., str]
) -> None:
    submit("test.nap", seconds=60, p_hints={"timeout_s": 3000})
    worker = start_worker(env={"DISPATCHER_MAX_TIMEOUT_S": "0.3"})
    assert worker.wait_for("task.finished")["error_type"] == "timeout"


def test_a_call_that_may_run_once_is_not_repeated_after_a_crash(
    start_worker: StartWorker, submit: Callable[..., str], task: Read, tmp_path: Path
) -> None:
    traces = tmp_path / "traces"
    careful = submit("test.once", path=str(traces), seconds=60)
    first = start_worker(env=SHORT_LEASE)
    until(traces.exists)
    first.signal(signal.SIGKILL)

    start_worker("--index", "2", env=SHORT_LEASE)
    until(lambda: task(careful)["status"] == "failed", timeout=15)

    assert task(careful)["error"].startswith("outcome_unknown: ")
    assert len(traces.read_text().splitlines()) == 1


def test_a_task_that_kills_its_workers_ends_as_failed(
    start_worker: StartWorker, submit: Callable[..., str], task: Read
) -> None:
    deadly = submit("test.suicide")
    env = {**SHORT_LEASE, "MAX_TASK_LAPSES": "1", "WATCHDOG_INTERVAL": "0.2"}
    for index in range(1, 4):
        start_worker("--index", str(index), env=env, wait=False)
        until(lambda n=index: task(deadly)["attempts"] >= min(n, 2), timeout=15)
    until(lambda: task(deadly)["status"] == "failed", timeout=15)
    assert "lease_expired" in task(deadly)["error"]


def test_a_row_that_somebody_keeps_locked_does_not_hold_up_the_others(
    start_worker: StartWorker, submit: Callable[..., str], task: Read, database_url: str
) -> None:
    import psycopg

    locked = submit("test.nap", seconds=0.5)
    free = [submit("test.nap", seconds=0.5) for _ in range(3)]
    start_worker()
    until(lambda: task(locked)["status"] == "running")
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", (locked,))
        until(lambda: all(task(id_)["status"] == "completed" for id_ in free), timeout=15)
        # Nor does it keep the worker from new ones, however often its own is tried again.
        for _ in range(2):
            later = submit("test.nap", seconds=0)
            until(lambda later=later: task(later)["status"] == "completed", timeout=15)
        assert task(locked)["status"] == "running"
    until(lambda: task(locked)["status"] == "completed", timeout=15)


def test_sigusr1_tells_what_the_worker_is_doing(
    start_worker: StartWorker, submit: Callable[..., str]
) -> None:
    slow = submit("test.nap", seconds=30)
    worker = start_worker()
    worker.wait_running()

    worker.signal(signal.SIGUSR1)

    line = worker.wait_for("worker.dump")
    assert [entry["id"] for entry in line["tasks"]] == [slow]
    assert any("lease-renewer" in name for name in line["threads"])
    assert json.dumps(line)
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGTERM)


@pytest.mark.parametrize("tool", ["test.nap", "test.deaf"])
def test_a_task_that_comes_back_to_the_same_worker_runs_to_its_end(
    start_worker: StartWorker,
    submit: Callable[..., str],
    task: Read,
    conn: Any,
    all_events: None,
    tool: str,
) -> None:
    contested = submit(tool, seconds=1)
    worker = start_worker("--until-empty")
    until(lambda: task(contested)["status"] == "running")
    service.requeue_stale(conn, [UUID(contested)], actor="ann")
    until(lambda: task(contested)["attempts"] == 2)  # while the first attempt still sleeps

    assert worker.end() == 0
    assert worker.wait_for("lease.lost")["task_id"] == contested
    ends = {line["attempt"]: line["outcome"] for line in worker.events("task.finished")}
    assert ends == {1: "lost", 2: "completed"}
    assert not worker.events("asyncio")
    row = task(contested)
    assert (row["status"], row["attempts"], row["lapses"]) == ("completed", 2, 1)
    check_history(conn)


def test_the_old_attempts_lost_lease_does_not_stop_the_new_one(
    start_worker: StartWorker, submit: Callable[..., str], task: Read, conn: Any
) -> None:
    contested = submit("test.deaf", seconds=2)
    worker = start_worker("--until-empty", env=SHORT_LEASE)  # renews twice a second
    until(lambda: task(contested)["status"] == "running")
    service.requeue_stale(conn, [UUID(contested)], actor="ann")

    assert worker.end() == 0
    assert (task(contested)["status"], task(contested)["attempts"]) == ("completed", 2)


def test_a_cancelled_task_and_the_next_of_its_key_never_overlap(
    start_worker: StartWorker, submit: Callable[..., str], task: Read, conn: Any, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    key = {"p_concurrency_key": "k"}
    first = submit("test.trace", path=str(path), seconds=3.2, **key)
    start_worker(env=SHORT_LEASE)
    until(path.exists)
    second = submit("test.trace", path=str(path), seconds=0, **key)

    # Its thread can't be stopped, and goes on for longer than the lease was.
    conn.execute("SELECT tasks_cancel(%s::uuid[], 'x')", [[first]])
    start_worker("--index", "2", env=SHORT_LEASE)

    until(lambda: task(second)["status"] == "completed")
    assert path.read_text().splitlines() == [
        f"{first} begins", f"{first} ends", f"{second} begins", f"{second} ends",
    ]  # fmt: skip
    until(lambda: conn.execute("SELECT count(*) AS n FROM task_key_holds").fetchone() == {"n": 0})
