"""Many at once, and killed in the middle: one winner, one active snapshot, nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from seedcore.errors import Conflict
from seedcore.pkg import canary, example, promotion, snapshots, store
from seedcore.pkg.folder import read_policy
from seedcore.pkg.model import Env, Snapshot
from tests.program import EXECUTABLE
from tests.workers.conftest import until

Conn = psycopg.Connection[dict[str, Any]]

AT_ONCE = 12


def green(conn: Conn, version: str) -> Snapshot:
    row = snapshots.create(conn, read_policy(example.files()), version, actor="ann")
    conn.execute(
        "INSERT INTO pkg_validation_runs (snapshot_id, finished_at, success, subject_digest, cases_total)"
        " VALUES (%(id)s, now(), true, pkg_snapshot_digest(%(id)s), 4)",
        row,
    )
    return store.get(conn, row["id"])


def test_of_many_promotions_that_expect_the_same_one_wins_and_one_is_always_active(
    conn: Conn, database_url: str
) -> None:
    old, new = green(conn, "v1"), green(conn, "v2")
    promotion.promote(conn, old, Env.PROD, actor="ann")
    done, looks = threading.Event(), Counter[int]()

    def connect() -> Conn:
        return Conn.connect(database_url, autocommit=True, row_factory=dict_row)

    def watch() -> None:
        with connect() as other:
            while not done.is_set():
                row = other.execute(
                    "SELECT count(*) AS n FROM pkg_snapshots WHERE is_active"
                ).fetchone()
                assert row is not None
                looks[row["n"]] += 1

    def promote(number: int) -> str:
        with connect() as other:
            start.wait()
            try:
                row = promotion.promote(
                    other, new, Env.PROD, actor=f"a{number}", expected="v1" if number else None
                )
            except Conflict as error:
                return error.code
        return "won" if row["changed"] else "was active"

    start = threading.Barrier(AT_ONCE)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            said = Counter(threads.map(promote, range(AT_ONCE)))
    finally:
        done.set()
        watcher.join()
    assert said["won"] == 1
    assert said["pkg.active_changed"] >= AT_ONCE - 2
    assert set(looks) == {1}


def test_who_is_killed_in_the_middle_leaves_the_old_state(
    conn: Conn, database_url: str, tmp_path: Path
) -> None:
    """Each has done its change and waits to write its event when it dies."""
    old, new = green(conn, "v1"), green(conn, "v2")
    promotion.promote(conn, old, Env.PROD, actor="ann")
    plan = canary.Plan(steps=(5, 100), pause_s=0.0)
    for target in ("on", "back"):
        canary.start(conn, new, canary.Lane(target), plan, actor="ann")

    def state() -> list[tuple[Any, ...]]:
        rows = conn.execute(
            "SELECT 'lane ' || target AS name, percent, is_active FROM pkg_deployments UNION ALL"
            " SELECT 'plan ' || target || state, current_step, NULL FROM pkg_rollout_plans UNION ALL"
            " SELECT version, NULL, is_active FROM pkg_snapshots UNION ALL"
            " SELECT 'promotions', count(*), NULL FROM pkg_promotions UNION ALL"
            " SELECT 'events', count(*), NULL FROM pkg_rollout_events ORDER BY 1"
        )
        return [tuple(row.values()) for row in rows]

    before = state()
    home = {name: str(tmp_path) for name in ("HOME", "SEEDCORE_HOME", "XDG_CONFIG_HOME")}
    environment = {**os.environ, **home, "SEEDCORE_DATABASE_URL": database_url}
    commands = (
        ("promote", "v2", "--yes"),
        ("canary", "advance", "--target", "on"),
        ("canary", "abort", "--target", "back", "--yes"),
    )
    waiting = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )
    with Conn.connect(database_url, autocommit=True, row_factory=dict_row) as other:

        def count(statement: str) -> int:
            row = other.execute(statement.encode()).fetchone()
            assert row is not None
            return int(row["n"])

        processes: list[subprocess.Popen[bytes]] = []
        try:
            with conn.transaction():
                conn.execute("LOCK TABLE task_outbox, pkg_rollout_events IN SHARE MODE")
                processes += [
                    subprocess.Popen([str(EXECUTABLE), "pkg", *words], env=environment)
                    for words in commands
                ]
                until(lambda: count(waiting) == len(commands), timeout=60)
                for process in processes:
                    process.send_signal(signal.SIGKILL)
                # The server notices at its next word to them; to it they are gone either way.
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
        finally:
            for process in processes:
                process.kill()
                process.wait()
    assert state() == before
