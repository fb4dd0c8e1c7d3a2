"""The server itself: settings, connections, clock, notification queue, extension."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg

from seedcore.db.sql import Queries
from seedcore.doctor.finding import LIMITS, Finding, Limits, Row, duration, grade, psql
from seedcore.task.store import fetch

queries = Queries("seedcore.doctor")

Conn = psycopg.Connection[Any]

_CLOCK_ROUNDS = 5
_OLDEST_VECTOR = (0, 8)
"""From here on filtered searches go on until they have enough rows."""


def settings(conn: Conn) -> Iterator[Finding]:
    """Yield settings of the server that cost data or stop the queue, or one finding that says "fine".

    Args:
        conn: A connection in autocommit.
    """
    found = {row["name"]: row for row in fetch(conn, queries.settings)}
    (recovery,) = fetch(conn, queries.recovery)
    wrong = list(_wrong_settings(found))
    if recovery["is_standby"]:
        wrong.append(
            Finding(
                "settings",
                "fail",
                "the server is a standby and takes no writes",
                recovery,
                hint="point SEEDCORE_DATABASE_URL at the primary, or add target_session_attrs=read-write",
            )
        )
    yield from wrong
    if not wrong:
        values = {name: row["setting"] for name, row in found.items()}
        yield Finding("settings", "ok", "commits are durable and writes are taken", values)


def _wrong_settings(found: dict[str, Row]) -> Iterator[Finding]:
    def is_set(name: str, *values: str) -> bool:
        return name in found and found[name]["setting"] in values

    for name, danger in (
        ("fsync", "a crash of the machine can destroy the database"),
        ("full_page_writes", "a crash in the middle of a page can destroy it"),
    ):
        if is_set(name, "off"):
            yield Finding(
                "settings",
                "fail",
                f"{name} is off: {danger}",
                found[name],
                hint=f"as a superuser: ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()",
            )
    for name in ("zero_damaged_pages", "ignore_checksum_failure"):
        if is_set(name, "on"):
            yield Finding(
                "settings",
                "fail",
                f"{name} is on: damaged pages pass for empty ones",
                found[name],
                hint=f"as a superuser: ALTER SYSTEM RESET {name}; SELECT pg_reload_conf()",
            )
    if is_set("default_transaction_read_only", "on"):
        yield Finding(
            "settings",
            "fail",
            "default_transaction_read_only is on: nothing can be submitted or claimed",
            found["default_transaction_read_only"],
            hint=psql("ALTER ROLE CURRENT_USER RESET default_transaction_read_only"),
        )
    if is_set("synchronous_commit", "off"):
        yield Finding(
            "settings",
            "warn",
            "synchronous_commit is off: a crash of the server loses up to the last 0.6 s of commits, so a "
            "submitted task can vanish and a finished one run again",
            found["synchronous_commit"],
            hint="keep it if you chose it; else: seedcore db tune default --synchronous-commit on",
        )


def connections(conn: Conn, limits: Limits = LIMITS) -> Iterator[Finding]:
    """Yield how many more sessions the server takes.

    Args:
        conn: A connection in autocommit.
        limits: From where on it matters.
    """
    (row,) = fetch(conn, queries.connections)
    scopes = [("the server", row["used"], row["most"] - row["reserved"])]
    if row["database_limit"] >= 0:
        scopes.append(("this database", row["here"], row["database_limit"]))
    if row["role_limit"] >= 0:
        scopes.append(("this role", row["of_role"], row["role_limit"]))
    scope, used, most = max(scopes, key=lambda s: s[1] / max(s[2], 1))
    status = grade(used / max(most, 1), limits.connections_warn, limits.connections_fail)
    yield Finding(
        "connections",
        status,
        f"{used} of {most} connections of {scope} are in use",
        row,
        hint=None
        if status == "ok"
        else "run fewer workers or put a pooler in front (seedcore worker queue --no-listen), "
        "or raise max_connections",
    )


def clock(
    conn: Conn, limits: Limits = LIMITS, *, now: Callable[[], float] = time.time
) -> Iterator[Finding]:
    """Yield how far this machine's clock is from the database's, known within half a round trip.

    Args:
        conn: A connection in autocommit.
        limits: From where on it matters.
        now: This machine's clock, in seconds since 1970.
    """
    best: tuple[float, float] | None = None
    for _ in range(_CLOCK_ROUNDS):
        before = now()
        (row,) = fetch(conn, queries.clock)
        after = now()
        trip = max(after - before, 0.0)
        skew = row["at"].timestamp() - (before + after) / 2
        if best is None or trip < best[1]:
            best = skew, trip
    skew, trip = best or (0.0, 0.0)
    # What the round trip leaves open is no skew.
    status = grade(max(abs(skew) - trip / 2, 0.0), limits.skew_warn, limits.skew_fail)
    side = "behind" if skew > 0 else "ahead of"
    yield Finding(
        "clock",
        status,
        f"this machine's clock is {abs(skew):.3f} s {side} the database's (known within {trip / 2:.4f} s)"
        if status == "ok"
        else f"this machine's clock is {duration(abs(skew))} {side} the database's",
        {
            "skew_s": round(skew, 6),
            "uncertainty_s": round(trip / 2, 6),
            "round_trip_s": round(trip, 6),
            "host": datetime.fromtimestamp(now(), UTC),
        },
        hint=None
        if status == "ok"
        else "the queue goes by the database's clock alone, but logs and --since do not: timedatectl status",
    )


def notifications(conn: Conn, limits: Limits = LIMITS) -> Iterator[Finding]:
    """Yield how full the notification queue is; when it is full, submits fail.

    Args:
        conn: A connection in autocommit.
        limits: From where on it matters.
    """
    (row,) = fetch(conn, queries.notifications)
    status = grade(row["usage"], limits.notify_warn, limits.notify_fail)
    if status == "ok":
        yield Finding("notifications", "ok", f"{row['usage']:.2%} of the queue is in use", row)
        return
    sessions = [s for s in fetch(conn, queries.transactions) if s["seconds"] is not None]
    oldest = sessions[0] if sessions else None
    hint = "end the session that listens inside an open transaction: " + psql(
        "SELECT pid, state, xact_start FROM pg_stat_activity ORDER BY xact_start"
    )
    if oldest is not None:
        hint = psql(f"SELECT pg_terminate_backend({oldest['pid']})")
    yield Finding(
        "notifications",
        status,
        f"{row['usage']:.2%} of the notification queue is in use: a listener inside an open transaction "
        "holds it up" + (f", most likely pid {oldest['pid']}" if oldest else ""),
        {**row, "oldest": oldest},
        hint=hint,
    )


def vector(conn: Conn) -> Iterator[Finding]:
    """Yield whether the vector extension is there, and new enough.

    Args:
        conn: A connection in autocommit.
    """
    (row,) = fetch(conn, queries.vector)
    installed, available = row["installed"], row["available"]
    if installed is None:
        yield Finding(
            "pgvector",
            "fail",
            "the extension vector is not installed in this database"
            + ("" if available else ", and not at hand on the server"),
            row,
            hint=f"as a superuser: {psql('CREATE EXTENSION vector')}"
            if available
            else "install pgvector on the server",
        )
        return
    if _version(installed) < _OLDEST_VECTOR:
        detail = f"vector {installed} is older than 0.8: filtered searches may return too few rows"
    elif available is not None and _version(available) > _version(installed):
        detail = f"vector {installed} is installed, and the server has {available}"
    else:
        yield Finding("pgvector", "ok", f"vector {installed}", row)
        return
    update = psql("ALTER EXTENSION vector UPDATE")
    yield Finding("pgvector", "warn", detail, row, hint=f"as a superuser: {update}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
