"""Every CHECK of the schema refuses what it should, and takes what is just inside it."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.schema.constraints import UUID, fill, outcome, rules
from tests.integration.schema.database import Conn


def words(column: str, *allowed: str) -> tuple[list[str], list[str]]:
    """Cases of a column that holds one of some words."""
    refused = [f"{column} = {word}" for word in ("''", "'other'", f"upper('{allowed[0]}')")]
    return refused, [f"{column} = '{word}'" for word in allowed]


def numbers(column: str, refused: str, accepted: str) -> tuple[list[str], list[str]]:
    """Cases of a column that holds numbers of a range."""
    sides = [[f"{column} = '{number}'" for number in side.split()] for side in (refused, accepted)]
    return sides[0], sides[1]


def vectors(size: int) -> tuple[list[str], list[str]]:
    """Cases of a vector that must have a direction."""
    form = "emb = array_fill({}::real, ARRAY[{}])::vector"
    return [form.format(0, size)], [form.format(1, size), form.format(-1, size)]


def gates(*each: Any) -> str:
    """Return the change to these gates; three values in a row are a gate's own."""
    names = "name", "operator", "threshold"
    made = [dict(zip(names, one, strict=True)) if isinstance(one, tuple) else one for one in each]
    return f"gates = '{json.dumps(made)}'"


FINITE = "Infinity -Infinity NaN", "0 -1 1e308"
FINITE_FROM_0 = "-0.1 Infinity -Infinity NaN", "0 1e30"
SHA256 = (
    ["content_sha256 = ''", "content_sha256 = repeat('0', 63)", "content_sha256 = repeat('0', 65)"],
    ["content_sha256 = NULL", "content_sha256 = repeat('0', 64)"],
)
LABEL = ["label = ''"], ["label = 'default'"]
ROUTES = "fast", "planner", "hgnn", "unknown"
SIX = "'[1, 2, 3, 4, 5, 6]'"

