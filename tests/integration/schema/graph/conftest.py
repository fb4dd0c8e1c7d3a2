"""Short ways of asking and of making the entities that edges tie together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

Conn = psycopg.Connection[dict[str, Any]]


def one(conn: Conn, query: str, *values: Any) -> Any:
    """Return the only column of the only row."""
    (row,) = conn.execute(query.encode(), values).fetchall()
    (value,) = row.values()
    return value


def new_task(conn: Conn) -> UUID:
    return one(conn, "INSERT INTO tasks (type, status) VALUES ('echo', 'queued') RETURNING id")


def vector(dim: int, *values: float) -> str:
    return "[" + ",".join(str(v) for v in (*values, *[0.0] * (dim - len(values)))) + "]"


@pytest.fixture
def add(conn: Conn) -> Callable[..., Any]:
    """Insert a row and return its key: `add("agent_registry", agent_id="a")`."""
    keys = {
        "artifact": "artifact_id",
        "capability": "capability_id",
        "memory_cell": "memory_cell_id",
        "facts": "id",
        "tasks": "id",
    }

    def insert(table: str, **values: Any) -> Any:
        names = sql.SQL(", ").join(map(sql.Identifier, values))
        places = sql.SQL(", ").join([sql.Placeholder()] * len(values))
        key = keys.get(table, next(iter(values)))
        row = conn.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {} AS key").format(
                sql.Identifier(table), names, places, sql.Identifier(key)
            ),
            list(values.values()),
        ).fetchone()
        assert row is not None
        return row["key"]

    return insert
