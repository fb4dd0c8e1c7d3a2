"""One valid row for every table that has a rule, and statements that change one value of it."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.integration.schema.database import Conn

UUID = "'11111111-1111-1111-1111-111111111111'"
OTHER_UUID = "'22222222-2222-2222-2222-222222222222'"

FILL = f"""
INSERT INTO pkg_snapshots (id, version, checksum)
VALUES (1, 'v1', repeat('a', 64)), (2, 'v2', repeat('b', 64));
INSERT INTO tasks (id, type, snapshot_id) VALUES ({UUID}, 'ping', 1), ({OTHER_UUID}, 'ping', 1);

INSERT INTO agent_registry (agent_id) VALUES ('ann'), ('bob');
INSERT INTO organ_registry (organ_id, agent_id) VALUES ('organ', 'ann');
INSERT INTO artifact (artifact_id, uri) VALUES ({UUID}, 'file:///a');
INSERT INTO capability (capability_id, name) VALUES ({UUID}, 'sing');
INSERT INTO memory_cell (memory_cell_id, scope, mkey) VALUES ({UUID}, 's', 'k');
INSERT INTO model (model_name) VALUES ('model');
INSERT INTO policy (policy_name) VALUES ('policy');
INSERT INTO service (service_name) VALUES ('service');
INSERT INTO skill (skill_name) VALUES ('skill');
INSERT INTO facts (id, text, snapshot_id) VALUES ({UUID}, 'a cat is an animal', 1);

INSERT INTO lexical_document (kind, source_id, length, content_sha256) VALUES ('fact', {UUID}, 1, '');
INSERT INTO lexical_posting (term, doc_id, tf) VALUES ('cat', 1, 1);
INSERT INTO lexical_term (term, documents) VALUES ('cat', 1);

INSERT INTO agent_collab_agent (src_agent, dst_agent) VALUES ('ann', 'bob');
INSERT INTO agent_member_of_organ (agent_id, organ_id) VALUES ('ann', 'organ');
INSERT INTO agent_owns_memory_cell (agent_id, memory_cell_id) VALUES ('ann', {UUID});
INSERT INTO agent_uses_model (agent_id, model_name) VALUES ('ann', 'model');
INSERT INTO organ_governed_by_policy (organ_id, policy_name) VALUES ('organ', 'policy');
INSERT INTO organ_provides_capability (organ_id, capability_id) VALUES ('organ', {UUID});
INSERT INTO organ_provides_skill (organ_id, skill_name) VALUES ('organ', 'skill');
INSERT INTO organ_uses_service (organ_id, service_name) VALUES ('organ', 'service');
INSERT INTO task_depends_on_task (src_task_id, dst_task_id) VALUES ({UUID}, {OTHER_UUID});
INSERT INTO task_executed_by_organ (task_id, organ_id) VALUES ({UUID}, 'organ');
INSERT INTO task_owned_by_agent (task_id, agent_id) VALUES ({UUID}, 'ann');
INSERT INTO task_produces_artifact (task_id, artifact_id) VALUES ({UUID}, {UUID});
INSERT INTO task_produces_fact (task_id, fact_id) VALUES ({UUID}, {UUID});
INSERT INTO task_reads_fact (task_id, fact_id) VALUES ({UUID}, {UUID});
INSERT INTO task_reads_memory (task_id, memory_cell_id) VALUES ({UUID}, {UUID});
INSERT INTO task_writes_memory (task_id, memory_cell_id) VALUES ({UUID}, {UUID});
INSERT INTO task_uses_capability (task_id, capability_id) VALUES ({UUID}, {UUID});

INSERT INTO graph_embeddings_128 (node_id, emb, snapshot_id)
SELECT min(node_id), array_fill(1::real, ARRAY[128])::vector, 1 FROM graph_node_map;
INSERT INTO graph_embeddings_1024 (node_id, emb, snapshot_id)
SELECT min(node_id), array_fill(1::real, ARRAY[1024])::vector, 1 FROM graph_node_map;
INSERT INTO task_multimodal_embeddings (task_id, source_modality, emb, model_version)
VALUES ({UUID}, 'text', array_fill(1::real, ARRAY[1024])::vector, 'm');
INSERT INTO task_embedding_status (task_id, space) VALUES ({UUID}, '1024');