CASES: dict[str, tuple[list[str], list[str]]] = {
    "chk_facts_created_by_not_empty": (
        ["created_by = ''", "created_by = ' '"],
        ["created_by = 'a'"],
    ),
    "chk_facts_namespace_not_empty": (["namespace = ''", "namespace = ' '"], ["namespace = 'a'"]),
    "chk_facts_no_partial_triple": (
        [
            "subject = 's'",
            "predicate = 'p'",
            "object_data = '1'",
            "subject = 's', predicate = 'p'",
            "subject = 's', object_data = '1'",
            "predicate = 'p', object_data = '1'",
        ],
        ["subject = 's', predicate = 'p', object_data = '1'"],
    ),
    "chk_facts_pkg_requires_triple": (
        ["pkg_rule_id = 'r'"],
        ["pkg_rule_id = 'r', subject = 's', predicate = 'p', object_data = '1'"],
    ),
    "chk_facts_pkg_rule_requires_snapshot": (
        [
            "pkg_rule_id = 'r', subject = 's', predicate = 'p', object_data = '1', snapshot_id = NULL"
        ],
        ["snapshot_id = NULL"],
    ),
    "chk_facts_temporal": (
        ["valid_from = '2026-01-02Z', valid_to = '2026-01-01Z'"],
        ["valid_from = '2026-01-01Z', valid_to = '2026-01-01Z'", "valid_to = '2026-01-01Z'"],
    ),
    "ck_agent_collab_agent_self": (
        ["dst_agent = src_agent"],
        ["src_agent = 'bob', dst_agent = 'ann'"],
    ),
    "ck_agent_collab_agent_weight": numbers("weight", *FINITE_FROM_0),
    "ck_cluster_metadata_one_row": (["id = 2", "id = 0"], ["id = 1"]),
    "ck_encoder_digest": (
        [
            "digest = 'abc'",
            "digest = repeat('0', 65)",
            "weights = 'x'",
            "weights = 'x', digest = repeat('0', 64)",
        ],
        ["digest = repeat('0', 64)", "weights = 'x', digest = encode(sha256('x'), 'hex')"],
    ),
    "ck_encoder_dim": (
        ["dim = 0, native_dim = 0", "native_dim = 0", "native_dim = dim + 1", "dim = -1"],
        ["native_dim = 1", "native_dim = dim"],
    ),
    "ck_encoder_kind": words("kind", "graph", "text", "multimodal"),
    "ck_encoder_name": (["name = ''"], ["name = 'a'"]),
    "ck_encoder_state": words("state", "preparing", "serving", "retired"),
    "ck_encoder_version": numbers("version", "-1", "0 1"),
    "ck_energy_balance_finite": numbers("balance", *FINITE),
    "ck_energy_tx_balance_after": numbers("balance_after", *FINITE),
    "ck_energy_tx_cost": numbers("cost", *FINITE_FROM_0),
    "ck_energy_tx_delta_e": numbers("delta_e", *FINITE),
    "ck_graph_embeddings_1024_label": LABEL,
    "ck_graph_embeddings_1024_norm": vectors(1024),
    "ck_graph_embeddings_1024_sha256": SHA256,
    "ck_graph_embeddings_128_label": LABEL,
    "ck_graph_embeddings_128_norm": vectors(128),
    "ck_graph_embeddings_128_sha256": SHA256,
    "ck_lexical_document_length": numbers("length", "-1", "0 1"),
    "ck_lexical_posting_tf": numbers("tf", "0 -1", "1"),
    "ck_lexical_statistics_one": (["only_row = false"], ["only_row = true"]),
    "ck_lexical_term_documents": numbers("documents", "-1", "0 1"),
    "ck_memory_cell_version": numbers("version", "0 -1", "1"),
    "ck_node_map_one_id": (
        ["ext_uuid = NULL, ext_text_id = NULL", f"ext_uuid = {UUID}, ext_text_id = 'a'"],
        ["ext_uuid = gen_random_uuid(), ext_text_id = NULL"],
    ),
    "ck_ocps_state_h": numbers("h", "0 -1 Infinity NaN", "0.001"),
    "ck_ocps_state_nu": numbers("nu", *FINITE),
    "ck_ocps_state_reset_to": numbers("reset_to", "-0.1 1.1 Infinity NaN", "0 1"),
    "ck_ocps_state_s_t": numbers("s_t", *FINITE_FROM_0),
    "ck_pkg_deployments_percent": numbers("percent", "-1 101", "0 100"),
    "ck_pkg_evaluations_duration": numbers("duration_ms", *FINITE_FROM_0),
    "ck_pkg_evaluations_outcome": words("outcome", "ok", "error", "skipped"),
    "ck_pkg_promotions_action": words("action", "promote", "rollback"),
    "ck_pkg_rollout_plans_automation": (
        ["max_fail = 0", "min_samples = 0", "fails = -1", "checked_samples = -1"],
        ["max_fail = 1, min_samples = 1, fails = 0, checked_samples = 0"],
    ),
    "ck_pkg_rollout_plans_from": (
        [
            "from_percent = 50",
            "from_snapshot_id = 2",
            "from_snapshot_id = 2, from_percent = 0",
            "from_snapshot_id = 2, from_percent = 101",
        ],
        ["from_snapshot_id = 2, from_percent = 1", "from_snapshot_id = 2, from_percent = 100"],
    ),
    "ck_pkg_rollout_plans_state": words(
        "state", "planned", "running", "paused", "completed", "rolled_back", "aborted"
    ),
    "ck_pkg_rollout_steps_gates": (
        [
            "gates = '{}'",
            "gates = 'null'",
            gates(1),
            gates({}),
            gates({"name": "g", "operator": "<"}),
            gates({"name": "g", "threshold": 1}),
            gates({"operator": "<", "threshold": 1}),
            gates((1, "<", 1)),
            gates(("g", "<", "1")),
            gates(("g", "~", 1)),
            gates(("g", None, 1)),
            gates(("g", ["<"], 1)),
            gates([]),
            gates([{"name": "g", "operator": "<", "threshold": 1}]),
            gates(("g", "<", 1), ("g", "<", None)),
        ],
        [gates(), *(gates(("g", sign, 0.5)) for sign in ("<", "<=", ">", ">=", "=", "!="))],
    ),
    "ck_pkg_rollout_steps_percent": numbers("percent", "-1 101", "0 100"),
    "ck_pkg_rollout_steps_state": words(
        "state", "pending", "active", "passed", "failed", "skipped"
    ),
    "ck_pkg_rule_conditions_fact": (
        ["predicate = 'p'", "object = '1'", "condition_type = 'VALUE', predicate = 'p'"],
        ["condition_type = 'FACT', predicate = 'p', object = '1'", "condition_type = 'FACT'"],
    ),
    "ck_pkg_snapshot_artifacts_sha256": (
        ["artifact_bytes = 'y'", "sha256 = repeat('0', 64)", "sha256 = upper(sha256)"],
        ["artifact_bytes = 'y', sha256 = encode(sha256('y'), 'hex')"],
    ),
    "ck_pkg_validation_runs_cases": (
        ["cases_failed = -1", "cases_failed = 1", "cases_total = -1"],
        ["cases_total = 1", "cases_total = 1, cases_failed = 1"],
    ),
    "ck_queue_changes_kind": (
        ["kind = ''", "kind = 'other'", "kind = 'LANE'"],
        ["kind = 'lane'", "kind = 'domain'"],
    ),
    "ck_queue_changes_subject": (
        ["kind = 'schedule'", "schedule = 's'", "lane = NULL"],
        ["lane = 'graph'"],
    ),
    "ck_queue_controls_bucket": (
        ["rate_per_s = NULL", "burst = NULL", "tokens = NULL", "filled_at = NULL"],
        ["rate_per_s = NULL, burst = NULL, tokens = NULL, filled_at = NULL"],
    ),
    "ck_queue_controls_burst": numbers("burst", "0 0.9 -1 Infinity NaN", "1 2.5"),
    "ck_queue_controls_concurrency": numbers("concurrency", "0 -1", "1"),
    "ck_queue_controls_lane": words("lane", "queue", "graph"),
    "ck_queue_controls_pause": (["domain = '', paused = true"], ["paused = true", "domain = ''"]),
    "ck_queue_controls_rate": numbers("rate_per_s", "0 -1 Infinity NaN", "0.001 1e6"),
    "ck_queue_controls_tokens": numbers("tokens", "-0.1 2.1 NaN", "0 2"),
    "ck_queue_lanes_lane": words("lane", "queue", "graph"),
    "ck_queue_turns_kind": words("kind", "domain", "key"),
    "ck_seedcore_settings_name": (
        [f"name = '{name}'" for name in ("", "A", "1a", ".a", "a b", "a-b", "aB")],
        ["name = 'a'", "name = 'a_1.b'"],
    ),
    "ck_task_depends_on_task_self": (
        ["dst_task_id = src_task_id"],
        ["src_task_id = dst_task_id, dst_task_id = src_task_id"],
    ),
    "ck_task_embedding_status_attempts": numbers("attempts", "-1", "0 1"),
    "ck_task_embedding_status_label": LABEL,
    "ck_task_embedding_status_lease": (
        ["state = 'running'", "locked_by = 'w'", "state = 'done', locked_by = 'w'"],
        ["state = 'running', locked_by = 'w'"],
    ),
    "ck_task_embedding_status_sha256": SHA256,
    "ck_task_embedding_status_space": words("space", "multimodal", "128", "1024"),
    "ck_task_embedding_status_state": words("state", "pending", "done", "failed", "skipped"),
    "ck_task_multimodal_embeddings_modality": words(
        "source_modality", "voice", "vision", "sensor", "text"
    ),
    "ck_task_multimodal_embeddings_norm": vectors(1024),
    "ck_task_outbox_max_attempts": numbers("max_attempts", "0 -1", "1"),
    "ck_task_outbox_one_end": (
        ["delivered_at = now(), dead_at = now()"],
        ["delivered_at = now()", "dead_at = now()"],
    ),
    "ck_task_progress_attempt": numbers("attempt", "0 -1", "1"),
    "ck_task_progress_call_index": numbers("call_index", "-1", "0 1"),
    "ck_task_progress_done": numbers("done", *FINITE_FROM_0),
    "ck_task_progress_total": numbers("total", *FINITE_FROM_0),
    "ck_task_proto_plan_route": words("route", *ROUTES),
    "ck_task_proto_plan_size": (
        ["proto_plan = jsonb_build_object('p', repeat('x', 262136))"],
        ["proto_plan = jsonb_build_object('p', repeat('x', 262135))"],
    ),
    "ck_task_retention_name": words("name", "tasks", "events"),
    "ck_task_router_telemetry_route": words("chosen_route", *ROUTES),
    "ck_task_router_telemetry_surprise": numbers("surprise_score", *FINITE_FROM_0),
    "ck_task_router_telemetry_vectors": (
        [
            "x_vector = '[]'",
            "weights = '[]'",
            "x_vector = '[]', weights = '[]'",
            "x_vector = '{}'",
            "weights = '{}'",
            "x_vector = '[1]', weights = '[1]'",
            "weights = '[1, 2, 3, 4, 5, 6, 7]'",
            f"x_vector = '[]', weights = {SIX}, chosen_route = 'unknown'",
        ],
        [
            "x_vector = '[]', weights = '[]', chosen_route = 'unknown'",
            f"x_vector = {SIX}, weights = {SIX}, chosen_route = 'unknown'",
        ],
    ),
    "ck_task_schedule_fires_outcome": words(
        "outcome", "submitted", "by_hand", "skipped", "missed", "failed"
    ),
    "ck_task_schedules_max_attempts": numbers("max_attempts", "0 -1", "1"),
    "ck_task_schedules_misfire": words("misfire", "skip", "once", "all"),
    "ck_task_schedules_name": (
        [f"name = '{name}'" for name in ("", "-a", ".a", "a b", "a/b", "a" * 64)],
        [f"name = '{name}'" for name in ("a", "0", "A.b_c-d", "a" * 63)],
    ),
    "ck_task_schedules_overlap": words("overlap", "allow", "skip"),
    "ck_task_schedules_priority": numbers("priority", "-1 11", "0 10"),
    "ck_task_schedules_ttl": numbers("ttl_seconds", "0 -1", "1"),
    "ck_tasks_aged": numbers("aged", "-1 10", "0 9"),
    "ck_tasks_attempts_nonneg": numbers("attempts", "-1", "0 1"),
    "ck_tasks_concurrency_key": (
        ["concurrency_key = ''", "concurrency_key = repeat('é', 513)"],
        ["concurrency_key = 'k'", "concurrency_key = repeat('k', 1024)"],
    ),
    "ck_tasks_concurrency_limit": (
        ["concurrency_limit = 1", "concurrency_key = 'k', concurrency_limit = 0"],
        ["concurrency_key = 'k', concurrency_limit = 1", "concurrency_key = 'k'"],
    ),
    "ck_tasks_lapses": numbers("lapses", "-1", "0 1"),
    "ck_tasks_lease": (
        ["status = 'running'", "owner_id = 'w'", "status = 'queued', owner_id = 'w'"],
        ["status = 'running', owner_id = 'w'", "status = 'queued'"],
    ),
    "ck_tasks_max_attempts": numbers("max_attempts", "0 -1", "1"),
    "ck_tasks_priority": numbers("priority", "-1 11", "0 10"),
    "ck_tasks_unique_while": words("unique_while", "waiting", "unfinished", "ever"),
    "pkg_snapshots_checksum_check": (
        ["checksum = ''", "checksum = repeat('a', 63)", "checksum = repeat('a', 65)"],
        ["checksum = repeat('c', 64)"],
    ),
    "task_outbox_attempts_nonneg": numbers("attempts", "-1", "0 1"),
}
"""By constraint: changes of a valid row that it refuses, and changes that it takes."""


def test_every_check_has_a_case(conn: Conn) -> None:
    found = rules(conn, "c")
    assert [rule["name"] for rule in found] == sorted(CASES)
    assert all(rule["validated"] for rule in found)
    assert all(refused and accepted for refused, accepted in CASES.values())


def test_every_check_refuses(conn: Conn) -> None:
    fill(conn)
    expected: dict[tuple[str, str], tuple[str, str, str]] = {}
    for rule in rules(conn, "c"):
        for change in CASES[rule["name"]][0]:
            expected[rule["place"], change] = "CheckViolation", rule["place"], rule["name"]
    assert {key: outcome(conn, *key) for key in expected} == expected


def test_every_check_takes_what_is_inside_it(conn: Conn) -> None:
    fill(conn)
    changes = [
        (rule["place"], change) for rule in rules(conn, "c") for change in CASES[rule["name"]][1]
    ]
    outcomes = {key: outcome(conn, *key) for key in changes}
    refused = {
        key: found for key, found in outcomes.items() if not isinstance(found, int) or not found
    }
    assert refused == {}
