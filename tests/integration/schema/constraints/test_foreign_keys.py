"""Every FOREIGN KEY of the schema refuses a row whose target isn't there, and knows what to do when
the target goes.
"""

from __future__ import annotations

from tests.integration.schema.constraints import fill, outcome, rules
from tests.integration.schema.database import Conn

CASCADE = """
agent_collab_agent_dst_agent_fkey agent_collab_agent_src_agent_fkey
agent_member_of_organ_agent_id_fkey agent_member_of_organ_organ_id_fkey
agent_owns_memory_cell_agent_id_fkey agent_owns_memory_cell_memory_cell_id_fkey
agent_uses_model_agent_id_fkey agent_uses_model_model_name_fkey
graph_embeddings_1024_node_id_fkey graph_embeddings_128_node_id_fkey
organ_governed_by_policy_organ_id_fkey organ_governed_by_policy_policy_name_fkey
organ_provides_capability_capability_id_fkey organ_provides_capability_organ_id_fkey
organ_provides_skill_organ_id_fkey organ_provides_skill_skill_name_fkey
organ_uses_service_organ_id_fkey organ_uses_service_service_name_fkey
pkg_policy_rules_snapshot_id_fkey pkg_rule_conditions_rule_id_fkey
pkg_rule_emissions_rule_id_fkey pkg_rule_emissions_subtask_type_id_fkey
pkg_rollout_gate_results_step_fkey pkg_rollout_steps_plan_id_fkey
pkg_snapshot_artifacts_snapshot_id_fkey pkg_subtask_types_snapshot_id_fkey
pkg_validation_fixtures_snapshot_id_fkey
task_depends_on_task_dst_task_id_fkey task_depends_on_task_src_task_id_fkey
task_embedding_status_task_id_fkey task_multimodal_embeddings_task_id_fkey
task_executed_by_organ_organ_id_fkey task_executed_by_organ_task_id_fkey
task_owned_by_agent_agent_id_fkey task_owned_by_agent_task_id_fkey
task_produces_artifact_artifact_id_fkey task_produces_artifact_task_id_fkey
task_schedule_fires_schedule_id_fkey task_waits_task_id_fkey
task_produces_fact_fact_id_fkey task_produces_fact_task_id_fkey task_progress_task_id_fkey
task_proto_plan_task_id_fkey task_router_telemetry_task_id_fkey
task_reads_fact_fact_id_fkey task_reads_fact_task_id_fkey
task_reads_memory_task_id_fkey task_writes_memory_task_id_fkey task_uses_capability_task_id_fkey
"""
RESTRICT = """
fk_facts_snapshot_id fk_graph_embeddings_1024_snapshot_id fk_graph_embeddings_128_snapshot_id
fk_graph_node_map_snapshot_id fk_task_proto_plan_snapshot_id fk_tasks_snapshot_id
graph_embeddings_1024_encoder_id_fkey graph_embeddings_128_encoder_id_fkey
pkg_deployments_snapshot_id_fkey pkg_evaluations_snapshot_id_fkey pkg_validation_runs_snapshot_id_fkey
pkg_promotions_from_snapshot_id_fkey pkg_promotions_snapshot_id_fkey
pkg_promotions_validation_run_id_fkey
pkg_rollout_events_plan_id_fkey pkg_rollout_events_snapshot_id_fkey
pkg_rollout_events_validation_run_id_fkey
pkg_rollout_plans_from_snapshot_id_fkey pkg_rollout_plans_snapshot_id_fkey
task_reads_memory_memory_cell_id_fkey task_writes_memory_memory_cell_id_fkey
task_uses_capability_capability_id_fkey
"""
SET_NULL = """
organ_registry_agent_id_fkey pkg_device_versions_snapshot_id_fkey task_schedules_last_task_id_fkey
"""
ON_DELETE = {
    name: action
    for action, names in (("c", CASCADE), ("r", RESTRICT), ("n", SET_NULL))
    for name in names.split()
}
"""By constraint: what becomes of a row whose target is deleted, as pg_constraint writes it."""

NOBODY = {
    "text": "'nobody'",
    "uuid": "'99999999-9999-9999-9999-999999999999'",
    "integer": "-1",
    "bigint": "-1",
}
"""By type: what no row is called."""

TOGETHER = {"pkg_rollout_plans_from_snapshot_id_fkey": "from_percent = 1"}
"""What a check wants to be set along with the column."""


def test_every_foreign_key_does_what_is_expected_on_delete(conn: Conn) -> None:
    found = rules(conn, "f")
    assert {rule["name"]: rule["on_delete"] for rule in found} == ON_DELETE
    assert len(found) == len(ON_DELETE)
    assert all(rule["validated"] and not rule["deferrable"] for rule in found)


def test_every_foreign_key_refuses_a_target_that_is_not_there(conn: Conn) -> None:
    fill(conn)
    expected: dict[tuple[str, str], tuple[str, str, str]] = {}
    for rule in rules(conn, "f"):
        for column, kind in rule["columns"].items():
            change = f"{column} = {NOBODY[kind]}"
            if rule["name"] in TOGETHER:
                change += f", {TOGETHER[rule['name']]}"
            expected[rule["place"], change] = "ForeignKeyViolation", rule["place"], rule["name"]
    assert {key: outcome(conn, *key) for key in expected} == expected
