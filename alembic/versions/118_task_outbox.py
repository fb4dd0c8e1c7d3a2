"""Hand events over at least once: written with the change they speak of, claimed, delivered or given up."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "118"
down_revision = "117"
branch_labels = None
depends_on = None


FILES = (
    "118_task_outbox.sql",
    "118_outbox_functions.sql",
)

OPEN = "WHERE delivered_at IS NULL AND dead_at IS NULL"
INDEXES = (
    ("idx_task_outbox_available", f"(available_at, id) {OPEN}"),
    ("idx_task_outbox_event_type", f"(event_type, available_at) {OPEN}"),
    ("idx_task_outbox_task_id", "(task_id)"),
    ("idx_task_outbox_dead", "(dead_at) WHERE dead_at IS NOT NULL"),
    ("idx_task_outbox_delivered", "(delivered_at) WHERE delivered_at IS NOT NULL"),
)


def upgrade() -> None:
    for name in FILES:
        ops.run_sql(name)
    for name, definition in INDEXES:
        ops.create_index(name, "task_outbox", definition)
    ops.run_sql("118_outbox_comments.sql")


def downgrade() -> None:
    ops.require_empty("task_outbox")
    ops.run_sql("118_task_outbox.down.sql")
