"""Tables of the queue: tasks and what stands beside them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, UUID

from seedcore.db.metadata.base import column, metadata, scoped, task_status, time

seedcore_settings = sa.Table(
    "seedcore_settings",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    column("value", sa.Text()),
    column("changed_by", sa.Text()),
    column("changed_at", time),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    column("status", task_status),
    column("attempts", sa.Integer()),
    column("locked_by", sa.Text(), null=True),
    column("locked_at", time, null=True),
    column("run_after", time, null=True),
    column("type", sa.Text()),
    column("description", sa.Text(), null=True),
    column("domain", sa.Text(), null=True),
    column("drift_score", sa.Double()),
    column("params", JSONB()),
    column("result", JSONB(), null=True),
    column("error", sa.Text(), null=True),
    column("created_at", time),
    column("updated_at", time),
    column("owner_id", sa.Text(), null=True),
    column("lease_expires_at", time, null=True),
    column("last_heartbeat", time, null=True),
    column("priority", sa.SmallInteger()),
    column("deadline_at", time, null=True),
    column("expires_at", time, null=True),
    column("max_attempts", sa.SmallInteger(), null=True),
    column("idempotency_key", sa.Text(), null=True),
    column("auto_release", sa.Boolean()),
    column("started_at", time, null=True),
    column("finished_at", time, null=True),
    column("lapses", sa.Integer()),
    column("concurrency_key", sa.Text(), null=True),
    column("concurrency_limit", sa.SmallInteger(), null=True),
    column("aged", sa.SmallInteger()),
    column("unique_while", sa.Text(), null=True),
    scoped("tasks"),
)
_claim_order = (tasks.c.priority.desc(), sa.func.coalesce(tasks.c.run_after, tasks.c.created_at))
_claimable = "status IN ('queued', 'retry')"
_has_key = "idempotency_key IS NOT NULL"
_holds_key = "task_holds_key(status, unique_while)"
sa.Index(
    "ix_tasks_status_runafter",
    tasks.c.status,
    tasks.c.run_after,
    postgresql_where=sa.text("status <> 'completed'"),
)
sa.Index("ix_tasks_created_at_desc", tasks.c.created_at.desc())
sa.Index("ix_tasks_type", tasks.c.type)
sa.Index("ix_tasks_domain", tasks.c.domain, postgresql_where=sa.text("domain IS NOT NULL"))
sa.Index(
    "ix_tasks_params_gin",
    tasks.c.params,
    postgresql_using="gin",
    postgresql_ops={"params": "jsonb_path_ops"},
)
sa.Index(
    "ix_tasks_claim_queue",
    *_claim_order,
    tasks.c.id,
    postgresql_where=sa.text(f"{_claimable} AND type <> 'graph' AND concurrency_key IS NULL"),
)
sa.Index(
    "ix_tasks_claim_graph",
    *_claim_order,
    tasks.c.id,
    postgresql_where=sa.text(f"{_claimable} AND type = 'graph' AND concurrency_key IS NULL"),
)
sa.Index(
    "ix_tasks_expires",
    tasks.c.expires_at,
    postgresql_where=sa.text("expires_at IS NOT NULL AND status IN ('created', 'queued', 'retry')"),
)
sa.Index(
    "ix_tasks_key_ended",
    tasks.c.idempotency_key,
    tasks.c.created_at.desc(),
    postgresql_where=sa.text(f"{_has_key} AND NOT {_holds_key}"),
)
sa.Index(
    "ux_tasks_idempotency_key",
    tasks.c.idempotency_key,
    unique=True,
    postgresql_where=sa.text(f"{_has_key} AND {_holds_key}"),
)
sa.Index(
    "ix_tasks_claim_keyed",
    sa.func.task_lane(tasks.c.type),
    tasks.c.concurrency_key,
    *_claim_order,
    tasks.c.id,
    postgresql_where=sa.text(f"{_claimable} AND concurrency_key IS NOT NULL"),
)
sa.Index(
    "ix_tasks_age_keyed",
    tasks.c.priority,
    tasks.c.aged,
    sa.func.coalesce(tasks.c.run_after, tasks.c.created_at),
    tasks.c.id,
    postgresql_where=sa.text(f"{_claimable} AND concurrency_key IS NOT NULL"),
)
sa.Index(
    "ix_tasks_running_key",
    tasks.c.concurrency_key,
    postgresql_where=sa.text("status = 'running' AND concurrency_key IS NOT NULL"),
)
sa.Index("idx_tasks_snapshot_id", tasks.c.snapshot_id, postgresql_using="brin")
sa.Index(
    "idx_tasks_snapshot_status",
    tasks.c.snapshot_id,
    tasks.c.status,
    postgresql_where=sa.text("snapshot_id IS NOT NULL"),
)
_multimodal = tasks.c.params.op("->")(sa.text("'multimodal'"))
sa.Index(
    "idx_tasks_multimodal_fast",
    _multimodal.label("multimodal"),
    postgresql_using="gin",
    postgresql_ops={"multimodal": "jsonb_path_ops"},
    postgresql_where=sa.text("params ? 'multimodal'"),
)

task_depends_on_task = sa.Table(
    "task_depends_on_task",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column(
        "src_task_id",
        UUID(as_uuid=True),
        sa.ForeignKey(tasks.c.id, ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column(
        "dst_task_id",
        UUID(as_uuid=True),
        sa.ForeignKey(tasks.c.id, ondelete="CASCADE"),
        nullable=False,
    ),
    column("required", sa.Boolean()),
    column("created_at", time),
    sa.UniqueConstraint("src_task_id", "dst_task_id", name="uq_task_depends_on_task"),
    sa.Index("idx_task_depends_on_task_rev", "dst_task_id", "src_task_id"),
)

task_waits = sa.Table(
    "task_waits",
    metadata,
    sa.Column(
        "task_id", UUID(as_uuid=True), sa.ForeignKey(tasks.c.id, ondelete="CASCADE"), nullable=False
    ),
    column("member_id", UUID(as_uuid=True)),
    sa.PrimaryKeyConstraint("task_id", name="pk_task_waits"),
)

# Partitioned by day; the partitions come and go and are not described.
task_events = sa.Table(
    "task_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
    column("task_id", UUID(as_uuid=True)),
    column("at", time),
    column("from_status", task_status, null=True),
    column("to_status", task_status),
    column("attempts", sa.Integer()),
    column("actor", sa.Text(), null=True),
    column("reason", sa.Text(), null=True),
    column("meta", JSONB()),
    sa.PrimaryKeyConstraint("task_id", "id", "at", name="pk_task_events"),
    sa.Index("ix_task_events_at", "at", postgresql_using="brin"),
)

task_schedules = sa.Table(
    "task_schedules",
    metadata,
    sa.Column("schedule_id", UUID(as_uuid=True), primary_key=True),
    column("name", sa.Text()),
    column("cron", sa.Text()),
    column("timezone", sa.Text()),
    column("type", sa.Text()),
    column("description", sa.Text(), null=True),
    column("domain", sa.Text(), null=True),
    column("params", JSONB()),
    column("priority", sa.SmallInteger(), null=True),
    column("max_attempts", sa.SmallInteger(), null=True),
    column("ttl_seconds", sa.Integer(), null=True),
    column("misfire", sa.Text()),
    column("overlap", sa.Text()),
    column("enabled", sa.Boolean()),
    column("next_run_at", time, null=True),
    column("last_run_at", time, null=True),
    sa.Column(
        "last_task_id",
        UUID(as_uuid=True),
        sa.ForeignKey(tasks.c.id, ondelete="SET NULL"),
        nullable=True,
    ),
    column("last_error", sa.Text(), null=True),
    column("created_by", sa.Text()),
    column("created_at", time),
    column("updated_at", time),
    column("failures", sa.Integer()),
    column("changed_by", sa.Text(), null=True),
    column("reason", sa.Text(), null=True),
    sa.UniqueConstraint("name", name="uq_task_schedules_name"),
)
sa.Index("ix_task_schedules_due", task_schedules.c.next_run_at, postgresql_where=sa.text("enabled"))
sa.Index(
    "ix_task_schedules_last_task",
    task_schedules.c.last_task_id,
    postgresql_where=sa.text("last_task_id IS NOT NULL"),
)

task_schedule_fires = sa.Table(
    "task_schedule_fires",
    metadata,
    sa.Column(
        "schedule_id",
        UUID(as_uuid=True),
        sa.ForeignKey(task_schedules.c.schedule_id, ondelete="CASCADE"),
        nullable=False,
    ),
    column("fire_at", time),
    column("fired_at", time),
    column("outcome", sa.Text()),
    sa.Column("task_id", UUID(as_uuid=True), nullable=True),
    column("error", sa.Text(), null=True),
    column("actor", sa.Text()),
    sa.PrimaryKeyConstraint("schedule_id", "fire_at", name="pk_task_schedule_fires"),
)

queue_lanes = sa.Table(
    "queue_lanes",
    metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    column("paused", sa.Boolean()),
    column("reason", sa.Text(), null=True),
    column("changed_by", sa.Text(), null=True),
    column("changed_at", time),
    column("fair", sa.Boolean()),
    column("restricted", sa.Boolean()),
)

queue_controls = sa.Table(
    "queue_controls",
    metadata,
    column("lane", sa.Text()),
    column("domain", sa.Text()),
    column("paused", sa.Boolean()),
    column("reason", sa.Text(), null=True),
    column("rate_per_s", sa.Double(), null=True),
    column("burst", sa.Double(), null=True),
    column("tokens", sa.Double(), null=True),
    column("filled_at", time, null=True),
    column("concurrency", sa.Integer(), null=True),
    column("changed_by", sa.Text(), null=True),
    column("changed_at", time),
    sa.PrimaryKeyConstraint("lane", "domain", name="pk_queue_controls"),
)

queue_changes = sa.Table(
    "queue_changes",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("at", time),
    column("kind", sa.Text()),
    column("lane", sa.Text(), null=True),
    column("domain", sa.Text(), null=True),
    column("schedule", sa.Text(), null=True),
    column("before", JSONB(), null=True),
    column("after", JSONB(), null=True),
    column("actor", sa.Text()),
    column("reason", sa.Text(), null=True),
)

queue_turns = sa.Table(
    "queue_turns",
    metadata,
    column("lane", sa.Text()),
    column("kind", sa.Text()),
    column("last_taken", sa.Text()),
    sa.PrimaryKeyConstraint("lane", "kind", name="pk_queue_turns"),
    prefixes=["UNLOGGED"],
)

task_key_holds = sa.Table(
    "task_key_holds",
    metadata,
    column("task_id", UUID(as_uuid=True)),
    column("attempts", sa.Integer()),
    column("concurrency_key", sa.Text()),
    column("concurrency_limit", sa.SmallInteger(), null=True),
    column("lane", sa.Text()),
    column("owner_id", sa.Text()),
    column("held_until", time),
    sa.PrimaryKeyConstraint("task_id", "attempts", name="pk_task_key_holds"),
    sa.Index("ix_task_key_holds_key", "concurrency_key", "held_until"),
)

queue_waiters = sa.Table(
    "queue_waiters",
    metadata,
    column("lane", sa.Text()),
    column("worker", sa.Text()),
    column("since", time),
    sa.PrimaryKeyConstraint("lane", "worker", name="pk_queue_waiters"),
    prefixes=["UNLOGGED"],
)

task_progress = sa.Table(
    "task_progress",
    metadata,
    sa.Column(
        "task_id",
        UUID(as_uuid=True),
        sa.ForeignKey(tasks.c.id, ondelete="CASCADE"),
        primary_key=True,
    ),
    column("attempt", sa.Integer()),
    column("call_index", sa.Integer()),
    column("done", sa.Double(), null=True),
    column("total", sa.Double(), null=True),
    column("message", sa.Text(), null=True),
    column("checkpoint", JSONB(), null=True),
    column("at", time),
)

task_retention = sa.Table(
    "task_retention",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    column("position_at", time),
    column("position_id", UUID(as_uuid=True)),
    column("next_at", time),
    column("removed", sa.BigInteger()),
    column("swept_at", time, null=True),
)
