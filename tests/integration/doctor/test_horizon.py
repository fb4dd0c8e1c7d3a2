"""Whoever holds the horizon is named, with the command that helps."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from seedcore.db.embedded import EmbeddedServer
from seedcore.doctor import Finding, Limits, horizon

Conn = psycopg.Connection[dict[str, Any]]

STRICT = Limits(transaction_warn=0.0)


def statement(finding: Finding) -> str:
    """The SQL inside the hint's command."""
    found = re.fullmatch(r'seedcore db psql --write -c "(.*)"', finding.hint or "")
    assert found is not None, finding.hint
    return found[1]


def wrong(conn: Conn, limits: Limits) -> list[Finding]:
    return [f for f in horizon.check(conn, limits) if f.status in ("warn", "fail")]


def test_a_quiet_database_is_fine(conn: Conn) -> None:
    (finding,) = horizon.check(conn)
    assert (finding.check, finding.status) == ("horizon", "ok")


def test_the_oldest_transaction_is_named_and_the_hint_ends_it(
    conn: Conn, database_url: str
) -> None:
    holder = psycopg.connect(make_conninfo(database_url, application_name="nightly report"))
    holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    holder.execute("SELECT 1")
    pid = holder.info.backend_pid
    (finding,) = wrong(conn, STRICT)
    assert finding.status == "warn"
    assert "idle in transaction" in finding.detail
    assert f"pid {pid}, nightly report" in finding.detail
    assert finding.evidence["pid"] == pid
    assert finding.evidence["seconds"] >= 0
    assert wrong(conn, Limits(transaction_warn=3600)) == []
    assert wrong(conn, Limits(transaction_warn=0, transaction_fail=0))[0].status == "fail"
    conn.execute(statement(finding))  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(psycopg.OperationalError):
        holder.execute("SELECT 1")
    holder.close()
    assert wrong(conn, STRICT) == []


def test_a_transaction_without_a_snapshot_holds_nothing(conn: Conn, database_url: str) -> None:
    with psycopg.connect(database_url) as idle:
        idle.execute("SELECT 1")  # READ COMMITTED: the snapshot went with the statement
        assert wrong(conn, STRICT) == []
        idle.rollback()


@pytest.fixture
def plain(conn: Conn, server_url: str, database_url: str) -> Iterator[Conn]:
    """The database seen by a role that may see nothing of others."""
    name = "seedcore_plain"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS seedcore_plain")
        admin.execute("CREATE ROLE seedcore_plain LOGIN PASSWORD 'plain'")
        try:
            url = make_conninfo(database_url, user=name, password="plain")
            with psycopg.connect(url, autocommit=True, row_factory=dict_row) as seen:
                yield seen
        finally:
            admin.execute("DROP ROLE seedcore_plain")


def test_what_a_plain_role_cannot_see_is_said_with_the_grant(
    plain: Conn, database_url: str
) -> None:
    with psycopg.connect(database_url) as holder:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute("SELECT 1")
        found = list(horizon.check(plain, STRICT))
        holder.rollback()
    skipped = [f for f in found if f.status == "skip"]
    assert len(skipped) == 1
    assert f"pid {skipped[0].evidence['pid']}" in skipped[0].detail
    assert skipped[0].hint == "as a superuser: GRANT pg_read_all_stats TO seedcore_plain"


@pytest.fixture
def other_server() -> Iterator[str]:
    """A server that allows prepared transactions; its superuser's URL."""
    folder = Path(tempfile.mkdtemp(prefix="seedcore-"))
    server = EmbeddedServer(folder, unsafe=True)
    server.layout.root.mkdir(parents=True)
    server.layout.local_conf.write_text(
        "max_prepared_transactions = 4\nwal_level = replica\nmax_wal_senders = 2\n"
    )
    try:
        server.ensure_running()
        yield server.conninfo("postgres", superuser=True)
    finally:
        server.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def test_prepared_transactions_and_slots_outlive_their_session(other_server: str) -> None:
    with psycopg.connect(other_server, autocommit=True, row_factory=dict_row) as conn:
        conn.execute("CREATE TABLE t AS SELECT 1 AS n")
        for said in ("BEGIN", "UPDATE t SET n = 2", "PREPARE TRANSACTION 'lost''one'"):
            conn.execute(said)
        conn.execute("SELECT pg_create_physical_replication_slot('left_over', true)")
        found = wrong(conn, Limits(transaction_warn=0.0, slot_wal_warn=0))
        prepared = next(f for f in found if "prepared" in f.detail)
        slot = next(f for f in found if "slot left_over" in f.detail)
        assert "nobody reads it" in slot.detail
        for finding in (prepared, slot):
            conn.execute(statement(finding))  # pyright: ignore[reportArgumentType, reportCallIssue]
        assert wrong(conn, Limits(transaction_warn=0.0, slot_wal_warn=0)) == []
