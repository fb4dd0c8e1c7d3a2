"""Indexes that no other file of plans explains; and that each index is explained somewhere, or needn't be.

10⁵ rows per table. The vectors are all the same but for the search's own test: what is asked here goes by
the columns beside them, and their own indexes are dropped first, being dear to build.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.integration.schema.graph.test_edges import EDGES
from tests.plans import test_pkg, test_registry_and_outbox
from tests.plans.test_claim import nodes

Conn = psycopg.Connection[dict[str, Any]]

ROWS, VECTORS = 100_000, 3_000
UUID_OF = "('00000000-0000-0000-0000-' || lpad(({})::text, 12, '0'))::uuid"
SEVENTH = "'00000000-0000-0000-0000-000000000007'"
ID = UUID_OF.format("n")
SERIES = f"FROM generate_series(1, {ROWS}) AS n"

FILL = f"""
-- Half waits, half is over; a few fail, expire or belong to a graph.
INSERT INTO tasks (id, type, status, domain, params, priority, created_at, expires_at, finished_at,
                   idempotency_key)
SELECT {ID}, CASE WHEN n % 100 = 1 THEN 'graph' WHEN n % 1000 = 2 THEN 'rare' ELSE 'echo' END,
       CASE WHEN n % 500 = 3 THEN 'failed' WHEN n % 2 = 1 THEN 'queued' ELSE 'completed' END::taskstatus,
       CASE WHEN n % 4 = 0 THEN 'domain' || n % 200 END, jsonb_build_object('n', n % 5000), n % 4,
       now() - make_interval(secs => {ROWS} - n),
       CASE WHEN n % 4 = 1 THEN now() + make_interval(secs => n - 500) END,
       CASE WHEN n % 2 = 0 OR n % 500 = 3 THEN now() END, CASE WHEN n % 5 < 4 THEN 'key' || n END
{SERIES};

INSERT INTO graph_node_map (node_type, ext_table, ext_text_id, snapshot_id)
SELECT 'agent', 'agent_registry', n, 1 + n / 1000 {SERIES};
INSERT INTO organ_registry (organ_id, agent_id) SELECT n, n % 5000 {SERIES};
INSERT INTO artifact (uri) SELECT n {SERIES};

INSERT INTO task_events (id, task_id, at, to_status, attempts)
SELECT n, {UUID_OF.format("n % 20000")}, timestamptz '2020-01-01 00:00Z' + make_interval(mins => n), 'queued', 0
{SERIES};

INSERT INTO task_schedules (name, cron, type, enabled, next_run_at, last_task_id)
SELECT n, '* * * * *', 'echo', n % 3 > 0, now() + make_interval(secs => n - 100), CASE WHEN n % 2 = 1 THEN {ID} END
{SERIES};

INSERT INTO task_schedule_fires (schedule_id, fire_at, outcome, actor)
SELECT {UUID_OF.format("n % 200")}, now() - make_interval(mins => n), 'submitted', 'ann' {SERIES};

INSERT INTO task_proto_plan (task_id, snapshot_id)
SELECT {ID}, CASE WHEN n % 2 = 0 THEN 1 + n % 500 END {SERIES};

INSERT INTO lexical_document (kind, source_id, length, content_sha256) SELECT 'fact', {ID}, 1, n {SERIES};
INSERT INTO lexical_posting (term, doc_id, tf) SELECT 'term' || n % 5000, n, 1 {SERIES};

INSERT INTO task_router_telemetry (task_id, chosen_route, x_vector, weights, created_at)
SELECT {ID}, CASE WHEN n % 200 = 0 THEN 'hgnn' WHEN n % 4 = 1 THEN 'planner' ELSE 'fast' END,
       '[0,0,0,0,0,0]', '[0,0,0,0,0,0]', now() - make_interval(secs => n)
{SERIES};

