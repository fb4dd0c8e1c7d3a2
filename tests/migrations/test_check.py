"""`migrate check` against real faults of every sort."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from seedcore.db import migrate
from seedcore.db.migrate import Options, scripts
from seedcore.db.migrate.checks import NAMES
from seedcore.errors import UsageError

CHAIN = scripts.default_chain()
HEAD = CHAIN.head

DRIFT = {
    "a dropped index": ("DROP INDEX ix_tasks_type", "index ix_tasks_type is missing"),
    "an index of our own": (
        "CREATE INDEX mine ON tasks (owner_id)",
        "index mine was not made by a revision",
    ),
    "another predicate": (
        "DROP INDEX ix_tasks_domain; CREATE INDEX ix_tasks_domain ON tasks (domain)",
        "index ix_tasks_domain is not as its revision made it",
    ),
    "a changed function": (
        (
            "CREATE OR REPLACE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql"
            " SET search_path = public, pg_temp AS 'BEGIN RETURN NULL; END'"
        ),
        "function set_updated_at() is not as its revision made it",
    ),
    "a dropped function": (
        "DROP FUNCTION tasks_purge",
        "function tasks_purge(interval,taskstatus[],integer) is missing",
    ),
    "an overloaded function": (
        "CREATE FUNCTION task_lane(int) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'",
        "function task_lane(integer) was not made by a revision",
    ),
    "an extra column": (
        "ALTER TABLE tasks ADD COLUMN extra int",
        "column tasks.extra was not made by a revision",
    ),
    "a dropped column": (
        "ALTER TABLE task_schedules DROP COLUMN last_error",
        "column task_schedules.last_error is missing",
    ),
    "another type": (
        "ALTER TABLE tasks ALTER COLUMN domain TYPE varchar(20)",
        "column tasks.domain has type VARCHAR(20) instead of TEXT",
    ),
    "another nullability": (
        "ALTER TABLE task_schedules ALTER COLUMN domain SET NOT NULL",
        "column task_schedules.domain has nullable False instead of True",
    ),
    "another default": (
        "ALTER TABLE tasks ALTER COLUMN lapses SET DEFAULT 7",
        "default tasks.lapses is not as its revision made it",
    ),
    "a disabled trigger": (
        "ALTER TABLE tasks DISABLE TRIGGER tasks_guard",
        "trigger tasks.tasks_guard is not as its revision made it",
    ),
    "a dropped trigger": (
        "DROP TRIGGER tasks_updated ON tasks",
        "trigger tasks.tasks_updated is missing",
    ),
    "a trigger of our own": (
        "CREATE TRIGGER mine BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION set_updated_at()",
        "trigger tasks.mine was not made by a revision",
    ),
    "a changed check": (
        (
            "ALTER TABLE tasks DROP CONSTRAINT ck_tasks_priority,"
            " ADD CONSTRAINT ck_tasks_priority CHECK (priority >= 0)"
        ),
        "constraint tasks.ck_tasks_priority is not as its revision made it",
    ),
    "a dropped foreign key": (
        "ALTER TABLE task_schedules DROP CONSTRAINT task_schedules_last_task_id_fkey",
        "constraint task_schedules.task_schedules_last_task_id_fkey is missing",
    ),
    "a changed view": (
        (
            "CREATE OR REPLACE VIEW task_queue_stats AS"
            " SELECT lane, status, tasks + 1 AS tasks, due_now, oldest_due_at, paused FROM"
            " (SELECT ''::text AS lane, 'queued'::taskstatus AS status, 1::bigint AS tasks,"
            "  1::bigint AS due_now, now() AS oldest_due_at, false AS paused) AS fake"
        ),
        "view task_queue_stats is not as its revision made it",
    ),
    "a dropped view": ("DROP VIEW task_queue_stats", "view task_queue_stats is missing"),
    "another persistence": (
        "ALTER TABLE queue_waiters SET LOGGED",
        "table queue_waiters is not as its revision made it",
    ),
    "a new label": (
        "ALTER TYPE taskstatus ADD VALUE 'odd'",
        "type taskstatus is not as its revision made it",
    ),
}


@pytest.mark.parametrize("fault", DRIFT)
def test_drift_is_found_and_named(database_url: str, fault: str) -> None:
    statement, sentence = DRIFT[fault]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement.encode())
    found = migrate.check(database_url, only=("drift",))
    assert [f.detail for f in found] == [sentence]
    assert not found[0].ok


def test_a_sound_database_passes_every_check(database_url: str) -> None:
    found = migrate.check(database_url)
    assert [(f.check, f.ok) for f in found] == [(name, True) for name in NAMES]


def test_what_belongs_to_others_is_not_drift(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE guests (id int PRIMARY KEY, task uuid REFERENCES tasks (id));"
            "CREATE VIEW guest_list AS SELECT * FROM guests;"
            "CREATE FUNCTION greet() RETURNS text LANGUAGE sql AS 'SELECT 1::text';"
            "SELECT task_events_ensure(30)"
        )
    assert all(f.ok for f in migrate.check(database_url, only=("drift",)))


def test_a_changed_revision_file_is_found(blank_database_url: str, scripts_copy: Path) -> None:
    migrate.up(blank_database_url, options=Options(directory=scripts_copy))
    with (scripts_copy / "sql" / "007_task_schema_enhancements.sql").open("a") as file:
        file.write("SELECT 1;\n")
    found = migrate.check(blank_database_url, only=("integrity",), directory=scripts_copy)
    assert [f.ok for f in found] == [False]
    assert "revision 007 changed after it was applied" in found[0].detail


def test_two_heads_are_found(
    database_url: str, scripts_copy: Path, add_revision: Callable[..., str]
) -> None:
    add_revision("900", up="pass", after="007")
    found = migrate.check(database_url, only=("heads",), directory=scripts_copy)
    assert [f.detail for f in found] == [f"the chain has 2 heads: {HEAD}, 900"]


def test_a_number_out_of_order_is_found(
    database_url: str, scripts_copy: Path, add_revision: Callable[..., str]
) -> None:
    add_revision("050", up="pass", after=HEAD)
    found = migrate.check(database_url, only=("heads",), directory=scripts_copy)
    assert [f.ok for f in found] == [False]
    assert f", {HEAD}, 050" in found[0].detail


def test_a_missing_link_is_found(
    database_url: str, scripts_copy: Path, add_revision: Callable[..., str]
) -> None:
    add_revision("900", up="pass", after="800")
    found = migrate.check(database_url, only=("heads",), directory=scripts_copy)
    assert [f.ok for f in found] == [False]
    assert "800" in found[0].detail


def test_pending_revisions_are_found(blank_database_url: str) -> None:
    migrate.up(blank_database_url, "006")
    found = migrate.check(blank_database_url, only=("pending",))
    pending = ", ".join(CHAIN.ids[CHAIN.position("006") :])
    assert [f.detail for f in found] == [f"the database is at 006; not applied: {pending}"]


def test_a_revision_that_needs_a_database_to_render_is_found(
    database_url: str, scripts_copy: Path, add_revision: Callable[..., str]
) -> None:
    up = "ops._driver().execute('SELECT 1').fetchone()"
    add_revision("900", up=up)
    found = migrate.check(database_url, only=("offline",), directory=scripts_copy)
    assert [f.ok for f in found] == [False]
    assert "revision 900 can't be rendered" in found[0].detail


def test_after_a_server_upgrade_only_what_reads_the_same_is_compared(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE seedcore_objects SET hash = '9' WHERE kind = 'server'")
        connection.execute(
            "UPDATE seedcore_objects SET hash = 'worded otherwise' WHERE kind = 'view'"
        )
    (finding,) = migrate.check(database_url, only=("drift",))
    assert finding.ok
    assert "written down by PostgreSQL 9" in finding.detail
    assert "stamp" in (finding.hint or "")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP FUNCTION tasks_purge")
    assert not all(f.ok for f in migrate.check(database_url, only=("drift",)))


def test_an_unknown_check_is_refused(database_url: str) -> None:
    with pytest.raises(UsageError, match="no check named 'typos'"):
        migrate.check(database_url, only=("typos",))
