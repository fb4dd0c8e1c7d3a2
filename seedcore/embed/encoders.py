"""The encoders that the database knows: which made vectors, which answers questions."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import psycopg
from psycopg import sql

from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.db.sql import Queries
from seedcore.embed.model import EncoderIdentity, StoredEncoder
from seedcore.errors import Conflict, NotFound

queries = Queries("seedcore.embed")

_REMOVED_TOGETHER = 5_000


def encoders(conn: psycopg.Connection[Any]) -> list[Row]:
    """Return every encoder with the number of its vectors."""
    return fetch(conn, queries.encoders)


def find(conn: psycopg.Connection[Any], model: str, dim: int) -> StoredEncoder | None:
    """Return the encoder of that name, or None."""
    row = fetch_one(conn, queries.find_encoder, {"model": model, "dim": dim})
    return None if row is None else _stored(row)


def get(conn: psycopg.Connection[Any], model: str, dim: int) -> StoredEncoder:
    """Return the encoder of that name.

    Raises:
        NotFound: There is none.
    """
    found = find(conn, model, dim)
    if found is None:
        known = ", ".join(row["model"] for row in encoders(conn) if row["dim"] == dim)
        raise NotFound(
            f'there is no encoder "{model}" of {dim} dimensions; known: {known}',
            code="embed.unknown_encoder",
            hint="seedcore embed encoders",
        )
    return found


def serving(conn: psycopg.Connection[Any], kind: str, dim: int) -> StoredEncoder | None:
    """Return the encoder of a kind that answers questions, or None before the first."""
    row = fetch_one(conn, queries.serving_encoder, {"kind": kind, "dim": dim})
    return None if row is None else _stored(row)


def ensure(
    conn: psycopg.Connection[Any], identity: EncoderIdentity, weights: bytes | None = None
) -> StoredEncoder:
    """Return an encoder as it is stored; a new one serves if none of its kind does, else is prepared.

    Args:
        conn: Any connection.
        identity: What it is.
        weights: What it was fitted to, if that is kept here; its SHA-256 becomes the digest.

    Raises:
        Conflict: The same name is stored with other dimensions, or with other weights.
    """
    digest = identity.digest if weights is None else sha256(weights).hexdigest()
    found = find(conn, identity.model, identity.dim)
    if found is None:
        parameters = {
            "name": identity.name,
            "version": identity.version,
            "kind": identity.kind,
            "dim": identity.dim,
            "native_dim": identity.native_dim,
            "digest": digest,
            "weights": weights,
        }
        with translated(), conn.transaction():
            conn.execute(queries.lock_encoders)
            conn.execute(queries.add_encoder, parameters)
        found = get(conn, identity.model, identity.dim)
    stored = found.identity
    if stored.native_dim != identity.native_dim or stored.kind != identity.kind:
        raise Conflict(
            f"encoder {stored.model} is stored as {stored.kind} with {stored.native_dim} dimensions, "
            f"not as {identity.kind} with {identity.native_dim}",
            code="embed.encoder_differs",
            hint="give the other encoder a version of its own",
        )
    if digest is not None and stored.digest is not None and stored.digest != digest:
        raise Conflict(
            f"encoder {stored.model} is stored with other weights",
            code="embed.encoder_differs",
            hint="give the other weights a version of their own",
        )
    return found


def load_weights(conn: psycopg.Connection[Any], stored: StoredEncoder) -> bytes:
    """Return the weights of an encoder, whose SHA-256 the server and this function checked.

    Raises:
        Conflict: There are none, or they are damaged.
    """
    row = fetch_one(conn, queries.weights, {"encoder_id": stored.encoder_id})
    weights = None if row is None else row["weights"]
    if weights is None or sha256(weights).hexdigest() != stored.identity.digest:
        state = "has no weights" if weights is None else "has damaged weights"
        raise Conflict(
            f"encoder {stored.identity.model} {state}",
            code="embed.bad_weights",
            hint="seedcore embed fit",
        )
    return bytes(weights)


def serve(conn: psycopg.Connection[Any], stored: StoredEncoder) -> bool:
    """Let an encoder answer questions in place of the one that does; False if it did already."""
    with translated(), conn.transaction():
        conn.execute(queries.lock_encoders)
        return conn.execute(queries.serve_encoder, {"encoder_id": stored.encoder_id}).rowcount > 0


def prepare(conn: psycopg.Connection[Any], stored: StoredEncoder) -> None:
    """Take up again an encoder that was retired."""
    with translated():
        conn.execute(queries.prepare_encoder, {"encoder_id": stored.encoder_id})


def remove(conn: psycopg.Connection[Any], stored: StoredEncoder, *, dry_run: bool = False) -> Row:
    """Delete an encoder that is retired, or never served, with its vectors, in short transactions.

    Args:
        conn: A connection in autocommit.
        stored: Which.
        dry_run: Change nothing.

    Returns:
        model and vectors: how many were deleted.

    Raises:
        Conflict: It serves.
    """
    model = stored.identity.model
    if stored.state == "serving":
        raise Conflict(
            f"encoder {model} answers questions",
            code="embed.encoder_serves",
            hint="embed everything with another one first: seedcore embed tasks --encoder NAME",
        )
    parameters = {"encoder_id": stored.encoder_id, "limit": _REMOVED_TOGETHER}
    if dry_run:
        rows = [row for row in encoders(conn) if row["encoder_id"] == stored.encoder_id]
        return {"model": model, "vectors": rows[0]["vectors"] if rows else 0}
    deleted = 0
    statement = sql.SQL(queries.remove_vectors).format(
        table=sql.Identifier(f"graph_embeddings_{stored.identity.dim}")
    )
    with translated():
        while some := conn.execute(statement, parameters).rowcount:
            deleted += some
        conn.execute(queries.remove_encoder, parameters)
    return {"model": model, "vectors": deleted}


def _stored(row: Row) -> StoredEncoder:
    identity = EncoderIdentity(
        name=row["name"],
        version=row["version"],
        kind=row["kind"],
        dim=row["dim"],
        native_dim=row["native_dim"],
        digest=row["digest"],
    )
    return StoredEncoder(row["encoder_id"], identity, row["state"])
