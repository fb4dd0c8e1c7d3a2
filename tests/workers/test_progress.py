"""What tools report in a real worker: seen while they run, and found by the attempt after a crash."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.program import Program
from tests.workers.conftest import SHORT_LEASE, StartWorker, until

Conn = psycopg.Connection[dict[str, Any]]


def test_after_a_kill_the_next_attempt_goes_on_from_the_checkpoint(
    start_worker: StartWorker,
    submit: Callable[..., str],
    task: Callable[[str], dict[str, Any]],
    seedcore: Program,
    tmp_path: Path,
) -> None:
    made = tmp_path / "made.txt"
    # Started before there is work: one that is killed at once may not have written its log yet.
    first = start_worker(env=SHORT_LEASE)
    walk = submit("test.steps", path=str(made), count=6, die_at=4)
    assert first.end() == -signal.SIGKILL
    # What it had stored is what it had done.
    shown = json.loads(seedcore("task", "inspect", walk, "-o", "json").stdout)
    assert (shown["status"], shown["checkpoint"]) == ("running", 4)
    assert shown["progress"] | {"at": ""} == {
        "done": 4, "total": 6, "message": "step 3", "attempt": 1, "call": 0, "at": "",
    }  # fmt: skip

    watching = seedcore.start("task", "inspect", walk, "--watch", "-o", "jsonl")
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["attempts"] == 1
    start_worker("--index", "2", env=SHORT_LEASE)
    until(lambda: task(walk)["status"] == "completed")
    assert task(walk)["result"]["payload"]["result"] == 4
    assert [line.split() for line in made.read_text().splitlines()] == [
        *([str(step), "1"] for step in range(4)), ["4", "2"], ["5", "2"],
    ]  # fmt: skip
    out, err = watching.communicate(timeout=60)
    assert (watching.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["status"] == "completed"


def test_the_last_word_of_a_run_is_kept(
    start_worker: StartWorker, submit: Callable[..., str], conn: Conn, tmp_path: Path
) -> None:
    """Even when the run was over before it could be written."""
    walk = submit("test.steps", path=str(tmp_path / "made.txt"), count=3, die_at=9)
    assert start_worker("--once").end() == 0
    row = conn.execute("SELECT * FROM task_progress WHERE task_id = %s", [walk]).fetchone()
    assert row is not None
    assert (row["done"], row["total"], row["message"]) == (3, 3, "step 2")