INSERT INTO task_multimodal_embeddings (task_id, source_modality, model_version, emb)
SELECT {ID}, (ARRAY['voice', 'vision', 'sensor', 'text'])[1 + n % 4],
       CASE WHEN n % 50 = 1 THEN 'old' ELSE 'new' END, (SELECT emb FROM alike_1024)
{SERIES};
"""

OF_VECTORS = f"""
INSERT INTO graph_embeddings_{{dim}} (node_id, label, encoder_id, snapshot_id, emb)
SELECT n, CASE WHEN n % 100 = 0 THEN 'rare' WHEN n % 2 = 1 THEN 'task.primary' ELSE 'default' END,
       CASE WHEN n % 100 = 7 THEN 77 ELSE 1 END, 1 + n / 1000, (SELECT emb FROM alike_{{dim}})
{SERIES};
"""

LANE = (
    "status IN ('queued', 'retry') AND type = 'graph' AND concurrency_key IS NULL AND priority = 1"
)
DECISIONS = "SELECT count(*), avg(surprise_score) FROM task_router_telemetry"
MEDIA = "SELECT task_id FROM task_multimodal_embeddings"

QUERIES = {
    "lexical_posting_pkey": "SELECT doc_id, tf FROM lexical_posting WHERE term = 'term17'",
    "idx_lexical_posting_doc_id": "DELETE FROM lexical_posting WHERE doc_id = 17",
    "uq_lexical_document_source": (
        f"SELECT doc_id FROM lexical_document WHERE kind = 'fact' AND source_id = ({SEVENTH})::text"
    ),
    "ix_tasks_status_runafter": "SELECT * FROM tasks WHERE status = 'failed'",
    "ix_tasks_created_at_desc": "SELECT * FROM tasks ORDER BY created_at DESC LIMIT 20",
    "ix_tasks_type": "SELECT * FROM tasks WHERE type = 'rare'",
    "ix_tasks_domain": "SELECT * FROM tasks WHERE domain = 'domain100'",
    "ix_tasks_params_gin": "SELECT * FROM tasks WHERE params @> '{\"n\": 7}'",
    "ix_tasks_claim_graph": (
        f"SELECT id FROM tasks WHERE {LANE} AND coalesce(run_after, created_at) <= now()"
        " AND (expires_at IS NULL OR expires_at > now())"
        " ORDER BY coalesce(run_after, created_at), id LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED"
    ),
    "ix_tasks_expires": (
        "SELECT id, status FROM tasks WHERE expires_at <= now()"
        " AND status IN ('created', 'queued', 'retry') ORDER BY expires_at LIMIT 100"
        " FOR NO KEY UPDATE SKIP LOCKED"
    ),
    "ix_tasks_key_ended": (
        "SELECT id FROM tasks WHERE idempotency_key = 'key503'"
        " AND NOT task_holds_key(status, unique_while) ORDER BY created_at DESC, id DESC LIMIT 1"
    ),
    "ux_tasks_idempotency_key": (
        "SELECT id FROM tasks WHERE idempotency_key = 'key7' AND task_holds_key(status, unique_while)"
    ),
    "idx_graph_node_map_snapshot_id": (
        "SELECT * FROM graph_node_map WHERE snapshot_id = 7 AND node_type = 'agent'"
    ),
    "ix_organ_registry_agent_id": "SELECT * FROM organ_registry WHERE agent_id = '7'",
    "ix_artifact_uri": "SELECT * FROM artifact WHERE uri = '7'",
    # A table in parts: what is used is the index of a part.
    "ix_task_events_at": (
        "SELECT * FROM task_events WHERE at >= '2020-02-01 00:00Z' AND at < '2020-02-01 01:00Z'"
    ),
    "pk_task_events": f"SELECT * FROM task_events WHERE task_id = {SEVENTH} ORDER BY id",
    "ix_task_schedules_due": (
        "SELECT * FROM task_schedules WHERE enabled AND next_run_at <= now() ORDER BY next_run_at"
    ),
    "ix_task_schedules_last_task": f"SELECT FROM task_schedules WHERE last_task_id = {SEVENTH}",
    "pk_task_schedule_fires": (
        f"SELECT * FROM task_schedule_fires WHERE schedule_id = {SEVENTH} ORDER BY fire_at DESC LIMIT 10"
    ),
    "uq_task_schedules_name": "SELECT * FROM task_schedules WHERE name = '7'",
    "ix_task_proto_plan_snapshot_id": "SELECT * FROM task_proto_plan WHERE snapshot_id = 7",
    "uq_task_proto_plan_task": f"SELECT * FROM task_proto_plan WHERE task_id = {SEVENTH}",
    "idx_task_router_telemetry_chosen_route": f"{DECISIONS} WHERE chosen_route = 'hgnn'",
    "idx_task_multimodal_modality_model": (
        f"{MEDIA} WHERE source_modality = 'vision' AND model_version = 'old'"
    ),
    **{
        f"idx_graph_embeddings_{dim}_{column}": f"SELECT node_id FROM graph_embeddings_{dim} WHERE {condition}"
        for dim in (128, 1024)
        for column, condition in (
            ("encoder", "encoder_id = 77"),
            ("label", "label = 'rare'"),
            ("snapshot_id", "snapshot_id = 7 AND label = 'default'"),
        )
    },
}

FORWARDS = {table: src for _, table, src, _, _ in EDGES}
PAIRS = {
    "agent_collab_agent",
    "agent_member_of_organ",
    "agent_uses_model",
    "organ_governed_by_policy",
    "organ_provides_skill",
    "organ_uses_service",
}
"""Edges without a number of their own, whose key is the pair."""


def pair_index(table: str) -> str:
    return f"{table}_pkey" if table in PAIRS else f"uq_{table}"


OTHERS = {
    # Explained by what is put together from a table's name.
    *(f"idx_{table}_rev" for _, table, _, _, _ in EDGES),
    *(f"idx_graph_embeddings_{name}_emb" for name in ("128", "1024_task", "1024_world")),
    "ix_tasks_age_keyed",
    "ix_tasks_claim_queue",
}
"""Explained by test_graph, and test_claim, which names more indexes than it explains."""

ONLY_UNIQUE = {
    "uq_capability_name": "a capability's name once",
    "uq_encoder_model": "a model once per dimension; a table of a few rows",
    "uq_energy_tx_seq": "a place in the ledger's order once",
    "uq_memory_cell": "a version of a cell once",
    "uq_pkg_validation_fixtures_name": "a fixture's name once per snapshot; deleting a snapshot",
}
KEYS = {
    "what refers to the row names it": {
        *("agent_registry", "artifact", "capability", "encoder", "facts", "graph_node_map"),
        *("memory_cell", "model", "organ_registry", "pkg_policy_rules", "pkg_rollout_plans"),
        *("pkg_snapshots", "pkg_subtask_types", "policy", "service", "skill", "tasks"),
    },
    "the program names the row": {
        *("cluster_metadata", "energy_tx", "ocps_state", "pkg_deployments", "pkg_device_versions"),
        *("pkg_rollout_steps", "pkg_snapshot_artifacts", "queue_lanes", "registry_instance"),
        *("task_embedding_status", "task_multimodal_embeddings", "task_outbox", "task_schedules"),
        *("graph_embeddings_128", "graph_embeddings_1024", "task_progress", "task_retention"),
        *("lexical_document", "lexical_term", "lexical_statistics", "lexical_pending"),
    },
    "nothing but a row's identity, for replication and for people": {
        *("cluster_epoch_history", "pkg_evaluations", "pkg_promotions", "pkg_rollout_events"),
        *("pkg_rollout_gate_results", "pkg_rule_conditions", "pkg_rule_emissions"),
        *("pkg_validation_fixtures", "pkg_validation_runs", "task_proto_plan"),
        *("task_router_telemetry", *(table for table in FORWARDS if table not in PAIRS)),
    },
}
EXEMPT = {
    **ONLY_UNIQUE,
    "pk_energy_balance": "one balance per scope, which the program names",
    "pk_queue_controls": "one control per domain of a lane; a table of a few rows",
    "pk_queue_turns": "one turn per lane and kind; a table of a few rows",
    "ix_task_key_holds_key": "the few tasks that ended elsewhere while their tools run on",
    "pk_task_key_holds": "one row per such task, which its worker names",
    "queue_changes_pkey": "changes are listed in the order of their numbers",
    "pk_queue_waiters": "one row per waiting worker; a table of a few rows",
    "pk_task_waits": "one row per task with very many dependencies, which the engine names",
    **{f"{table}_pkey": reason for reason, tables in KEYS.items() for table in tables},
}
"""Indexes that no question needs but their own uniqueness or a reference's check, and why they are there."""


