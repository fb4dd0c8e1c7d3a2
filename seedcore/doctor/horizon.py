"""Who keeps dead rows from being removed: the oldest transaction, prepared one, slot or standby.

Every claim steps over the dead rows of tasks that ended, until VACUUM has removed them; and VACUUM removes
nothing that the oldest snapshot of the database could still see.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from seedcore.db.sql import Queries
from seedcore.doctor.finding import (
    LIMITS,
    Finding,
    Limits,
    Row,
    Status,
    duration,
    grade,
    psql,
    size,
    worst,
)
from seedcore.task.store import fetch

queries = Queries("seedcore.doctor")


def check(conn: psycopg.Connection[Any], limits: Limits = LIMITS) -> Iterator[Finding]:
    """Yield one finding per holder that is too old, or one that says who is the oldest.

    Args:
        conn: A connection in autocommit.
        limits: From where on it matters.
    """
    sessions = fetch(conn, queries.transactions)
    found = [
        *_sessions(conn, sessions, limits),
        *_prepared(fetch(conn, queries.prepared), limits),
        *_slots(fetch(conn, queries.slots), limits),
        *_standbys(fetch(conn, queries.standbys), limits),
    ]
    yield from found
    if not any(f.status in ("warn", "fail") for f in found):
        seen = [s for s in sessions if s["seconds"] is not None]
        oldest = seen[0] if seen else None
        detail = (
            "nothing holds the horizon"
            if oldest is None
            else f"the oldest transaction is {duration(oldest['seconds'])} old ({_who(oldest)})"
        )
        yield Finding("horizon", "ok", detail, {"sessions": len(sessions)})


def _sessions(
    conn: psycopg.Connection[Any], sessions: list[Row], limits: Limits
) -> Iterator[Finding]:
    seen = [s for s in sessions if s["seconds"] is not None]
    if seen:
        oldest = seen[0]
        status = worst(
            grade(oldest["seconds"], limits.transaction_warn, limits.transaction_fail),
            _by_age(oldest, limits),
        )
        if status != "ok":
            others = sum(1 for s in seen[1:] if s["seconds"] >= limits.transaction_warn)
            yield Finding(
                "horizon",
                status,
                f"a transaction has been open for {duration(oldest['seconds'])}, {oldest['state']}: "
                f"{_who(oldest)}" + (f"; {others} more are too old" if others else ""),
                {**oldest, "others": others},
                hint=psql(f"SELECT pg_terminate_backend({oldest['pid']})"),
            )
    hidden = [s for s in sessions if s["seconds"] is None]
    if not hidden:
        return
    deepest = max(hidden, key=lambda s: s["age_xids"])
    (role,) = fetch(conn, queries.role)
    status = _by_age(deepest, limits)
    yield Finding(
        "horizon",
        "skip" if status == "ok" else status,
        f"{len(hidden)} sessions of other roles hold a snapshot, the oldest for {deepest['age_xids']} "
        f"transactions ({_who(deepest)}); since when, this role may not see",
        {**deepest, "sessions": len(hidden)},
        hint=f"as a superuser: GRANT pg_read_all_stats TO {role['role']}",
    )


def _prepared(rows: list[Row], limits: Limits) -> Iterator[Finding]:
    for row in rows[:1]:
        status = worst(
            grade(row["seconds"], limits.transaction_warn, limits.transaction_fail),
            _by_age(row, limits),
        )
        if status != "ok":
            gid = str(row["gid"]).replace("'", "''")
            yield Finding(
                "horizon",
                status,
                f"the transaction {row['gid']!r} was prepared {duration(row['seconds'])} ago by "
                f"{row['role']}, and neither committed nor rolled back",
                {**row, "prepared": len(rows)},
                hint=psql(f"ROLLBACK PREPARED '{gid}'"),
            )


def _slots(rows: list[Row], limits: Limits) -> Iterator[Finding]:
    for row in rows:
        held = row["age_xids"] is not None
        status = _by_age(row, limits) if held else "ok"
        idle = not row["active"] and (row["inactive_s"] or 0) >= limits.transaction_warn
        if held and idle:
            status = worst(status, "warn")
        wal = row["wal_bytes"] or 0
        if row["wal_status"] in ("unreserved", "lost") or wal >= limits.slot_wal_warn:
            status = worst(status, "warn")
        if status == "ok":
            continue
        since = "" if row["inactive_s"] is None else f" for {duration(row['inactive_s'])}"
        keeps = f"keeps rows of the last {row['age_xids']} transactions and " if held else "keeps "
        yield Finding(
            "horizon",
            status,
            f"the {row['kind']} replication slot {row['slot']} {keeps}{size(wal)} of WAL; "
            + (f"pid {row['pid']} reads it" if row["active"] else f"nobody reads it{since}"),
            row,
            hint=psql(
                f"SELECT pg_terminate_backend({row['pid']})"
                if row["active"]
                else f"SELECT pg_drop_replication_slot('{row['slot']}')"
            ),
        )


def _standbys(rows: list[Row], limits: Limits) -> Iterator[Finding]:
    for row in rows[:1]:
        status = _by_age(row, limits)
        if status != "ok":
            yield Finding(
                "horizon",
                status,
                f"a query on the standby {row['application_name']} ({row['client'] or 'local'}) holds "
                f"rows of the last {row['age_xids']} transactions by hot_standby_feedback",
                row,
                hint="on the standby: end the query, or set hot_standby_feedback = off",
            )


def _by_age(row: Row, limits: Limits) -> Status:
    return grade(row["age_xids"] or 0, limits.horizon_xids_warn, limits.horizon_xids_fail)


def _who(row: Row) -> str:
    name = row["application_name"] or "unnamed"
    return f"pid {row['pid']}, {name}, role {row['role']}, from {row['client'] or 'local'}"
