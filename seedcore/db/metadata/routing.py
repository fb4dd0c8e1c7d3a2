"""Tables of routing: decisions, drift sums, plans."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, UUID

from seedcore.db.metadata.base import column, metadata, time
from seedcore.db.metadata.tasks import tasks

task_router_telemetry = sa.Table(
    "task_router_telemetry",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column(
        "task_id",
        UUID(as_uuid=True),
        sa.ForeignKey(tasks.c.id, ondelete="CASCADE"),
        nullable=False,
    ),
    column("surprise_score", sa.Double()),
    column("x_vector", JSONB()),
    column("weights", JSONB()),
    column("ocps_metadata", JSONB()),
    column("chosen_route", sa.Text()),
    column("created_at", time),
)
_made = task_router_telemetry.c
sa.Index("idx_task_router_telemetry_task_id", _made.task_id)
sa.Index("idx_task_router_telemetry_chosen_route", _made.chosen_route)
sa.Index("idx_task_router_telemetry_created_at", _made.created_at.desc())
sa.Index("idx_task_router_telemetry_route_created", _made.chosen_route, _made.created_at.desc())
sa.Index(
    "idx_task_router_telemetry_ocps_metadata",
    _made.ocps_metadata,
    postgresql_using="gin",
    postgresql_ops={"ocps_metadata": "jsonb_path_ops"},
)

ocps_state = sa.Table(
    "ocps_state",
    metadata,
    sa.Column("domain", sa.Text, primary_key=True),
    column("s_t", sa.Double()),
    column("nu", sa.Double()),
    column("h", sa.Double()),
    column("reset_to", sa.Double()),
    column("fast_count", sa.BigInteger()),
    column("escalated_count", sa.BigInteger()),
    column("last_drift", sa.Double(), null=True),
    column("last_task_id", UUID(as_uuid=True), null=True),
    column("created_at", time),
    column("updated_at", time),
)

task_proto_plan = sa.Table(
    "task_proto_plan",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column(
        "task_id",
        UUID(as_uuid=True),
        sa.ForeignKey(tasks.c.id, ondelete="CASCADE"),
        nullable=False,
    ),
    column("route", sa.Text()),
    column("proto_plan", JSONB()),
    column("source", sa.Text(), null=True),
    sa.Column(
        "snapshot_id",
        sa.Integer,
        sa.ForeignKey(
            "pkg_snapshots.id", name="fk_task_proto_plan_snapshot_id", ondelete="RESTRICT"
        ),
        nullable=True,
    ),
    column("truncated", sa.Boolean()),
    column("created_at", time),
    column("updated_at", time),
    sa.UniqueConstraint("task_id", name="uq_task_proto_plan_task"),
    sa.Index(
        "ix_task_proto_plan_snapshot_id",
        "snapshot_id",
        postgresql_where=sa.text("snapshot_id IS NOT NULL"),
    ),
)
