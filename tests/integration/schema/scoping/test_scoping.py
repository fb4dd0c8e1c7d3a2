"""Under which policy snapshot rows are made, and the demand that every task has one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import psycopg
import pytest

from seedcore.db import migrate
from tests.integration.schema.database import code, row, value

Conn = psycopg.Connection[dict[str, Any]]


def snapshot(conn: Conn, version: str = "v1", *, active: bool = True, env: str = "prod") -> int:
    return value(
        conn,
        "INSERT INTO pkg_snapshots (version, env, checksum, is_active)"
        " VALUES (%s, %s, repeat('a', 64), %s) RETURNING id",
        [version, env, active],
    )


def fill_all(conn: Conn) -> None:
    """One row in each table that is scoped."""
    conn.execute("INSERT INTO tasks (type) VALUES ('echo')")
    conn.execute("INSERT INTO facts (text) VALUES ('a fact')")
    node = value(conn, "SELECT ensure_agent_node('ada')")
    for dim in (128, 1024):
        conn.execute(
            f"INSERT INTO graph_embeddings_{dim} (node_id, emb)"
            f" SELECT %s, array_agg(1.0)::vector({dim}) FROM generate_series(1, {dim})".encode(),
            [node],
        )


def scopes(conn: Conn) -> set[Any]:
    return {
        value(conn, f"SELECT DISTINCT snapshot_id FROM {table}".encode())
        for table in (
            "tasks", "facts", "graph_node_map", "graph_embeddings_128", "graph_embeddings_1024",
        )
    }  # fmt: skip


def test_a_fresh_database_takes_rows_without_a_snapshot(conn: Conn) -> None:
    fill_all(conn)
    conn.execute("SELECT task_submit('echo')")
    assert value(conn, "SELECT pkg_default_snapshot_id()") is None
    assert scopes(conn) == {None}


def test_new_rows_get_the_active_snapshot_of_the_environment(conn: Conn) -> None:
    prod = snapshot(conn)
    snapshot(conn, "old", active=False)
    dev = snapshot(conn, "v2", env="dev")
    fill_all(conn)
    assert scopes(conn) == {prod}
    conn.execute("SET seedcore.env = 'dev'")
    assert value(conn, "SELECT pkg_default_snapshot_id()") == dev
    conn.execute("SET seedcore.env = 'no such environment'")
    assert value(conn, "SELECT pkg_default_snapshot_id()") is None


def test_every_way_of_submitting_fills_the_snapshot(conn: Conn) -> None:
    active = snapshot(conn)
    given = snapshot(conn, "other", active=False)
    conn.execute("SELECT task_submit('echo')")
    with conn.cursor().copy("COPY tasks (type) FROM STDIN") as copy:
        copy.write("echo\n")
    assert value(conn, "SELECT DISTINCT snapshot_id FROM tasks") == active
    made = row(conn, "SELECT id FROM task_submit('echo', p_snapshot_id => %s)", [given])
    assert made is not None
    assert value(conn, "SELECT snapshot_id FROM tasks WHERE id = %s", [made["id"]]) == given


def test_a_snapshot_that_is_given_stays(conn: Conn) -> None:
    snapshot(conn)
    other = snapshot(conn, "other", active=False)
    conn.execute("INSERT INTO facts (text, snapshot_id) VALUES ('a', %s)", [other])
    assert value(conn, "SELECT snapshot_id FROM facts") == other


@pytest.mark.parametrize(
    "table", ["tasks", "graph_node_map", "graph_embeddings_128", "graph_embeddings_1024"]
)
def test_a_snapshot_must_exist_and_is_kept_while_it_is_used(conn: Conn, table: str) -> None:
    used = snapshot(conn)
    fill_all(conn)
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as caught:
        conn.execute(f"UPDATE {table} SET snapshot_id = 404".encode())
    assert caught.value.diag.constraint_name == f"fk_{table}_snapshot_id"
    for each in ("facts", "graph_embeddings_128", "graph_embeddings_1024", "graph_node_map", "tasks"):  # fmt: skip
        if each != table:
            conn.execute(f"UPDATE {each} SET snapshot_id = NULL".encode())
    with pytest.raises(psycopg.errors.IntegrityError):
        conn.execute("DELETE FROM pkg_snapshots WHERE id = %s", [used])


def test_scoping_is_not_enforced_without_an_active_snapshot(conn: Conn) -> None:
    snapshot(conn, active=False)
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT pkg_enforce_snapshot_scoping()")
    assert code(caught.value) == ("SC409", "pkg.no_active_snapshot")
    conn.execute("INSERT INTO tasks (type) VALUES ('echo')")


def test_enforcing_fills_old_tasks_refuses_new_ones_without_and_can_be_lifted(
    conn: Conn, database_url: str
) -> None:
    conn.execute(
        "INSERT INTO tasks (type, updated_at)"
        " SELECT 'echo', '2026-01-01Z'::timestamptz + n * interval '1 s' FROM generate_series(1, 5) n"
    )
    active = snapshot(conn)
    said = value(conn, "SELECT pkg_enforce_snapshot_scoping()")
    assert said == f"every task has a snapshot; 5 got snapshot {active}"
    assert value(conn, "SELECT count(*) FROM tasks WHERE snapshot_id = %s", [active]) == 5
    assert value(conn, "SELECT max(updated_at) < '2026-01-01 00:00:06Z' FROM tasks") is True
    assert value(conn, "SELECT count(*) FROM task_events") == 0
    with pytest.raises(psycopg.errors.NotNullViolation):
        conn.execute("INSERT INTO tasks (type, snapshot_id) VALUES ('echo', NULL)")
    conn.execute("SELECT task_submit('echo')")
    # What an operator chose is nobody's drift.
    assert [f for f in migrate.check(database_url) if not f.ok] == []
    conn.execute("SELECT pkg_enforce_snapshot_scoping()")
    conn.execute("SELECT pkg_enforce_snapshot_scoping(false)")
    conn.execute("INSERT INTO tasks (type, snapshot_id) VALUES ('echo', NULL)")


def test_enforcing_waits_for_a_writer_and_fills_its_row(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[Conn], None],
) -> None:
    active = snapshot(conn)
    with other.transaction():
        other.execute("INSERT INTO tasks (type, snapshot_id) VALUES ('echo', NULL)")
        enforcing = aside(value, conn, "SELECT pkg_enforce_snapshot_scoping()")
        blocked(conn)
    assert enforcing.result(10).endswith(f"1 got snapshot {active}")
    assert value(conn, "SELECT snapshot_id FROM tasks") == active


def test_old_rows_get_the_active_snapshot_when_the_revision_comes(
    blank_database_url: str,
) -> None:
    migrate.up(blank_database_url, "016")
    with psycopg.connect(blank_database_url, autocommit=True) as conn:
        conn.execute("INSERT INTO tasks (type) SELECT 'echo' FROM generate_series(1, 20000)")
        conn.execute("UPDATE tasks SET updated_at = '2026-01-01Z'")
        conn.execute(
            "INSERT INTO facts (text, subject, predicate, object_data, pkg_rule_id)"
            " VALUES ('a', 's', 'p', '1', 'r')"
        )
        conn.execute(
            "INSERT INTO pkg_snapshots (version, checksum, is_active) VALUES ('v1', repeat('a', 64), true)"
        )
        migrate.up(blank_database_url)
        left = "SELECT count(*) FILTER (WHERE snapshot_id IS NULL), count(*) FROM "
        assert conn.execute(f"{left} tasks".encode()).fetchone() == (0, 20000)
        assert conn.execute(f"{left} facts".encode()).fetchone() == (0, 1)
        newest = conn.execute("SELECT max(updated_at) < '2026-01-01 00:00:01Z' FROM tasks")
        assert newest.fetchone() == (True,)


def test_an_adopted_key_that_forgets_snapshots_is_replaced_and_lost_ones_are_named(
    blank_database_url: str,
) -> None:
    migrate.up(blank_database_url, "015")
    with psycopg.connect(blank_database_url, autocommit=True) as conn:
        conn.execute(
            "ALTER TABLE tasks ADD COLUMN snapshot_id integer CONSTRAINT old_name"
            " REFERENCES pkg_snapshots (id) ON DELETE SET NULL"
        )
        conn.execute(
            "INSERT INTO facts (text, snapshot_id) VALUES ('points nowhere', 404), ('fine', NULL)"
        )
        outcome = migrate.up(blank_database_url)
        notes = [note for step in outcome.steps for note in step.notes]
        assert [n for n in notes if n.startswith("facts: 1 rows named snapshots")]
        lost = conn.execute("SELECT meta_data, snapshot_id FROM facts ORDER BY text DESC")
        assert lost.fetchall() == [({"lost_snapshot_id": 404}, None), ({}, None)]
        keys = conn.execute(
            "SELECT conname, confdeltype, convalidated FROM pg_constraint"
            " WHERE conname IN ('old_name', 'fk_tasks_snapshot_id', 'fk_facts_snapshot_id') ORDER BY 1"
        ).fetchall()
        assert keys == [("fk_facts_snapshot_id", "r", True), ("fk_tasks_snapshot_id", "r", True)]
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            conn.execute("INSERT INTO facts (text, snapshot_id) VALUES ('b', 405)")
