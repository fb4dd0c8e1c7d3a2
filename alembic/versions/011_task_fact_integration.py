"""Tie tasks to the facts that they read and find."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "011"
down_revision = "010"
branch_labels = None
depends_on = None

INDEXES = (
    ("idx_task_reads_fact_rev", "task_reads_fact", "(fact_id, task_id)"),
    ("idx_task_produces_fact_rev", "task_produces_fact", "(fact_id, task_id)"),
)


def upgrade() -> None:
    ops.run_sql("011_fact_nodes.sql")
    ops.run_sql("011_edges.sql")
    ops.let_go("tasks")
    ops.run_sql("011_edge_views.sql")
    ops.validate("task_reads_fact", "task_reads_fact_task_id_fkey", "task_reads_fact_fact_id_fkey")
    ops.validate(
        "task_produces_fact", "task_produces_fact_task_id_fkey", "task_produces_fact_fact_id_fkey"
    )
    for name, table, definition in INDEXES:
        ops.create_index(name, table, definition)
    ops.run_sql("011_index_comments.sql")


def downgrade() -> None:
    ops.require_empty("task_reads_fact", "task_produces_fact")
    ops.run_sql("009_edge_views.sql")
    ops.run_sql("011_task_fact_integration.down.sql")
