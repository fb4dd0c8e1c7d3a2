"""Tables of policy: snapshots and what they consist of."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, ENUM, JSONB, UUID

from seedcore.db.metadata.base import column, metadata, time


def _enum(name: str, *labels: str) -> ENUM:
    return ENUM(*labels, name=name, create_type=False)


def _reference(
    name: str, target: sa.Column[Any], ondelete: str, *, null: bool = False
) -> sa.Column[Any]:
    return sa.Column(name, sa.ForeignKey(target, ondelete=ondelete), nullable=null)


pkg_env = _enum("pkg_env", "prod", "staging", "dev")
pkg_engine = _enum("pkg_engine", "wasm", "native", "rego")
pkg_condition_type = _enum("pkg_condition_type", "TAG", "SIGNAL", "VALUE", "FACT")
pkg_relation = _enum("pkg_relation", "EMITS", "ORDERS", "GATE")
pkg_operator = _enum("pkg_operator", "=", "!=", ">=", "<=", ">", "<", "EXISTS", "IN", "MATCHES")
pkg_artifact_type = _enum("pkg_artifact_type", "rego_bundle", "wasm_pack", "source_tar")

pkg_snapshots = sa.Table(
    "pkg_snapshots",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    column("version", sa.Text()),
    column("env", pkg_env),
    column("entrypoint", sa.Text(), null=True),
    column("schema_version", sa.Text(), null=True),
    column("checksum", sa.Text()),
    column("size_bytes", sa.BigInteger(), null=True),
    column("signature", sa.Text(), null=True),
    column("is_active", sa.Boolean()),
    column("notes", sa.Text(), null=True),
    column("created_at", time),
    sa.UniqueConstraint("version", "env", name="uq_pkg_snapshots_version_env"),
)
sa.Index(
    "ux_pkg_active_per_env",
    pkg_snapshots.c.env,
    unique=True,
    postgresql_where=sa.text("is_active"),
)

pkg_subtask_types = sa.Table(
    "pkg_subtask_types",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    _reference("snapshot_id", pkg_snapshots.c.id, "CASCADE"),
    column("name", sa.Text()),
    column("default_params", JSONB(), null=True),
    column("created_at", time),
    sa.Index("ux_pkg_subtask_name_snapshot", "snapshot_id", "name", unique=True),
)

pkg_policy_rules = sa.Table(
    "pkg_policy_rules",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    _reference("snapshot_id", pkg_snapshots.c.id, "CASCADE"),
    column("rule_name", sa.Text()),
    column("priority", sa.Integer()),
    column("rule_source", sa.Text()),
    column("compiled_rule", sa.Text(), null=True),
    column("engine", pkg_engine),
    column("rule_hash", sa.Text(), null=True),
    column("metadata", JSONB(), null=True),
    column("disabled", sa.Boolean()),
    column("created_at", time),
)
sa.Index(
    "ix_pkg_policy_rules_snapshot_priority",
    pkg_policy_rules.c.snapshot_id,
    pkg_policy_rules.c.priority.desc(),
)
sa.Index("ix_pkg_policy_rules_rule_name", pkg_policy_rules.c.rule_name)

pkg_rule_conditions = sa.Table(
    "pkg_rule_conditions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _reference("rule_id", pkg_policy_rules.c.id, "CASCADE"),
    column("condition_type", pkg_condition_type),
    column("condition_key", sa.Text()),
    column("operator", pkg_operator),
    column("value", sa.Text(), null=True),
    column("predicate", sa.Text(), null=True),
    column("object", JSONB(), null=True),
    column("position", sa.Integer()),
    sa.Index("ix_pkg_rule_conditions_rule_position", "rule_id", "position"),
    sa.Index("ix_pkg_rule_conditions_key_operator", "condition_key", "operator"),
)

pkg_rule_emissions = sa.Table(
    "pkg_rule_emissions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _reference("rule_id", pkg_policy_rules.c.id, "CASCADE"),
    _reference("subtask_type_id", pkg_subtask_types.c.id, "CASCADE"),
    column("relationship_type", pkg_relation),
    column("params", JSONB(), null=True),
    column("position", sa.Integer()),
    sa.UniqueConstraint(
        "rule_id",
        "subtask_type_id",
        "relationship_type",
        "position",
        name="uq_pkg_rule_emissions",
    ),
    sa.Index("ix_pkg_rule_emissions_subtask_type", "subtask_type_id"),
)

pkg_snapshot_artifacts = sa.Table(
    "pkg_snapshot_artifacts",
    metadata,
    _reference("snapshot_id", pkg_snapshots.c.id, "CASCADE"),
    column("artifact_type", pkg_artifact_type),
    column("artifact_bytes", BYTEA()),
    sa.Column(
        "size_bytes",
        sa.BigInteger,
        sa.Computed("octet_length(artifact_bytes)", persisted=True),
        nullable=True,
    ),
    column("sha256", sa.Text()),
    column("created_at", time),
    column("created_by", sa.Text()),
    sa.PrimaryKeyConstraint("snapshot_id", "artifact_type"),
)

pkg_deployments = sa.Table(
    "pkg_deployments",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _reference("snapshot_id", pkg_snapshots.c.id, "RESTRICT"),
    column("target", sa.Text()),
    column("region", sa.Text()),
    column("percent", sa.Integer()),
    column("salt", sa.Text()),
    column("is_active", sa.Boolean()),
    column("activated_at", time),
    column("activated_by", sa.Text()),
    sa.UniqueConstraint("target", "region", name="uq_pkg_deploy_lane"),
    sa.Index("ix_pkg_deployments_snapshot", "snapshot_id"),
)

pkg_validation_fixtures = sa.Table(
    "pkg_validation_fixtures",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _reference("snapshot_id", pkg_snapshots.c.id, "CASCADE"),
    column("name", sa.Text()),
    column("input", JSONB()),
    column("expect", JSONB()),
    column("created_at", time),
    sa.UniqueConstraint("snapshot_id", "name", name="uq_pkg_validation_fixtures_name"),
)

pkg_validation_runs = sa.Table(
    "pkg_validation_runs",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _reference("snapshot_id", pkg_snapshots.c.id, "RESTRICT"),
    column("started_at", time),
    column("finished_at", time, null=True),
    column("success", sa.Boolean(), null=True),
    column("report", JSONB(), null=True),
    column("subject_digest", sa.Text(), null=True),
    column("cases_total", sa.Integer()),
    column("cases_failed", sa.Integer()),
    column("actor", sa.Text()),
)
sa.Index(
    "ix_pkg_validation_runs_snapshot_started",
    pkg_validation_runs.c.snapshot_id,
    pkg_validation_runs.c.started_at.desc(),
)

pkg_promotions = sa.Table(
    "pkg_promotions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _reference("snapshot_id", pkg_snapshots.c.id, "RESTRICT"),
    column("env", pkg_env),
    _reference("from_snapshot_id", pkg_snapshots.c.id, "RESTRICT", null=True),
    column("from_version", sa.Text(), null=True),
    column("to_version", sa.Text(), null=True),
    column("actor", sa.Text()),
    column("action", sa.Text()),
    column("reason", sa.Text(), null=True),
    column("forced", sa.Boolean()),
    _reference("validation_run_id", pkg_validation_runs.c.id, "RESTRICT", null=True),
    column("metrics", JSONB(), null=True),
    column("success", sa.Boolean()),
    column("created_at", time),
    sa.Index("ix_pkg_promotions_snapshot", "snapshot_id"),
)
sa.Index("ix_pkg_promotions_env_created", pkg_promotions.c.env, pkg_promotions.c.created_at.desc())

pkg_device_versions = sa.Table(
    "pkg_device_versions",
    metadata,
    sa.Column("device_id", sa.Text, primary_key=True),
    column("device_type", sa.Text()),
    column("region", sa.Text()),
    _reference("snapshot_id", pkg_snapshots.c.id, "SET NULL", null=True),
    column("version", sa.Text(), null=True),
    column("last_seen", time),
    sa.Index("ix_pkg_device_versions_type_region", "device_type", "region"),
    sa.Index("ix_pkg_device_versions_snapshot", "snapshot_id"),
)

pkg_rollout_plans = sa.Table(
    "pkg_rollout_plans",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("target", sa.Text()),
    column("region", sa.Text()),
    _reference("snapshot_id", pkg_snapshots.c.id, "RESTRICT"),
    _reference("from_snapshot_id", pkg_snapshots.c.id, "RESTRICT", null=True),
    column("from_percent", sa.Integer(), null=True),
    column("state", sa.Text()),
    column("current_step", sa.Integer(), null=True),
    column("automatic", sa.Boolean()),
    column("max_fail", sa.Integer()),
    column("min_samples", sa.Integer()),
    column("fails", sa.Integer()),
    column("checked_samples", sa.BigInteger()),
    column("checked_at", time, null=True),
    column("message", sa.Text(), null=True),
    column("created_by", sa.Text()),
    column("reason", sa.Text(), null=True),
    column("started_at", time, null=True),
    column("finished_at", time, null=True),
    column("created_at", time),
    column("updated_at", time),
)
sa.Index(
    "uq_pkg_rollout_plans_unfinished",
    pkg_rollout_plans.c.target,
    pkg_rollout_plans.c.region,
    unique=True,
    postgresql_where=sa.text("state IN ('planned', 'running', 'paused')"),
)

pkg_rollout_steps = sa.Table(
    "pkg_rollout_steps",
    metadata,
    _reference("plan_id", pkg_rollout_plans.c.id, "CASCADE"),
    column("step_no", sa.Integer()),
    column("percent", sa.Integer()),
    column("min_duration", sa.Interval()),
    column("gates", JSONB()),
    column("manual", sa.Boolean()),
    column("state", sa.Text()),
    column("entered_at", time, null=True),
    column("left_at", time, null=True),
    sa.PrimaryKeyConstraint("plan_id", "step_no"),
)

pkg_rollout_gate_results = sa.Table(
    "pkg_rollout_gate_results",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("plan_id", sa.BigInteger()),
    column("step_no", sa.Integer()),
    column("gate", sa.Text()),
    column("value", sa.Double(), null=True),
    column("threshold", sa.Double(), null=True),
    column("passed", sa.Boolean()),
    column("measured_at", time),
    sa.ForeignKeyConstraint(
        ["plan_id", "step_no"],
        [pkg_rollout_steps.c.plan_id, pkg_rollout_steps.c.step_no],
        name="pkg_rollout_gate_results_step_fkey",
        ondelete="CASCADE",
    ),
)
sa.Index(
    "ix_pkg_rollout_gate_results_newest",
    pkg_rollout_gate_results.c.plan_id,
    pkg_rollout_gate_results.c.step_no,
    pkg_rollout_gate_results.c.gate,
    pkg_rollout_gate_results.c.measured_at.desc(),
)

pkg_rollout_events = sa.Table(
    "pkg_rollout_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("target", sa.Text()),
    column("region", sa.Text()),
    _reference("snapshot_id", pkg_snapshots.c.id, "RESTRICT"),
    column("from_percent", sa.Integer(), null=True),
    column("to_percent", sa.Integer()),
    column("action", sa.Text()),
    column("is_rollback", sa.Boolean()),
    column("actor", sa.Text()),
    _reference("plan_id", pkg_rollout_plans.c.id, "RESTRICT", null=True),
    _reference("validation_run_id", pkg_validation_runs.c.id, "RESTRICT", null=True),
    column("reason", sa.Text(), null=True),
    column("created_at", time),
)
sa.Index(
    "idx_rollout_events_lane",
    pkg_rollout_events.c.target,
    pkg_rollout_events.c.region,
    pkg_rollout_events.c.created_at.desc(),
)

pkg_evaluations = sa.Table(
    "pkg_evaluations",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _reference("snapshot_id", pkg_snapshots.c.id, "RESTRICT"),
    column("target", sa.Text()),
    column("region", sa.Text()),
    column("subject", sa.Text(), null=True),
    column("task_id", UUID(as_uuid=True), null=True),
    column("input_digest", sa.Text()),
    column("output_digest", sa.Text(), null=True),
    column("outcome", sa.Text()),
    column("denied", sa.Boolean()),
    column("duration_ms", sa.Double()),
    column("input", JSONB(), null=True),
    column("created_at", time),
    sa.Index("ix_pkg_evaluations_lane", "snapshot_id", "target", "created_at"),
    sa.Index("ix_pkg_evaluations_created", "created_at", postgresql_using="brin"),
)
sa.Index(
    "ix_pkg_evaluations_sampled",
    pkg_evaluations.c.created_at,
    postgresql_where=sa.text("input IS NOT NULL"),
)
