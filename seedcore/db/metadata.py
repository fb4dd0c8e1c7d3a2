"""The tables as SQLAlchemy sees them: what `migrate check` compares the live schema with.

Functions, triggers, views and checks are not described twice: they are compared by hashes of the
server's own definitions, stored after each revision (`seedcore_objects`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ENUM, JSONB, UUID
from sqlalchemy.types import TypeEngine

# PostgreSQL's own names for what a revision leaves unnamed.
metadata = sa.MetaData(
    naming_convention={"fk": "%(table_name)s_%(column_0_name)s_fkey", "pk": "%(table_name)s_pkey"}
)

# Made by a revision, never by SQLAlchemy.
task_status = ENUM(
    "created", "queued", "running", "completed", "failed", "cancelled", "retry",
    name="taskstatus", create_type=False,
)  # fmt: skip


def _column(name: str, kind: TypeEngine[Any], *, null: bool = False) -> sa.Column[Any]:
    """Return a column; defaults are compared by their hashes, like everything that is an expression."""
    return sa.Column(name, kind, nullable=null)


_time = sa.DateTime(timezone=True)

seedcore_settings = sa.Table(
    "seedcore_settings",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _column("value", sa.Text()),
    _column("changed_by", sa.Text()),
    _column("changed_at", _time),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    _column("status", task_status),
    _column("attempts", sa.Integer()),
    _column("locked_by", sa.Text(), null=True),
    _column("locked_at", _time, null=True),
    _column("run_after", _time, null=True),
    _column("type", sa.Text()),
    _column("description", sa.Text(), null=True),
    _column("domain", sa.Text(), null=True),
    _column("drift_score", sa.Double()),
    _column("params", JSONB()),
    _column("result", JSONB(), null=True),
    _column("error", sa.Text(), null=True),
    _column("created_at", _time),
    _column("updated_at", _time),
    _column("owner_id", sa.Text(), null=True),
    _column("lease_expires_at", _time, null=True),
    _column("last_heartbeat", _time, null=True),
    _column("priority", sa.SmallInteger()),
    _column("deadline_at", _time, null=True),
    _column("expires_at", _time, null=True),
    _column("max_attempts", sa.SmallInteger(), null=True),
    _column("idempotency_key", sa.Text(), null=True),
    _column("auto_release", sa.Boolean()),
    _column("started_at", _time, null=True),
    _column("finished_at", _time, null=True),
    _column("lapses", sa.Integer()),
)
_claim_order = (tasks.c.priority.desc(), sa.func.coalesce(tasks.c.run_after, tasks.c.created_at))
_claimable = "status IN ('queued', 'retry')"
_has_key = "idempotency_key IS NOT NULL"
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
    postgresql_where=sa.text(f"{_claimable} AND type <> 'graph'"),
)
sa.Index(
    "ix_tasks_claim_graph",
    *_claim_order,
    tasks.c.id,
    postgresql_where=sa.text(f"{_claimable} AND type = 'graph'"),
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
    postgresql_where=sa.text(f"{_has_key} AND status IN ('failed', 'cancelled')"),
)
sa.Index(
    "ux_tasks_idempotency_key",
    tasks.c.idempotency_key,
    unique=True,
    postgresql_where=sa.text(f"{_has_key} AND status NOT IN ('failed', 'cancelled')"),
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
    _column("required", sa.Boolean()),
    _column("created_at", _time),
    sa.UniqueConstraint("src_task_id", "dst_task_id", name="uq_task_depends_on_task"),
    sa.Index("idx_task_depends_on_task_rev", "dst_task_id", "src_task_id"),
)

# Partitioned by day; the partitions come and go and are not described.
task_events = sa.Table(
    "task_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
    _column("task_id", UUID(as_uuid=True)),
    _column("at", _time),
    _column("from_status", task_status, null=True),
    _column("to_status", task_status),
    _column("attempts", sa.Integer()),
    _column("actor", sa.Text(), null=True),
    _column("reason", sa.Text(), null=True),
    _column("meta", JSONB()),
    sa.PrimaryKeyConstraint("task_id", "id", "at", name="pk_task_events"),
    sa.Index("ix_task_events_at", "at", postgresql_using="brin"),
)

task_schedules = sa.Table(
    "task_schedules",
    metadata,
    sa.Column("schedule_id", UUID(as_uuid=True), primary_key=True),
    _column("name", sa.Text()),
    _column("cron", sa.Text()),
    _column("timezone", sa.Text()),
    _column("type", sa.Text()),
    _column("description", sa.Text(), null=True),
    _column("domain", sa.Text(), null=True),
    _column("params", JSONB()),
    _column("priority", sa.SmallInteger(), null=True),
    _column("max_attempts", sa.SmallInteger(), null=True),
    _column("ttl_seconds", sa.Integer(), null=True),
    _column("misfire", sa.Text()),
    _column("overlap", sa.Text()),
    _column("enabled", sa.Boolean()),
    _column("next_run_at", _time, null=True),
    _column("last_run_at", _time, null=True),
    sa.Column(
        "last_task_id",
        UUID(as_uuid=True),
        sa.ForeignKey(tasks.c.id, ondelete="SET NULL"),
        nullable=True,
    ),
    _column("last_error", sa.Text(), null=True),
    _column("created_by", sa.Text()),
    _column("created_at", _time),
    _column("updated_at", _time),
    sa.UniqueConstraint("name", name="uq_task_schedules_name"),
)
sa.Index("ix_task_schedules_due", task_schedules.c.next_run_at, postgresql_where=sa.text("enabled"))
sa.Index(
    "ix_task_schedules_last_task",
    task_schedules.c.last_task_id,
    postgresql_where=sa.text("last_task_id IS NOT NULL"),
)

queue_lanes = sa.Table(
    "queue_lanes",
    metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    _column("paused", sa.Boolean()),
    _column("reason", sa.Text(), null=True),
    _column("changed_by", sa.Text(), null=True),
    _column("changed_at", _time),
)

queue_waiters = sa.Table(
    "queue_waiters",
    metadata,
    _column("lane", sa.Text()),
    _column("worker", sa.Text()),
    _column("since", _time),
    sa.PrimaryKeyConstraint("lane", "worker", name="pk_queue_waiters"),
    prefixes=["UNLOGGED"],
)
