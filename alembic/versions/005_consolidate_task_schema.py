"""Give older tasks tables the columns and defaults they lack.

Does nothing on a database of our own. The repair stays when the revision is taken back.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "005"
down_revision = "004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ops.run_sql("005_consolidate_task_schema.sql")


def downgrade() -> None:
    """Keep the repair: nothing was added."""
