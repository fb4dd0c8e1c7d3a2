"""Let a worker hold a task for a while, and take tasks back from workers that went silent."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "006"
down_revision = "005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ops.run_sql("006_add_task_lease_columns.sql")
    ops.run_sql("006_lease_functions.sql")


def downgrade() -> None:
    ops.run_sql("006_add_task_lease_columns.down.sql")
