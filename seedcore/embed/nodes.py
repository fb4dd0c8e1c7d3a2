"""Find the node of an entity by what people type, and its vector."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from seedcore.db.id_prefix import LEAST_DIGITS, id_range
from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.embed.encoders import queries
from seedcore.embed.model import StoredEncoder, Vectors, parsed
from seedcore.embed.store import table_of
from seedcore.errors import NotFound, UsageError

_NO_UUID = "00000000-0000-0000-0000-000000000000"


def find_node(conn: psycopg.Connection[Any], text: str) -> Row:
    """Return node_id, node_type and id of an entity.

    Args:
        conn: Any connection.
        text: Its id or the first digits of it, its name, or `kind:id`.

    Raises:
        NotFound: There is none.
        UsageError: Several fit.
    """
    kind, separator, rest = text.partition(":")
    name, node_type = (rest, kind) if separator and kind.isidentifier() else (text, None)
    given = id_range(name)
    if given is None or len(name.replace("-", "")) < LEAST_DIGITS:
        given = (_NO_UUID, _NO_UUID)
    low, high = given
    parameters = {"node_type": node_type, "id": name, "low": low, "high": high}
    rows = fetch(conn, queries.node_of, parameters)
    if not rows:
        raise NotFound(
            f'there is no node of "{text}"',
            code="embed.node_not_found",
            hint="give the id of a task or fact, or kind:id; tasks have a node once they are embedded",
        )
    if len(rows) > 1:
        some = ", ".join(f"{row['node_type']}:{row['id']}" for row in rows)
        raise UsageError(f'"{text}" fits several: {some}', code="embed.ambiguous_node")
    return rows[0]


def vector_of(conn: psycopg.Connection[Any], encoder: StoredEncoder, node: Row) -> Vectors:
    """Return a node's vector by one encoder, shape (dim,).

    Raises:
        NotFound: It has none.
    """
    statement = sql.SQL(queries.vector_of).format(table=table_of(encoder.identity.dim))
    parameters = {"node_id": node["node_id"], "encoder_id": encoder.encoder_id}
    row = fetch_one(conn, statement, parameters)
    if row is None:
        raise NotFound(
            f"{node['node_type']} {node['id']} has no vector by {encoder.identity.model}",
            code="embed.no_vector",
            hint=f"seedcore embed {'facts' if node['node_type'] == 'fact' else 'tasks'}",
        )
    return parsed(row["emb"])
