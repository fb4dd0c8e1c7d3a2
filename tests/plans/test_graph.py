"""The graph's look-ups use their indexes: backwards along edges, to and from nodes, nearest vectors.

10⁵ nodes, 10⁵ edges of each of the seventeen types; 3,000 vectors of each kind, where the choice of plan is
the same and the time to fill them bearable: benchmarks/plans.py shows it at 10⁵.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.integration.schema.graph.test_edges import EDGES
from tests.plans.test_claim import nodes

Conn = psycopg.Connection[dict[str, Any]]

TASKS, EDGE_ROWS, VECTORS = 100_000, 100_000, 3_000

UUID_OF = "('00000000-0000-0000-0000-' || lpad(({})::text, 12, '0'))::uuid"


def fill(conn: Conn) -> None:
    # Rows whose keys lead nowhere do for plans; checked one by one they would take minutes.
    conn.execute("SET session_replication_role = replica")
    conn.execute("SET maintenance_work_mem = '256MB'")
    task = UUID_OF.format("n")
    conn.execute(
        f"INSERT INTO graph_node_map (node_type, ext_table, ext_uuid)"
        f" SELECT 'task', 'tasks', {task} FROM generate_series(1, {TASKS}) AS n".encode()
    )
    for name, table in (("agent", "agent_registry"), ("organ", "organ_registry")):
        conn.execute(
            f"INSERT INTO graph_node_map (node_type, ext_table, ext_text_id)"
            f" SELECT '{name}', '{table}', n::text FROM generate_series(1, 1000) AS n".encode()
        )
    types = {
        (row["t"], row["c"]): row["k"]
        for row in conn.execute(
            "SELECT attrelid::regclass::text AS t, attname AS c, atttypid::regtype::text AS k"
            " FROM pg_attribute WHERE attnum > 0"
        )
    }
    for _, table, src, dst, _ in EDGES:
        ends = [
            UUID_OF.format(expression)
            if types[table, column] == "uuid"
            else f"({expression})::text"
            for column, expression in ((src, "50000 + n"), (dst, "1 + n * 7919 % 1000"))
        ]
        conn.execute(
            f"INSERT INTO {table} ({src}, {dst})"
            f" SELECT {ends[0]}, {ends[1]} FROM generate_series(1, {EDGE_ROWS}) AS n".encode()
        )
    # Vector indexes follow the data: built on it, not filled row by row.
    rebuilt = conn.execute(
        "SELECT pg_get_indexdef(indexrelid) AS definition, indexrelid::regclass::text AS name"
        " FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE indrelid::regclass::text LIKE 'graph_embeddings_%' AND relname LIKE '%_emb'"
    ).fetchall()
    assert len(rebuilt) == 3
    for index in rebuilt:
        conn.execute(f"DROP INDEX {index['name']}".encode())
    for dim in (128, 1024):
        conn.execute(
            f"INSERT INTO graph_embeddings_{dim} (node_id, label, emb)"
            f" SELECT n, CASE n % 2 WHEN 0 THEN 'task.primary' ELSE 'default' END,"
            f" (SELECT array_agg(sin(n * 12.9898 + x * 78.233)) FROM generate_series(1, {dim}) AS x)::vector({dim})"
            f" FROM generate_series(1, {VECTORS}) AS n".encode()
        )
    for index in rebuilt:
        conn.execute(index["definition"].encode())
    conn.execute("RESET session_replication_role")


@pytest.fixture(scope="module")
def filled(plans_url: str) -> Iterator[Conn]:
    with psycopg.Connection[dict[str, Any]].connect(
        plans_url, autocommit=True, row_factory=dict_row
    ) as conn:
        fill(conn)
        conn.execute("ANALYZE")
        yield conn


def explain(conn: Conn, query: str) -> list[dict[str, Any]]:
    row = conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}".encode()).fetchone()
    assert row is not None
    return list(nodes(cast("dict[str, Any]", row["QUERY PLAN"][0]["Plan"])))


def indexes(plan: list[dict[str, Any]]) -> set[str]:
    assert not [n["Relation Name"] for n in plan if n["Node Type"] == "Seq Scan"]
    return {n["Index Name"] for n in plan if "Index Name" in n}


@pytest.mark.parametrize(("kind", "table", "src", "dst", "rule"), EDGES)
def test_edges_are_followed_backwards_by_their_reverse_index(
    filled: Conn, kind: str, table: str, src: str, dst: str, rule: str
) -> None:
    literal = "'00000000-0000-0000-0000-000000000007'" if dst.endswith("_id") else "'7'"
    if dst in ("organ_id", "agent_id"):
        literal = "'7'"
    plan = explain(filled, f"SELECT {src} FROM {table} WHERE {dst} = {literal}")
    assert indexes(plan) == {f"idx_{table}_rev"}
    assert plan[0]["Actual Rows"] == EDGE_ROWS / 1000


def test_a_node_is_found_by_its_entity(filled: Conn) -> None:
    by_uuid = "SELECT node_id FROM graph_node_map WHERE node_type = 'task' AND ext_table = 'tasks' AND ext_uuid = "
    plan = explain(filled, f"{by_uuid} {UUID_OF.format(777)}")
    assert indexes(plan) == {"uq_graph_node_map_uuid"}
    by_name = "SELECT node_id FROM graph_node_map WHERE node_type = 'agent' AND ext_table = 'agent_registry' AND ext_text_id = '7'"
    assert indexes(explain(filled, by_name)) == {"uq_graph_node_map_text"}


def test_the_edges_of_one_node_are_found_without_reading_all(filled: Conn) -> None:
    """Both ways, through the union of seventeen."""
    for column, task in (("src_node_id", 50_777), ("dst_node_id", 777)):
        row = filled.execute(
            f"SELECT node_id FROM graph_node_map WHERE ext_uuid = {UUID_OF.format(task)}".encode()
        ).fetchone()
        assert row is not None
        plan = explain(filled, f"SELECT * FROM hgnn_edges WHERE {column} = {row['node_id']}")
        read = [
            n["Actual Rows"] * n["Actual Loops"] + n.get("Rows Removed by Filter", 0)
            for n in plan
            if "Relation Name" in n
        ]
        # Small tables that hold none of the node's kind may be read whole; the big ones are not.
        assert sum(read) < 2_000


def test_deleting_a_task_finds_its_node_by_index(filled: Conn) -> None:
    with filled.transaction(force_rollback=True):
        before = filled.execute(
            "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'graph_node_map'"
        ).fetchone()
        filled.execute(
            f"INSERT INTO tasks (id, type) SELECT {UUID_OF.format('n')}, 'echo' FROM generate_series(1, 2000) AS n".encode()
        )
        filled.execute("DELETE FROM tasks")
        after = filled.execute(
            "SELECT seq_scan, n_tup_del FROM pg_stat_xact_user_tables WHERE relname = 'graph_node_map'"
        ).fetchone()
        assert before is not None
        assert after is not None
        assert after["seq_scan"] == before["seq_scan"]
        assert after["n_tup_del"] == 2000


@pytest.mark.parametrize(
    ("index", "query"),
    [
        ("128_emb", "SELECT node_id FROM graph_embeddings_128 ORDER BY emb <=> {q} LIMIT 10"),
        (
            "1024_task_emb",
            "SELECT node_id FROM graph_embeddings_1024 WHERE label = 'task.primary' {half}",
        ),
        (
            "1024_world_emb",
            "SELECT node_id FROM graph_embeddings_1024 WHERE label <> 'task.primary' {half}",
        ),
    ],
)
def test_neighbours_are_found_by_the_vector_index(filled: Conn, index: str, query: str) -> None:
    dim = index.partition("_")[0]
    q = f"(SELECT emb FROM graph_embeddings_{dim} WHERE node_id = 8)"
    half = f"ORDER BY emb::halfvec(1024) <=> {q}::halfvec(1024) LIMIT 10"
    plan = explain(filled, query.format(q=q, half=half))
    assert f"idx_graph_embeddings_{index}" in indexes(plan)
    assert plan[0]["Actual Rows"] == 10
    assert "Sort" not in {n["Node Type"] for n in plan}


@pytest.mark.parametrize("dim", [128, 1024])
def test_vectors_are_found_by_label_and_by_encoder(filled: Conn, dim: int) -> None:
    table = f"graph_embeddings_{dim}"
    plan = explain(filled, f"SELECT node_id FROM {table} WHERE label = 'absent'")
    assert indexes(plan) == {f"idx_{table}_label"}
    plan = explain(filled, f"SELECT FROM {table} WHERE encoder_id = 77")
    assert indexes(plan) == {f"idx_{table}_encoder"}


def test_organs_by_agent_and_artifacts_by_address(filled: Conn) -> None:
    with filled.transaction(force_rollback=True):
        filled.execute("SET LOCAL session_replication_role = replica")
        filled.execute(
            "INSERT INTO organ_registry (organ_id, agent_id) SELECT n, n % 5000 FROM generate_series(1, 20000) n"
        )
        filled.execute("INSERT INTO artifact (uri) SELECT n FROM generate_series(1, 20000) n")
        filled.execute("ANALYZE organ_registry, artifact")
        plan = explain(filled, "SELECT FROM organ_registry WHERE agent_id = '7'")
        assert indexes(plan) == {"ix_organ_registry_agent_id"}
        assert indexes(explain(filled, "SELECT FROM artifact WHERE uri = '7'")) == {
            "ix_artifact_uri"
        }