def fill(conn: Conn) -> None:
    # Rows whose keys lead nowhere do for plans; checked one by one they would take minutes.
    conn.execute("SET session_replication_role = replica")
    for index in conn.execute(
        "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_am a ON a.oid = c.relam"
        " WHERE a.amname = 'hnsw'"
    ).fetchall():
        conn.execute(f"DROP INDEX {index['name']}".encode())
    for dim in (128, 1024):
        conn.execute(f"CREATE TEMP TABLE alike_{dim} (emb vector({dim}))".encode())
    for table in (
        *("alike_128", "alike_1024", "graph_embeddings_128", "graph_embeddings_1024"),
        "task_multimodal_embeddings",
    ):
        # Equal numbers compress, which saves writing a gigabyte.
        conn.execute(f"ALTER TABLE {table} ALTER emb SET STORAGE extended".encode())
    for dim in (128, 1024):
        conn.execute(
            f"INSERT INTO alike_{dim} SELECT array_fill(1, ARRAY[{dim}])::vector({dim})".encode()
        )
    conn.execute(FILL.encode())
    for dim in (128, 1024):
        conn.execute(OF_VECTORS.format(dim=dim).encode())
    types = {
        (row["t"], row["c"]): row["k"]
        for row in conn.execute(
            "SELECT attrelid::regclass::text AS t, attname AS c, atttypid::regtype::text AS k"
            " FROM pg_attribute WHERE attnum > 0"
        )
    }
    for _, table, src, dst, _ in EDGES:
        ends = [
            UUID_OF.format(end) if types[table, column] == "uuid" else f"({end})::text"
            for column, end in ((src, "n / 10"), (dst, f"{ROWS} + n"))
        ]
        conn.execute(
            f"INSERT INTO {table} ({src}, {dst}) SELECT {ends[0]}, {ends[1]} {SERIES}".encode()
        )
    conn.execute("VACUUM ANALYZE")


