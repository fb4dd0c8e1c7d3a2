"""Schedules that many workers fire together, exactly once, with a history; batches that end in one task.

Locks: `task_schedules`, a small table, exclusively for an instant; `tasks` is not locked.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "129"
down_revision = "128"
branch_labels = None
depends_on = None

FILES = (
    "129_schedule_tables.sql",
    "129_schedule_fire.sql",
    "129_batches.sql",
    "129_redrive.sql",
)


def upgrade() -> None:
    for name in FILES:
        ops.run_sql(name)


def downgrade() -> None:
    ops.require_empty("task_schedule_fires")
    ops.run_sql("129_task_schedules.down.sql")
    # 120's own versions of the functions that were replaced.
    ops.run_sql("120_schedule.sql")
    ops.run_sql("120_release.sql")
    ops.run_sql("120_watchdog.sql")
    ops.execute("DROP TABLE IF EXISTS task_waits;")
