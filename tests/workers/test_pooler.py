"""Poll-only workers behind a pooler in transaction mode: nothing is kept in a session."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.pooler import TransactionPooler
from tests.workers.conftest import StartWorker, check_history, until

Submit = Callable[..., str]


@pytest.fixture
def pooler(database_url: str) -> Iterator[TransactionPooler]:
    with TransactionPooler(database_url) as pooler:
        yield pooler


def test_the_pooler_forgets_what_a_session_was_told(pooler: TransactionPooler) -> None:
    with psycopg.connect(pooler.url, autocommit=True) as conn:
        conn.execute("SET work_mem = '1234kB'")
        assert conn.execute("SHOW work_mem").fetchone() != ("1234kB",)
        with conn.transaction():
            conn.execute("SET LOCAL work_mem = '1234kB'")
            assert conn.execute("SHOW work_mem").fetchone() == ("1234kB",)
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            conn.execute("SELECT 1", prepare=True)  # prepared in one session, run in another
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter: options"):
        psycopg.connect(pooler.url, options="-c work_mem=1234kB")


def test_a_poll_only_worker_does_everything_through_it(
    pooler: TransactionPooler,
    start_worker: StartWorker,
    submit: Submit,
    submit_many: Callable[..., None],
    counts: Callable[[], dict[str, int]],
    task: Callable[[str], dict[str, Any]],
    conn: Any,
    all_events: None,
) -> None:
    submit_many(150)
    # Renewed while it runs; fails; leaves a start mark; was left by a worker that is gone.
    long = submit("test.nap", seconds=2.5)
    fails = submit("test.fail", permanent=True)
    keyed = submit(p_idempotency_key="once")
    waits = submit(p_depends_on=[keyed])
    conn.execute("SELECT FROM tasks_claim('queue', 'dead@1', 1, 0.001)")
    short = {"TASK_LEASE_S": "3", "LEASE_SECONDS": "3", "DISPATCHER_RENEW_S": "0.5"}

    worker = start_worker(
        "--no-listen", "--until-empty", env={**short, "SEEDCORE_DATABASE_URL": pooler.url}
    )

    assert worker.end(timeout=40) == 0
    assert counts() == {"completed": 153, "failed": 1}
    assert task(fails)["status"] == "failed"
    assert task(long)["lapses"] == 0
    assert task(waits)["status"] == "completed"
    assert worker.events("task.reaped")
    for trouble in ("db.lost", "lease.lost", "lease.renew_failed", "watchdog.failed", "plan.unfit"):
        assert worker.events(trouble) == []
    assert pooler.refused == []
    assert conn.execute("SELECT FROM queue_waiters").rowcount == 0
    check_history(conn)


def test_it_finds_new_work_within_a_poll_and_drains_at_a_signal(
    pooler: TransactionPooler,
    start_worker: StartWorker,
    submit: Submit,
    task: Callable[[str], dict[str, Any]],
) -> None:
    worker = start_worker(
        "--no-listen",
        env={"SEEDCORE_DATABASE_URL": pooler.url, "DISPATCHER_POLL_INTERVAL_S": "0.2"},
    )
    done = submit()
    until(lambda: task(done)["status"] == "completed", timeout=5)
    running = submit("test.nap", seconds=0.5)
    worker.wait_running()
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    assert task(running)["status"] == "completed"
