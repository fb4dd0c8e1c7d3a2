"""The unified memory: three tiers, what a search finds in them, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.integration.schema.database import code, row, value

Conn = psycopg.Connection[dict[str, Any]]
SEARCH = (
    "SELECT * FROM unified_cortex_semantic_search(%s::vector, %s, similarity_threshold => %s,"
    " limit_results => %s, memory_tier_filter => %s, encoder_id => %s)"
)


def vector(*values: float) -> str:
    return str([*values, *[0.0] * (1024 - len(values))])


def at(similarity: float, axis: int = 1) -> str:
    """A vector that is so similar to the first axis."""
    rest = math.sqrt(1 - similarity**2)
    return vector(similarity, *[0.0] * (axis - 1), rest)


QUERY = vector(1.0)


def search(
    conn: Conn,
    query: str = QUERY,
    snapshot: int | None = None,
    *,
    least: float | None = 0.0,
    limit: int | None = 10,
    tier: str | None = None,
    encoder: int | None = None,
) -> list[dict[str, Any]]:
    return conn.execute(SEARCH, [query, snapshot, least, limit, tier, encoder]).fetchall()


def task(conn: Conn, description: str | None = None, snapshot: int | None = None) -> UUID:
    return value(
        conn,
        "INSERT INTO tasks (type, description, params, snapshot_id)"
        """ VALUES ('echo', %s, '{"multimodal": {"scene_description": "a door"}}', %s) RETURNING id""",
        [description, snapshot],
    )


def event(conn: Conn, id_: UUID, emb: str = QUERY, modality: str = "vision") -> None:
    conn.execute(
        "INSERT INTO task_multimodal_embeddings VALUES (%s, %s, %s, 'yolo')", [id_, modality, emb]
    )


def known(conn: Conn, id_: UUID, emb: str = QUERY, encoder: int = 2) -> None:
    conn.execute(
        "INSERT INTO graph_embeddings_1024 (node_id, label, emb, encoder_id)"
        " VALUES (ensure_task_node(%s), 'task.primary', %s, %s)",
        [id_, emb, encoder],
    )


def world(
    conn: Conn, name: str, emb: str = QUERY, *, label: str = "default", snapshot: int | None = None
) -> int:
    return value(
        conn,
        "INSERT INTO graph_embeddings_1024 (node_id, label, emb, props, snapshot_id)"
        " VALUES (ensure_agent_node(%s), %s, %s, jsonb_build_object('name', %s::text), %s)"
        " RETURNING node_id",
        [name, label, emb, name, snapshot],
    )


def snapshot(conn: Conn, version: str) -> int:
    return value(
        conn,
        "INSERT INTO pkg_snapshots (version, checksum) VALUES (%s, repeat('a', 64)) RETURNING id",
        [version],
    )


def tiers(conn: Conn, id_: UUID) -> list[str]:
    rows = conn.execute(
        "SELECT memory_tier FROM v_unified_cortex_memory WHERE id = %s::text", [id_]
    ).fetchall()
    return [r["memory_tier"] for r in rows]


def test_a_task_is_in_exactly_one_of_the_first_two_tiers(conn: Conn) -> None:
    id_ = task(conn, "seen")
    assert tiers(conn, id_) == []
    event(conn, id_)
    assert tiers(conn, id_) == ["event_working"]
    assert [h["memory_tier"] for h in search(conn)] == ["event_working"]
    known(conn, id_)
    assert tiers(conn, id_) == ["knowledge_base"]
    assert [h["memory_tier"] for h in search(conn)] == ["knowledge_base"]


@pytest.mark.parametrize("state", ["preparing", "retired"])
def test_vectors_of_an_encoder_that_does_not_serve_count_for_nothing(
    conn: Conn, state: str
) -> None:
    other = value(conn, "SELECT encoder_ensure('other', 1024)")
    id_ = task(conn)
    event(conn, id_)
    known(conn, id_, encoder=other)
    conn.execute("UPDATE encoder SET state = %s WHERE encoder_id = %s", [state, other])
    assert tiers(conn, id_) == ["event_working"]
    assert [h["memory_tier"] for h in search(conn)] == ["event_working"]
    assert value(conn, "SELECT count(*) FROM tasks_missing_embeddings_1024") == 1
    # Unless they are asked for by name.
    (hit,) = search(conn, tier="knowledge_base", encoder=other)
    assert (hit["id"], hit["metadata"]["model"]) == (str(id_), "other")


def test_the_search_returns_what_the_view_shows(conn: Conn) -> None:
    happening, done = task(conn, "happening"), task(conn, "done")
    event(conn, happening)
    known(conn, done)
    world(conn, "ada")
    shown = conn.execute(
        "SELECT id, category, content, memory_tier, snapshot_id, metadata FROM v_unified_cortex_memory"
    ).fetchall()
    found = search(conn)
    assert all(math.isclose(hit.pop("similarity"), 1.0) for hit in found)
    by_tier = {hit["memory_tier"]: hit for hit in found}
    assert by_tier == {entry["memory_tier"]: entry for entry in shown}
    assert by_tier["event_working"]["content"] == "happening"
    assert by_tier["world_memory"]["content"] == "ada"
    assert {r["category"] for r in found} == {"echo", "task_graph", "default"}


def test_hits_come_best_first_down_to_the_threshold(conn: Conn) -> None:
    for similarity in (0.9, 0.5, 0.81, 0.79):
        world(conn, str(similarity), at(similarity))
    assert [h["content"] for h in search(conn, least=None)] == ["0.9", "0.81"]
    assert [h["content"] for h in search(conn, least=0.5 - 1e-6, limit=3)] == [
        "0.9",
        "0.81",
        "0.79",
    ]
    assert len(search(conn, least=-1.0)) == 4
    (hit,) = search(conn, limit=1)
    assert hit["similarity"] == pytest.approx(0.9, abs=1e-6)


def test_a_snapshot_matches_exactly_and_null_is_no_scope(conn: Conn) -> None:
    first, second = snapshot(conn, "v1"), snapshot(conn, "v2")
    for scope in (first, second, None):
        world(conn, f"agent of {scope}", snapshot=scope)
        event(conn, task(conn, f"event of {scope}", scope))
        known(conn, task(conn, f"task of {scope}", scope))
    assert len(search(conn)) == 9
    for scope in (first, second):
        hits = search(conn, snapshot=scope)
        assert len(hits) == 3
        assert {h["snapshot_id"] for h in hits} == {scope}
    assert search(conn, snapshot=first + second + 1) == []


@pytest.mark.parametrize("tier", ["event_working", "knowledge_base", "world_memory"])
def test_a_tier_can_be_asked_alone(conn: Conn, tier: str) -> None:
    event(conn, task(conn))
    known(conn, task(conn))
    world(conn, "ada")
    assert [h["memory_tier"] for h in search(conn, tier=tier)] == [tier]


def test_a_task_or_node_is_found_once_by_its_best_vector(conn: Conn) -> None:
    id_ = task(conn)
    for modality, similarity in (("vision", 0.5), ("voice", 0.9), ("sensor", 0.6), ("text", 0.2)):
        event(conn, id_, at(similarity), modality)
    for label, similarity in (("default", 0.3), ("fact.primary", 0.7), ("task.output", 0.1)):
        world(conn, "ada", at(similarity), label=label)
    hits = search(conn)
    assert [(h["memory_tier"], round(h["similarity"], 3)) for h in hits] == [
        ("event_working", 0.9), ("world_memory", 0.7),
    ]  # fmt: skip


def test_many_vectors_of_one_node_do_not_hide_the_next(conn: Conn) -> None:
    for n in range(150):
        world(conn, "loud", at(0.99), label=f"label {n}")
    for n in range(5):
        world(conn, f"quiet {n}", at(0.5))
    assert len(search(conn, limit=6)) == 6


@pytest.mark.parametrize("scale", [1e-30, 1e-7, 1.0, 6e4])
def test_similarity_is_a_number_for_vectors_and_queries_of_any_length(
    conn: Conn, scale: float
) -> None:
    name = "ada"
    world(conn, name, vector(0.6 * scale, 0.8 * scale))
    event(conn, task(conn), vector(scale))
    hits = search(conn, vector(scale), least=-1.0)
    assert [round(h["similarity"], 5) for h in hits] == [1.0, 0.6]
    assert not any(math.isnan(h["similarity"]) for h in hits)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"query": vector()}, "memory.zero_vector"),
        ({"query": None}, "memory.bad_vector"),
        ({"query": "[1,2]"}, "memory.bad_vector"),
        ({"tier": "cellar"}, "memory.unknown_tier"),
        ({"tier": ""}, "memory.unknown_tier"),
        ({"limit": 0}, "memory.bad_limit"),
        ({"least": math.nan}, "memory.bad_threshold"),
        ({"encoder": 404}, "embed.encoder_not_found"),
        ({"encoder": 1}, "embed.encoder_not_found"),
    ],
)
def test_what_makes_no_sense_is_refused(conn: Conn, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        search(conn, **arguments)
    sqlstate, detail = code(caught.value)
    assert detail == said
    assert sqlstate == ("SC404" if said.startswith("embed") else "SC422")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"emb": vector()}, "ck_task_multimodal_embeddings_norm"),
        ({"source_modality": "smell"}, "ck_task_multimodal_embeddings_modality"),
        ({"task_id": UUID(int=0)}, "task_multimodal_embeddings_task_id_fkey"),
    ],
)
def test_what_can_not_be_remembered_is_refused(
    conn: Conn, values: dict[str, Any], error: str
) -> None:
    all_ = {"task_id": task(conn), "source_modality": "text", "emb": QUERY, "model_version": "m"}
    with pytest.raises(psycopg.errors.IntegrityError) as caught:
        conn.execute(
            "INSERT INTO task_multimodal_embeddings VALUES"
            " (%(task_id)s, %(source_modality)s, %(emb)s, %(model_version)s)",
            all_ | values,
        )
    assert caught.value.diag.constraint_name == error


def test_the_settings_of_the_session_are_as_before(conn: Conn) -> None:
    conn.execute("SELECT '[1]'::vector")
    conn.execute("SET hnsw.ef_search = 77")
    with conn.transaction():
        search(conn)
        assert value(conn, "SHOW hnsw.ef_search") == "77"
        assert value(conn, "SHOW hnsw.iterative_scan") == "off"
    assert value(conn, "SHOW hnsw.ef_search") == "77"


def test_the_five_arguments_of_the_source_documents_are_enough(conn: Conn) -> None:
    world(conn, "ada")
    found = row(
        conn,
        "SELECT * FROM unified_cortex_semantic_search(%s::vector, NULL, 0.8, 10, NULL)",
        [QUERY],
    )
    assert found is not None
    assert list(found) == [
        "id", "category", "content", "memory_tier", "snapshot_id", "similarity", "metadata",
    ]  # fmt: skip


def names(hits: Sequence[dict[str, Any]]) -> list[str]:
    return [h["content"] for h in hits]


def test_a_deleted_task_leaves_no_memory(conn: Conn) -> None:
    id_ = task(conn, "gone")
    event(conn, id_)
    conn.execute("DELETE FROM tasks WHERE id = %s", [id_])
    assert names(search(conn)) == []
