"""Several programs migrate one database at once: real processes, real locks."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from seedcore.db import migrate
from seedcore.db.migrate import Options, scripts
from seedcore.db.migrate.lock import DUTY, SPACE
from seedcore.errors import LockBusy
from tests.migrations.conftest import Connection, fill
from tests.program import Program

CHAIN = scripts.default_chain()
HEAD = CHAIN.head
# Conditions for `wait_until`; a server may hold databases of other tests.
WAITING = (
    "EXISTS (SELECT FROM pg_locks WHERE NOT granted AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database()))"
)
BUILDING = "EXISTS (SELECT FROM pg_stat_progress_create_index WHERE datname = current_database())"
COUNT = len(CHAIN.ids)


def finish(processes: list) -> list[tuple[int, str, str]]:
    """Return exit code, standard output and standard error of each, when all have ended."""
    ended = [process.communicate(timeout=50) for process in processes]
    return [(p.returncode, out, err) for p, (out, err) in zip(processes, ended, strict=True)]


def test_of_ten_at_once_one_applies_and_all_succeed(
    program: Program, blank_database_url: str
) -> None:
    ended = finish([program.start("migrate", "up", "--no-header") for _ in range(10)])
    assert [code for code, _, _ in ended] == [0] * 10, ended
    # Whoever came second found nothing left to do.
    assert sorted(len(out.splitlines()) for _, out, _ in ended) == [0] * 9 + [COUNT]
    assert all(f.ok for f in migrate.check(blank_database_url))


def test_several_at_once_do_not_deadlock_on_concurrent_index_builds(
    program: Program, blank_database_url: str, blank: Connection
) -> None:
    migrate.up(blank_database_url, "006")
    fill(blank, 20_000)
    ended = finish([program.start("migrate", "up", "--no-header") for _ in range(4)])
    assert [code for code, _, _ in ended] == [0] * 4, ended
    assert sorted(len(out.splitlines()) for _, out, _ in ended) == [
        0,
        0,
        0,
        COUNT - CHAIN.position("006"),
    ]
    assert all(f.ok for f in migrate.check(blank_database_url))


def test_who_does_not_wait_is_told_who_migrates(blank_database_url: str, blank: Connection) -> None:
    blank.execute("SELECT pg_advisory_lock(%s, %s)", [SPACE, DUTY])
    with pytest.raises(LockBusy, match=f"pid {blank.info.backend_pid}"):
        migrate.up(blank_database_url, options=Options(lock_timeout_s=0))
    assert str(blank.info.backend_pid) in str(migrate.status(blank_database_url).locked_by)


def test_who_waits_goes_on_when_the_other_is_done(
    blank_database_url: str, blank: Connection
) -> None:
    blank.execute("SELECT pg_advisory_lock(%s, %s)", [SPACE, DUTY])
    waiter = threading.Thread(target=migrate.up, args=(blank_database_url,))
    waiter.start()
    wait_for_try(blank)
    assert migrate.status(blank_database_url).current is None
    blank.execute("SELECT pg_advisory_unlock(%s, %s)", [SPACE, DUTY])
    waiter.join(30)
    assert migrate.status(blank_database_url).current == HEAD


def test_a_busy_table_is_waited_for(blank_database_url: str, blank: Connection) -> None:
    migrate.up(blank_database_url, "005")
    with psycopg.connect(blank_database_url) as other:
        other.execute("LOCK TABLE tasks IN ACCESS SHARE MODE")
        options = Options(lock_timeout_s=1.5)
        runner = threading.Thread(target=migrate.up, args=(blank_database_url, "006", options))
        runner.start()
        # A try gives up soon, so that nobody queues behind it for long, and another one follows.
        wait_until(blank, WAITING)
        wait_until(blank, f"NOT {WAITING}")
        wait_until(blank, WAITING)
        other.rollback()
        runner.join(30)
    assert migrate.status(blank_database_url).current == "006"


def test_a_table_that_stays_busy_is_reported_with_its_users(
    blank_database_url: str, program: Program
) -> None:
    migrate.up(blank_database_url, "005")
    with psycopg.connect(blank_database_url, application_name="a report") as other:
        other.execute("SELECT count(*) FROM tasks")
        ended = program("migrate", "up", "--no-wait-lock", "-o", "json")
        assert ended.returncode == 9
        assert ended.stdout == ""
        assert '"migrate.tables_busy"' in ended.stderr
        assert f"pid {other.info.backend_pid} (a report" in ended.stderr
    assert migrate.status(blank_database_url).current == "005"


def test_writers_go_on_while_indexes_are_built(blank_database_url: str, blank: Connection) -> None:
    """An open writer makes the build wait; others must still get in."""
    migrate.up(blank_database_url, "006")
    fill(blank, 1000)
    with psycopg.connect(blank_database_url) as writer:
        writer.execute("INSERT INTO tasks (type) VALUES ('early')")
        runner = threading.Thread(target=migrate.up, args=(blank_database_url, "007"))
        # 007 first needs the table for itself for an instant: let it have that.
        writer.rollback()
        with psycopg.connect(blank_database_url) as reader:
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT 1 FROM pg_class LIMIT 1")
            runner.start()
            wait_until(blank, f"{BUILDING[:-1]} AND phase LIKE 'wait%')")
            blank.execute("SET statement_timeout = '2s'")
            fill(blank, 10)
            blank.execute("UPDATE tasks SET domain = 'x' WHERE params @> '{\"n\": 5}'")
        runner.join(30)
    assert migrate.status(blank_database_url).current == "007"
    assert migrate.status(blank_database_url).invalid_indexes == []


def wait_for_try(connection: Connection) -> None:
    """Wait until a migration has asked for the lock, and been refused."""
    wait_until(
        connection,
        "EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'seedcore migrate'"
        " AND datname = current_database() AND query LIKE '%pg_try_advisory_lock%')",
    )


def wait_until(connection: Connection, condition: str, timeout_s: float = 60) -> None:
    """Wait until the condition holds in the database, also from inside a transaction.

    What PostgreSQL shows of other sessions is a snapshot that a transaction keeps for its whole
    life: each look throws it away first.
    """
    end = time.monotonic() + timeout_s
    connection.execute("SELECT pg_stat_clear_snapshot()")
    while connection.execute(f"SELECT {condition}".encode()).fetchone() != (True,):
        assert time.monotonic() < end, condition
        time.sleep(0.02)
        connection.execute("SELECT pg_stat_clear_snapshot()")
