"""Show graph tasks in a view of their own, and make one with a short call."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "003"
down_revision = "002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ops.run_sql("003_graph_tasks.sql")
    ops.run_sql("003_create_functions.sql")


def downgrade() -> None:
    ops.run_sql("003_graph_task_types.down.sql")
