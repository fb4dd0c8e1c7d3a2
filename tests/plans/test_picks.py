"""Claims of restricted lanes and of keys read what they take, however much waits behind it.

By `ix_tasks_claim_domain` from domain to domain, by `ix_tasks_claim_keyed` from key to key, counting by
`ix_tasks_running_key`; the statistics say that the table is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from seedcore.task import lanes
from tests.plans.test_claim import counted

Conn = psycopg.Connection[dict[str, Any]]

FILL = """
-- Half has no key: one domain has nearly all of it, a hundred have one each. The other half has keys: one
-- has nearly all of it, five hundred have two each.
INSERT INTO tasks (id, type, status, priority, domain, concurrency_key)
SELECT gen_random_uuid(), 'echo', 'queued', 5 + n % 2,
       CASE WHEN n <= 50000 THEN CASE WHEN n <= 100 THEN 'd' || n ELSE 'big' END END,
       CASE WHEN n > 50000 THEN CASE WHEN n <= 51000 THEN 'k' || n / 2 ELSE 'big' END END
FROM generate_series(1, 100000) AS n
"""


@pytest.fixture(scope="module")
def filled_url(plans_url: str) -> str:
    with psycopg.connect(plans_url, autocommit=True, row_factory=dict_row) as conn:
        conn.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
        conn.execute("ANALYZE tasks")
        conn.execute(FILL)
        assert lanes.ensure_turns_index(conn)
        assert not lanes.ensure_turns_index(conn)
    return plans_url


@pytest.fixture
def filled(filled_url: str) -> Iterator[Conn]:
    """The filled database; what a test does to it is taken back."""
    with (
        psycopg.connect(filled_url, autocommit=True, row_factory=dict_row) as conn,
        conn.transaction(force_rollback=True),
    ):
        yield conn


def picked(conn: Conn, call: str) -> list[Any]:
    row = conn.execute(f"SELECT {call} AS ids".encode()).fetchone()
    assert row is not None
    return row["ids"]


def test_a_paused_backlog_is_not_read(filled: Conn) -> None:
    lanes.pause_lane(filled, "queue", domain="big", actor="ann")
    with counted(filled) as read:
        ids = picked(filled, "tasks_pick_in_turns('queue', 100, NULL, NULL, '{}')")
    assert len(ids) == 100
    assert (read["seq_scan"], read["seq_tup_read"]) == (0, 0)
    assert read["idx_tup_fetch"] < 1000


def test_turns_read_what_they_take(filled: Conn) -> None:
    lanes.set_fair(filled, "queue", True, actor="ann")
    with counted(filled) as read:
        ids = picked(filled, "tasks_pick_in_turns('queue', 400, NULL, NULL, '{}')")
    assert len(ids) == 400
    assert (read["seq_scan"], read["seq_tup_read"]) == (0, 0)
    assert read["idx_tup_fetch"] < 2000


def test_a_lane_s_limit_keeps_the_claim_s_order(filled: Conn) -> None:
    lanes.limit_lane(filled, "queue", concurrency=100_000, actor="ann")
    with counted(filled) as read:
        ids = picked(filled, "tasks_pick_restricted('queue', 100)")
    assert len(ids) == 100
    assert read["seq_scan"] == 0
    assert read["idx_tup_fetch"] < 1500


def test_keys_are_walked_not_their_rows(filled: Conn) -> None:
    with counted(filled) as read:
        ids = picked(filled, "tasks_pick_keyed('queue', 100)")
    assert len(ids) == 100
    assert (read["seq_scan"], read["seq_tup_read"]) == (0, 0)
    assert read["idx_tup_fetch"] < 1000


def test_a_busy_key_s_backlog_is_not_read(filled: Conn) -> None:
    filled.execute("DELETE FROM tasks WHERE concurrency_key <> 'big'")
    filled.execute(
        "UPDATE tasks SET status = 'running', owner_id = 'w' WHERE id = ("
        " SELECT id FROM tasks WHERE concurrency_key = 'big' LIMIT 1)"
    )
    with counted(filled) as read:
        assert picked(filled, "tasks_pick_keyed('queue', 100)") == []
    assert read["seq_scan"] == 0
    assert read["idx_tup_fetch"] < 10


def test_ageing_reads_the_oldest_first(filled: Conn) -> None:
    filled.execute("UPDATE tasks SET created_at = now() - interval '1 hour' WHERE domain <> 'big'")
    with counted(filled) as read:
        row = filled.execute("SELECT tasks_age(60, 50) AS n").fetchone()
    assert row == {"n": 50}
    assert read["seq_scan"] == 0
    assert read["idx_tup_fetch"] < 500


def test_ageing_reads_of_those_with_a_key_only_what_it_raises(filled: Conn) -> None:
    # Fifty thousand have not waited for long, and of those that have nearly all have been raised for it.
    filled.execute(
        "INSERT INTO tasks (id, type, status, priority, aged, concurrency_key, created_at)"
        " SELECT gen_random_uuid(), 'echo', 'queued', 5, n, 'k' || n, now() - a * interval '1 s'"
        " FROM (VALUES (0, 70, 2), (1, 90, 2000)) AS v (n, a, times), generate_series(1, v.times)"
    )
    filled.execute("DELETE FROM tasks WHERE domain <> 'big'")
    with counted(filled) as read:
        row = filled.execute("SELECT tasks_age(60, 50) AS n").fetchone()
    assert row == {"n": 2}
    assert read["seq_scan"] == 0
    assert read["idx_tup_fetch"] < 100
