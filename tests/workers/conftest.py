"""Real worker processes, and ways to wait for what they do instead of sleeping."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from seedcore.task.verify import verify
from tests.program import Program
from workers import probe

ROOT = Path(__file__).parents[2]
QUICK = {
    "SEEDCORE_PLUGINS": "tests.workers.tools",
    "PYTHONPATH": str(ROOT),
    "TASK_LEASE_S": "60",
    "LEASE_SECONDS": "60",
    "DISPATCHER_RENEW_S": "20",
    "WATCHDOG_INTERVAL": "0.5",
    "DISPATCHER_POLL_INTERVAL_S": "1",
    "SEEDCORE_LOG_FORMAT": "json",
}
SHORT_LEASE = {"TASK_LEASE_S": "2", "LEASE_SECONDS": "2", "DISPATCHER_RENEW_S": "0.5"}
"""Silence of two seconds means death."""


def until(condition: Callable[[], Any], *, timeout: float = 15, what: str = "") -> Any:
    """Wait until a condition holds and return its value."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {timeout} s: {what or condition}")


class Worker:
    """One `seedcore worker queue` and its log."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The log lines so far, of one event or all."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # the last line, still being written
        return [line for line in found if name is None or line.get("event") == name]

    def wait_for(self, name: str, *, count: int = 1, timeout: float = 15) -> dict[str, Any]:
        """Wait for an event and return its line."""
        try:
            return until(
                lambda: (found := self.events(name))[count - 1 :] and found[count - 1],
                timeout=timeout,
                what=name,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-4000:]}") from None

    def wait_running(self, count: int = 1) -> None:
        """Wait until it really runs so many tasks; the database knows of a claim a moment earlier."""
        path = Path(self.wait_for("worker.started")["health"].removeprefix("unix:"))
        until(lambda: probe.status(path)["inflight_tasks"] == count, what=f"{count} running")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, *, timeout: float = 20) -> int:
        """Wait for its end and return the exit code."""
        try:
            self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running\n{self.log.read_text()[-4000:]}") from None
        return self.process.returncode


StartWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(seedcore: Program, tmp_path: Path) -> StartWorker:
    """Start workers on the test's database: `start_worker("--concurrency", "4", env={…})`."""
    count = 0

    def start(
        *args: str, env: dict[str, str | None] | None = None, wait: bool = True, **options: Any
    ) -> Worker:
        nonlocal count
        count += 1
        log = tmp_path / f"worker-{count}.log"
        with log.open("w") as stream:
            process = seedcore.start(
                "worker", "queue", *args, env={**QUICK, **(env or {})}, stderr=stream, **options
            )
        worker = Worker(process, log)
        if wait:
            worker.wait_for("worker.started")
        return worker

    return start


@pytest.fixture
def submit(conn: psycopg.Connection[dict[str, Any]]) -> Callable[..., str]:
    """Submit one task that calls one tool, and return its id."""

    def submit(tool: str = "echo", /, **args: Any) -> str:
        columns = {k.removeprefix("p_"): args.pop(k) for k in list(args) if k.startswith("p_")}
        hints = columns.pop("hints", None)
        if tool == "echo" and not args:
            args = {"value": 1}
        params: dict[str, Any] = {"tool_calls": [{"name": tool, "args": args}]}
        if hints:
            params["routing"] = {"hints": hints}
        names = "".join(f", p_{name} => %({name})s" for name in columns)
        row = conn.execute(
            f"SELECT id::text FROM task_submit(p_type => 'action', p_params => %(params)s{names})",
            {"params": Jsonb(params), **columns},
        ).fetchone()
        assert row is not None
        return row["id"]

    return submit


@pytest.fixture
def submit_many(conn: psycopg.Connection[dict[str, Any]]) -> Callable[..., None]:
    """Put many equal tasks into the queue at once."""

    def submit_many(count: int, tool: str = "echo", **args: Any) -> None:
        params = {"tool_calls": [{"name": tool, "args": args or {"value": 1}}]}
        conn.execute(
            "INSERT INTO tasks (type, status, params)"
            " SELECT 'action', 'queued', %s FROM generate_series(1, %s)",
            (Jsonb(params), count),
        )

    return submit_many


@pytest.fixture
def task(conn: psycopg.Connection[dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    """Read one task."""

    def task(task_id: str) -> dict[str, Any]:
        row = conn.execute("SELECT *, status::text FROM tasks WHERE id = %s", (task_id,)).fetchone()
        assert row is not None
        return row

    return task


@pytest.fixture
def counts(conn: psycopg.Connection[dict[str, Any]]) -> Callable[[], dict[str, int]]:
    """Count tasks by status."""

    def counts() -> dict[str, int]:
        rows = conn.execute("SELECT status::text, count(*) FROM tasks GROUP BY 1").fetchall()
        return {row["status"]: row["count"] for row in rows}

    return counts


@pytest.fixture
def all_events(conn: psycopg.Connection[dict[str, Any]]) -> None:
    """Record every transition in this database."""
    conn.execute(
        "INSERT INTO seedcore_settings (name, value) VALUES ('task_event_level', 'all')"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )


def check_history(conn: psycopg.Connection[dict[str, Any]]) -> None:
    """Check the recorded transitions, all of them, by the rules of `seedcore task verify`."""
    assert list(verify(conn, level="all")) == []


def memory_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
