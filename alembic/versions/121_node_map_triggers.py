"""Let the node map follow the tables of the graph's entities.

What is there is mapped first; what comes meanwhile is mapped again under the triggers' locks, which
finds little. `tasks` is locked last and for an instant.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "121"
down_revision = "120"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ops.run_sql("121_node_map.sql")
    ops.run_sql("121_backfill.sql")
    ops.run_sql("121_triggers.sql")
    ops.run_sql("121_backfill.sql")
    ops.run_sql("121_task_triggers.sql")
    ops.let_go("tasks")


def downgrade() -> None:
    ops.run_sql("121_node_map_triggers.down.sql")
