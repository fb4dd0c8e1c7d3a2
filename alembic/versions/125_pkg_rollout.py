"""Bring a snapshot to a lane step by step, with gates, an audit of every change, and the evaluations it is judged by.

The audit tables of policy refuse change from here on. Evaluations may be many; their indexes come last.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "125"
down_revision = "124"
branch_labels = None
depends_on = None

FILES = (
    "125_pkg_rollout.sql",
    "125_pkg_lanes.sql",
    "125_pkg_rollout_functions.sql",
    "125_pkg_rollout_automation.sql",
    "125_pkg_effective_snapshot.sql",
    # The same text as in 122, in case somebody took it out of there.
    "122_forbid_change.sql",
    "125_pkg_triggers.sql",
)

INDEXES = (
    ("ix_pkg_evaluations_lane", "(snapshot_id, target, created_at)"),
    ("ix_pkg_evaluations_sampled", "(created_at) WHERE input IS NOT NULL"),
    ("ix_pkg_evaluations_created", "USING brin (created_at)"),
)


def upgrade() -> None:
    for name in FILES:
        ops.run_sql(name)
    for name, definition in INDEXES:
        ops.create_index(name, "pkg_evaluations", definition)
    ops.run_sql("125_index_comments.sql")


def downgrade() -> None:
    ops.require_empty(
        "pkg_evaluations",
        "pkg_rollout_events",
        "pkg_rollout_gate_results",
        "pkg_rollout_steps",
        "pkg_rollout_plans",
    )
    ops.run_sql("125_pkg_rollout.down.sql")
    # The lanes' own view of who is served what, without plans.
    ops.run_sql("015_pkg_effective_snapshot.sql")
