"""Each index of policy is used for what it is there for, at 10⁵ rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.plans.test_claim import nodes

Conn = psycopg.Connection[dict[str, Any]]

ROWS = 100_000

FILL = (
    (
        "INSERT INTO pkg_snapshots (version, env, checksum)"
        " SELECT 'v' || n, (ARRAY['prod', 'staging', 'dev'])[n % 3 + 1]::pkg_env, repeat('0', 64)"
        " FROM generate_series(1, 100000) AS n"
    ),
    "UPDATE pkg_snapshots SET is_active = true WHERE id = 999",
    (
        "INSERT INTO pkg_policy_rules (snapshot_id, rule_name, rule_source, priority)"
        " SELECT n % 2000 + 1, 'r' || n / 2000, '', n % 100 FROM generate_series(1, 100000) AS n"
    ),
    (
        "INSERT INTO pkg_subtask_types (snapshot_id, name)"
        " SELECT n % 2000 + 1, 't' || n / 2000 FROM generate_series(1, 100000) AS n"
    ),
    (
        "INSERT INTO pkg_rule_conditions (rule_id, condition_type, condition_key)"
        " SELECT id, 'TAG', 'k' || row_number() OVER () % 5000 FROM pkg_policy_rules"
    ),
    (
        "INSERT INTO pkg_rule_emissions (rule_id, subtask_type_id)"
        " SELECT r.id, t.id FROM (SELECT id, row_number() OVER () % 100000 AS n FROM pkg_policy_rules) r"
        " JOIN (SELECT id, row_number() OVER () - 1 AS n FROM pkg_subtask_types) t USING (n)"
    ),
    (
        "INSERT INTO pkg_deployments (snapshot_id, target, region)"
        " SELECT n % 2000 + 1, 't' || n % 1000, 'r' || n / 1000 FROM generate_series(1, 100000) AS n"
    ),
    (
        "INSERT INTO pkg_validation_runs (snapshot_id, started_at, finished_at)"
        " SELECT n % 2000 + 1, now() - n * interval '1 s', now() FROM generate_series(1, 100000) AS n"
    ),
    (
        "INSERT INTO pkg_promotions (snapshot_id, env, actor, action, created_at)"
        " SELECT n % 2000 + 1, 'prod', 'ann', 'promote', now() - n * interval '1 s'"
        " FROM generate_series(1, 100000) AS n"
    ),
    (
        "INSERT INTO pkg_device_versions (device_id, device_type, region, snapshot_id)"
        " SELECT 'd' || n, 't' || n % 50, 'r' || n % 20, n % 2000 + 1 FROM generate_series(1, 100000) AS n"
    ),
    (
        "INSERT INTO pkg_rollout_plans (target, snapshot_id, created_by, state)"
        " SELECT 't' || n % 1000, n % 2000 + 1, 'ann', 'completed' FROM generate_series(1, 100000) AS n"
    ),
    (
        "INSERT INTO pkg_rollout_plans (target, snapshot_id, created_by, state)"
        " SELECT 't' || n, n, 'ann', 'running' FROM generate_series(1, 50) AS n"
    ),
    "INSERT INTO pkg_rollout_steps (plan_id, step_no, percent) SELECT id, 1, 5 FROM pkg_rollout_plans",
    (
        "INSERT INTO pkg_rollout_gate_results (plan_id, step_no, gate, passed, measured_at)"
        " SELECT n % 1000 + 1, 1, 'g' || n % 3, true, now() - n * interval '1 s'"
        " FROM generate_series(1, 100000) AS n"
    ),
    (
        "INSERT INTO pkg_rollout_events (target, snapshot_id, to_percent, created_at)"
        " SELECT 't' || n % 1000, n % 2000 + 1, 5, now() - n * interval '1 s'"
        " FROM generate_series(1, 100000) AS n"
    ),
    (
        "INSERT INTO pkg_evaluations (snapshot_id, target, input_digest, outcome, duration_ms, input,"
        " created_at)"
        " SELECT n % 20 + 1, 't' || n % 500, '', 'ok', 1, CASE WHEN n % 100 = 0 THEN '{}'::jsonb END,"
        "        now() - (100000 - n) * interval '1 s'"
        " FROM generate_series(1, 100000) AS n"
    ),
)

QUERIES = {
    "ux_pkg_active_per_env": "SELECT id FROM pkg_snapshots WHERE env = 'prod' AND is_active",
    "uq_pkg_snapshots_version_env": "SELECT id FROM pkg_snapshots WHERE version = 'v7'",
    "ux_pkg_subtask_name_snapshot": (
        "SELECT id FROM pkg_subtask_types WHERE snapshot_id = 7 AND name = 't3'"
    ),
    "ix_pkg_policy_rules_snapshot_priority": (
        "SELECT * FROM pkg_policy_rules WHERE snapshot_id = 7 ORDER BY priority DESC LIMIT 5"
    ),
    "ix_pkg_policy_rules_rule_name": "SELECT * FROM pkg_policy_rules WHERE rule_name = 'r50'",
    "ix_pkg_rule_conditions_rule_position": (
        "SELECT * FROM pkg_rule_conditions"
        " WHERE rule_id = 'a0000000-0000-4000-8000-000000000000' ORDER BY position"
    ),
    "ix_pkg_rule_conditions_key_operator": (
        "SELECT * FROM pkg_rule_conditions WHERE condition_key = 'k7' AND operator = 'EXISTS'"
    ),
    "uq_pkg_rule_emissions": (
        "SELECT * FROM pkg_rule_emissions WHERE rule_id = 'a0000000-0000-4000-8000-000000000000'"
    ),
    "ix_pkg_rule_emissions_subtask_type": (
        "SELECT * FROM pkg_rule_emissions"
        " WHERE subtask_type_id = 'a0000000-0000-4000-8000-000000000000'"
    ),
    "uq_pkg_deploy_lane": (
        "SELECT * FROM pkg_deployments WHERE target = 't7' AND region IN ('r3', 'global')"
    ),
    "ix_pkg_deployments_snapshot": "SELECT * FROM pkg_deployments WHERE snapshot_id = 7",
    "ix_pkg_validation_runs_snapshot_started": (
        "SELECT * FROM pkg_validation_runs WHERE snapshot_id = 7 AND finished_at IS NOT NULL"
        " ORDER BY started_at DESC LIMIT 1"
    ),
    "ix_pkg_promotions_env_created": (
        "SELECT * FROM pkg_promotions WHERE env = 'prod' ORDER BY created_at DESC LIMIT 20"
    ),
    "ix_pkg_promotions_snapshot": "SELECT * FROM pkg_promotions WHERE snapshot_id = 7",
    "ix_pkg_device_versions_type_region": (
        "SELECT * FROM pkg_device_versions WHERE device_type = 't7' AND region = 'r3'"
    ),
    "ix_pkg_device_versions_snapshot": "SELECT * FROM pkg_device_versions WHERE snapshot_id = 7",
    "uq_pkg_rollout_plans_unfinished": (
        "SELECT * FROM pkg_rollout_plans"
        " WHERE target = 't7' AND region = 'global' AND state IN ('running', 'paused')"
    ),
    "ix_pkg_rollout_gate_results_newest": (
        "SELECT * FROM pkg_rollout_gate_results WHERE plan_id = 7 AND step_no = 1 AND gate = 'g1'"
        " ORDER BY measured_at DESC LIMIT 1"
    ),
    "idx_rollout_events_lane": (
        "SELECT * FROM pkg_rollout_events WHERE target = 't7' AND region = 'global'"
        " ORDER BY created_at DESC LIMIT 20"
    ),
    "ix_pkg_evaluations_lane": (
        "SELECT count(*), avg(duration_ms), count(*) FILTER (WHERE denied) FROM pkg_evaluations"
        " WHERE snapshot_id = 8 AND target = 't7' AND region = 'global'"
        "   AND created_at >= now() - interval '10 minutes'"
    ),
    "ix_pkg_evaluations_sampled": (
        "SELECT * FROM pkg_evaluations WHERE input IS NOT NULL"
        " AND created_at >= now() - interval '1 hour' ORDER BY created_at"
    ),
    "ix_pkg_evaluations_created": (
        "SELECT ctid FROM pkg_evaluations WHERE created_at < now() - interval '99000 s'"
    ),
}


@pytest.fixture(scope="module")
def filled(plans_url: str) -> Iterator[Conn]:
    """A database with 10⁵ rows in each table that may grow."""
    with Conn.connect(plans_url, autocommit=True, row_factory=dict_row) as conn:
        # The references are not what is measured.
        conn.execute("SET session_replication_role = replica")
        for statement in FILL:
            conn.execute(statement.encode())
        conn.execute("SET session_replication_role = DEFAULT")
        conn.execute("ANALYZE")
        yield conn


@pytest.mark.parametrize("index", QUERIES)
def test_a_query_uses_its_index(filled: Conn, index: str) -> None:
    explained = filled.execute(f"EXPLAIN (FORMAT JSON) {QUERIES[index]}".encode()).fetchone()
    assert explained is not None
    found = list(nodes(explained["QUERY PLAN"][0]["Plan"]))
    assert index in {node.get("Index Name") for node in found}
    if "ORDER BY" in QUERIES[index]:
        assert "Sort" not in {node["Node Type"] for node in found}


def test_every_index_has_a_purpose(filled: Conn) -> None:
    rows = filled.execute(
        "SELECT indexrelid::regclass::text AS name FROM pg_index"
        " WHERE indrelid::regclass::text LIKE 'pkg\\_%' AND NOT indisprimary"
    ).fetchall()
    assert {row["name"] for row in rows} == {*QUERIES, "uq_pkg_validation_fixtures_name"}


def read_whole(conn: Conn) -> int:
    """Rows that sequential scans of this session have read by now."""
    row = conn.execute(
        "SELECT sum(seq_tup_read)::bigint AS n FROM pg_stat_xact_user_tables"
        " WHERE relname LIKE 'pkg\\_%'"
    ).fetchone()
    assert row is not None
    return row["n"]


def test_assignment_reads_no_table_whole(filled: Conn) -> None:
    with filled.transaction(force_rollback=True):
        before = read_whole(filled)
        filled.execute("SELECT pkg_effective_snapshot('t7', 'r3', 'd1')")
        assert read_whole(filled) == before


def test_coverage_passes_once_over_the_devices(filled: Conn) -> None:
    explained = filled.execute(
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM pkg_deployment_coverage WHERE target = 't7'"
    ).fetchone()
    assert explained is not None
    found = list(nodes(explained["QUERY PLAN"][0]["Plan"]))
    scans = [n for n in found if n.get("Relation Name") == "pkg_device_versions"]
    assert sum(n["Actual Loops"] for n in scans) <= 3
    lanes = [n for n in found if n.get("Relation Name") == "pkg_deployments"]
    assert all(n["Node Type"] != "Seq Scan" for n in lanes)
