"""Lanes: holding claims back, slowing them down, letting domains take turns."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from seedcore.db.errors import translated
from seedcore.errors import Conflict
from seedcore.task.store import Row, fetch, queries

TURNS_INDEX = "ix_tasks_claim_domain"
"""Built when a lane's domains are first told apart; dropped, claims are right but slow."""


def pause_lane(
    conn: psycopg.Connection[Any],
    lane: str,
    *,
    domain: str | None = None,
    actor: str,
    reason: str | None = None,
) -> None:
    """Let claims of a lane, or of one domain of it, return nothing; what runs goes on.

    Raises:
        NotFound: There is no such lane.
    """
    parameters = {"lane": lane, "domain": domain or "", "actor": actor, "reason": reason}
    fetch(conn, queries.pause_lane, parameters)


def resume_lane(
    conn: psycopg.Connection[Any], lane: str, *, domain: str | None = None, actor: str
) -> None:
    """Let claims of a lane, or of one domain of it, return tasks again; wake the waiting workers.

    Raises:
        NotFound: There is no such lane.
        Conflict: It is not paused.
    """
    with conn.transaction():
        if not control_of(conn, lane, domain)["paused"]:
            what = f"domain {domain} of lane {lane}" if domain else f"lane {lane}"
            raise Conflict(
                f"{what} is not paused",
                code="queue.not_paused",
                hint="seedcore queue status shows what is",
            )
        fetch(conn, queries.resume_lane, {"lane": lane, "domain": domain or "", "actor": actor})


def limit_lane(
    conn: psycopg.Connection[Any],
    lane: str,
    *,
    domain: str | None = None,
    rate_per_s: float | None = None,
    burst: float | None = None,
    concurrency: int | None = None,
    actor: str,
    reason: str | None = None,
) -> None:
    """Limit what is claimed of a lane, or of one domain of it; what is None stays as it is.

    Args:
        conn: A connection.
        lane: The lane.
        domain: One domain of it; None = the whole lane.
        rate_per_s: Tasks per second, over time.
        burst: Tasks at once after a quiet time; default: those of one second, at least 1.
        concurrency: Tasks that may run at once.
        actor: Who is recorded.
        reason: Why.

    Raises:
        NotFound: There is no such lane.
        UsageError: The limit would let nothing through, or says nothing.
    """
    parameters = {
        "lane": lane,
        "domain": domain or "",
        "rate_per_s": rate_per_s,
        "burst": burst,
        "concurrency": concurrency,
        "actor": actor,
        "reason": reason,
    }
    fetch(conn, queries.limit_lane, parameters)


def unlimit_lane(
    conn: psycopg.Connection[Any], lane: str, *, domain: str | None = None, actor: str
) -> None:
    """Lift the limits of a lane, or of one domain of it, and wake the waiting workers.

    Raises:
        NotFound: There is no such lane.
        Conflict: It has no limit.
    """
    fetch(conn, queries.unlimit_lane, {"lane": lane, "domain": domain or "", "actor": actor})


def set_fair(conn: psycopg.Connection[Any], lane: str, fair: bool, *, actor: str) -> None:
    """Let the domains of a lane take turns inside each priority, or go by time alone.

    Raises:
        NotFound: There is no such lane.
    """
    fetch(conn, queries.set_fair, {"lane": lane, "fair": fair, "actor": actor})


def control_of(conn: psycopg.Connection[Any], lane: str, domain: str | None = None) -> Row:
    """Return what holds a lane, or one domain of it, back now. Inside a transaction, hold it so.

    Raises:
        NotFound: There is no such lane.
    """
    fetch(conn, queries.hold_lane, {"lane": lane})
    (row,) = fetch(conn, queries.control, {"lane": lane, "domain": domain or ""})
    return row


def changes(
    conn: psycopg.Connection[Any],
    *,
    lane: str | None = None,
    domain: str | None = None,
    schedule: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
) -> list[Row]:
    """Return what people changed of lanes, their domains and schedules, latest first.

    Args:
        conn: A connection.
        lane: Only this one.
        domain: Only this domain.
        schedule: Only the schedule of this name, which may be gone.
        since: Only from this time on.
        limit: At most so many; 0 = all.

    Raises:
        NotFound: There is no such lane.
    """
    if lane is not None:
        control_of(conn, lane)
    asked = {"lane": lane, "domain": domain, "schedule": schedule, "since": since, "limit": limit}
    return fetch(conn, queries.lane_changes, asked)


def ensure_turns_index(conn: psycopg.Connection[Any]) -> bool:
    """Build the index by which claims go from domain to domain, while writers go on.

    Args:
        conn: A connection in autocommit, outside a transaction.

    Returns:
        Whether it had to be built.
    """
    (row,) = fetch(conn, queries.turns_index)
    if row["valid"]:
        return False
    with translated():
        if row["valid"] is False:
            conn.execute(queries.drop_turns_index)
        conn.execute(queries.build_turns_index)
    return True


def described(control: Row) -> str:
    """Return what holds a lane or domain back, in words: `open`, `paused`, `10/s, 4 at once`."""
    words = ["paused"] if control["paused"] else []
    if limits := _limits(control):
        words.append(limits)
    if control["fair"] and control["domain"] is None:
        words.append("fair")
    return ", ".join(words) or "open"


def lane_status(conn: psycopg.Connection[Any], lane: str | None = None) -> list[Row]:
    """Return lanes, and the domains that are held back by themselves, by the status of their tasks.

    Args:
        conn: A connection.
        lane: Only this one; None = all.

    Raises:
        NotFound: There is no such lane.
    """
    if lane is not None:
        control_of(conn, lane)
    rows = fetch(conn, queries.lane_status, {"lane": lane})
    return [row | {"limit": _limits(row)} for row in rows]


def _limits(row: Row) -> str | None:
    words: list[str] = []
    rate = row["rate_per_s"]
    if rate is not None:
        words.append(f"{rate:g}/s" if rate >= 0.1 else f"{rate * 3600:g}/h")
    if row["concurrency"] is not None:
        words.append(f"{row['concurrency']} at once")
    return ", ".join(words) or None


def lanes(conn: psycopg.Connection[Any]) -> list[Row]:
    """Return the lanes by status: paused or not, how many tasks, how many due, since when."""
    return fetch(conn, queries.lanes)
