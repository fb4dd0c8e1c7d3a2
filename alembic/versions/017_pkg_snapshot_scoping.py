"""Say of tasks, nodes, embeddings and facts under which policy snapshot they were made.

Locks: the columns take their tables exclusively for an instant, without a rewrite or a scan. Old rows get
the active snapshot in short transactions, keys of adopted columns are validated and indexes built while
writers go on.
"""

from __future__ import annotations

from alembic import op

from seedcore.db.migrate import ops

revision = "017"
down_revision = "016"
branch_labels = None
depends_on = None

SCOPED = ("tasks", "graph_node_map", "graph_embeddings_128", "graph_embeddings_1024")

INDEXES = (
    # Tasks come in the order of snapshots, so a range index is small and enough for sweeps.
    ("idx_tasks_snapshot_id", "tasks", "USING brin (snapshot_id)"),
    ("idx_tasks_snapshot_status", "tasks", "(snapshot_id, status) WHERE snapshot_id IS NOT NULL"),
    ("idx_graph_node_map_snapshot_id", "graph_node_map", "(snapshot_id, node_type)"),
    ("idx_graph_embeddings_128_snapshot_id", "graph_embeddings_128", "(snapshot_id, label)"),
    ("idx_graph_embeddings_1024_snapshot_id", "graph_embeddings_1024", "(snapshot_id, label)"),
)


def upgrade() -> None:
    ops.run_sql("017_pkg_snapshot_scoping.sql")
    ops.let_go("tasks")
    ops.run_sql("017_functions.sql")
    with op.get_context().autocommit_block():
        ops.run_sql("017_lost_snapshots.sql")
        ops.run_sql("017_backfill.sql")
    for table in SCOPED:
        ops.validate(table, f"fk_{table}_snapshot_id")
    ops.validate("facts", "chk_facts_pkg_rule_requires_snapshot")
    for name, table, definition in INDEXES:
        ops.create_index(name, table, definition)
    ops.run_sql("017_index_comments.sql")


def downgrade() -> None:
    ops.run_sql("017_pkg_snapshot_scoping.down.sql")
