"""The engine's plans hold whatever the statistics say: right index, rows in proportion to the limit."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from tests.integration.task.worker import Row, Worker

Conn = psycopg.Connection[dict[str, Any]]

BACKLOG = 100_000


def fill(conn: Conn) -> None:
    """A backlog over four priorities, as many finished rows, and urgent ones of the future."""
    conn.execute(
        "INSERT INTO tasks (id, type, status, priority, params)"
        " SELECT gen_random_uuid(), 'echo', 'queued', n %% 4, '{}' FROM generate_series(1, %s) AS n",
        [BACKLOG],
    )
    conn.execute(
        "INSERT INTO tasks (type, status, finished_at)"
        " SELECT 'echo', 'completed', now() FROM generate_series(1, %s)",
        [BACKLOG // 2],
    )
    conn.execute(
        "INSERT INTO tasks (type, status, priority, run_after)"
        " SELECT 'echo', 'retry', 10, now() + interval '1 hour' FROM generate_series(1, %s)",
        [BACKLOG // 2],
    )


@pytest.fixture(scope="module", params=["lying", "fresh"])
def filled_url(request: pytest.FixtureRequest, plans_url: str) -> str:
    """A database filled after its table was analysed as empty, or analysed when full."""
    with psycopg.connect(plans_url, autocommit=True, row_factory=dict_row) as conn:
        conn.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
        if request.param == "lying":
            conn.execute("ANALYZE tasks")
        fill(conn)
        if request.param == "fresh":
            conn.execute("ANALYZE tasks")
    return plans_url


@pytest.fixture
def filled(filled_url: str) -> Iterator[Conn]:
    """The filled database; what a test does to it is taken back."""
    with (
        psycopg.connect(filled_url, autocommit=True, row_factory=dict_row) as conn,
        conn.transaction(force_rollback=True),
    ):
        yield conn


def claim_text(conn: Conn) -> tuple[str, dict[str, str]]:
    """The function's own query for the unfiltered queue lane, and its SET clauses."""
    row = conn.execute(
        "SELECT prosrc, proconfig FROM pg_proc WHERE proname = 'tasks_claim'"
    ).fetchone()
    assert row is not None
    found = re.search(r"v_ids := ARRAY\((.*?)\);", row["prosrc"], re.DOTALL)
    assert found is not None
    settings = dict(entry.split("=", 1) for entry in row["proconfig"])
    text = found[1]
    for place, name in enumerate(("p_limit", "v_now", "v_at", "v_id"), start=1):
        text = text.replace(name, f"${place}")
    return text, settings


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def explain_claim(conn: Conn, floor: Row | None = None) -> tuple[list[dict[str, Any]], int]:
    """Return the nodes of a claim of 100, as it really ran, and the pages that it read.

    With a row, it begins behind that one in the row's priority.
    """
    text, settings = claim_text(conn)
    at, id_ = ["-infinity"] * 11, ["00000000-0000-0000-0000-000000000000"] * 11
    if floor is not None:
        at[floor["priority"]] = str(floor["run_after"] or floor["created_at"])
        id_[floor["priority"]] = str(floor["id"])
    with conn.transaction():
        for name, value in settings.items():
            conn.execute("SELECT set_config(%s, %s, true)", [name, value])
        conn.execute(f"PREPARE claim(int, timestamptz, timestamptz[], uuid[]) AS {text}")  # pyright: ignore[reportArgumentType, reportCallIssue]
        arrays = [
            sql.Literal("{" + ",".join(f'"{x}"' for x in values) + "}") for values in (at, id_)
        ]
        explained = conn.execute(
            sql.SQL(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE claim(100, clock_timestamp(), {}, {})"
            ).format(*arrays)
        ).fetchone()
        assert explained is not None
        (document,) = explained["QUERY PLAN"]
        conn.execute("DEALLOCATE claim")
    plan = document["Plan"]
    return list(nodes(plan)), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def test_a_claim_reads_only_what_it_takes(filled: Conn) -> None:
    found, pages = explain_claim(filled)
    scans = [node for node in found if node.get("Relation Name") == "tasks"]
    assert [node["Node Type"] for node in scans] == ["Index Scan"]
    assert scans[0]["Index Name"] == "ix_tasks_claim_queue"
    assert scans[0]["Actual Rows"] * scans[0]["Actual Loops"] <= 100
    assert "Sort" not in {node["Node Type"] for node in found}
    assert pages < 1000


def test_a_claim_from_a_floor_passes_over_the_dead(filled_url: str) -> None:
    """While an old snapshot keeps 20,000 finished rows in the index, before the floor."""
    with psycopg.connect(filled_url, autocommit=True, row_factory=dict_row) as conn:
        conn.execute(
            "INSERT INTO tasks (type, status, priority)"
            " SELECT 'echo', 'queued', 9 FROM generate_series(1, 20200)"
        )
        with psycopg.connect(filled_url) as old:
            old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT FROM queue_lanes")
            worker = Worker(conn)
            rows = worker.claim(20_000)
            worker.complete(*(row["id"] for row in rows))
            from_the_beginning, all_pages = explain_claim(conn)
            found, pages = explain_claim(conn, rows[-1])
        conn.execute("DELETE FROM tasks WHERE priority = 9")
        conn.execute("VACUUM tasks")
    for plan in (from_the_beginning, found):
        (scan,) = [node for node in plan if node.get("Relation Name") == "tasks"]
        assert scan["Index Name"] == "ix_tasks_claim_queue"
        assert scan["Actual Rows"] * scan["Actual Loops"] == 100
        assert "ROW(" in scan["Index Cond"]
    assert all_pages > 10_000
    assert pages < 1000


