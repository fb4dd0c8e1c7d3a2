"""Progress and checkpoints of running tasks, and what is kept of ended ones for how long.

Locks: the foreign key takes `tasks` SHARE ROW EXCLUSIVE for an instant.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "128"
down_revision = "127"
branch_labels = None
depends_on = None

FILES = ("128_task_progress.sql", "128_retention.sql")


def upgrade() -> None:
    for name in FILES:
        ops.run_sql(name)


def downgrade() -> None:
    ops.require_empty("task_progress")
    ops.run_sql("128_task_progress.down.sql")