@pytest.fixture(scope="module")
def filled(plans_url: str) -> Iterator[Conn]:
    with Conn.connect(plans_url, autocommit=True, row_factory=dict_row) as conn:
        fill(conn)
        yield conn


def explain(conn: Conn, query: str) -> tuple[set[str], list[dict[str, Any]]]:
    """Names of the indexes that the plan uses (of the whole table, where it has parts), and its steps."""
    found = conn.execute(f"EXPLAIN (FORMAT JSON) {query}".encode()).fetchone()
    assert found is not None
    plan = list(nodes(found["QUERY PLAN"][0]["Plan"]))
    rows = conn.execute(
        "SELECT coalesce(inhparent, to_regclass(name)::oid)::regclass::text AS name"
        " FROM unnest(%s::text[]) AS u (name) LEFT JOIN pg_inherits ON inhrelid = to_regclass(name)",
        [[node["Index Name"] for node in plan if "Index Name" in node]],
    )
    return {row["name"] for row in rows}, plan


@pytest.mark.parametrize("index", QUERIES)
def test_an_index_serves_its_purpose(filled: Conn, index: str) -> None:
    used, plan = explain(filled, QUERIES[index])
    assert used == {index}
    # The days to come are parts without rows, which nothing reads faster than a scan.
    for node in plan:
        if node["Node Type"] == "Seq Scan":
            assert filled.execute(
                "SELECT pg_relation_size(to_regclass(%s)) AS size", [node["Relation Name"]]
            ).fetchone() == {"size": 0}
    if "LIMIT" in QUERIES[index]:
        assert "Sort" not in {node["Node Type"] for node in plan}


