"""Tools in the real worker: what an attempt leaves behind, and what the next one makes of it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.program import Program

Connection = psycopg.Connection[dict[str, Any]]
Submit = Callable[..., str]

PLUGIN = """
import asyncio, os, signal
from pathlib import Path
from seedcore.agent import ToolContext, ToolError, tool

def note(word):
    with open("made.txt", "a") as file:
        print(word, file=file)

@tool("trial.count")
def count(word: str) -> str:
    note(word)
    return word.upper()

@tool("trial.second_time")
def second_time(ctx: ToolContext) -> int:
    if ctx.attempt == 1:
        raise ToolError("not yet", retry_after=0)
    return ctx.attempt

@tool("trial.crash", handles=["crash"])
def crash(ctx: ToolContext) -> str:
    note(ctx.idempotency_key)
    if not Path("crashed").exists():
        Path("crashed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return ctx.idempotency_key

@tool("trial.crash_once", at_most_once=True)
async def crash_once(ctx: ToolContext) -> str:
    return crash(ctx)

@tool("trial.family", handles=["family"])
def family(ctx: ToolContext) -> list:
    born = [ctx.submit("action", {"tool_calls": [{"name": "echo", "args": {"value": n}}]}) for n in (1, 2)]
    if ctx.attempt == 1:
        raise ToolError("once more", retry_after=0)
    return [[str(each.id), each.created] for each in born]
"""


@pytest.fixture
def worker(seedcore: Program, tmp_path: Path) -> Callable[..., int]:
    """Run a worker with the plugin `trial`; return its exit code."""
    (tmp_path / "trial.py").write_text(PLUGIN)

    def run(until: str = "--until-empty") -> int:
        settings = {"SEEDCORE_PLUGINS": "trial", "WATCHDOG_INTERVAL": "0.2"}
        return seedcore("worker", "queue", until, "--timeout", "20s", env=settings).returncode

    return run


@pytest.fixture
def submit(conn: Connection) -> Submit:
    def insert(type: str = "action", calls: Any = None, **params: Any) -> str:
        document = params if calls is None else {"tool_calls": calls, **params}
        row = conn.execute(
            "SELECT id FROM task_submit(p_type => %s, p_params => %s)", [type, json.dumps(document)]
        ).fetchone()
        assert row is not None
        return str(row["id"])

    return insert


def stored(conn: Connection, task: str) -> dict[str, Any]:
    row = conn.execute("SELECT * FROM tasks WHERE id = %s", [task]).fetchone()
    assert row is not None
    return row


def records(row: dict[str, Any]) -> list[dict[str, Any]]:
    return row["result"]["payload"]["tool_results"]


def lose_lease(conn: Connection, task: str) -> None:
    """Let the lease of a task whose worker was killed be long past."""
    conn.execute(
        "UPDATE tasks SET lease_expires_at = now() - interval '1 hour',"
        " last_heartbeat = now() - interval '1 hour' WHERE id = %s AND status = 'running'",
        [task],
    )


def test_a_second_attempt_makes_only_the_calls_that_are_left(
    worker: Callable[..., int], submit: Submit, conn: Connection, tmp_path: Path
):
    task = submit(
        calls=[
            {"name": "trial.count", "args": {"word": "a"}},
            {"name": "trial.second_time"},
            {"name": "trial.count", "args": {"word": "b"}},
        ]
    )
    assert worker() == 0
    row = stored(conn, task)
    assert (row["status"], row["attempts"]) == ("completed", 2)
    assert (tmp_path / "made.txt").read_text().split() == ["a", "b"]
    assert [(r["value"], r["reused"]) for r in records(row)] == [
        ("A", True),
        (2, False),
        ("B", False),
    ]


def test_a_call_of_a_killed_worker_is_made_again_with_the_same_key(
    worker: Callable[..., int], submit: Submit, conn: Connection, tmp_path: Path
):
    task = submit("crash")
    assert worker() == -signal.SIGKILL
    lose_lease(conn, task)
    assert worker() == 0
    assert stored(conn, task)["status"] == "completed"
    assert (tmp_path / "made.txt").read_text().split() == [f"{task}:0"] * 2


def test_an_at_most_once_call_of_a_killed_worker_is_not_made_again(
    worker: Callable[..., int], submit: Submit, conn: Connection, tmp_path: Path
):
    task = submit(
        calls=[{"name": "trial.count", "args": {"word": "a"}}, {"name": "trial.crash_once"}]
    )
    assert worker() == -signal.SIGKILL
    assert stored(conn, task)["result"]["kind"] == "progress"
    lose_lease(conn, task)
    assert worker() == 0
    row = stored(conn, task)
    assert row["status"] == "failed"
    assert row["result"]["error_type"] == "outcome_unknown"
    assert [r["reused"] for r in records(row)] == [True, False]
    assert (tmp_path / "made.txt").read_text().split() == ["a", f"{task}:1"]


def test_tasks_of_a_repeated_call_are_submitted_once(
    worker: Callable[..., int], submit: Submit, conn: Connection
):
    parent = submit("family", correlation_id="c-1")
    assert worker() == 0
    row = stored(conn, parent)
    assert (row["status"], row["attempts"]) == ("completed", 2)
    children = conn.execute(
        "SELECT id::text, status::text, params, idempotency_key FROM tasks WHERE id <> %s"
        " ORDER BY idempotency_key",
        [parent],
    ).fetchall()
    assert [c["idempotency_key"] for c in children] == [f"{parent}:0", f"{parent}:0:2"]
    assert [c["status"] for c in children] == ["completed"] * 2
    assert [c["params"]["correlation_id"] for c in children] == ["c-1"] * 2
    assert records(row)[0]["value"] == [[c["id"], False] for c in children]


def test_the_built_in_tool_submits_a_task(
    worker: Callable[..., int], submit: Submit, conn: Connection
):
    args = {
        "type": "action",
        "params": {"tool_calls": [{"name": "sleep", "args": {"seconds": 0}}]},
        "priority": 9,
        "run_after": "2031-05-17T09:30:00Z",
        "domain": "night",
    }
    parent = submit(calls=[{"name": "task.submit", "args": args}])
    assert worker("--once") == 0  # the child waits for 2031
    value = records(stored(conn, parent))[0]["value"]
    assert value["created"] is True
    child = stored(conn, value["task_id"])
    assert (child["priority"], child["domain"]) == (9, "night")
    assert child["run_after"].year == 2031


@pytest.mark.parametrize(
    ("calls", "error_type"),
    [
        ([{"name": "trial.nothing"}], "unknown_tool"),
        ([{"name": "trial.count", "args": {"word": 1}}], "bad_arguments"),
        ([{"name": "task.submit", "args": {"type": "a", "depends_on": ["no id"]}}], "tool_error"),
    ],
)
def test_what_can_never_work_is_tried_once(
    worker: Callable[..., int], submit: Submit, conn: Connection, calls: Any, error_type: str
):
    task = submit(calls=calls)
    assert worker() == 0
    row = stored(conn, task)
    assert (row["status"], row["attempts"]) == ("failed", 1)
    assert row["result"]["error_type"] == error_type
    assert row["error"]
