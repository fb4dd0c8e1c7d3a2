"""Devices: which snapshot each says it runs, and what share of a lane runs the right one."""

from __future__ import annotations

from typing import Any

import psycopg

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.errors import UsageError
from seedcore.pkg.store import Row, fetch, queries

_MAX_NAME_CHARS = 200


def report(
    conn: psycopg.Connection[Any],
    device_id: str,
    version: str,
    *,
    device_type: str,
    region: str = "global",
    env: str = "prod",
    actor: str,
) -> Row:
    """Record what a device runs; it says so again and again, which is how it is known to live.

    A version that no snapshot of the environment has is recorded as it is: the device knows better.

    Args:
        conn: A connection in autocommit.
        device_id: Which.
        version: What it runs.
        device_type: Such as `door`; a lane `edge:door` counts it.
        region: Where it stands.
        env: Whose snapshots have that version.
        actor: Who is recorded.

    Raises:
        UsageError: A name is empty or too long.
    """
    names = {"device": device_id, "type": device_type, "region": region, "version": version}
    for what, name in names.items():
        if not name.strip() or len(name) > _MAX_NAME_CHARS or not name.isprintable():
            raise UsageError(f'"{name[:50]}" is no {what}', code="pkg.bad_device")
    with translated(), conn.transaction():
        set_actor(conn, actor)
        return fetch(conn, queries.report_device, names | {"env": env})[0]


def listed(
    conn: psycopg.Connection[Any],
    *,
    device_type: str | None = None,
    region: str | None = None,
    version: str | None = None,
    limit: int = 0,
) -> list[Row]:
    """Return devices, the most recently seen first."""
    parameters = {"type": device_type, "region": region, "version": version, "limit": limit or None}
    return fetch(conn, queries.devices, parameters)


def coverage(
    conn: psycopg.Connection[Any], *, target: str | None = None, region: str | None = None
) -> list[Row]:
    """Return, for each active lane, its devices and how many of them run its snapshot.

    Devices that were not seen within the setting `device_window_s` of the database count as stale only.

    Returns:
        Rows of target, region, version, percent, on_version, total, stale, ratio (None without devices).
    """
    return fetch(conn, queries.coverage, {"target": target, "region": region})
