"""Repair the status type of databases that were made by other hands.

Does nothing on a database of our own. The repair stays when the revision is taken back.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "004"
down_revision = "003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ops.run_sql("004_dependent_views.sql")
    ops.run_sql("004_fix_taskstatus_enum.sql")


def downgrade() -> None:
    """Keep the repair: nothing was added."""
