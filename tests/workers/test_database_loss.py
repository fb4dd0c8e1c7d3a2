"""The database goes away: nothing is claimed, nothing is lost, nothing runs twice."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from seedcore.db.embedded import EmbeddedServer
from tests.program import Program
from tests.workers.conftest import QUICK, StartWorker, Worker, check_history, until

Read = Callable[[str], dict[str, Any]]


def test_cut_connections_lose_and_double_nothing(
    start_worker: StartWorker,
    submit_many: Callable[..., None],
    counts: Callable[[], dict[str, int]],
    conn: Any,
    all_events: None,
    tmp_path: Path,
) -> None:
    marks = tmp_path / "marks"
    submit_many(3000, "test.mark", path=str(marks))
    worker = start_worker("--until-empty", "--timeout", "40s")
    for _ in range(10):
        done = counts().get("completed", 0)
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'seedcore worker%%' AND datname = current_database()"
        )
        until(lambda done=done: counts().get("completed", 0) > done or worker.process.poll() == 0)

    assert worker.end(timeout=50) == 0
    assert counts() == {"completed": 3000}
    assert worker.events("db.lost")
    check_history(conn)
    # What a cut connection interrupts is given back, and may have run: at least once, then.
    assert len({line.split()[0] for line in marks.read_text().splitlines()}) == 3000
    ends = conn.execute("SELECT count(*) FROM task_events WHERE to_status = 'completed'")
    assert ends.fetchone()["count"] == 3000


def test_a_result_is_kept_until_the_database_is_back(
    start_worker: StartWorker, submit: Callable[..., str], task: Read, conn: Any
) -> None:
    slow = submit("test.nap", seconds=1)
    worker = start_worker()
    until(lambda: task(slow)["status"] == "running")
    name = conn.info.dbname
    with psycopg.connect(conn.info.dsn, password=conn.info.password, dbname=name) as admin:
        admin.autocommit = True
        admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'seedcore worker%%' AND datname = current_database()"
        )
        worker.wait_for("db.lost")
        admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')

    worker.wait_for("db.back")
    until(lambda: task(slow)["status"] == "completed")
    assert task(slow)["attempts"] == 1


@pytest.mark.slow
def test_a_worker_outlives_a_restart_of_its_server(
    seedcore: Program, home: Path, tmp_path: Path
) -> None:
    home.chmod(0o711)  # a server that root starts runs as another user
    server = EmbeddedServer(home, unsafe=True)
    env: dict[str, str | None] = {**QUICK, "SEEDCORE_DATABASE_URL": None}
    assert seedcore("migrate", "up", "--yes", env=env, timeout=60).returncode == 0
    log = tmp_path / "worker.log"
    with log.open("w") as stream:
        worker = Worker(seedcore.start("worker", "queue", env=env, stderr=stream), log)
    worker.wait_for("worker.started")

    server.stop("fast")
    worker.wait_for("db.lost")
    # Stopped on purpose, it stays down although the worker keeps trying.
    assert not server.status().is_running
    server.ensure_running()
    worker.wait_for("db.back")

    url = server.conninfo()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT task_submit(p_type => 'action', p_params =>"
            """ '{"tool_calls": [{"name": "echo", "args": {"value": 1}}]}')"""
        )
        until(lambda: conn.execute("SELECT FROM tasks WHERE status = 'completed'").rowcount == 1)
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0


def test_a_worker_may_be_told_not_to_wait_for_a_lost_database(
    start_worker: StartWorker, conn: Any
) -> None:
    worker = start_worker("--exit-on-db-loss")
    until(lambda: conn.execute("SELECT FROM queue_waiters").rowcount == 1)
    conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'seedcore worker%%' AND datname = current_database()"
    )
    assert worker.end() == 69


def test_an_unreachable_database_ends_the_start_with_69(seedcore: Program, tmp_path: Path) -> None:
    nowhere = f"postgresql://somebody:s3cret@/x?host={tmp_path}"
    ended = seedcore(
        "worker",
        "queue",
        "--startup-timeout",
        "0.3s",
        env={"SEEDCORE_DATABASE_URL": nowhere},
    )
    assert ended.returncode == 69
    assert "hint: " in ended.stderr
    assert "s3cret" not in ended.stderr


def test_a_database_without_schema_ends_the_start_with_69(
    seedcore: Program, blank_database_url: str
) -> None:
    ended = seedcore("worker", "queue", env={"SEEDCORE_DATABASE_URL": blank_database_url})
    assert ended.returncode == 69
    assert "seedcore migrate up" in ended.stderr


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DISPATCHER_CONCURRENCY", "0"),
        ("TASK_LEASE_S", "0"),
        ("SEEDCORE_HEALTH_ADDR", "0.0.0.0:0"),
        ("SEEDCORE_HEALTH_ADDR", "nonsense"),
        ("SEEDCORE_PLUGINS", "no.such.module"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_78(
    seedcore: Program, setting: str, value: str
) -> None:
    ended = seedcore("worker", "queue", "--once", env={setting: value})
    assert ended.returncode == 78, ended.stderr
    assert "error: " in ended.stderr
