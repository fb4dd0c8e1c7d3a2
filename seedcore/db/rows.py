"""Run one named statement and get its rows, whatever row factory the connection has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from seedcore.db.errors import translated

Row = dict[str, Any]
Statement = LiteralString | sql.Composed


def fetch(
    conn: psycopg.Connection[Any], statement: Statement, parameters: Mapping[str, Any] | None = None
) -> list[Row]:
    """Run one statement and return its rows.

    Raises:
        SeedcoreError: The database refused or failed.
    """
    with translated(), conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, parameters).fetchall()


def fetch_one(
    conn: psycopg.Connection[Any], statement: Statement, parameters: Mapping[str, Any] | None = None
) -> Row | None:
    """Run one statement and return its first row, or None.

    Raises:
        SeedcoreError: As `fetch`.
    """
    rows = fetch(conn, statement, parameters)
    return rows[0] if rows else None
