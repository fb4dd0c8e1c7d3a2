"""A tool that completes its task in its own transaction: both are stored, or neither, exactly once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from seedcore.agent.executor import Executor, adhoc_task
from seedcore.agent.registry import load
from seedcore.config.settings import Settings
from tests.workers.conftest import StartWorker, check_history, until

Submit = Callable[..., str]
Read = Callable[[str], dict[str, Any]]

# Short enough that a killed worker's task comes back soon.
LEASE = {"TASK_LEASE_S": "2", "LEASE_SECONDS": "2", "DISPATCHER_RENEW_S": "0.5"}


@pytest.fixture
def written(conn: psycopg.Connection[dict[str, Any]]) -> Callable[[], int]:
    """Count what the tool has stored."""
    conn.execute("CREATE TABLE written (task_id uuid)")

    def count() -> int:
        row = conn.execute("SELECT count(*) FROM written").fetchone()
        assert row is not None
        return row["count"]

    return count


@pytest.mark.parametrize("end", ["return", "raise", "hang"])
def test_what_comes_after_the_commit_changes_nothing(
    end: str,
    start_worker: StartWorker,
    submit: Submit,
    task: Read,
    written: Callable[[], int],
    conn: Any,
    database_url: str,
    all_events: None,
) -> None:
    id_ = submit("test.settle", url=database_url, end=end, p_hints={"timeout_s": 1})
    waiting = submit(p_depends_on=[id_])
    worker = start_worker("--until-empty", wait=False)
    assert worker.end() == 0
    row = task(id_)
    assert (row["status"], row["attempts"], row["error"]) == ("completed", 1, None)
    assert row["result"]["payload"]["result"] == {"attempt": 1}
    assert row["result"]["success"] is True
    assert written() == 1
    assert task(waiting)["status"] == "completed"
    (line,) = [e for e in worker.events("task.finished") if e["task_id"] == id_]
    assert line["outcome"] == "completed"
    check_history(conn)


@pytest.mark.parametrize("end", ["lose", "roll back"])
def test_without_the_commit_nothing_is_stored_and_the_task_runs_again(
    end: str,
    start_worker: StartWorker,
    submit: Submit,
    task: Read,
    written: Callable[[], int],
    conn: Any,
    database_url: str,
    all_events: None,
) -> None:
    id_ = submit("test.settle", url=database_url, end=end)
    worker = start_worker()
    until(lambda: task(id_)["status"] in ("completed", "retry") and task(id_)["attempts"] > 0)
    if task(id_)["status"] == "retry":
        assert written() == 0
        assert "was not committed" in task(id_)["error"] or end == "lose"
        conn.execute("SELECT tasks_requeue(ARRAY[%s]::uuid[])", (id_,))
    until(lambda: task(id_)["status"] == "completed")
    assert task(id_)["result"]["payload"]["result"] == {"attempt": 2}
    assert written() == 1
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    check_history(conn)


@pytest.mark.parametrize(("end", "attempts"), [("kill before", 2), ("kill after", 1)])
def test_a_crash_at_either_side_of_the_commit(
    end: str,
    attempts: int,
    start_worker: StartWorker,
    submit: Submit,
    task: Read,
    written: Callable[[], int],
    conn: Any,
    database_url: str,
    all_events: None,
) -> None:
    id_ = submit("test.settle", url=database_url, end=end)
    killed = start_worker(env=LEASE, wait=False)
    assert killed.end() == -signal.SIGKILL
    other = start_worker("--until-empty", env=LEASE, wait=False)
    assert other.end() == 0
    row = task(id_)
    assert (row["status"], row["attempts"]) == ("completed", attempts)
    assert row["result"]["payload"]["result"] == {"attempt": attempts}
    assert written() == 1
    check_history(conn)


def test_in_a_coroutine_on_an_asynchronous_connection(
    start_worker: StartWorker,
    submit: Submit,
    task: Read,
    written: Callable[[], int],
    database_url: str,
) -> None:
    id_ = submit("test.settle_async", url=database_url)
    assert start_worker("--until-empty", wait=False).end() == 0
    assert task(id_)["status"] == "completed"
    assert task(id_)["result"]["payload"]["result"] == {"attempt": 1}
    assert written() == 1


def test_what_can_not_be_stored_together_is_refused_for_good(
    start_worker: StartWorker, submit: Submit, task: Read, conn: Any, database_url: str
) -> None:
    said = {
        "autocommit": "a transaction must be open",
        "not JSON": "the result is not JSON",
        "too large": "SEEDCORE_RESULT_MAX_BYTES is 2,048",
        "twice": "has completed its task before",
    }
    ids = {how: submit("test.settle_badly", url=database_url, how=how) for how in said}
    call = {"name": "test.settle_badly", "args": {"url": database_url, "how": "early"}}
    row = conn.execute(
        "SELECT id::text FROM task_submit('action', p_params => %s::jsonb)",
        [psycopg.types.json.Jsonb({"tool_calls": [call, {"name": "echo", "args": {"value": 1}}]})],
    ).fetchone()
    said["early"], ids["early"] = "call 1 of 2 can't complete the task", row["id"]
    assert (
        start_worker("--until-empty", env={"SEEDCORE_RESULT_MAX_BYTES": "2048"}, wait=False).end()
        == 0
    )
    for how, id_ in ids.items():
        assert task(id_)["status"] == "failed", how
        assert said[how] in task(id_)["error"]


async def test_a_call_made_by_hand_has_no_task_to_complete(database_url: str) -> None:
    settings = Settings(plugins="tests.workers.tools", database_url=database_url)
    executor = Executor(load(settings), settings)
    outcome = await executor.run(
        adhoc_task("test.settle_badly", {"url": database_url, "how": "by hand"})
    )
    executor.close()
    assert "only the task of a worker can be completed" in (outcome.error or "")
