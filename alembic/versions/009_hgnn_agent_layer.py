"""Tie agents and organs to each other, and to the skills, services, policies and models they have."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "009"
down_revision = "008"
branch_labels = None
depends_on = None

INDEXES = (
    ("idx_agent_member_of_organ_rev", "agent_member_of_organ", "(organ_id, agent_id)"),
    ("idx_agent_collab_agent_rev", "agent_collab_agent", "(dst_agent, src_agent)"),
    ("idx_organ_provides_skill_rev", "organ_provides_skill", "(skill_name, organ_id)"),
    ("idx_organ_uses_service_rev", "organ_uses_service", "(service_name, organ_id)"),
    ("idx_organ_governed_by_policy_rev", "organ_governed_by_policy", "(policy_name, organ_id)"),
    ("idx_agent_uses_model_rev", "agent_uses_model", "(model_name, agent_id)"),
)

TABLES = (
    "agent_member_of_organ",
    "agent_collab_agent",
    "organ_provides_skill",
    "organ_uses_service",
    "organ_governed_by_policy",
    "agent_uses_model",
    "model",
    "policy",
    "service",
    "skill",
)


def upgrade() -> None:
    ops.run_sql("009_dimensions.sql")
    ops.run_sql("009_edges.sql")
    ops.run_sql("009_edge_views.sql")
    ops.validate(
        "agent_member_of_organ",
        "agent_member_of_organ_agent_id_fkey",
        "agent_member_of_organ_organ_id_fkey",
    )
    ops.validate(
        "agent_collab_agent",
        "agent_collab_agent_src_agent_fkey",
        "agent_collab_agent_dst_agent_fkey",
        "ck_agent_collab_agent_self",
        "ck_agent_collab_agent_weight",
    )
    ops.validate(
        "organ_provides_skill",
        "organ_provides_skill_organ_id_fkey",
        "organ_provides_skill_skill_name_fkey",
    )
    ops.validate(
        "organ_uses_service",
        "organ_uses_service_organ_id_fkey",
        "organ_uses_service_service_name_fkey",
    )
    ops.validate(
        "organ_governed_by_policy",
        "organ_governed_by_policy_organ_id_fkey",
        "organ_governed_by_policy_policy_name_fkey",
    )
    ops.validate(
        "agent_uses_model", "agent_uses_model_agent_id_fkey", "agent_uses_model_model_name_fkey"
    )
    for name, table, definition in INDEXES:
        ops.create_index(name, table, definition)
    ops.run_sql("009_index_comments.sql")


def downgrade() -> None:
    ops.require_empty(*TABLES)
    ops.run_sql("008_edge_views.sql")
    ops.run_sql("009_hgnn_agent_layer.down.sql")
