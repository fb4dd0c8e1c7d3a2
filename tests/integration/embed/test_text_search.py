"""Search by vector: exact and by index, under filters, and never across encoders."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pytest

from seedcore.embed import encoders, search as searching
from seedcore.embed.model import EncoderIdentity, StoredEncoder
from seedcore.embed.search import Scope, described, search
from seedcore.embed.store import write_vectors
from seedcore.errors import UsageError

ROWS = 400


@pytest.fixture
def filled(conn: psycopg.Connection[Any]) -> tuple[StoredEncoder, np.ndarray]:
    """Facts of two namespaces and skills with random vectors, and another encoder's in the way."""
    conn.execute(
        "INSERT INTO facts (text, namespace) SELECT 'fact ' || i,"
        " CASE WHEN i % 100 = 0 THEN 'rare' ELSE 'usual' END FROM generate_series(1, 300) AS i"
    )
    conn.execute(
        "INSERT INTO skill (skill_name) SELECT 'skill ' || i FROM generate_series(1, 100) i"
    )
    nodes = conn.execute(
        "SELECT node_id, node_type FROM graph_node_map ORDER BY node_id"
    ).fetchall()
    vectors = np.random.default_rng(3).standard_normal((ROWS, 16)).astype(np.float32)
    mine = encoders.ensure(conn, EncoderIdentity(name="mine", native_dim=16))
    other = encoders.ensure(conn, EncoderIdentity(name="other", native_dim=16))
    for kind, label in (("fact", "fact.primary"), ("skill", "default")):
        of_kind = [i for i, node in enumerate(nodes) if node["node_type"] == kind]
        ids = [nodes[i]["node_id"] for i in of_kind]
        write_vectors(conn, mine, label, ids, vectors[of_kind])
        write_vectors(conn, other, label, ids, vectors[of_kind])
    return mine, vectors


def test_the_index_finds_what_comparing_all_finds(
    conn: psycopg.Connection[Any],
    filled: tuple[StoredEncoder, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine, vectors = filled
    k = 3
    for scope in (
        Scope(),
        Scope(kinds=["fact"]),
        Scope(namespace="rare"),
        Scope(kinds=["skill", "fact"]),
    ):
        _compare(conn, mine, vectors, scope, k)
    _by_rule(conn, mine, vectors, monkeypatch)


def _compare(
    conn: psycopg.Connection[Any],
    mine: StoredEncoder,
    vectors: np.ndarray,
    scope: Scope,
    k: int,
) -> None:
    by_rule = search(conn, mine, vectors[5], scope, k=k)
    by_index = search(conn, mine, vectors[5], scope, k=k, exact=False)
    assert by_rule.method == "exact"
    assert by_index.method == "hnsw"
    assert [hit["node_id"] for hit in by_index.hits] == [hit["node_id"] for hit in by_rule.hits]
    similarities = [hit["similarity"] for hit in by_index.hits]
    assert similarities == pytest.approx([hit["similarity"] for hit in by_rule.hits], abs=1e-7)
    assert len(by_rule.hits) == k == len({hit["node_id"] for hit in by_rule.hits})
    if scope == Scope():
        assert by_rule.hits[0]["similarity"] == pytest.approx(1)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        best = np.sort(unit @ unit[5])[::-1][:k]
        assert [hit["similarity"] for hit in by_rule.hits] == pytest.approx(best, abs=1e-6)


def _by_rule(
    conn: psycopg.Connection[Any],
    mine: StoredEncoder,
    vectors: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Above the bound the index is asked by itself."""
    monkeypatch.setattr(searching, "EXACT_CANDIDATES", 50)
    monkeypatch.setattr(searching, "EXACT_ROWS", 100)
    assert search(conn, mine, vectors[0], Scope(kinds=["fact"])).method == "hnsw"
    assert search(conn, mine, vectors[0]).method == "hnsw"
    assert search(conn, mine, vectors[0], Scope(namespace="rare")).method == "exact"
    conn.execute("ANALYZE graph_embeddings_1024")
    found = search(conn, mine, vectors[0])
    assert (found.method, found.why) == ("hnsw", "about 800 rows")
    few = search(
        conn, mine, vectors[0], Scope(namespace="usual", without=[found.hits[0]["node_id"]])
    )
    assert found.hits[0]["node_id"] not in {hit["node_id"] for hit in few.hits}
    first = described(conn, found.hits)[0]
    text = conn.execute("SELECT text FROM facts WHERE id = %s", (first["id"],)).fetchone()
    assert (first["kind"], {"text": first["text"]}) == ("fact", text)


@pytest.mark.parametrize(
    ("vector", "code"),
    [
        (np.zeros(16), "embed.zero_vector"),
        (np.full(16, np.nan), "embed.not_finite"),
        (np.ones(17), "embed.dimension_mismatch"),
    ],
)
def test_a_question_that_is_no_vector_is_refused(
    conn: psycopg.Connection[Any], vector: np.ndarray, code: str
) -> None:
    mine = encoders.ensure(conn, EncoderIdentity(name="mine", native_dim=16))
    with pytest.raises(UsageError) as caught:
        search(conn, mine, vector)
    assert caught.value.code == code
