"""Task commands that are interrupted, cut off, or watched while tasks change."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import Any, LiteralString

import psycopg
import pytest

from tests.cli.conftest import Worker
from tests.program import EXECUTABLE, Program

LIST = f"{EXECUTABLE} task list --limit 0"
Conn = psycopg.Connection[dict[str, Any]]


def count(conn: Conn) -> int:
    row = conn.execute("SELECT count(*) AS n FROM tasks").fetchone()
    assert row is not None
    return int(row["n"])


IN_TRANSACTION = (
    "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name LIKE 'seedcore task%' AND state = 'idle in transaction')"
)
"""Sessions of the program that hold a transaction open; a single statement is none."""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_an_interrupted_file_leaves_whole_batches(
    seedcore: Program, conn: Conn, number: signal.Signals, code: int
) -> None:
    process = seedcore.start(
        "task", "submit", "-f", "-", "--batch-size", "2", stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write('{"type": "a"}\n' * 5)
    process.stdin.flush()
    wait_for(conn, "(SELECT count(*) FROM tasks) = 4")  # two batches; the fifth line waits for more
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == "stopped; the lines before 5 are done; go on with --from-line 5\n"
    assert count(conn) == 4
    wait_for(conn, f"{IN_TRANSACTION} = 0")


def test_an_interrupted_atomic_file_leaves_nothing(seedcore: Program, conn: Conn) -> None:
    process = seedcore.start(
        "task", "submit", "-f", "-", "--batch-size", "2", "--atomic", stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write('{"type": "a"}\n' * 5)
    process.stdin.flush()
    wait_for(conn, f"{IN_TRANSACTION} > 0")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "stopped; nothing was stored\n")
    assert count(conn) == 0


def test_an_atomic_file_that_is_stored_is_not_called_undone(seedcore: Program, conn: Conn) -> None:
    process = seedcore.start("task", "submit", "-f", "-", "--atomic", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write('{"type": "a"}\n' * 3000)
    process.stdin.close()
    process.stdin = None
    assert process.stdout is not None
    assert process.stdout.read(1)  # it knows of its commit, and now nobody reads the results
    assert count(conn) == 3000
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "stopped; everything was stored before that\n"


@pytest.mark.parametrize("command", ["export", "list --limit 0 --sort type"])
def test_interrupted_reading_of_many_rows_is_silent(
    seedcore: Program, conn: Conn, command: str
) -> None:
    conn.execute(
        "INSERT INTO tasks (type, status) SELECT 'a', 'queued' FROM generate_series(1, 5000)"
    )
    process = seedcore.start("task", *command.split())
    wait_for(conn, f"{IN_TRANSACTION} > 0")
    time.sleep(0.1)  # until the pipe that nobody reads is full
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")


def wait_for(conn: Conn, condition: LiteralString) -> None:
    """Return when a condition holds in the database."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        row = conn.execute(f"SELECT {condition} AS holds").fetchone()
        if row is not None and row["holds"]:
            return
        time.sleep(0.02)
    pytest.fail(f"never: {condition}")


def asked_by(name: LiteralString) -> LiteralString:
    """The condition that a command is connected."""
    return (
        "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
        f"AND application_name = 'seedcore task {name}')"
    )


def test_waiting_ends_quietly_on_ctrl_c(seedcore: Program, conn: Conn) -> None:
    task = seedcore("task", "submit", "a", "-o", "name").stdout.strip()
    process = seedcore.start("task", "wait", task)
    wait_for(conn, asked_by("wait"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


def test_wait_and_watch_see_the_end_when_it_comes(
    seedcore: Program, conn: Conn, worker: Worker
) -> None:
    task = seedcore("task", "submit", "a", "-o", "name").stdout.strip()
    waiting = seedcore.start("task", "wait", task, "-o", "json", "--timeout", "20s")
    watching = seedcore.start("task", "watch", task, "-o", "jsonl", "--timeout", "20s")
    assert watching.stdout is not None
    first = json.loads(watching.stdout.readline())  # flushed although nothing has ended
    assert (first["type"], first["object"]["status"]) == ("added", "queued")
    wait_for(conn, asked_by("wait"))
    assert worker.complete() == [task]
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, json.loads(out)["status"]) == (0, "completed")
    out, _ = watching.communicate(timeout=60)
    assert watching.returncode == 0
    assert json.loads(out.splitlines()[-1])["object"]["status"] == "completed"


@pytest.mark.parametrize("form", ["tsv", "jsonl", "json", "name"])
def test_a_list_into_head_is_silent(seedcore: Program, conn: Conn, form: str) -> None:
    conn.execute(
        "INSERT INTO tasks (type, status) SELECT 'a', 'queued' FROM generate_series(1, 3000)"
    )
    done = subprocess.run(
        ["/bin/bash", "-c", f"{LIST} -o {form} | head -1; echo ${{PIPESTATUS[0]}}"],
        env=seedcore.environment(),
        cwd=seedcore.cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "141"


_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_a_million_rows_would_not_be_held_in_memory(seedcore: Program, conn: Conn) -> None:
    conn.execute(
        "INSERT INTO tasks (type, status, description) "
        "SELECT 'a', 'queued', repeat('x', 900) FROM generate_series(1, 40000)"
    )
    # A child is charged with its parent's memory until it runs its own program, so a small one starts it.
    measured = subprocess.run(
        [
            sys.executable,
            "-c",
            _PEAK,
            str(EXECUTABLE),
            "task",
            "list",
            "--limit",
            "0",
            "-o",
            "jsonl",
        ],
        env=seedcore.environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    # The rows alone are 40 MB, as Python objects three times that.
    assert int(measured.stdout) < 150_000


def test_inspect_shows_a_task_again_when_it_changes(
    seedcore: Program, conn: Conn, worker: Worker
) -> None:
    task = seedcore("task", "submit", "a", "-o", "name").stdout.strip()
    process = seedcore.start("task", "inspect", task, "--watch", "-o", "jsonl")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["status"] == "queued"
    worker.complete()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["completed"]


def test_ctrl_c_ends_the_watch_and_not_the_task(
    seedcore: Program, conn: Conn, worker: Worker
) -> None:
    task = seedcore("task", "submit", "a", "-o", "name").stdout.strip()
    process = seedcore.start("task", "inspect", task, "--watch")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("changed_at\tid\tstatus\tattempts\tprogress")
    assert process.stdout.readline().split("\t")[2] == "queued"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130
    assert len(worker.complete()) == 1


def test_the_database_sees_who_asks(seedcore: Program, conn: Conn) -> None:
    seedcore("task", "submit", "a")
    process = seedcore.start("task", "watch", "--type", "a")
    wait_for(conn, asked_by("watch"))
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
