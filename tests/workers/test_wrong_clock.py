"""Hosts whose clocks are two hours wrong: only the database's clock decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg

from tests.program import Program
from tests.workers.conftest import SHORT_LEASE, until

HERE = Path(__file__).parents[2] / "scripts" / "storm" / "clock"
HOURS_2 = 7200
SLOW, FAST = (
    {
        **SHORT_LEASE,
        "PYTHONPATH": str(HERE),
        "CHAOS_CLOCK_S": str(seconds),
        "REGISTRY_BEAT_SEC": "0.2",
        "RECONCILE_GRACE_S": "5",
        "DISPATCHER_POLL_INTERVAL_S": "0.5",
        "SEEDCORE_LOG_FORMAT": "json",
    }
    for seconds in (-HOURS_2, HOURS_2)
)

Conn = psycopg.Connection[dict[str, Any]]


def test_a_clock_two_hours_wrong_changes_nothing(seedcore: Program, conn: Conn) -> None:
    """Agents on both sides of the truth beat, work and keep their leases; a reaper expires neither."""
    for name, env in (("slow", SLOW), ("fast", FAST)):
        seedcore.start("agent", "start", name, "--capacity", "2", env=env)
    until(
        lambda: (
            conn.execute("SELECT count(*) AS n FROM active_instances").fetchone() == {"n": 4}
        )  # each with the worker that it lives in
    )
    # Longer than a lease: renewals, and whoever looks for lapsed ones, must agree about the time.
    params = json.dumps({"tool_calls": [{"name": "sleep", "args": {"seconds": 2.5}}]})
    ids = [
        seedcore(
            "task", "submit", "action", "--params", params, "--in", "0.2s", "-o", "name", env=env
        ).stdout.strip()
        for env in (SLOW, FAST)
    ]
    # An id begins with the milliseconds of its maker's clock: the clocks are really wrong.
    apart_ms = int(ids[1].replace("-", "")[:12], 16) - int(ids[0].replace("-", "")[:12], 16)
    assert abs(apart_ms / 1000 - 2 * HOURS_2) < 60
    reaped = seedcore("worker", "registry-reaper", "--once", "-o", "json", env=FAST)
    assert json.loads(reaped.stdout)["expired"] == 0
    alive = conn.execute("SELECT count(*) AS n FROM active_instances").fetchone()
    assert alive == {"n": 4}

    def ended() -> bool:
        rows = conn.execute("SELECT status::text FROM tasks").fetchall()
        return [row["status"] for row in rows] == ["completed", "completed"]

    until(ended)
    rows = conn.execute(
        "SELECT attempts, lapses, finished_at - created_at < '10s' AS ok FROM tasks"
    )
    assert rows.fetchall() == [{"attempts": 1, "lapses": 0, "ok": True}] * 2
