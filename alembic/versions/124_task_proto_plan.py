"""Keep the plan that was made for a task."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "124"
down_revision = "123"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ops.run_sql("124_task_proto_plan.sql")
    ops.let_go("tasks")


def downgrade() -> None:
    ops.require_empty("task_proto_plan")
    ops.run_sql("124_task_proto_plan.down.sql")