@contextmanager
def counted(conn: Conn) -> Iterator[dict[str, int]]:
    """What is read and written in `tasks` inside the block."""

    def counters() -> dict[str, int]:
        row = conn.execute(
            "SELECT seq_scan, seq_tup_read, idx_tup_fetch, n_tup_upd FROM pg_stat_xact_user_tables"
            " WHERE relname = 'tasks'"
        ).fetchone()
        assert row is not None
        return row

    before = counters()
    read: dict[str, int] = {}
    yield read
    read |= {name: value - before[name] for name, value in counters().items()}


def test_each_call_touches_rows_in_proportion_to_its_batch(filled: Conn) -> None:
    """As the functions really run, which an EXPLAIN of their text can't show."""
    worker = Worker(filled)
    with counted(filled) as read:
        rows = worker.claim(100)
        ids = [row["id"] for row in rows]
        assert len(ids) == 100
        assert all(renewed for renewed, _ in worker.renew(*ids).values())
        assert worker.complete(*ids[:50]) == set(ids[:50])
        assert len(worker.fail(*ids[50:80])) == 30
        assert len(worker.give_back(*ids[80:])) == 20
    assert (read["seq_scan"], read["seq_tup_read"]) == (0, 0)
    assert read["n_tup_upd"] == 300
    assert read["idx_tup_fetch"] <= 1000


def test_the_limit_holds_for_every_batch(filled: Conn) -> None:
    worker = Worker(filled)
    for limit in (1, 7, 8, 100, 1000, 1):
        assert len(worker.claim(limit)) == limit


def test_a_filtered_claim_keeps_the_index(filled: Conn) -> None:
    worker = Worker(filled)
    with counted(filled) as read:
        assert len(worker.claim(50, types=["echo", "other"])) == 50
    assert read["seq_scan"] == 0
    assert read["idx_tup_fetch"] <= 500


def test_the_reaper_finds_running_rows_by_index(filled: Conn) -> None:
    worker = Worker(filled)
    worker.claim(100, lease_s=-1)
    with counted(filled) as read:
        row = filled.execute("SELECT tasks_reap_expired() AS n").fetchone()
    assert row == {"n": 100}
    assert read["seq_scan"] == 0
    assert read["idx_tup_fetch"] <= 1000


def test_the_time_per_task_does_not_grow_with_the_batch(filled: Conn) -> None:
    """A join of two batches without a hash would make 1,000 tasks a hundred times dearer than 100."""
    worker = Worker(filled)

    def per_task(batch: int, rounds: int) -> float:
        best = float("inf")
        for _ in range(rounds):
            started = time.perf_counter()
            ids = [row["id"] for row in worker.claim(batch)]
            assert worker.complete(*ids) == set(ids)
            best = min(best, time.perf_counter() - started)
        return best / batch

    small, middle, large = per_task(8, 20), per_task(100, 10), per_task(1000, 5)
    # It would be 12 and 10 times dearer; what else the machine does must not matter.
    assert middle < 4 * small
    assert large < 5 * middle


def test_the_indexes_are_those_of_the_design(conn: Conn) -> None:
    """Each one costs every status change; a new one needs a reason and a line here."""
    rows = conn.execute(
        "SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indrelid = 'tasks'::regclass"
    ).fetchall()
    assert {row["name"] for row in rows} == {
        "tasks_pkey",
        "ix_tasks_status_runafter",
        "ix_tasks_created_at_desc",
        "ix_tasks_type",
        "ix_tasks_domain",
        "ix_tasks_params_gin",
        "ix_tasks_claim_queue",
        "ix_tasks_claim_graph",
        "ix_tasks_expires",
        "ix_tasks_key_ended",
        "ux_tasks_idempotency_key",
        # Partial: tasks without a concurrency key pay nothing.
        "ix_tasks_claim_keyed",
        "ix_tasks_age_keyed",
        "ix_tasks_running_key",
        # Partial but for the BRIN one: tasks without a snapshot or media pay next to nothing.
        "idx_tasks_snapshot_id",
        "idx_tasks_snapshot_status",
        "idx_tasks_multimodal_fast",
    }


def test_the_settings_of_the_engine_leave_nothing_behind(conn: Conn) -> None:
    names = ("enable_seqscan", "enable_sort", "plan_cache_mode", "search_path", "jit")
    query = "SELECT name, setting FROM pg_settings WHERE name = ANY (%s) ORDER BY name"
    before = conn.execute(query, [list(names)]).fetchall()
    worker = Worker(conn)
    with conn.transaction():
        worker.claim(5)
        worker.complete()
        assert conn.execute(query, [list(names)]).fetchall() == before
