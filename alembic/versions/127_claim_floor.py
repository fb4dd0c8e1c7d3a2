"""Claim from where the last claim ended, past the rows that are dead already.

Locks: both indexes are built beside the old ones while readers and writers go on (two scans of `tasks`
each), then take their names, which locks `tasks` exclusively for an instant.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "127"
down_revision = "126"
branch_labels = None
depends_on = None

KEYS = "(priority DESC, (coalesce(run_after, created_at)), id) WHERE status IN ('queued', 'retry') "
LANES = (
    ("ix_tasks_claim_queue", "AND type <> 'graph'"),
    ("ix_tasks_claim_graph", "AND type = 'graph'"),
)


def upgrade() -> None:
    indexes = [(name, f"{KEYS}{lane} AND concurrency_key IS NULL") for name, lane in LANES]
    # At every moment there is an index for the claim that is there: the new function's conditions imply
    # the old indexes' too.
    for name, definition in indexes:
        ops.prepare_index(name, "tasks", definition)
    ops.run_sql("127_claim.sql")
    ops.run_sql("127_give_back.sql")
    for name, definition in indexes:
        ops.swap_index(name, "tasks", definition)
    ops.run_sql("127_index_comments.sql")


def downgrade() -> None:
    indexes = [(name, f"{KEYS}{lane}") for name, lane in LANES]
    for name, definition in indexes:
        ops.prepare_index(name, "tasks", definition)
    ops.run_sql("127_claim_floor.down.sql")
    ops.run_sql("120_claim.sql")
    ops.run_sql("120_finish.sql")
    for name, definition in indexes:
        ops.swap_index(name, "tasks", definition)
    ops.run_sql("127_index_comments.down.sql")
