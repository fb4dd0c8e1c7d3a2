"""`seedcore db tune`: profiles are reached from anywhere, known to `migrate check`, and all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from seedcore.db.tuning.profiles import OPTIONAL, PROFILES
from tests.cli.conftest import Invoke, Result

Conn = psycopg.Connection[dict[str, Any]]


def optional(conn: Conn) -> set[str]:
    """The optional indexes that are there and usable."""
    rows = conn.execute(
        "SELECT indexrelid::regclass::text AS name FROM pg_index"
        " WHERE indrelid = 'tasks'::regclass AND indisvalid"
    ).fetchall()
    return {row["name"] for row in rows} & OPTIONAL.keys()


def assert_checked(cli: Invoke) -> None:
    done = cli("migrate", "check", "--only", "drift,acceptance", "-o", "json")
    assert done.code == 0, done.out


def changed(done: Result) -> set[str]:
    return {row["object"] for row in done.json if row["changed"]}


def test_every_profile_is_reached_checked_and_reached_once(cli: Invoke, conn: Conn) -> None:
    conn.execute("INSERT INTO tasks (type) SELECT 'echo' FROM generate_series(1, 100)")
    for name in ("search", "throughput", "default"):
        done = cli("db", "tune", name, "-o", "json")
        assert done.code == 0, done.err
        assert all(row["trade"] for row in done.json)
        assert optional(conn) == set(PROFILES[name].indexes)
        assert_checked(cli)
        again = cli("db", "tune", name, "-o", "json")
        assert changed(again) == set()
    comments = conn.execute(
        "SELECT count(*) AS n FROM unnest(%s::text[]) AS w (name)"
        " WHERE obj_description(to_regclass(w.name), 'pg_class') IS NULL",
        [list(optional(conn))],
    ).fetchone()
    assert comments == {"n": 0}


def test_a_dry_run_says_the_same_and_changes_nothing(cli: Invoke, conn: Conn) -> None:
    before = optional(conn)
    dry = cli("db", "tune", "throughput", "--dry-run", "-o", "json")
    assert all(row["dry_run"] for row in dry.json)
    assert optional(conn) == before
    assert conn.execute("SELECT name FROM seedcore_settings").fetchall() == []
    assert changed(cli("db", "tune", "throughput", "-o", "json")) == changed(dry)


def test_an_interrupted_run_is_gone_on_with(cli: Invoke, conn: Conn) -> None:
    conn.execute("INSERT INTO tasks (type) SELECT 'echo' FROM generate_series(1, 100)")
    conn.execute(
        "INSERT INTO seedcore_settings (name, value, changed_by)"
        " VALUES ('tuning_profile', 'search', 'somebody')"
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("CREATE UNIQUE INDEX CONCURRENTLY ix_tasks_type_created ON tasks (type)")
    done = cli("migrate", "check", "--only", "drift", "-o", "json")
    assert done.code == 3
    details = " ".join(row["detail"] for row in done.json)
    assert "index ix_tasks_failed is missing, which belongs to the profile search" in details
    done = cli("db", "tune", "search", "-o", "json")
    rows = {row["object"]: row for row in done.json}
    assert rows["ix_tasks_type_created"]["before"] == "invalid"
    assert rows["ix_tasks_type"]["changed"] is False
    assert optional(conn) == set(PROFILES["search"].indexes)
    assert_checked(cli)


def test_storage_that_somebody_changed_is_put_back(cli: Invoke, conn: Conn) -> None:
    conn.execute("ALTER TABLE tasks SET (fillfactor = 10)")
    done = cli("db", "tune", "default", "-o", "json")
    assert changed(done) == {"tasks.fillfactor"}
    (row,) = (row for row in done.json if row["changed"])
    assert (row["before"], row["after"]) == ("10", "80")


@pytest.fixture
def plain(server_url: str, conn: Conn) -> Iterator[str]:
    """A role that may read and write rows, and owns nothing."""
    name = "seedcore_tuner"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE seedcore_tuner LOGIN PASSWORD 'plain'")
        try:
            conn.execute(
                "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO seedcore_tuner"
            )
            yield name
        finally:
            conn.execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM seedcore_tuner")
            admin.execute("DROP ROLE seedcore_tuner")


def test_without_the_right_nothing_is_changed(
    cli: Invoke, conn: Conn, plain: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_conninfo(database_url, user=plain, password="plain")
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", url)
    before = optional(conn)
    for form in ("table", "json"):
        done = cli("db", "tune", "throughput", "-o", form)
        assert done.code == 78
        assert done.out == ""
    assert done.error["message"] == (
        "role seedcore_tuner must own table tasks; nothing was changed"
    )
    assert "GRANT seedcore_test TO seedcore_tuner" in done.error["hint"]
    assert optional(conn) == before
    assert conn.execute("SELECT name FROM seedcore_settings").fetchall() == []


def test_it_waits_for_no_migration(cli: Invoke, conn: Conn, database_url: str) -> None:
    from seedcore.db.migrate.lock import migration_lock

    with (
        psycopg.connect(database_url, autocommit=True) as other,
        migration_lock(other, timeout_s=0),
    ):
        done = cli("db", "tune", "throughput")
    assert done.code == 9
    assert "a migration or another tuning is running: pid" in done.err
    assert optional(conn) == set(PROFILES["default"].indexes)


def test_durability_is_given_up_only_by_its_own_option(
    cli: Invoke, conn: Conn, database_url: str
) -> None:
    def commits() -> str:
        with psycopg.connect(database_url, row_factory=dict_row) as session:
            row = session.execute("SHOW synchronous_commit").fetchone()
            assert row is not None
            return row["synchronous_commit"]

    served = commits()
    assert cli("db", "tune", "throughput").code == 0
    assert commits() == served
    done = cli("db", "tune", "default", "--synchronous-commit", "off")
    assert done.code == 10
    assert optional(conn) == set()
    done = cli("db", "tune", "throughput", "--synchronous-commit", "off", "--yes", "-o", "json")
    assert changed(done) == {"synchronous_commit"}
    assert "can vanish" in done.json[-1]["trade"]
    assert commits() == "off"
    assert cli("db", "tune", "throughput", "--synchronous-commit", "on").code == 0
    assert commits() == served


def test_an_unknown_profile_names_the_known_ones(cli: Invoke) -> None:
    done = cli("db", "tune", "fast")
    assert done.code == 2
    assert "choose from default, throughput, search" in done.err


def test_what_search_adds_is_used(cli: Invoke, conn: Conn) -> None:
    conn.execute(
        "INSERT INTO tasks (type, domain, status, created_at, finished_at)"
        " SELECT 't' || n % 20, 'd' || n % 2,"
        " CASE n % 5 WHEN 0 THEN 'failed' ELSE 'completed' END::taskstatus,"
        " now() - n * interval '1 s', now() FROM generate_series(1, 5000) AS n"
    )
    assert cli("db", "tune", "search").code == 0
    conn.execute("ANALYZE tasks")
    for index, condition in {
        "ix_tasks_type_created": "type = 't1' ORDER BY created_at DESC",
        "ix_tasks_domain_created": "domain = 'd1' ORDER BY created_at DESC",
        "ix_tasks_failed": "status = 'failed' ORDER BY finished_at DESC",
    }.items():
        query = f"EXPLAIN SELECT id FROM tasks WHERE {condition} LIMIT 50"
        plan = conn.execute(query).fetchall()  # pyright: ignore[reportArgumentType, reportCallIssue]
        assert index in str(plan)
