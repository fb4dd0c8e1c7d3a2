"""Indexes of facts, snapshots, embedding status and memory do what they are there for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.plans.test_claim import nodes

Conn = psycopg.Connection[dict[str, Any]]

FILL = """
INSERT INTO pkg_snapshots (version, checksum)
SELECT 'v' || n, repeat('a', 64) FROM generate_series(1, 100) AS n;

INSERT INTO facts (text, tags, meta_data, namespace, subject, predicate, object_data, valid_from,
                   valid_to, snapshot_id, pkg_rule_id, validation_status, created_at)
SELECT 'word' || n % 5000 || ' is here', ARRAY['tag' || n % 5000], jsonb_build_object('k', n % 5000),
       'space' || n % 10, CASE WHEN n % 2 = 0 THEN 'subject' || n % 5000 END,
       CASE WHEN n % 2 = 0 THEN 'predicate' END, CASE WHEN n % 2 = 0 THEN to_jsonb(n % 5000) END,
       now() - interval '400 h', CASE WHEN n % 5 = 0 THEN now() + make_interval(hours => n - 300) END,
       CASE WHEN n % 4 = 0 THEN 1 + n % 100 END, CASE WHEN n % 20 = 0 THEN 'rule' || n % 2000 END,
       CASE WHEN n % 100 = 0 THEN CASE WHEN n % 1000 = 0 THEN 'pkg_validation_failed' ELSE 'pkg_validated' END END,
       now() - make_interval(mins => n)
FROM generate_series(1, 100000) AS n;

-- Snapshots follow each other in time, as tasks do; the first ones were made before there was any.
INSERT INTO tasks (id, type, status, params, snapshot_id)
SELECT gen_random_uuid(), 'echo', CASE WHEN n % 50 = 0 THEN 'queued' ELSE 'completed' END::taskstatus,
       CASE WHEN n % 200 = 0 THEN jsonb_build_object('multimodal', jsonb_build_object('camera', n % 1000))
            ELSE '{}' END,
       CASE WHEN n > 1000 THEN 1 + n / 1001 END
FROM generate_series(1, 100000) AS n;
INSERT INTO task_embedding_status (task_id, space, state, next_try_at)
SELECT t.id, s.space, CASE WHEN t.status = 'queued' THEN 'pending' ELSE 'done' END, now() - interval '1 s'
FROM tasks AS t, (VALUES ('1024')) AS s (space);

INSERT INTO graph_node_map (node_type, ext_table, ext_text_id, snapshot_id)
SELECT 'agent', 'agent_registry', n::text, 1 + n % 100 FROM generate_series(1, 20000) AS n;
"""

VECTORS = """
INSERT INTO task_multimodal_embeddings (task_id, source_modality, emb, model_version)
SELECT id, 'vision', (SELECT array_agg(sin(k * t.nth))::vector(1024) FROM generate_series(1, 1024) AS k), 'm'
FROM (SELECT id, row_number() OVER () AS nth FROM tasks LIMIT 40) AS t;
INSERT INTO graph_embeddings_1024 (node_id, label, emb, snapshot_id)
SELECT node_id, 'default', (SELECT array_agg(cos(k * n.node_id))::vector(1024) FROM generate_series(1, 1024) AS k),
       1 + node_id % 100
FROM graph_node_map AS n ORDER BY node_id LIMIT 40;
INSERT INTO graph_embeddings_1024 (node_id, label, emb)
SELECT ensure_task_node(t.id), 'task.primary',
       (SELECT array_agg(cos(k * t.nth))::vector(1024) FROM generate_series(1, 1024) AS k)
