"""Short forms for tests of the database's own functions."""

from __future__ import annotations

from typing import Any

import psycopg

Conn = psycopg.Connection[dict[str, Any]]


def row(conn: Conn, statement: Any, parameters: Any = None) -> dict[str, Any] | None:
    """Run a statement and return its first row."""
    return conn.execute(statement, parameters).fetchone()


def value(conn: Conn, statement: Any, parameters: Any = None) -> Any:
    """Run a statement and return its only value."""
    found = row(conn, statement, parameters)
    assert found is not None
    assert len(found) == 1
    return next(iter(found.values()))


def code(error: psycopg.Error) -> tuple[str | None, str | None]:
    """Return the SQLSTATE and our own code of an error that a function raised."""
    return error.sqlstate, error.diag.message_detail
