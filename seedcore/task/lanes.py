"""Lanes: holding claims back, and letting them go on."""

from __future__ import annotations

from typing import Any

import psycopg

from seedcore.task.store import Row, fetch, queries


def pause_lane(
    conn: psycopg.Connection[Any], lane: str, *, actor: str, reason: str | None = None
) -> None:
    """Let claims of a lane return nothing; what runs goes on.

    Raises:
        NotFound: There is no such lane.
    """
    fetch(conn, queries.pause_lane, {"lane": lane, "actor": actor, "reason": reason})


def resume_lane(conn: psycopg.Connection[Any], lane: str, *, actor: str) -> None:
    """Let claims of a lane return tasks again, and wake the waiting workers.

    Raises:
        NotFound: There is no such lane.
    """
    fetch(conn, queries.resume_lane, {"lane": lane, "actor": actor})


def lanes(conn: psycopg.Connection[Any]) -> list[Row]:
    """Return the lanes by status: paused or not, how many tasks, how many due, since when."""
    return fetch(conn, queries.lanes)
