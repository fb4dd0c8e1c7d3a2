"""What the revisions mend of tables that were made by hand, declared: everything else is in the way.

A test makes each of these differences in a real database and sees it gone after `migrate up`; another makes
the differences that are not declared here and sees each of them named.
"""

from __future__ import annotations

import re
from collections.abc import Container

from seedcore.db.migrate.acceptance import EDGES
from seedcore.db.migrate.shape import Column, Rule, Table
from seedcore.db.sql import Queries

queries = Queries("seedcore.db.migrate")


def _names(text: str) -> list[str]:
    return text.split()


def _columns(text: str) -> set[tuple[str, str]]:
    """Read lines of a table and its columns."""
    found: set[tuple[str, str]] = set()
    for line in text.strip().splitlines():
        table, *columns = line.split()
        found |= {(table, column) for column in columns}
    return found


MOVED = {"graph_embeddings"}
"""Tables of the seeds whose rows 002 moves elsewhere; a view takes the name."""

MOVED_COLUMNS = {
    "node_id": ("bigint", "integer", "smallint"),
    "label": ("text", "character varying"),
    "props": ("jsonb",),
    "emb": ("vector(128)",),
    "created_at": ("timestamp with time zone",),
    "updated_at": ("timestamp with time zone",),
}
"""What such a table may have: column → the types that 002 can read, ours first."""

OLDER_VIEWS = frozenset(
    _names(
        "graph_tasks graph_embeddings task_embeddings task_embeddings_128 task_embeddings_1024 hgnn_edges"
        " active_instances active_instance facts_structured facts_text_only facts_with_capabilities"
        " active_temporal_facts facts_current_truth pkg_active_artifact pkg_rules_expanded"
        " pkg_deployment_coverage v_unified_cortex_memory task_embeddings_primary_128"
        " task_embeddings_primary_1024 tasks_missing_embeddings_128 tasks_missing_embeddings_1024"
        " task_embeddings_stale_128 task_embeddings_stale_1024 tasks_missing_any_embedding_1024"
    )
)
"""Views of the earlier SQL files: 001 drops them, later revisions make them anew."""

_ENSURE = _names(
    "ensure_task_node ensure_agent_node ensure_organ_node ensure_artifact_node ensure_capability_node"
    " ensure_memory_cell_node ensure_model_node ensure_policy_node ensure_service_node ensure_skill_node"
    " ensure_fact_node ensure_instance_node"
)
_GRAPH = _names(
    "create_graph_embed_task create_graph_rag_task create_graph_embed_task_v2 create_graph_rag_task_v2"
)

OLDER_FUNCTIONS = frozenset(
    [
        *_GRAPH,
        *_ENSURE,
        *_names(
            "cleanup_stale_running_tasks backfill_task_nodes set_current_epoch register_instance"
            " set_instance_status beat expire_stale_instances expire_old_epoch_instances"
            " pkg_active_snapshot_id pkg_promote_snapshot pkg_check_integrity get_facts_by_subject"
            " get_facts_at_time cleanup_expired_facts get_fact_statistics unified_cortex_semantic_search"
        ),
    ]
)
"""Functions of the earlier SQL files: 001 drops those without a search path of their own."""

ANY_SIGNATURE = (
    dict.fromkeys(_GRAPH, "003")
    | dict.fromkeys(
        [*_ENSURE, *_names("ensure_node ensure_nodes backfill_task_nodes backfill_nodes")], "008"
    )
    | dict.fromkeys(
        _names(
            "set_current_epoch ensure_current_epoch register_instance set_instance_status beat"
            " expire_stale_instances expire_old_epoch_instances purge_dead_instances"
        ),
        "012",
    )
    | dict.fromkeys(
        _names("pkg_active_snapshot_id pkg_promote_snapshot pkg_check_integrity"), "015"
    )
)
"""Functions that a revision drops whatever their parameters, to make its own; and which does."""

_TEXTS = {"text", "character varying", "json"}
TYPES: dict[tuple[str, str], set[str]] = {
    ("tasks", "status"): {"text", "character varying", "character", "taskstatus"},
    ("tasks", "params"): _TEXTS,
    ("tasks", "result"): _TEXTS,
    ("tasks", "priority"): {"integer", "bigint"},
}
"""Columns that 004, 007 and 120 convert: the types, without sizes, that they can read."""

