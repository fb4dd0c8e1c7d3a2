"""What the design of the schema promises by name, and what of it a database lacks.

Drift tells a database from what the revisions made; this tells it from what they were to make. So the
list is written by hand, and is not read out of the revisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedcore.db.sql import Queries

if TYPE_CHECKING:
    import psycopg

queries = Queries("seedcore.db.migrate", "acceptance.sql")


def _names(text: str) -> list[str]:
    return text.split()


EDGES = _names(
    "task_depends_on_task task_produces_artifact task_uses_capability task_reads_memory"
    " task_writes_memory task_executed_by_organ task_owned_by_agent organ_provides_capability"
    " agent_owns_memory_cell agent_member_of_organ agent_collab_agent organ_provides_skill"
    " organ_uses_service organ_governed_by_policy agent_uses_model task_reads_fact"
    " task_produces_fact"
)
"""The tables of the edge types."""

WANTED: dict[str, list[str]] = {
    "extension": ["vector"],
    "enum": _names(
        "taskstatus instancestatus pkg_env pkg_engine pkg_condition_type pkg_relation pkg_operator"
        " pkg_artifact_type"
    ),
    "composite": ["cortex_hit"],
    "table": [
        *EDGES,
        *_names(
            # tasks and queue
            "seedcore_settings tasks task_events task_schedules task_schedule_fires task_waits queue_lanes queue_waiters"
            # graph
            " graph_node_map agent_registry organ_registry artifact capability memory_cell model"
            " policy service skill"
            # embeddings, facts
            " encoder graph_embeddings_128 graph_embeddings_1024 task_multimodal_embeddings"
            " task_embedding_status facts"
            # registry
            " cluster_metadata cluster_epoch_history registry_instance"
            # policy
            " pkg_snapshots pkg_subtask_types pkg_policy_rules pkg_rule_conditions"
            " pkg_rule_emissions pkg_snapshot_artifacts pkg_deployments pkg_validation_fixtures"
            " pkg_validation_runs pkg_promotions pkg_device_versions pkg_rollout_plans"
            " pkg_rollout_steps pkg_rollout_gate_results pkg_rollout_events pkg_evaluations"
            # outbox, routing, energy
            " task_outbox task_router_telemetry task_proto_plan ocps_state energy_tx energy_balance"
        ),
    ],
    "view": _names(
        "graph_tasks task_queue_stats hgnn_edges hgnn_edges_unmapped graph_embeddings"
        " task_embeddings task_embeddings_128 task_embeddings_1024 task_embeddings_primary_128"
        " task_embeddings_primary_1024 tasks_missing_embeddings_128 tasks_missing_embeddings_1024"
        " task_embeddings_stale_128 task_embeddings_stale_1024 tasks_missing_any_embedding_1024"
        " v_unified_cortex_memory facts_structured facts_text_only facts_with_capabilities"
        " active_temporal_facts facts_current_truth active_instances active_instance"
        " pkg_active_artifact pkg_rules_expanded pkg_deployment_coverage task_router_route_stats"
        " energy_balance_check"
    ),
    "function": _names(
        # tasks and queue
        "seedcore_setting task_lane task_retry_delay tasks_retry_or_fail"
        " cleanup_stale_running_tasks task_submit task_await tasks_link task_add_dependency tasks_claim tasks_renew"
        " tasks_complete tasks_cancel tasks_release tasks_requeue tasks_reap_expired"
        " tasks_expire_due tasks_release_ready tasks_give_back queue_pause queue_resume"
        " task_schedule_fire task_schedules_fire task_schedule_run tasks_purge task_events_purge create_graph_embed_task"
        " create_graph_rag_task create_graph_embed_task_v2 create_graph_rag_task_v2"
        # graph
        " ensure_node ensure_nodes ensure_task_node ensure_artifact_node ensure_capability_node"
        " ensure_memory_cell_node ensure_fact_node ensure_instance_node ensure_agent_node"
        " ensure_organ_node ensure_model_node ensure_policy_node ensure_service_node"
        " ensure_skill_node backfill_task_nodes backfill_nodes"
        # embeddings, cortex
        " task_content_text task_content_sha256 embedding_enqueue embedding_enqueue_missing"
        " embedding_claim embedding_finish unified_cortex_semantic_search"
        # facts
        " get_facts_by_subject get_facts_at_time cleanup_expired_facts get_fact_statistics"
        " fact_text_to_triple facts_preview_triples facts_apply_triples"
        # registry
        " set_current_epoch ensure_current_epoch register_instance set_instance_status beat"
        " expire_stale_instances expire_old_epoch_instances purge_dead_instances"
        # policy
        " pkg_snapshot_digest pkg_active_snapshot_id pkg_validation_status pkg_promote_snapshot"
        " pkg_rollback pkg_check_integrity pkg_bucket pkg_effective_snapshot pkg_rollout_start"
        " pkg_rollout_advance pkg_rollout_abort pkg_rollout_jump pkg_rollout_pause pkg_rollout_resume"
        " pkg_rollout_measure pkg_rollout_record pkg_rollout_check pkg_rollout_tick pkg_rollout_event"
        " pkg_default_snapshot_id"
        " pkg_enforce_snapshot_scoping"
        # outbox, drift, energy
        " outbox_enqueue outbox_claim outbox_delivered outbox_failed outbox_requeue outbox_purge"
        " ocps_update ocps_reset energy_append energy_reset energy_rebuild"
        # of triggers
        " set_updated_at fill_snapshot_id tasks_guard_transition tasks_after_insert"
        " tasks_after_update node_map_insert node_map_delete node_map_rename task_outbox_notify"
        " pkg_deployment_event forbid_change"
    ),
    "trigger": _names(
        "tasks.trigger_tasks_updated_at tasks.tasks_guard tasks.tasks_inserted tasks.tasks_updated"
        " task_outbox.task_outbox_notify energy_tx.energy_tx_append_only"
    ),
    "index": _names(
        "ix_tasks_status_runafter ix_tasks_created_at_desc ix_tasks_type ix_tasks_domain"
        " ix_tasks_params_gin ix_tasks_claim_queue ix_tasks_claim_graph ux_tasks_idempotency_key"
        " ix_tasks_expires idx_tasks_snapshot_id idx_tasks_snapshot_status"
        " idx_tasks_multimodal_fast idx_graph_node_map_snapshot_id idx_graph_embeddings_128_emb"
        " idx_graph_embeddings_1024_task_emb idx_graph_embeddings_1024_world_emb"
        " idx_graph_embeddings_128_label idx_graph_embeddings_1024_label"
        " idx_task_multimodal_emb_hnsw idx_task_multimodal_modality_model idx_facts_text_fts"
        " idx_facts_tags idx_facts_meta_data idx_facts_object_data idx_facts_spo_namespace"
        " idx_facts_created_at idx_facts_valid_to idx_facts_snapshot_id idx_facts_pkg_rule_id"
        " idx_facts_validation_status idx_instance_logical_id idx_instance_epoch_status"
        " idx_instance_logical_status idx_instance_status_heartbeat ux_pkg_active_per_env"
        " idx_task_outbox_available idx_task_outbox_event_type idx_task_outbox_task_id"
        " idx_task_outbox_dead idx_task_outbox_delivered idx_task_router_telemetry_task_id"
        " idx_task_router_telemetry_chosen_route idx_task_router_telemetry_created_at"
        " idx_task_router_telemetry_route_created idx_task_router_telemetry_ocps_metadata"
    ),
}
"""Kind → names in schema public; a trigger's is that of its table, a point, and its own."""


def missing(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Return kind and name of everything that is promised and not there, in a stable order."""
    from seedcore.db.tuning.apply import chosen
    from seedcore.db.tuning.profiles import OPTIONAL

    given_up = OPTIONAL.keys() - set(chosen(connection).indexes)
    pairs = [
        (kind, name)
        for kind, names in WANTED.items()
        for name in names
        if kind != "index" or name not in given_up
    ]
    parameters = {"kinds": [kind for kind, _ in pairs], "names": [name for _, name in pairs]}
    return [(row[0], row[1]) for row in connection.execute(queries.missing, parameters)]