FROM (SELECT id, row_number() OVER () AS nth FROM tasks LIMIT 40 OFFSET 100) AS t;
"""


@pytest.fixture(scope="module")
def filled(plans_url: str) -> Iterator[Conn]:
    with psycopg.connect(plans_url, autocommit=True, row_factory=dict_row) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(FILL)
        conn.execute("RESET session_replication_role")
        conn.execute(VECTORS)
        for table in ("facts", "tasks", "task_embedding_status", "graph_node_map"):
            conn.execute(f"VACUUM ANALYZE {table}".encode())
        conn.execute("ANALYZE")
        yield conn


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (
            "SELECT * FROM facts WHERE to_tsvector('english', text) @@ to_tsquery('english', 'word17')",
            "idx_facts_text_fts",
        ),
        ("SELECT * FROM facts WHERE tags @> '{tag17}'", "idx_facts_tags"),
        ("SELECT * FROM facts WHERE meta_data @> '{\"k\": 17}'", "idx_facts_meta_data"),
        ("SELECT * FROM facts WHERE object_data @> '18'", "idx_facts_object_data"),
        (
            "SELECT * FROM facts_current_truth WHERE namespace = 'space8' AND subject = 'subject18'",
            "idx_facts_spo_namespace",
        ),
        (
            "SELECT * FROM facts WHERE namespace = 'space7' ORDER BY created_at DESC LIMIT 20",
            "idx_facts_created_at",
        ),
        ("SELECT count(*) FROM facts WHERE valid_to <= now()", "idx_facts_valid_to"),
        ("SELECT * FROM facts WHERE snapshot_id = 17", "idx_facts_snapshot_id"),
        ("SELECT * FROM facts WHERE pkg_rule_id = 'rule20'", "idx_facts_pkg_rule_id"),
        (
            "SELECT * FROM facts WHERE validation_status = 'pkg_validation_failed'",
            "idx_facts_validation_status",
        ),
        (
            "SELECT * FROM tasks WHERE snapshot_id = 17 AND status = 'queued'",
            "idx_tasks_snapshot_status",
        ),
        # What ON DELETE RESTRICT asks.
        ("SELECT 1 FROM tasks WHERE snapshot_id = 17 LIMIT 1", "idx_tasks_snapshot_status"),
        (
            "SELECT * FROM tasks WHERE params ? 'multimodal' AND params -> 'multimodal' @> '{\"camera\": 200}'",
            "idx_tasks_multimodal_fast",
        ),
        (
            "SELECT * FROM graph_node_map WHERE snapshot_id = 17 AND node_type = 'agent'",
            "idx_graph_node_map_snapshot_id",
        ),
        (
            (
                "SELECT * FROM task_embedding_status WHERE space = '1024' AND state IN ('pending', 'running')"
                " AND next_try_at <= now() ORDER BY next_try_at LIMIT 50"
            ),
            "ix_task_embedding_status_due",
        ),
    ],
)
def test_an_index_serves_its_question(filled: Conn, statement: str, index: str) -> None:
    explained = filled.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode()).fetchone()
    assert explained is not None
    used = {node.get("Index Name") for node in nodes(explained["QUERY PLAN"][0]["Plan"])}
    assert index in used
    assert "Seq Scan" not in {n["Node Type"] for n in nodes(explained["QUERY PLAN"][0]["Plan"])}


def test_tasks_without_a_snapshot_are_found_by_the_index_that_keeps_them(filled: Conn) -> None:
    """What pkg_enforce_snapshot_scoping() fills; ranges are its rival's, which is as ordered and exact."""
    for condition, index in (
        ("IS NULL", "idx_tasks_snapshot_id"),
        ("BETWEEN 3 AND 4", "idx_tasks_snapshot_status"),
        ("BETWEEN 3 AND 60", "idx_tasks_snapshot_status"),
    ):
        explained = filled.execute(
            f"EXPLAIN (FORMAT JSON) SELECT * FROM tasks WHERE snapshot_id {condition}".encode()
        ).fetchone()
        assert explained is not None
        used = {node.get("Index Name") for node in nodes(explained["QUERY PLAN"][0]["Plan"])}
        assert used - {None} == {index}


def scans(conn: Conn, index: str) -> int:
    row = conn.execute("SELECT pg_stat_get_xact_numscans(%s::regclass) AS n", [index]).fetchone()
    assert row is not None
    return row["n"]


@pytest.mark.parametrize(
    ("tier", "index"),
    [
        ("event_working", "idx_task_multimodal_emb_hnsw"),
        ("knowledge_base", "idx_graph_embeddings_1024_task_emb"),
        ("world_memory", "idx_graph_embeddings_1024_world_emb"),
    ],
)
def test_each_tier_is_searched_by_its_own_index(filled: Conn, tier: str, index: str) -> None:
    """As the function really runs. At so few rows the planner needs to be told not to read them all."""
    with filled.transaction(force_rollback=True):
        filled.execute("SET LOCAL enable_seqscan = off")
        filled.execute("SET LOCAL enable_sort = off")
        found = filled.execute(
            "SELECT * FROM unified_cortex_semantic_search((SELECT array_agg(cos(k))::vector(1024)"
            " FROM generate_series(1, 1024) AS k), NULL, -1, 3, %s)",
            [tier],
        ).fetchall()
        assert len(found) == 3
        assert scans(filled, index) >= 1


def test_vectors_of_one_snapshot_are_read_by_its_index(filled: Conn) -> None:
    with filled.transaction(force_rollback=True):
        filled.execute("SET LOCAL enable_seqscan = off")
        for dim in (128, 1024):
            explained = filled.execute(
                f"EXPLAIN SELECT * FROM graph_embeddings_{dim} WHERE snapshot_id = 17"
                " AND label = 'default'".encode()
            ).fetchall()
            assert f"idx_graph_embeddings_{dim}_snapshot_id" in str(explained)


def test_claiming_vectors_reads_what_it_takes(filled: Conn) -> None:
    with filled.transaction(force_rollback=True):
        taken = filled.execute("SELECT * FROM embedding_claim('1024', 'a', 50)").fetchall()
        assert len(taken) == 50
        read = filled.execute(
            "SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname = 'task_embedding_status'"
        ).fetchone()
        assert read is not None
        assert read["seq_scan"] == 0
        assert read["idx_tup_fetch"] <= 300
