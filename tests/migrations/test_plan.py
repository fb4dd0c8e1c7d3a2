from __future__ import annotations

import psycopg
import pytest

from seedcore.db import migrate
from seedcore.db.migrate.statements import Statement, split
from tests.migrations.conftest import Connection, fill, run_psql, schema_of

RECORDS = "SELECT revision, file_hash FROM seedcore_migrations ORDER BY 1"
OBJECTS = "SELECT * FROM seedcore_objects ORDER BY 1, 2"


def test_the_rendered_script_makes_the_same_database_as_up(
    blank_database_url: str, database_url: str
) -> None:
    run = run_psql(blank_database_url, migrate.plan(None).sql)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert schema_of(blank_database_url) == schema_of(database_url)
    with psycopg.connect(blank_database_url) as by_psql, psycopg.connect(database_url) as by_up:
        for query in (RECORDS, OBJECTS):
            assert by_psql.execute(query).fetchall() == by_up.execute(query).fetchall()
    assert migrate.up(blank_database_url).steps == []
    assert all(f.ok for f in migrate.check(blank_database_url))


def test_the_rendered_way_back_leaves_nothing(blank_database_url: str) -> None:
    before = schema_of(blank_database_url)
    migrate.up(blank_database_url)
    run = run_psql(blank_database_url, migrate.plan(blank_database_url, "base", down=True).sql)
    assert run.returncode == 0, run.stderr
    assert schema_of(blank_database_url) == before


def test_the_rendered_way_back_keeps_rows_too(blank_database_url: str, blank: Connection) -> None:
    migrate.up(blank_database_url, "007")
    fill(blank, 1)
    script = migrate.plan(blank_database_url, "base", down=True).sql
    run = run_psql(blank_database_url, script)
    assert run.returncode != 0
    assert "has rows" in run.stderr
    run = run_psql(
        blank_database_url,
        "SET seedcore.drop_data = 'yes';" + migrate.plan(blank_database_url, "base", down=True).sql,
    )
    assert run.returncode == 0, run.stderr


def test_a_script_for_a_filled_table_builds_its_indexes_beside_the_writers(
    blank_database_url: str, blank: Connection
) -> None:
    migrate.up(blank_database_url, "006")
    fill(blank, 100)
    script = migrate.plan(blank_database_url).sql
    assert script.count("CREATE INDEX CONCURRENTLY") >= 5
    run = run_psql(blank_database_url, script)
    assert run.returncode == 0, run.stderr
    assert all(f.ok for f in migrate.check(blank_database_url))


def test_a_script_refuses_a_database_that_is_elsewhere(blank_database_url: str) -> None:
    migrate.up(blank_database_url, "004")
    run = run_psql(blank_database_url, migrate.plan(None, start="006").sql)
    assert run.returncode != 0
    assert "starts at revision 006, the database is at 004" in run.stderr


def test_the_plan_is_the_same_every_time() -> None:
    assert migrate.plan(None).sql == migrate.plan(None).sql


def test_a_plan_tells_locks_and_sizes(blank_database_url: str, blank: Connection) -> None:
    migrate.up(blank_database_url, "006")
    fill(blank, 1000)
    blank.execute("ANALYZE tasks")
    statements = migrate.plan(blank_database_url, "007").statements
    index = next(s for s in statements if "ix_tasks_type" in s.statement)
    assert (index.revision, index.lock, index.relations) == (
        "007",
        "SHARE UPDATE EXCLUSIVE",
        ["tasks"],
    )
    assert index.rows == 1000
    assert index.size_bytes is not None
    assert index.size_bytes > 8192
    assert not index.destructive


def test_only_what_loses_data_is_destructive() -> None:
    up = migrate.plan(None)
    assert not up.is_destructive
    down = migrate.plan(None, "base", down=True)
    assert down.is_destructive
    gone = {s.statement for s in down.statements if s.destructive}
    assert {"DROP TABLE IF EXISTS tasks", "DROP TABLE IF EXISTS task_events"} <= gone
    assert not any("DROP INDEX" in s or "DROP FUNCTION" in s for s in gone)


