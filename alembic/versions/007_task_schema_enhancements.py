"""Store documents as jsonb, refuse negative attempts, and index what lists and sweeps ask for.

The indexes come last and, on a table that has rows, CONCURRENTLY: writers go on meanwhile.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "007"
down_revision = "006"
branch_labels = None
depends_on = None

INDEXES = (
    # Completed rows are the bulk and are never sought by status alone.
    ("ix_tasks_status_runafter", "(status, run_after) WHERE status <> 'completed'"),
    ("ix_tasks_created_at_desc", "(created_at DESC)"),
    ("ix_tasks_type", "(type)"),
    ("ix_tasks_domain", "(domain) WHERE domain IS NOT NULL"),
    ("ix_tasks_params_gin", "USING gin (params jsonb_path_ops)"),
)


def upgrade() -> None:
    ops.run_sql("004_dependent_views.sql")
    ops.run_sql("007_task_schema_enhancements.sql")
    ops.let_go("tasks")
    ops.validate("tasks", "ck_tasks_attempts_nonneg")
    for name, definition in INDEXES:
        ops.create_index(name, "tasks", definition)
    ops.run_sql("007_index_comments.sql")


def downgrade() -> None:
    for name, _ in reversed(INDEXES):
        ops.drop_index(name)
    ops.run_sql("007_task_schema_enhancements.down.sql")
