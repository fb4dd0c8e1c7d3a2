"""Create the tasks table, its status type and the database's own settings."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    ops.run_sql("001_older_code.sql")
    ops.run_sql("001_create_tasks_table.sql")


def downgrade() -> None:
    ops.require_empty("tasks", "seedcore_settings")
    ops.run_sql("001_create_tasks_table.down.sql")
