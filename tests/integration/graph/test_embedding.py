"""Vectors of nodes: the same however many are asked for at once, of new nodes alone, and written once."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import psycopg
import pytest

from seedcore.config.settings import Settings
from seedcore.embed.graph_encoder import sample
from seedcore.embed.graph_encoder.encoders import GraphHead, unpack
from seedcore.embed.model import EncoderFault
from seedcore.errors import UsageError
from seedcore.graph.embedding import gather, service

Conn = psycopg.Connection[dict[str, Any]]

WORDS = ["ink", "paper", "press", "font", "proof", "sea", "ship", "sail", "wind", "tide"]


@pytest.fixture
def crowd(conn: Conn) -> list[int]:
    """Two groups of agents with words of their own; each works with its like, and everybody with one."""
    rng = np.random.default_rng(5)
    names = [f"agent {n:03}" for n in range(60)]
    said = [" ".join(rng.choice(WORDS[:5] if n < 30 else WORDS[5:], 3)) for n in range(60)]
    conn.execute(
        "INSERT INTO agent_registry (agent_id, display_name) SELECT * FROM unnest(%s::text[], %s::text[])",
        [names, said],
    )
    pairs = {(int(a), int(b)) for a, b in rng.integers(0, 30, (240, 2)) if a != b}
    pairs |= {(int(a) + 30, int(b) + 30) for a, b in rng.integers(0, 30, (240, 2)) if a != b}
    pairs |= {(0, n) for n in range(1, 60)}
    conn.execute(
        "INSERT INTO agent_collab_agent (src_agent, dst_agent, weight)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::real[])",
        [
            [names[a] for a, _ in sorted(pairs)],
            [names[b] for _, b in sorted(pairs)],
            [0.5 + (a + b) % 3 / 4 for a, b in sorted(pairs)],
        ],
    )
    return [row["node_id"] for row in conn.execute("SELECT node_id FROM graph_node_map ORDER BY 1")]


def vectors(conn: Conn, ready: service.Ready, nodes: list[int], **options: Any) -> dict[int, bytes]:
    parts = list(service.embed_nodes(conn, ready, nodes, label="default", **options))
    return {
        int(node): vector.tobytes()
        for part in parts
        for node, vector in zip(part.nodes, part.vectors, strict=True)
    }


@pytest.mark.parametrize("name", ["graph-mean", "graph-head"])
def test_a_vector_does_not_depend_on_the_company_it_is_made_in(
    conn: Conn, settings: Settings, crowd: list[int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "NEIGHBOUR_CAP", 20)
    monkeypatch.setattr(sample.capped, "__defaults__", (20,))  # node 0 has 59 neighbours
    if name == "graph-head":
        done = service.fit_encoder(conn, actor="ann", even_if_worse=True)
        assert done.model == "graph-head-v1"
        assert done.fitted.auc > 0.7
        again = service.fit_encoder(
            conn, actor="ann", even_if_worse=True
        )  # the same weights are no new version
        assert (again.model, again.is_new) == ("graph-head-v1", False)
    ready = service.choose(conn, settings)
    assert ready.encoder.identity.name == name
    whole = vectors(conn, ready, crowd, is_whole=True, as_of_s=2e9)
    assert whole == vectors(conn, ready, crowd, is_whole=False, as_of_s=2e9, dry_run=True)
    assert whole == vectors(
        conn, ready, crowd, is_whole=False, together=7, as_of_s=2e9, dry_run=True
    )
    stored = conn.execute(
        "SELECT node_id, emb::text, encoder_id FROM graph_embeddings_128"
    ).fetchall()
    assert {row["encoder_id"] for row in stored} == {ready.stored.encoder_id}
    found = np.array(stored[0]["emb"][1:-1].split(","), dtype=np.float32)
    assert np.allclose(
        found, np.frombuffer(whole[stored[0]["node_id"]], dtype=np.float32), atol=1e-6
    )
    assert np.linalg.norm(found) == pytest.approx(1.0)


def test_a_new_node_is_embedded_alone_and_what_is_stored_is_not_written_again(
    conn: Conn, settings: Settings, crowd: list[int]
) -> None:
    ready = service.choose(conn, settings)
    assert sum(p.written for p in service.embed_nodes(conn, ready, crowd, label="x")) == 60
    assert sum(p.written for p in service.embed_nodes(conn, ready, crowd, label="x")) == 0
    conn.execute(
        "INSERT INTO agent_registry (agent_id, display_name) VALUES ('new', 'ship sail wind')"
    )
    conn.execute(
        "INSERT INTO agent_collab_agent (src_agent, dst_agent) VALUES ('new', 'agent 040')"
    )
    missing = service.nodes_to_embed(conn, ready, label="x", only_missing=True)
    assert len(missing) == 1
    assert sum(p.written for p in service.embed_nodes(conn, ready, missing, label="x")) == 1
    near = conn.execute(
        "SELECT a.display_name AS said FROM graph_embeddings_128 AS e JOIN graph_node_map AS m USING (node_id)"
        " JOIN agent_registry AS a ON a.agent_id = m.ext_text_id WHERE m.node_id <> %(n)s"
        " ORDER BY e.emb <=> (SELECT emb FROM graph_embeddings_128 WHERE node_id = %(n)s) LIMIT 5",
        {"n": missing[0]},
    ).fetchall()
    assert not [row for row in near if "paper" in row["said"]]
    with pytest.raises(UsageError, match="k can be 0 to 4"):
        list(service.embed_nodes(conn, ready, missing, label="x", k=9))


def test_a_graph_that_teaches_nothing_is_refused(conn: Conn, crowd: list[int]) -> None:
    conn.execute("DELETE FROM agent_collab_agent WHERE src_agent > 'agent 001'")
    with pytest.raises(UsageError, match="too small to learn from"):
        service.fit_encoder(conn, actor="ann")


def test_weights_that_are_none_are_refused(
    conn: Conn, settings: Settings, crowd: list[int]
) -> None:
    service.fit_encoder(conn, actor="ann", even_if_worse=True)
    ready = service.choose(conn, settings)
    assert isinstance(ready.encoder, GraphHead)
    assert ready.model.startswith("graph-head-v1@")
    for wrong in (b"", b"PK\x03\x04 nothing"):
        with pytest.raises(EncoderFault, match="no weights of a graph encoder"):
            unpack(wrong)
    other = dataclasses.replace(settings, graph_encoder="graph-mean")
    assert service.choose(conn, other).model == "graph-mean-v1"