def test_nothing_to_do_is_an_empty_script(database_url: str) -> None:
    plan = migrate.plan(database_url)
    assert (plan.sql, plan.statements) == ("", [])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("SELECT 1; SELECT 2;", 2),
        ("SELECT ';'; SELECT \"a;b\";", 2),
        ("DO $$ BEGIN a; b; END $$; SELECT 1", 2),
        ("CREATE FUNCTION f() AS $x$ SELECT ';', $$;$$; $x$;", 1),
        ("-- it's a remark; really\nSELECT 1; /* ; */ SELECT 2;", 2),
        ("SELECT 'it''s; fine';;", 1),
        ("SELECT 4 - 1 / 2; SELECT $1", 2),
        ("-- only a remark", 0),
    ],
)
def test_statements_end_at_semicolons_that_end_statements(text: str, count: int) -> None:
    assert len(split(text)) == count


@pytest.mark.parametrize(
    ("text", "locks"),
    [
        ("CREATE INDEX a ON tasks (id)", {"tasks": "SHARE"}),
        ('CREATE UNIQUE INDEX CONCURRENTLY a ON "tasks" (id)', {"tasks": "SHARE UPDATE EXCLUSIVE"}),
        ("ALTER TABLE tasks ADD COLUMN a int", {"tasks": "ACCESS EXCLUSIVE"}),
        ("ALTER TABLE tasks VALIDATE CONSTRAINT a", {"tasks": "SHARE UPDATE EXCLUSIVE"}),
        ("CREATE TABLE a (b int REFERENCES tasks (id))", {"tasks": "SHARE ROW EXCLUSIVE"}),
        (
            "CREATE TRIGGER a BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION b()",
            {"tasks": "SHARE ROW EXCLUSIVE"},
        ),
        ("INSERT INTO public.queue_lanes VALUES ('a')", {"queue_lanes": "ROW EXCLUSIVE"}),
        ("UPDATE tasks SET id = id", {"tasks": "ROW EXCLUSIVE"}),
        ("CREATE TABLE a (b int)", {}),
        ("CREATE FUNCTION a() AS 'DROP TABLE tasks'", {}),
        (
            "DO $$ BEGIN IF x THEN ALTER TABLE tasks ADD b int; UPDATE queue_lanes SET a = 1; END IF; END $$",
            {"tasks": "ACCESS EXCLUSIVE", "queue_lanes": "ROW EXCLUSIVE"},
        ),
    ],
)
def test_the_lock_of_a_statement_is_known(text: str, locks: dict[str, str]) -> None:
    assert Statement(text).locks == locks


def test_the_classifier_agrees_with_the_server(blank_database_url: str, blank: Connection) -> None:
    """Every statement on `tasks` that is said to take a lock takes that one, by pg_locks."""
    migrate.up(blank_database_url, "006")
    fill(blank, 1)
    script = migrate.plan(blank_database_url).sql
    seen = 0
    for statement in split(script):
        claimed = statement.locks.get("tasks")
        if statement.is_bookkeeping:
            continue
        # CONCURRENTLY refuses to run in a transaction, where the lock could be seen, and a block locks
        # as its conditions say.
        unseen = " INDEX CONCURRENTLY " in statement.text or statement.text.startswith("DO")
        # A table that an earlier revision made is not made again, and refers to nothing anew.
        made = blank.execute("SELECT to_regclass(%s)", [statement.creates]).fetchone() != (None,)
        if claimed is None or unseen or made:
            blank.execute(statement.text.encode())
            continue
        with blank.transaction():
            blank.execute(statement.text.encode())
            rows = blank.execute(
                "SELECT mode FROM pg_locks WHERE pid = pg_backend_pid()"
                " AND relation = 'tasks'::regclass"
            ).fetchall()
        modes = {"".join(word.capitalize() for word in claimed.split()) + "Lock"}
        assert modes <= {r[0] for r in rows}, (statement.title, rows)
        seen += 1
    assert seen >= 5


def test_a_plan_from_a_revision_needs_no_database() -> None:
    plan = migrate.plan(None, "007", start="006")
    assert (plan.start, plan.stop) == ("006", "007")
    assert "CREATE TABLE IF NOT EXISTS tasks" not in plan.sql
