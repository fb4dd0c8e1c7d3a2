"""Vectors are written in bulk, once, and never compared across encoders."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pytest

from seedcore.embed import encoders
from seedcore.embed.hashing import HashEncoder
from seedcore.embed.model import EncoderFault, EncoderIdentity
from seedcore.embed.store import write_vectors
from seedcore.errors import Conflict, NotFound

HASHES = [f"{n:064x}" for n in range(3)]


@pytest.fixture
def nodes(conn: psycopg.Connection[Any]) -> list[int]:
    rows = conn.execute(
        "SELECT node_id FROM ensure_nodes('skill', ARRAY['dig', 'fly', 'swim'])"
    ).fetchall()
    return [row["node_id"] for row in rows]


def stored(conn: psycopg.Connection[Any]) -> list[Any]:
    return conn.execute(
        "SELECT node_id, encoder_id, emb::text AS emb, content_sha256, props, xmin::text AS written,"
        " xmax::text AS locked FROM graph_embeddings_1024 ORDER BY encoder_id, node_id"
    ).fetchall()


def test_unchanged_content_writes_nothing(conn: psycopg.Connection[Any], nodes: list[int]) -> None:
    encoder = HashEncoder()
    kept = encoders.ensure(conn, encoder.identity)
    vectors = encoder.encode(["dig a hole", "fly a kite", "swim a mile"])
    assert write_vectors(conn, kept, "default", nodes, vectors, HASHES) == 3
    before = stored(conn)
    assert np.allclose([float(x) for x in before[0]["emb"][1:-1].split(",")], vectors[0])
    assert write_vectors(conn, kept, "default", nodes, vectors, HASHES) == 0
    assert write_vectors(conn, kept, "default", nodes, vectors, HASHES, again=True) == 0
    assert stored(conn) == before, "not even a row lock"
    changed = [HASHES[0], "f" * 64, HASHES[2]]
    props = [None, '{"name": "fly"}', None]
    assert write_vectors(conn, kept, "default", nodes, vectors, changed, props=props) == 1
    after = stored(conn)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert after[1]["props"] == {"name": "fly"}


def test_without_hashes_the_vectors_are_compared(
    conn: psycopg.Connection[Any], nodes: list[int]
) -> None:
    kept = encoders.ensure(conn, EncoderIdentity(name="mine", native_dim=4))
    vectors = np.eye(4, dtype=np.float32)[:3]
    with conn.transaction():  # two writes inside one transaction of the caller
        assert write_vectors(conn, kept, "default", nodes, vectors) == 3
        assert write_vectors(conn, kept, "default", [*nodes[:2], 999_999], vectors) == 0
    assert write_vectors(conn, kept, "default", nodes, vectors[[0, 2, 2]]) == 1


@pytest.mark.parametrize(
    ("vectors", "code"),
    [
        (np.zeros((3, 4)), "embed.zero_vector"),
        (np.full((3, 4), np.nan), "embed.not_finite"),
        (np.ones((3, 5)), "embed.dimension_mismatch"),
    ],
)
def test_a_bad_vector_leaves_nothing_behind(
    conn: psycopg.Connection[Any], nodes: list[int], vectors: Any, code: str
) -> None:
    kept = encoders.ensure(conn, EncoderIdentity(name="mine", native_dim=4))
    with pytest.raises(EncoderFault) as caught:
        write_vectors(conn, kept, "default", nodes, vectors)
    assert caught.value.code == code
    assert stored(conn) == []


def test_the_first_encoder_serves_and_the_next_is_prepared(conn: psycopg.Connection[Any]) -> None:
    first = encoders.ensure(conn, HashEncoder().identity)
    weights = b"fitted"
    identity = EncoderIdentity(name="lsa", version=1, native_dim=64)
    second = encoders.ensure(conn, identity, weights)
    assert (first.state, second.state) == ("serving", "preparing")
    assert encoders.load_weights(conn, second) == weights
    assert encoders.serve(conn, second)
    assert not encoders.serve(conn, second)
    assert encoders.serving(conn, "text", 1024) == encoders.find(conn, "lsa-v1", 1024)
    assert encoders.get(conn, "hash-v1", 1024).state == "retired"
    graph = encoders.ensure(
        conn, EncoderIdentity(name="graph-mean", version=1, kind="graph", dim=128, native_dim=128)
    )
    assert graph.state == "serving"


def test_an_encoder_is_what_it_was(conn: psycopg.Connection[Any]) -> None:
    identity = EncoderIdentity(name="lsa", version=1, native_dim=64)
    encoders.ensure(conn, identity, b"fitted")
    with pytest.raises(Conflict, match="other weights"):
        encoders.ensure(conn, identity, b"otherwise")
    with pytest.raises(Conflict, match="64 dimensions, not"):
        encoders.ensure(conn, EncoderIdentity(name="lsa", version=1, native_dim=65))
    with pytest.raises(NotFound, match="known: lsa-v1"):
        encoders.get(conn, "word2vec", 1024)
