"""Settings, clock, notification queue, connections and poolers."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from seedcore.config.settings import Settings
from seedcore.db.connection import connect
from seedcore.doctor import Finding, Limits, pooler, server
from tests.pooler import TransactionPooler

Conn = psycopg.Connection[dict[str, Any]]


def by_status(found: Any) -> dict[str, Finding]:
    return {f.status: f for f in found}


def test_settings_that_lose_data_or_stop_the_queue(conn: Conn) -> None:
    # The server of the tests runs without flushes.
    details = [f.detail for f in server.settings(conn) if f.status == "fail"]
    assert any(d.startswith("fsync is off") for d in details)
    conn.execute("SET synchronous_commit = off")
    conn.execute("SET default_transaction_read_only = on")
    found = list(server.settings(conn))
    assert any(f.status == "warn" and "synchronous_commit is off" in f.detail for f in found)
    assert any(f.status == "fail" and "read_only" in f.detail for f in found)


def test_the_clock_is_compared_within_half_a_round_trip(conn: Conn) -> None:
    (fine,) = server.clock(conn)
    assert fine.status == "ok"
    assert 0 <= fine.evidence["uncertainty_s"] < 1
    (ahead,) = server.clock(conn, now=lambda: time.time() + 3600)
    assert ahead.status == "fail"
    assert "60 min ahead of the database's" in ahead.detail
    (behind,) = server.clock(conn, now=lambda: time.time() - 10)
    assert (behind.status, round(behind.evidence["skew_s"])) == ("warn", 10)


def test_a_listener_in_an_open_transaction_fills_the_queue(conn: Conn, database_url: str) -> None:
    limits = Limits(notify_warn=1e-6, notify_fail=0.9)
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN crowd")
        listener.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        listener.execute("SELECT 1")
        conn.execute(
            "SELECT pg_notify('crowd', n || repeat('x', 7000)) FROM generate_series(1, 50) n"
        )
        (finding,) = server.notifications(conn, limits)
        assert finding.status == "warn"
        assert finding.evidence["oldest"]["pid"] == listener.info.backend_pid
        assert f"pg_terminate_backend({listener.info.backend_pid})" in (finding.hint or "")
        listener.execute("ROLLBACK")


def test_connections_are_held_against_the_narrowest_limit(conn: Conn) -> None:
    (fine,) = server.connections(conn)
    assert fine.status == "ok"
    conn.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 1', current_database()); END $$"
    )
    (full,) = server.connections(conn)
    assert full.status == "fail"
    assert "of 1 connections of this database" in full.detail


def test_an_extension_that_is_there_is_fine(conn: Conn) -> None:
    (finding,) = server.vector(conn)
    assert finding.status == "ok"
    assert finding.evidence["installed"] == finding.evidence["available"]


def test_a_direct_connection_keeps_its_session(settings: Settings) -> None:
    (finding,) = pooler.check(lambda: connect(settings), listens=True)
    assert finding.status == "ok"
    assert finding.evidence["state"]
    assert finding.evidence["listens"]


def test_a_pooler_in_transaction_mode_is_recognised(database_url: str) -> None:
    with TransactionPooler(database_url) as pool:
        through = Settings(database_url=pool.url)
        (finding,) = pooler.check(lambda: connect(through), listens=True)
        assert finding.status == "warn"
        assert finding.evidence | {"backends": 1} == {
            "state": False, "prepared": False, "listens": False, "backends": 1, "port": None,
        }  # fmt: skip
        assert "--no-listen" in (finding.hint or "")
        (polling,) = pooler.check(lambda: connect(through), listens=False)
        assert polling.status == "ok"
