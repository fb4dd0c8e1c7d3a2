"""Tie facts to policy snapshots, and ask what holds of a subject or held at a time.

Locks: the key takes `facts` and `pkg_snapshots` against writers for an instant; on a filled table it is
validated, and old rows mended, while writers go on.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "016"
down_revision = "015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ops.run_sql("016_fact_pkg_integration.sql")
    ops.run_sql("016_functions.sql")
    ops.let_go("facts")
    ops.run_sql("016_repair.sql")
    ops.let_go("facts")
    ops.validate("facts", "fk_facts_snapshot_id")


def downgrade() -> None:
    ops.run_sql("016_fact_pkg_integration.down.sql")