@pytest.mark.parametrize("table", FORWARDS)
def test_edges_are_followed_forwards_by_the_index_of_the_pair(filled: Conn, table: str) -> None:
    (row,) = filled.execute(f"SELECT {FORWARDS[table]} AS src FROM {table} LIMIT 1".encode())
    used, plan = explain(filled, f"SELECT * FROM {table} WHERE {FORWARDS[table]} = '{row['src']}'")
    assert used == {pair_index(table)}
    assert "Seq Scan" not in {node["Node Type"] for node in plan}


def test_the_nearest_events_are_found_by_their_vector_index(conn: Conn) -> None:
    """At fewer rows, since building it on 10⁵ takes minutes: benchmarks/plans.py does that."""
    index = "idx_task_multimodal_emb_hnsw"
    row = conn.execute("SELECT pg_get_indexdef(%s::regclass) AS text", [index]).fetchone()
    assert row is not None
    conn.execute(
        f"INSERT INTO tasks (id, type) SELECT {ID}, 'echo' FROM generate_series(1, {VECTORS}) n".encode()
    )
    conn.execute(f"DROP INDEX {index}".encode())
    conn.execute(
        "INSERT INTO task_multimodal_embeddings (task_id, source_modality, model_version, emb)"
        f" SELECT {ID}, 'text', 'm', (SELECT array_agg(sin(n * 12.9898 + x * 78.233))"
        f" FROM generate_series(1, 1024) AS x)::vector(1024) FROM generate_series(1, {VECTORS}) AS n".encode()
    )
    conn.execute(row["text"].encode())
    conn.execute("ANALYZE task_multimodal_embeddings")
    used, plan = explain(
        conn,
        f"{MEDIA} ORDER BY emb::halfvec(1024) <=> (SELECT emb FROM task_multimodal_embeddings"
        f" WHERE task_id = {SEVENTH})::halfvec(1024) LIMIT 10",
    )
    assert index in used
    assert "Sort" not in {node["Node Type"] for node in plan}


def test_every_index_is_explained_or_needs_no_question(conn: Conn) -> None:
    """A new one needs a query that uses it, or a reason."""
    found = {
        row["name"]
        for row in conn.execute(
            "SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " JOIN pg_class t ON t.oid = i.indrelid"
            " WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition"
            "   AND t.relname <> 'alembic_version' AND NOT starts_with(t.relname, 'seedcore_')"
        )
    }
    # Files that name indexes without explaining them say what they explain.
    apart = {Path(__file__).name, "test_claim.py", "test_pkg.py", "test_registry_and_outbox.py"}
    others = Path(__file__).parent.glob("test_*.py")
    text = "".join(path.read_text("utf-8") for path in others if path.name not in apart)
    explained = {
        *QUERIES,
        *map(pair_index, FORWARDS),
        *OTHERS,
        *test_pkg.QUERIES,
        *test_registry_and_outbox.PURPOSES,
        *re.findall(r"\w+", text),
    }
    assert found - explained - set(EXEMPT) == set()
    # What is gone, or explained by now, is no exception.
    assert set(EXEMPT) - found == set()
    assert (
        set(EXEMPT)
        & {
            *QUERIES,
            *test_pkg.QUERIES,
            *test_registry_and_outbox.PURPOSES,
            *map(pair_index, FORWARDS),
        }
        == set()
    )
