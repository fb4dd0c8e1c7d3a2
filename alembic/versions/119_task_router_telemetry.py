"""Keep what each routing decision was made from."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "119"
down_revision = "118"
branch_labels = None
depends_on = None


INDEXES = (
    ("idx_task_router_telemetry_task_id", "(task_id)"),
    ("idx_task_router_telemetry_chosen_route", "(chosen_route)"),
    ("idx_task_router_telemetry_created_at", "(created_at DESC)"),
    ("idx_task_router_telemetry_route_created", "(chosen_route, created_at DESC)"),
    ("idx_task_router_telemetry_ocps_metadata", "USING gin (ocps_metadata jsonb_path_ops)"),
)


def upgrade() -> None:
    ops.run_sql("119_task_router_telemetry.sql")
    ops.let_go("tasks")
    for name, definition in INDEXES:
        ops.create_index(name, "task_router_telemetry", definition)
    ops.run_sql("119_telemetry_comments.sql")


def downgrade() -> None:
    ops.require_empty("task_router_telemetry")
    ops.run_sql("119_task_router_telemetry.down.sql")
