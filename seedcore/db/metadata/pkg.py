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