LABELS = {
    "taskstatus", "pkg_env", "pkg_engine", "pkg_condition_type", "pkg_relation", "pkg_operator",
    "pkg_artifact_type",
}  # fmt: skip
"""Enums to which 004 and 013 add the labels that they lack."""

TAKEN_OVER = {("graph_embeddings_128", "model"), ("graph_embeddings_1024", "model")}
"""Columns of the seeds whose content 002 keeps elsewhere."""

ADDED = _columns(
    """
    tasks attempts locked_by locked_at run_after description domain drift_score params result error created_at updated_at
    facts namespace created_by subject predicate object_data valid_from valid_to snapshot_id pkg_rule_id pkg_provenance validation_status created_at updated_at
    graph_node_map created_at updated_at
    agent_registry display_name props created_at updated_at
    organ_registry kind props created_at updated_at
    artifact kind props created_at updated_at
    capability props created_at updated_at
    memory_cell props created_at updated_at
    model meta created_at updated_at
    policy meta created_at updated_at
    service meta created_at updated_at
    skill meta created_at updated_at
    agent_collab_agent weight bond_kind meta
    task_depends_on_task required
    pkg_snapshots entrypoint schema_version size_bytes signature notes
    pkg_policy_rules compiled_rule rule_hash metadata disabled
    pkg_rule_conditions predicate object position
    pkg_rule_emissions params position
    pkg_snapshot_artifacts size_bytes created_by
    pkg_deployments percent salt is_active activated_at activated_by
    pkg_device_versions version
    pkg_promotions env from_snapshot_id from_version to_version action reason forced validation_run_id metrics success
    pkg_validation_runs report subject_digest cases_total cases_failed actor
    pkg_rollout_events from_percent action is_rollback actor plan_id validation_run_id reason
    task_outbox available_at attempts created_at updated_at max_attempts locked_by delivered_at dead_at last_error
    """
) | {(edge, "created_at") for edge in EDGES}
"""Columns that the revision that makes the table also adds to one that is there."""

FILLED = _columns(
    """
    tasks status attempts drift_score params created_at updated_at priority
    facts tags meta_data namespace created_by created_at updated_at
    agent_registry props
    organ_registry props
    artifact props
    capability props
    memory_cell props
    model meta
    policy meta
    service meta
    skill meta
    pkg_promotions env action
    """
)
"""Columns whose nulls a revision replaces, after which it demands a value."""

_ALWAYS_SET = {("tasks", "params"), ("tasks", "priority"), ("tasks", "snapshot_id")}
_SET_IF_MISSING = _columns("tasks id status attempts drift_score params created_at updated_at")

_RULED = {
    *EDGES,
    *_names(
        "tasks facts graph_node_map agent_registry organ_registry artifact capability memory_cell model"
        " policy service skill graph_embeddings_128 graph_embeddings_1024 pkg_snapshots"
        " pkg_subtask_types pkg_policy_rules pkg_rule_conditions pkg_rule_emissions"
        " pkg_snapshot_artifacts pkg_deployments pkg_validation_fixtures pkg_validation_runs"
        " pkg_promotions pkg_device_versions task_outbox task_multimodal_embeddings"
        " task_router_telemetry"
    ),
}
_NOT_ADDED = {
    "task_outbox_dedupe_key_key", "task_multimodal_embeddings_task_id_fkey",
    "task_router_telemetry_task_id_fkey",
}  # fmt: skip

SCOPED = {"tasks", "facts", "graph_node_map", "graph_embeddings_128", "graph_embeddings_1024"}
_POLICY = {
    "pkg_subtask_types", "pkg_policy_rules", "pkg_rule_conditions", "pkg_rule_emissions",
    "pkg_snapshot_artifacts", "pkg_deployments", "pkg_validation_fixtures", "pkg_validation_runs",
    "pkg_promotions", "pkg_device_versions",
}  # fmt: skip
DEDUPED = {*EDGES, "graph_node_map", "graph_embeddings_128", "graph_embeddings_1024"}
"""Tables of which 008, 009 and 011 drop and count rows that say the same as another."""

TIMES = {("facts", "created_at"), ("facts", "updated_at")}
"""Times that the seeds' rows lack."""

FILLED_BY = {"tasks": "005"}
"""Where another revision fills nulls than the one that makes the column."""

_EMBEDDINGS = {"graph_embeddings_128", "graph_embeddings_1024"}