INSERT INTO pkg_policy_rules (id, snapshot_id, rule_name, rule_source) VALUES ({UUID}, 1, 'r', '');
INSERT INTO pkg_rule_conditions (rule_id, condition_type, condition_key) VALUES ({UUID}, 'TAG', 'k');
INSERT INTO pkg_subtask_types (id, snapshot_id, name) VALUES ({UUID}, 1, 's');
INSERT INTO pkg_rule_emissions (rule_id, subtask_type_id) VALUES ({UUID}, {UUID});
INSERT INTO pkg_snapshot_artifacts (snapshot_id, artifact_type, artifact_bytes, sha256)
VALUES (1, 'source_tar', 'x', encode(sha256('x'), 'hex'));
INSERT INTO pkg_deployments (snapshot_id, target) VALUES (1, 'router');
INSERT INTO pkg_device_versions (device_id, device_type, snapshot_id) VALUES ('d', 'door', 1);
INSERT INTO pkg_evaluations (snapshot_id, target, input_digest, outcome, duration_ms)
VALUES (1, 'router', 'i', 'ok', 1);
INSERT INTO pkg_validation_fixtures (snapshot_id, name, input, expect) VALUES (1, 'f', '1', '1');
INSERT INTO pkg_validation_runs (snapshot_id) VALUES (1);
INSERT INTO pkg_rollout_plans (id, target, snapshot_id, created_by) VALUES (1, 'router', 1, 'ann');
INSERT INTO pkg_rollout_steps (plan_id, step_no, percent) VALUES (1, 1, 50);
INSERT INTO pkg_rollout_gate_results (plan_id, step_no, gate, passed) VALUES (1, 1, 'g', true);

INSERT INTO cluster_metadata (id, current_epoch) VALUES (1, {UUID}) ON CONFLICT DO NOTHING;
INSERT INTO energy_balance (scope, scope_id) VALUES ('agent', 'ann');
INSERT INTO ocps_state (domain) VALUES ('home');
INSERT INTO queue_lanes (lane) VALUES ('queue') ON CONFLICT DO NOTHING;
DELETE FROM queue_lanes WHERE lane <> 'queue';
INSERT INTO queue_controls (lane, domain, rate_per_s, burst, tokens, filled_at, concurrency)
VALUES ('queue', 'd', 1, 2, 0, now(), 1);
INSERT INTO queue_turns (lane, kind, last_taken) VALUES ('queue', 'key', 'k');
INSERT INTO seedcore_settings (name, value) VALUES ('a.setting', '1');
INSERT INTO task_outbox (task_id, event_type, payload) VALUES ({UUID}, 'e', '1');
INSERT INTO task_progress (task_id, attempt) VALUES ({UUID}, 1);
DELETE FROM task_retention WHERE name <> 'tasks';
INSERT INTO task_proto_plan (task_id, snapshot_id) VALUES ({UUID}, 1);
INSERT INTO task_router_telemetry (task_id, chosen_route, x_vector, weights)
VALUES ({UUID}, 'fast', '[1, 2, 3, 4, 5, 6]', '[1, 2, 3, 4, 5, 6]');
INSERT INTO task_schedules (name, cron, type, last_task_id) VALUES ('s', '* * * * *', 'ping', {UUID});
INSERT INTO task_schedule_fires (schedule_id, fire_at, outcome, actor)
SELECT schedule_id, now(), 'missed', 'ann' FROM task_schedules;
INSERT INTO task_waits (task_id, member_id) VALUES ({UUID}, {UUID});
"""

NEW_ROW = {
    "energy_tx": {"tx_id": "'t'", "scope": "'agent'", "delta_e": "1", "balance_after": "1"},
    "pkg_promotions": {
        "snapshot_id": "1",
        "env": "'prod'",
        "actor": "'ann'",
        "action": "'promote'",
    },
    "pkg_rollout_events": {"target": "'router'", "snapshot_id": "1", "to_percent": "1"},
    "queue_changes": {"kind": "'lane'", "lane": "'queue'", "actor": "'ann'"},
    "pkg_rollout_steps": {"plan_id": "1", "step_no": "2", "percent": "1"},
}
"""By table that takes a new row instead of an UPDATE, because it is append-only or because results
hang on its keys: such a row, valid."""


def fill(conn: Conn) -> None:
    """Give every table its row."""
    conn.execute(FILL.encode())


def statement(table: str, change: str) -> str:
    """Return what brings "column = expression, ..." into a table."""
    if table not in NEW_ROW:
        return f"UPDATE {table} SET {change}"
    column, _, expression = change.partition(" = ")
    values = NEW_ROW[table] | {column: expression}
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def outcome(conn: Conn, table: str, change: str) -> tuple[str | None, ...] | int:
    """Return which rule of which table refuses a change, or how many rows took it; undo it."""
    try:
        with conn.transaction():
            done = conn.execute(statement(table, change).encode()).rowcount
            raise psycopg.Rollback
    except psycopg.errors.IntegrityError as error:
        return type(error).__name__, error.diag.table_name, error.diag.constraint_name
    return done


def rules(conn: Conn, kind: str) -> list[dict[str, Any]]:
    """Return the constraints of a kind, without what partitions inherit."""
    return conn.execute(
        """
            SELECT k.conname AS name, r.relname AS place, k.confdeltype::text AS on_delete,
                   k.condeferrable AS deferrable, k.convalidated AS validated,
                   (SELECT jsonb_object_agg(a.attname, format_type(a.atttypid, NULL))
                    FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum = ANY (k.conkey)) AS columns
            FROM pg_constraint AS k JOIN pg_class AS r ON r.oid = k.conrelid
            WHERE k.contype = %s AND k.connamespace = 'public'::regnamespace AND NOT r.relispartition
            ORDER BY 1
        """,
        [kind],
    ).fetchall()
