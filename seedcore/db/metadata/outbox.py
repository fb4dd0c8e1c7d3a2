"""The table of events on their way out."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, UUID

from seedcore.db.metadata.base import column, metadata, time

_open = sa.text("delivered_at IS NULL AND dead_at IS NULL")

task_outbox = sa.Table(
    "task_outbox",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    column("task_id", UUID(as_uuid=True)),
    column("event_type", sa.Text()),
    column("payload", JSONB()),
    column("dedupe_key", sa.Text(), null=True),
    column("available_at", time),
    column("attempts", sa.Integer()),
    column("created_at", time),
    column("updated_at", time),
    column("max_attempts", sa.Integer()),
    column("locked_by", sa.Text(), null=True),
    column("delivered_at", time, null=True),
    column("dead_at", time, null=True),
    column("last_error", sa.Text(), null=True),
    sa.UniqueConstraint("dedupe_key", name="task_outbox_dedupe_key_key"),
    sa.Index("idx_task_outbox_available", "available_at", "id", postgresql_where=_open),
    sa.Index("idx_task_outbox_event_type", "event_type", "available_at", postgresql_where=_open),
    sa.Index("idx_task_outbox_task_id", "task_id"),
    sa.Index("idx_task_outbox_dead", "dead_at", postgresql_where=sa.text("dead_at IS NOT NULL")),
    sa.Index(
        "idx_task_outbox_delivered",
        "delivered_at",
        postgresql_where=sa.text("delivered_at IS NOT NULL"),
    ),
)
