"""Write vectors of graph nodes: binary COPY into a staging table, then one upsert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from seedcore.db.errors import translated
from seedcore.embed.encoders import queries
from seedcore.embed.model import (
    EncoderFault,
    StoredEncoder,
    Vectors,
    check_dim,
    check_vectors,
    padded,
)

__all__ = ["binary_rows", "table_of", "write_vectors"]

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"


def table_of(dim: int) -> sql.Identifier:
    """Return the table that keeps vectors of so many dimensions."""
    return sql.Identifier(f"graph_embeddings_{check_dim(dim)}")


def write_vectors(
    conn: psycopg.Connection[Any],
    encoder: StoredEncoder,
    label: str,
    node_ids: Sequence[int] | npt.NDArray[np.int64],
    vectors: Vectors,
    hashes: Sequence[str] | None = None,
    *,
    props: Sequence[str | None] | None = None,
    again: bool = False,
) -> int:
    """Store the vectors of nodes, in one transaction; what is stored already is not written again.

    Args:
        conn: In autocommit, or inside a transaction.
        encoder: What made them.
        label: What of the node they stand for, such as `task.primary`.
        node_ids: The nodes, each once; nodes that don't exist any more are passed over.
        vectors: Shape (n, native_dim); filled up with zeros to the stored dimensions.
        hashes: SHA-256 of what was embedded, in hexadecimal digits. A row whose hash is stored already is
            left alone; without hashes, the vectors are compared.
        props: JSON objects to keep beside the vectors; None keeps what is there.
        again: Compare vectors also where the hash is the same.

    Returns:
        How many rows were written.

    Raises:
        EncoderFault: A vector is no vector: of another width, not finite, or zero.
        SeedcoreError: The database refused or failed.
    """
    identity = encoder.identity
    nodes = np.asarray(node_ids, dtype=np.int64)
    whole = padded(check_vectors(vectors, identity.native_dim, len(nodes)), identity.dim)
    zero = ~whole.any(axis=1)
    if zero.any():
        raise EncoderFault(
            f"the vector of node {nodes[int(np.argmax(zero))]} is zero, which is like nothing",
            code="embed.zero_vector",
        )
    if len(np.unique(nodes)) != len(nodes):
        raise ValueError("a node is given twice")
    if not len(nodes):
        return 0
    parameters = {"label": label, "encoder_id": encoder.encoder_id, "again": again}
    upsert = sql.SQL(queries.upsert_vectors).format(table=table_of(identity.dim))
    with translated(), conn.transaction(), conn.cursor() as cursor:
        cursor.execute(queries.stage_vectors)
        fill = queries.fill_stage if props is None else queries.fill_stage_props
        with cursor.copy(fill) as copy:
            copy.write(binary_rows(nodes, whole, hashes, props))
        written = cursor.execute(upsert, parameters).rowcount
        # Not only at commit: the caller's transaction may write more than once.
        cursor.execute("DROP TABLE pg_temp.embed_stage")
    return written


def binary_rows(
    nodes: npt.NDArray[np.int64],
    vectors: Vectors,
    hashes: Sequence[str] | None = None,
    props: Sequence[str | None] | None = None,
) -> bytes:
    """Return rows in PostgreSQL's binary COPY format, as the staging table takes them.

    All rows have the same length unless there are props, so numpy lays them out at once. Format: the
    manual's page on COPY, "Binary Format"; a vector is its dimensions (int16), an unused int16 and the
    numbers as float4, as pgvector's `vector_send` writes it.
    """
    count, dim = vectors.shape
    layout = np.dtype(
        [
            ("fields", ">i2"),
            ("node_len", ">i4"),
            ("node", ">i8"),
            ("hash_len", ">i4"),
            *([("hash", "S64")] if hashes is not None else []),
            ("emb_len", ">i4"),
            ("dim", ">i2"),
            ("unused", ">i2"),
            ("emb", ">f4", (dim,)),
        ]
    )
    rows = np.zeros(count, dtype=layout)
    rows["fields"] = 3 if props is None else 4
    rows["node_len"] = 8
    rows["node"] = nodes
    rows["hash_len"] = -1 if hashes is None else 64
    if hashes is not None:
        rows["hash"] = np.array(hashes, dtype="S64")
    rows["emb_len"] = 4 + 4 * dim
    rows["dim"] = dim
    rows["emb"] = vectors
    if props is None:
        return _HEADER + rows.tobytes() + _TRAILER
    parts: list[bytes] = [_HEADER]
    for row, document in zip(rows, props, strict=True):
        parts.append(row.tobytes())
        if document is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            body = b"\x01" + document.encode()  # jsonb's binary form: version 1, then its text
            parts.append(len(body).to_bytes(4, "big") + body)
    parts.append(_TRAILER)
    return b"".join(parts)
