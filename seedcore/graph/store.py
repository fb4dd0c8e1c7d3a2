"""The graph's statements, typed; those whose tables depend on a kind or type are composed from its words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from seedcore.db.errors import translated
from seedcore.db.rows import Row, Statement, fetch, fetch_one
from seedcore.db.sql import Queries
from seedcore.graph.model import EdgeType, Kind

queries = Queries("seedcore.graph")

Conn = psycopg.Connection[Any]

BATCH = 5000
"""Rows that a streaming cursor brings at once."""


def stream(
    conn: Conn, statement: Statement, parameters: Mapping[str, Any] | None, *, name: str
) -> Iterator[Row]:
    """Yield the rows of a statement in bounded memory, in one transaction of the caller or its own.

    Raises:
        SeedcoreError: The database refused or failed.
    """
    with ExitStack() as stack:
        stack.enter_context(translated())
        stack.enter_context(conn.transaction())
        cursor = stack.enter_context(conn.cursor(name=name, row_factory=dict_row))
        cursor.itersize = BATCH
        cursor.execute(statement, parameters)
        yield from cursor


def node_of(conn: Conn, kind: Kind, ext_id: str | UUID) -> int | None:
    """Return the node of an entity, or None when it has none."""
    statement = sql.SQL(
        "SELECT m.node_id FROM graph_node_map AS m"
        " WHERE m.node_type = %(kind)s AND m.ext_table = %(table)s AND m.{column} = %(ext_id)s"
    ).format(column=sql.Identifier(kind.column))
    found = fetch_one(conn, statement, {"kind": kind.name, "table": kind.table, "ext_id": ext_id})
    return None if found is None else found["node_id"]


def entities(conn: Conn, kind: Kind, low: UUID | str, high: UUID | str) -> list[str]:
    """Return the ids of entities between two ids, at most eleven of them, in order."""
    statement = sql.SQL(
        "SELECT e.{key}::text AS ext_id FROM {table} AS e"
        " WHERE e.{key} BETWEEN %(low)s AND %(high)s ORDER BY e.{key} LIMIT 11"
    ).format(key=sql.Identifier(kind.key), table=sql.Identifier(kind.table))
    return [row["ext_id"] for row in fetch(conn, statement, {"low": low, "high": high})]


def insert_edge(
    conn: Conn, edge: EdgeType, src: str, dst: str, weight: float | None
) -> tuple[bool, bool]:
    """Store an edge.

    Returns:
        Whether it is new, and whether the weight of one that was there changed.

    Raises:
        Conflict: An end vanished meanwhile.
    """
    names = {
        "table": sql.Identifier(edge.table),
        "src": sql.Identifier(edge.src),
        "dst": sql.Identifier(edge.dst),
    }
    given = {"src": src, "dst": dst, "weight": weight}
    if edge.has_weight and weight is not None:
        # xmax is 0 in a row that this statement inserted.
        statement = sql.SQL(
            "INSERT INTO {table} AS e ({src}, {dst}, weight) VALUES (%(src)s, %(dst)s, %(weight)s::real)"
            " ON CONFLICT ({src}, {dst}) DO UPDATE SET weight = excluded.weight"
            " WHERE e.weight IS DISTINCT FROM excluded.weight RETURNING e.xmax = 0 AS is_new"
        )
    else:
        statement = sql.SQL(
            "INSERT INTO {table} ({src}, {dst}) VALUES (%(src)s, %(dst)s)"
            " ON CONFLICT DO NOTHING RETURNING true AS is_new"
        )
    row = fetch_one(conn, statement.format(**names), given)
    return (False, False) if row is None else (row["is_new"], not row["is_new"])


def delete_edge(conn: Conn, edge: EdgeType, src: str, dst: str) -> bool:
    """Remove an edge; False when there was none."""
    statement = sql.SQL(
        "DELETE FROM {table} WHERE {src} = %(src)s AND {dst} = %(dst)s RETURNING true AS gone"
    ).format(
        table=sql.Identifier(edge.table), src=sql.Identifier(edge.src), dst=sql.Identifier(edge.dst)
    )
    return fetch_one(conn, statement, {"src": src, "dst": dst}) is not None


def edge_of(conn: Conn, edge: EdgeType, src: str, dst: str) -> Row | None:
    """Return the weight of an edge, or None when there is none."""
    statement = sql.SQL(
        "SELECT {weight} AS weight FROM {table} WHERE {src} = %(src)s AND {dst} = %(dst)s"
    ).format(
        weight=sql.SQL("weight::float8" if edge.has_weight else "1.0::float8"),
        table=sql.Identifier(edge.table),
        src=sql.Identifier(edge.src),
        dst=sql.Identifier(edge.dst),
    )
    return fetch_one(conn, statement, {"src": src, "dst": dst})


def unmapped_entities(conn: Conn, kind: Kind) -> int:
    """Count the entities of a kind that have no node."""
    statement = sql.SQL(
        "SELECT count(*) AS n FROM {table} AS e WHERE NOT EXISTS ("
        "SELECT FROM graph_node_map AS m WHERE m.node_type = %(kind)s AND m.ext_table = %(table)s"
        " AND m.{column} = e.{key})"
    ).format(
        table=sql.Identifier(kind.table),
        column=sql.Identifier(kind.column),
        key=sql.Identifier(kind.key),
    )
    return fetch(conn, statement, {"kind": kind.name, "table": kind.table})[0]["n"]


def dangling_nodes(conn: Conn, kind: Kind, *, remove: bool) -> int:
    """Count the nodes of a kind whose entity is gone; `remove` takes them away."""
    lone = sql.SQL(
        " FROM graph_node_map AS m WHERE m.node_type = %(kind)s AND NOT EXISTS ("
        "SELECT FROM {table} AS e WHERE m.ext_table = %(table)s AND e.{key} = m.{column})"
    ).format(
        table=sql.Identifier(kind.table),
        column=sql.Identifier(kind.column),
        key=sql.Identifier(kind.key),
    )
    if remove:
        statement = sql.SQL("WITH gone AS (DELETE{} RETURNING 1) SELECT count(*) AS n FROM gone")
    else:
        statement = sql.SQL("SELECT count(*) AS n{}")
    return fetch(conn, statement.format(lone), {"kind": kind.name, "table": kind.table})[0]["n"]


def ids_of(rows: Sequence[Row]) -> list[int]:
    """Return the numbers of the nodes that edges touch, each once, in order."""
    return sorted({end for row in rows for end in (row["src_node_id"], row["dst_node_id"])})
