"""Dead rows, broken indexes and a late vacuum are found, and mended where that is safe."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from seedcore.config import Loaded
from seedcore.config.settings import Settings
from seedcore.doctor import Finding, Limits, examine, storage

Conn = psycopg.Connection[dict[str, Any]]

SMALL = Limits(dead_warn=100, index_size_least=0, index_entry_warn=100.0, vacuum_lag_warn=0.5)


def churn(conn: Conn, rows: int = 500) -> None:
    """Leave two dead rows for each live one, with nobody to remove them."""
    conn.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
    conn.execute(
        "INSERT INTO tasks (type, status) SELECT 'echo', 'completed' FROM generate_series(1, %s)",
        [rows],
    )
    for _ in range(2):
        conn.execute("UPDATE tasks SET error = repeat('x', 200)")
    conn.execute("SELECT pg_stat_force_next_flush()")


def faults(found: Any) -> list[Finding]:
    return [f for f in found if f.status in ("warn", "fail")]


def test_dead_rows_are_counted_and_vacuumed_away(conn: Conn, settings: Settings) -> None:
    churn(conn)
    (finding,) = faults(storage.bloat(conn, Limits(dead_warn=100)))
    assert finding.status == "fail"
    assert finding.evidence["dead"] >= 900
    assert finding.evidence["index_bytes_per_row"] > 0
    assert "VACUUM (ANALYZE) tasks" in (finding.hint or "")
    found = list(examine(Loaded(settings), only=("bloat",), fix=True, limits=Limits(dead_warn=100)))
    assert [f.repaired for f in found if f.repaired] == ['VACUUM (ANALYZE) "public"."tasks"']
    assert faults(found) == []


def test_an_index_too_large_for_its_entries_is_named(conn: Conn) -> None:
    churn(conn)
    conn.execute("DELETE FROM tasks")
    conn.execute("VACUUM tasks")
    names = [
        f.evidence["name"] for f in faults(storage.bloat(conn, SMALL)) if "entries" in f.evidence
    ]
    assert "tasks_pkey" in names


def test_autovacuum_switched_off_is_a_fault(conn: Conn) -> None:
    conn.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
    (finding,) = faults(storage.autovacuum(conn))
    assert (finding.status, finding.evidence["name"]) == ("fail", "tasks")
    conn.execute("ALTER TABLE tasks RESET (autovacuum_enabled)")
    assert faults(storage.autovacuum(conn)) == []


def test_a_late_vacuum_is_told_by_its_own_threshold(conn: Conn) -> None:
    churn(conn)
    # On again for the check; its naptime of a minute keeps it from coming in between.
    conn.execute("ALTER TABLE tasks SET (autovacuum_enabled = on)")
    (finding,) = faults(storage.autovacuum(conn, SMALL))
    assert "last vacuumed: never" in finding.detail
    assert finding.evidence["due_at"] >= 1000


def test_a_failed_build_is_found_and_rebuilt(conn: Conn, settings: Settings) -> None:
    conn.execute("INSERT INTO tasks (type, domain) VALUES ('a', 'twice'), ('b', 'twice')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("CREATE UNIQUE INDEX CONCURRENTLY ux_by_hand ON tasks (domain)")
    (finding,) = faults(storage.indexes(conn))
    assert (finding.status, finding.evidence["name"]) == ("fail", "ux_by_hand")
    # What broke the build still breaks the repair, which says so and leaves its own remains behind.
    stuck = list(examine(Loaded(settings), only=("indexes",), fix=True))
    assert "could not be repaired" in stuck[0].detail
    names = {f.evidence["name"]: f for f in faults(storage.indexes(conn))}
    assert names["ux_by_hand_ccnew"].status == "warn"
    assert "DROP INDEX CONCURRENTLY ux_by_hand_ccnew" in (names["ux_by_hand_ccnew"].hint or "")
    conn.execute("DELETE FROM tasks WHERE type = 'b'")
    mended = list(examine(Loaded(settings), only=("indexes",), fix=True))
    assert len([f for f in mended if f.repaired]) == 2
    assert faults(mended) == []
    row = conn.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ux_by_hand'::regclass"
    ).fetchone()
    assert row == {"indisvalid": True}
