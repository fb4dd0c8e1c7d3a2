"""Know which instances are alive, and in which incarnation of the cluster.

The tables are small: one row per process of the last days. Their indexes are built in the transaction.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "012"
down_revision = "011"
branch_labels = None
depends_on = None


FILES = (
    "012_runtime_registry.sql",
    "012_registry_functions.sql",
    "012_registry_views.sql",
)


def upgrade() -> None:
    for name in FILES:
        ops.run_sql(name)


def downgrade() -> None:
    ops.require_empty("registry_instance", "cluster_epoch_history", "cluster_metadata")
    ops.run_sql("012_runtime_registry.down.sql")
