"""What is known about the database in force, and waiting until it is as wanted."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Literal

import psycopg

from seedcore.config import home
from seedcore.config.settings import Settings
from seedcore.db.address import parts
from seedcore.db.connection import configured, connect, is_embedded
from seedcore.db.embedded import EmbeddedServer
from seedcore.db.errors import translated
from seedcore.db.migrate.schema import ensure_migrated
from seedcore.errors import Unavailable, WaitTimeout

Goal = Literal["ready", "migrated", "writable"]

_FACTS = """
SELECT current_setting('server_version') AS version,
       current_setting('port')::int AS port,
       current_database() AS database,
       extract(epoch FROM now() - pg_postmaster_start_time())::float8 AS uptime_s,
       pg_database_size(current_database()) AS size_bytes,
       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections,
       (SELECT coalesce(array_agg(extname || ' ' || extversion ORDER BY extname), '{}')
        FROM pg_extension WHERE extname <> 'plpgsql') AS extensions,
       to_regclass('public.alembic_version') IS NOT NULL AS has_revision
"""


def server(settings: Settings) -> EmbeddedServer:
    """Return the embedded server of the home folder in force."""
    return EmbeddedServer(home(settings))


def overview(settings: Settings) -> dict[str, Any]:
    """Return the state of the database in force; nothing is started.

    Raises:
        ConfigError: The settings can't be used.
    """
    row: dict[str, Any] = dict.fromkeys(
        (
            *("running", "state", "embedded", "pid", "uptime_s", "version", "host", "port"),
            *("database", "size_bytes", "extensions", "connections", "schema_revision"),
            *("data_dir", "reason"),
        )
    )
    text = configured(settings)
    row |= {"running": False, "embedded": text is None}
    if text is None:
        embedded = server(settings)
        status = embedded.status()
        row |= {"state": status.state, "pid": status.pid, "data_dir": str(status.data_dir)}
        row["version"] = status.major
        if not status.is_running:
            return row
        text = embedded.conninfo()
    else:
        row["state"] = "unreachable"
    row["host"] = parts(text).get("host")
    try:
        row |= _facts(dataclasses.replace(settings, database_url=text))
    except Unavailable as error:
        return row | {"reason": error.message}
    return row | {"running": True, "state": "ready"}


def _facts(settings: Settings) -> dict[str, Any]:
    with connect(settings, application_name="seedcore db status") as conn, translated():
        row = dict(_one(conn, _FACTS))
        if row.pop("has_revision"):
            found = conn.execute("SELECT version_num FROM public.alembic_version").fetchone()
            row["schema_revision"] = found["version_num"] if found else None
    return row


def wait(settings: Settings, goal: Goal, *, timeout_s: float) -> None:
    """Wait until the database takes connections, has our schema, or can be written.

    Args:
        settings: The settings; an embedded server is started.
        goal: `ready`, `migrated` or `writable`.
        timeout_s: How long, in seconds.

    Raises:
        WaitTimeout: Not yet; the message says what was missing at last.
        ConfigError: No waiting helps.
    """
    end = time.monotonic() + timeout_s
    pause = 0.1
    while True:
        try:
            if is_embedded(settings):
                server(settings).ensure_running(wait_s=max(0.0, end - time.monotonic()))
            missing = _missing(settings, goal)
        except Unavailable as error:
            missing = error.message
        if missing is None:
            return
        left = end - time.monotonic()
        if left <= 0:
            raise WaitTimeout(
                f"the database is not {goal} after {timeout_s:g} s: {missing}",
                code="db.wait_timeout",
                hint="seedcore migrate up" if goal == "migrated" else "seedcore db status",
            )
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 1.0)


def _missing(settings: Settings, goal: Goal) -> str | None:
    """Return what the goal lacks, or None when it is reached."""
    with connect(settings, application_name="seedcore db wait") as conn, translated():
        if goal == "migrated":
            ensure_migrated(conn)
        elif goal == "writable":
            row = _one(
                conn,
                "SELECT pg_is_in_recovery() AS is_standby,"
                " current_setting('default_transaction_read_only')::bool AS is_read_only",
            )
            if row["is_standby"]:
                return "it is a standby"
            if row["is_read_only"]:
                return "it is read-only"
    return None


def _one(conn: psycopg.Connection[Any], query: Any) -> dict[str, Any]:
    row: dict[str, Any] | None = conn.execute(query).fetchone()
    assert row is not None  # noqa: S101 - a query without FROM has one row
    return row
