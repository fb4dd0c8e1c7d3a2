"""Tables of the runtime registry: epochs and instances."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ENUM, INET, UUID

from seedcore.db.metadata.base import column, metadata, time

instance_status = ENUM(
    "starting", "alive", "draining", "dead", name="instancestatus", create_type=False
)

cluster_metadata = sa.Table(
    "cluster_metadata",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    column("current_epoch", UUID(as_uuid=True)),
    column("updated_at", time),
)

cluster_epoch_history = sa.Table(
    "cluster_epoch_history",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("epoch", UUID(as_uuid=True)),
    column("previous_epoch", UUID(as_uuid=True), null=True),
    column("set_at", time),
    column("actor", sa.Text(), null=True),
    column("reason", sa.Text(), null=True),
)

registry_instance = sa.Table(
    "registry_instance",
    metadata,
    sa.Column("instance_id", UUID(as_uuid=True), primary_key=True),
    column("logical_id", sa.Text()),
    column("cluster_epoch", UUID(as_uuid=True)),
    column("status", instance_status),
    column("actor_name", sa.Text(), null=True),
    column("serve_route", sa.Text(), null=True),
    column("node_id", sa.Text(), null=True),
    column("ip_address", INET(), null=True),
    column("pid", sa.Integer(), null=True),
    column("started_at", time),
    column("stopped_at", time, null=True),
    column("last_heartbeat", time),
    sa.Index("idx_instance_logical_id", "logical_id"),
    sa.Index("idx_instance_epoch_status", "cluster_epoch", "status"),
    sa.Index("idx_instance_logical_status", "logical_id", "status", "cluster_epoch"),
    sa.Index(
        "idx_instance_status_heartbeat", "status", postgresql_where=sa.text("status <> 'dead'")
    ),
)
