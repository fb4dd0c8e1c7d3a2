"""Whatever stops `migrate up`, the database is at a revision, and the next `up` goes on from there."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import psycopg
import pytest

from seedcore.db import migrate
from seedcore.db.migrate import scripts
from seedcore.errors import Unavailable
from tests.migrations.conftest import Connection, fill, schema_of
from tests.migrations.test_concurrency import BUILDING, WAITING, wait_until
from tests.program import Program

CHAIN = scripts.default_chain()


def at_a_revision(url: str) -> str | None:
    """Check that the records agree with each other, and return where the database is."""
    status = migrate.status(url)
    assert status.problem is None
    assert status.applied == CHAIN.position(status.current)
    return status.current


def applied(connection: Connection) -> int:
    """How many revisions are in force."""
    if connection.execute("SELECT to_regclass('seedcore_migrations')").fetchone() == (None,):
        return 0
    row = connection.execute("SELECT count(*) FROM seedcore_migrations").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(
    program: Program, more_blank_databases: Callable[[], str]
) -> None:
    first, *others = [more_blank_databases() for _ in range(7)]
    migrate.up(first)
    whole = schema_of(first)
    stopped_at: set[str | None] = set()
    for nth, url in enumerate(others):
        with psycopg.connect(url, autocommit=True) as watching:
            process = program.start("migrate", "up", env={"SEEDCORE_DATABASE_URL": url})
            # Somewhere between two commits, at the beginning, later and late.
            moment = nth * len(CHAIN.ids) // len(others)
            while applied(watching) < moment:
                assert process.poll() is None
                time.sleep(0.003)
        process.kill()
        process.wait()
        stopped_at.add(at_a_revision(url))
        migrate.up(url)
        assert schema_of(url) == whole
        assert all(f.ok for f in migrate.check(url, only=("pending", "integrity")))
    assert len(stopped_at) > 1  # some of them really came in between


PARTS = 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_inside_a_revision_it_is_not_applied(
    program: Program, blank_database_url: str, blank: Connection, part: int
) -> None:
    """Each revision is stopped in its middle, by a lock on the catalog row that it must write."""
    first, last = (1 + (len(CHAIN.ids) - 1) * n // PARTS for n in (part, part + 1))
    migrate.up(blank_database_url, CHAIN.ids[first - 1])
    for before, revision in pairwise(CHAIN.ids[first - 1 : last]):
        with psycopg.connect(blank_database_url) as blocker:
            # Its last act is to write its number; until then everything it did hangs in the air.
            blocker.execute("LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE")
            process = program.start("migrate", "up", "+1")
            wait_until(blank, WAITING)
            process.kill()
            process.wait()
        # The server still notices the death of its client by itself, and rolls back.
        wait_until(
            blank,
            "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'seedcore migrate'"
            " AND datname = current_database())",
        )
        assert at_a_revision(blank_database_url) == before, revision
        assert migrate.up(blank_database_url, "+1").current == revision
    migrate.up(blank_database_url)
    assert all(f.ok for f in migrate.check(blank_database_url))


def start_a_build(program: Program, blank: Connection, url: str) -> subprocess.Popen[str]:
    """Start `up` on a filled table and return when it builds an index CONCURRENTLY, and waits."""
    process = program.start("migrate", "up")
    wait_until(blank, f"{BUILDING[:-1]} AND phase LIKE 'wait%')")
    return process


@pytest.mark.parametrize("how", ["killed", "interrupted", "disconnected"])
def test_stopped_within_a_concurrent_build_it_rebuilds_the_index(
    program: Program, blank_database_url: str, blank: Connection, how: str
) -> None:
    migrate.up(blank_database_url, "006")
    fill(blank, 2000)
    with psycopg.connect(blank_database_url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1 FROM pg_class LIMIT 1")
        process = start_a_build(program, blank, blank_database_url)
        if how == "killed":
            process.kill()
        elif how == "interrupted":
            process.send_signal(signal.SIGINT)
        else:
            blank.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'seedcore migrate' AND datname = current_database()"
            )
        _, err = process.communicate(timeout=60)
        # Nothing may go on building in the back, nor hold the lock.
        wait_until(blank, f"NOT {BUILDING}")
    expected = {"killed": -signal.SIGKILL, "interrupted": 130, "disconnected": 69}
    assert process.returncode == expected[how], err
    if how == "disconnected":
        assert "the database is at a revision" in err
    assert at_a_revision(blank_database_url) == "006"
    assert migrate.status(blank_database_url).invalid_indexes == ["ix_tasks_status_runafter"]
    outcome = migrate.up(blank_database_url)
    assert [s.revision for s in outcome.steps] == list(CHAIN.ids[CHAIN.position("006") :])
    assert migrate.status(blank_database_url).invalid_indexes == []
    assert all(f.ok for f in migrate.check(blank_database_url))


def test_an_index_left_invalid_at_the_head_is_rebuilt(
    blank_database_url: str, blank: Connection
) -> None:
    """A unique index that meets duplicates fails late and stays behind; so does a broken REINDEX."""
    migrate.up(blank_database_url)
    fill(blank, 100)
    blank.execute("DROP INDEX ix_tasks_type")
    with pytest.raises(psycopg.errors.QueryCanceled):
        interrupt_build(
            blank_database_url, "CREATE INDEX CONCURRENTLY ix_tasks_type ON tasks (type)"
        )
    with pytest.raises(psycopg.errors.QueryCanceled):
        interrupt_build(blank_database_url, "REINDEX INDEX CONCURRENTLY ix_tasks_domain")
    found = migrate.status(blank_database_url).invalid_indexes
    assert found == ["ix_tasks_domain_ccnew", "ix_tasks_type"]
    assert [f.detail for f in migrate.check(blank_database_url, only=("pending",)) if not f.ok]
    outcome = migrate.up(blank_database_url)
    assert outcome.steps == []
    assert outcome.rebuilt == found
    assert all(f.ok for f in migrate.check(blank_database_url))


def test_an_index_that_is_being_built_is_left_alone(
    blank_database_url: str, blank: Connection
) -> None:
    migrate.up(blank_database_url)
    build = "CREATE INDEX CONCURRENTLY mine ON tasks (description)"
    with psycopg.connect(blank_database_url) as writer, ThreadPoolExecutor() as threads:
        writer.execute("INSERT INTO tasks (type) VALUES ('open')")
        building = threads.submit(blank.execute, build)
        wait_until(writer, BUILDING)
        assert migrate.up(blank_database_url).rebuilt == []
        writer.commit()
        building.result()
    assert migrate.status(blank_database_url).invalid_indexes == []


def test_a_server_that_goes_away_is_an_answer_not_a_traceback(home: object) -> None:
    with pytest.raises(Unavailable):
        migrate.up(f"postgresql://nobody@/nowhere?host={home}")


def interrupt_build(url: str, statement: str) -> None:
    """Let the build wait for an open transaction until it is cancelled."""
    with psycopg.connect(url) as writer, psycopg.connect(url, autocommit=True) as builder:
        writer.execute("INSERT INTO tasks (type) VALUES ('open')")
        builder.execute("SET statement_timeout = '700ms'")
        builder.execute(statement.encode())