KEPT_INDEXES = frozenset(
    _names(
        "idx_instance_logical_id idx_instance_epoch_status idx_instance_logical_status"
        " idx_instance_status_heartbeat ux_pkg_active_per_env ux_pkg_subtask_name_snapshot"
        " ix_pkg_policy_rules_snapshot_priority ix_pkg_policy_rules_rule_name"
        " ix_pkg_rule_conditions_rule_position ix_pkg_rule_conditions_key_operator"
        " ix_pkg_rule_emissions_subtask_type ix_pkg_deployments_snapshot"
        " ix_pkg_validation_runs_snapshot_started ix_pkg_promotions_env_created"
        " ix_pkg_promotions_snapshot ix_task_events_at ix_task_schedules_due"
        " ix_task_schedules_last_task ix_energy_tx_scope ix_task_proto_plan_snapshot_id"
        " uq_pkg_rollout_plans_unfinished ix_pkg_rollout_gate_results_newest idx_rollout_events_lane"
    )
)
"""Indexes that a revision leaves as they are when one of the name is there."""


def adds(table: str, column: str, has: Table) -> bool:
    """Tell whether the revision that makes the table adds this column to one that lacks it."""
    if table in _EMBEDDINGS and "encoder_id" not in has.columns:
        return column not in ("node_id", "emb")
    return (table, column) in ADDED


def fills(table: str, column: str, has: Table) -> bool:
    """Tell whether a revision replaces the nulls of a column."""
    if table in _EMBEDDINGS and "encoder_id" not in has.columns:
        return column in ("label", "emb")
    return (table, column) in FILLED


def keeps_index(index: str, table: str, definition: str) -> bool:
    """Tell whether a revision leaves an index of ours by name as it is, whatever it is."""
    # Beats must not touch an index, so 012 drops each that holds their time.
    is_beaten = table == "registry_instance" and "last_heartbeat" in definition
    return index in KEPT_INDEXES and not is_beaten


def sets_default(table: str, column: str, found: Column, has: Table) -> bool:
    """Tell whether a revision gives the column our default instead of the one it has."""
    key = (table, column)
    if key in _ALWAYS_SET or (key in FILLED and not found.not_null):
        return True
    if table in _EMBEDDINGS and column == "label" and "encoder_id" not in has.columns:
        return True
    if key == ("tasks", "status") and (found.default or "").lower().startswith("'created'"):
        return True
    return key in _SET_IF_MISSING and (found.default is None or not found.not_null)


def adds_rule(table: str, rule: str) -> bool:
    """Tell whether a revision adds this key or check to a table that lacks it."""
    is_primary = rule.endswith("_pkey") and table not in _EMBEDDINGS
    return table in _RULED and rule not in _NOT_ADDED and not is_primary


def becomes_key(index: str, table: str, definition: str) -> bool:
    """Tell whether 001 makes a key of a unique index, as the earlier files have them on edges."""
    is_edge = re.match(r"(?:task|agent|organ)_", table) is not None
    is_plain = definition.startswith("CREATE UNIQUE") and " WHERE " not in definition
    return is_edge and is_plain and index == f"uq_{table}"


def replaces_keys(table: str, has: Table, wanted: Rule) -> bool:
    """Tell whether 002 drops the keys of a table of embeddings that was made by hand, to add ours."""
    return table in _EMBEDDINGS and "encoder_id" not in has.columns and wanted.kind in "pu"


def aligns(table: str, found: Rule, wanted: Rule, *, same_name: bool) -> bool:
    """Tell whether a revision makes `wanted` of a key or check that is there in another form.

    A foreign key that leads elsewhere is never turned round, only what happens on deletion.
    """
    if found.kind != wanted.kind or found.columns != wanted.columns:
        return False
    if found.kind == "f" and _target(found) != _target(wanted):
        return False
    if found.kind == "f" and (
        table in _POLICY or (table in SCOPED and wanted.columns == ["snapshot_id"])
    ):
        return True
    return table in EDGES and same_name and found.kind in "ucf"


def _target(rule: Rule) -> str:
    return re.sub(r"\s+(?:ON (?:DELETE|UPDATE)|DEFERRABLE|MATCH)\b.*", "", rule.text)


def is_dropped(
    name: str, kind: str, result: str, *, has_path: bool, is_ours: bool, pending: Container[str]
) -> bool:
    """Tell whether a pending revision drops a function before it makes its own."""
    if kind != "f":
        return False
    is_older = name in OLDER_FUNCTIONS
    if is_older and "001" in pending and not has_path and result != "trigger":
        return True
    return ANY_SIGNATURE.get(name, "") in pending and (is_older or is_ours)
