"""What a queue worker does for canaries at each tick, and what it says about it."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
import pytest

from seedcore.pkg import canary
from seedcore.pkg.gate import parse_gates
from seedcore.task.sweeps import Sweeps
from tests.integration.pkg.test_promises import green
from workers.duties.canary import Canaries

Conn = psycopg.Connection[dict[str, Any]]


async def test_a_tick_moves_canaries_and_says_so(
    conn: Conn, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    new = green(conn, "v1")
    gates = parse_gates("errors=0")
    plan = canary.Plan(
        steps=(5, 100), pause_s=0.0, gates=gates, automatic=True, max_fail=1, min_samples=1
    )
    for target in ("good", "bad"):
        canary.start(conn, new, canary.Lane(target), plan, actor="ann")
        conn.execute(
            "INSERT INTO pkg_evaluations (snapshot_id, target, input_digest, outcome, duration_ms)"
            " VALUES (%s, %s, '', %s, 1)",
            [new.id, target, "ok" if target == "good" else "error"],
        )
    sweeps = await Sweeps.connect(database_url)
    try:
        with caplog.at_level(logging.INFO, "workers"):
            assert await Canaries().run(sweeps) is None
    finally:
        await sweeps.close()
    said = {(r.__dict__["event"], r.__dict__["target"]): r.levelname for r in caplog.records}
    assert said == {("canary.moved", "good"): "INFO", ("canary.aborted", "bad"): "WARNING"}
    phases = {row["target"]: row["phase"] for row in canary.status(conn, finished=True)}
    assert phases == {"good": "Promoting", "bad": "Aborted"}
