"""Revision 127 on a filled table: at every moment there is an index for the claim that is there."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from seedcore.db.migrate import up_url
from seedcore.db.migrate.runner import down

Connection = psycopg.Connection[Any]

OLD = (
    "(priority DESC, (coalesce(run_after, created_at)), id)"
    " WHERE status IN ('queued', 'retry') AND type <> 'graph'"
)


def indexes(conn: Connection) -> dict[str, tuple[bool, bool]]:
    """Name → (valid, leaves out keyed tasks)."""
    rows = conn.execute(
        "SELECT indexrelid::regclass::text, indisvalid, pg_get_indexdef(indexrelid) ~ 'concurrency_key IS NULL'"
        " FROM pg_index WHERE indrelid = 'tasks'::regclass"
        " AND indexrelid::regclass::text ~ '^ix_tasks_claim_(queue|graph)'"
    ).fetchall()
    return {name: (valid, is_new) for name, valid, is_new in rows}


NEW = {"ix_tasks_claim_queue": (True, True), "ix_tasks_claim_graph": (True, True)}


@pytest.fixture
def filled(blank: Connection, blank_database_url: str) -> Connection:
    """At revision 126, with rows."""
    up_url(blank_database_url, "126")
    blank.execute(
        "INSERT INTO tasks (type, status) SELECT 'x', 'queued' FROM generate_series(1, 50)"
    )
    return blank


def claimed(conn: Connection) -> int:
    return conn.execute("SELECT FROM tasks_claim('queue', 'w', 5)").rowcount


def test_up_down_and_up_again(filled: Connection, blank_database_url: str) -> None:
    assert claimed(filled) == 5
    up_url(blank_database_url, "127")
    assert indexes(filled) == NEW
    assert claimed(filled) == 5
    down(blank_database_url, "126")
    assert indexes(filled) == dict.fromkeys(NEW, (True, False))
    assert claimed(filled) == 5
    up_url(blank_database_url, "127")
    assert indexes(filled) == NEW


@pytest.mark.parametrize("stage", ["built", "dropped", "renamed"])
def test_it_goes_on_where_it_was_interrupted(
    filled: Connection, blank_database_url: str, stage: str
) -> None:
    new = f"{OLD} AND concurrency_key IS NULL"
    filled.execute(f"CREATE INDEX ix_tasks_claim_queue_next ON tasks {new}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    if stage != "built":
        filled.execute("DROP INDEX ix_tasks_claim_queue")
    if stage == "renamed":
        filled.execute("ALTER INDEX ix_tasks_claim_queue_next RENAME TO ix_tasks_claim_queue")
    up_url(blank_database_url, "127")
    assert indexes(filled) == NEW
    assert claimed(filled) == 5


def test_an_empty_table_needs_no_preparation(blank: Connection, blank_database_url: str) -> None:
    up_url(blank_database_url, "127")
    assert indexes(blank) == NEW
