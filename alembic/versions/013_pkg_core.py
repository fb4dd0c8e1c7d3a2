"""Define policy: snapshots with their subtask types, rules, conditions, emissions and artifacts.

A policy has hundreds of rows, not millions, so every index is built with its table.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "013"
down_revision = "012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ops.run_sql("013_pkg_core.sql")
    ops.run_sql("013_index_comments.sql")


def downgrade() -> None:
    ops.require_empty(
        "pkg_snapshot_artifacts",
        "pkg_rule_emissions",
        "pkg_rule_conditions",
        "pkg_policy_rules",
        "pkg_subtask_types",
        "pkg_snapshots",
    )
    ops.run_sql("013_pkg_core.down.sql")
