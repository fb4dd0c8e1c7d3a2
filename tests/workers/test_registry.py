"""Daemons in the registry: each start of one is an instance, and the reaper buries the dead."""

from __future__ import annotations

import json
import signal
from typing import Any

import psycopg
import pytest

from seedcore.registry import epoch as epochs
from tests.program import Program
from tests.workers.conftest import QUICK, StartWorker, until

Conn = psycopg.Connection[dict[str, Any]]
BEAT = {"REGISTRY_BEAT_SEC": "0.2"}


def rows(conn: Conn, prefix: str = "queue@") -> list[dict[str, Any]]:
    return conn.execute(
        "SELECT instance_id, logical_id, status::text AS status, cluster_epoch, serve_route, pid"
        " FROM registry_instance WHERE logical_id LIKE %s ORDER BY started_at",
        [f"{prefix}%"],
    ).fetchall()


def statuses(conn: Conn, prefix: str = "queue@") -> list[str]:
    return [row["status"] for row in rows(conn, prefix)]


def test_a_worker_is_an_instance_from_start_to_end(start_worker: StartWorker, conn: Conn) -> None:
    worker = start_worker(env=BEAT)
    until(lambda: statuses(conn) == ["alive"])
    (row,) = rows(conn)
    started = worker.wait_for("worker.started")
    assert row["serve_route"] == started["health"]
    assert row["pid"] == worker.pid
    assert started["instance_id"] == f"{row['logical_id']}@{row['instance_id'].hex[:8]}"
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    assert statuses(conn) == ["dead"]


def test_a_drain_from_elsewhere_lets_tasks_finish_and_ends_the_worker(
    start_worker: StartWorker, seedcore: Program, conn: Conn
) -> None:
    worker = start_worker(env=BEAT)
    until(lambda: statuses(conn) == ["alive"])
    submitted = seedcore(
        "task", "submit", "action", "--tool", "sleep", "--args", '{"seconds": 2}', "-o", "name"
    )
    worker.wait_running()
    (row,) = rows(conn)
    drained = seedcore(
        "registry", "drain", str(row["instance_id"]), "--wait", "--timeout", "20s", "--yes",
        "-o", "json",
    )  # fmt: skip
    assert drained.returncode == 0, drained.stderr
    assert json.loads(drained.stdout)[0]["status"] == "dead"
    assert worker.end() == 0
    ended = seedcore("task", "wait", submitted.stdout.strip(), "--timeout", "0", "-o", "json")
    assert json.loads(ended.stdout)["status"] == "completed"
    (draining,) = worker.events("worker.draining")
    assert draining["reason"] == "asked to drain"


@pytest.mark.parametrize(("flags", "code"), [([], None), (["--exit-on-epoch-change"], 75)])
def test_a_worker_follows_a_new_epoch_or_leaves(
    start_worker: StartWorker, conn: Conn, flags: list[str], code: int | None
) -> None:
    worker = start_worker(*flags, env=BEAT)
    until(lambda: statuses(conn) == ["alive"])
    new = epochs.rotate(conn, actor="ann")["new"]
    if code is not None:
        assert worker.end() == code
        return
    until(lambda: rows(conn)[0]["status"] == "alive" and rows(conn)[0]["cluster_epoch"] == new)
    assert worker.process.poll() is None


def test_a_killed_worker_is_declared_dead_and_a_standby_takes_the_lead(
    start_worker: StartWorker, seedcore: Program, conn: Conn, tmp_path: Any
) -> None:
    worker = start_worker(env=BEAT)
    until(lambda: statuses(conn) == ["alive"])
    reapers = [
        seedcore.start(
            "worker", "registry-reaper", "--interval", "0.2s", "--stale-after", "1s",
            "--metrics-textfile", str(tmp_path / f"{n}.prom"), env={**QUICK, **BEAT},
        )
        for n in range(2)
    ]  # fmt: skip
    until(lambda: statuses(conn, "registry-reaper@") == ["alive", "alive"])
    held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    until(lambda: conn.execute(held).fetchall())
    busy = seedcore("worker", "registry-reaper", "--once")
    assert (busy.returncode, "another reaper leads" in busy.stderr) == (9, True)
    worker.process.kill()
    until(lambda: statuses(conn) == ["dead"])
    # Only who leads makes passes, and so writes.
    (leader,) = [n for n in range(2) if (tmp_path / f"{n}.prom").exists()]
    reapers[leader].kill()
    second = start_worker(env=BEAT)
    until(lambda: statuses(conn)[-1] == "alive")
    second.process.kill()
    until(lambda: statuses(conn) == ["dead", "dead"])
    reapers[1 - leader].send_signal(signal.SIGTERM)
    reapers[1 - leader].communicate(timeout=60)
    assert reapers[1 - leader].returncode == 0


def test_a_pass_for_cron(seedcore: Program, conn: Conn, tmp_path: Any) -> None:
    seedcore("registry", "epoch", "init")
    registered = seedcore("registry", "register", "--logical-id", "a", "-o", "name")
    assert registered.returncode == 0
    conn.execute("UPDATE registry_instance SET last_heartbeat = now() - interval '1 minute'")
    textfile = tmp_path / "reaper.prom"
    ran = seedcore(
        "worker", "registry-reaper", "--once", "--metrics-textfile", str(textfile), "-o", "json"
    )
    assert json.loads(ran.stdout)["expired"] == 1
    text = textfile.read_text()
    assert "seedcore_reaper_expired_total 1.0" in text
    assert "seedcore_reaper_last_success_timestamp_seconds" in text
