"""The named statements of facts, and rows as they come out of them."""

from __future__ import annotations

from typing import Any

import psycopg

from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.db.sql import Queries
from seedcore.errors import NotFound

__all__ = ["Row", "fetch", "fetch_one", "queries", "snapshot_id"]

queries = Queries("seedcore.fact")


def snapshot_id(conn: psycopg.Connection[Any], name: str) -> int:
    """Return the id of a policy snapshot.

    Args:
        conn: A connection.
        name: `VERSION` in the environment of the setting `seedcore.env`, or `ENV/VERSION`.

    Raises:
        NotFound: There is none.
    """
    env, _, version = name.rpartition("/")
    row = fetch_one(conn, queries.snapshot, {"version": version, "env": env or None})
    if row is None:
        raise NotFound(f"there is no policy snapshot {name}", code="pkg.snapshot_not_found")
    return int(row["id"])
