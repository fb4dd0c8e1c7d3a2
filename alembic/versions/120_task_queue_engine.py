"""Turn the tasks table into a queue: priorities, dependencies, leases that are fenced, and their audit.

Every function writes its own audit rows, releases and notifications; the triggers are for writers that
go round the functions. Locks: the columns and checks take `tasks` exclusively for an instant and are
committed at once when it has rows; checks are validated and indexes built while writers go on.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "120"
down_revision = "119"
branch_labels = None
depends_on = None

FILES = (
    "120_events.sql",
    "120_hints.sql",
    "120_release.sql",
    "120_submit.sql",
    "120_claim.sql",
    "120_finish.sql",
    "120_watchdog.sql",
    "120_operator.sql",
    "120_schedule.sql",
    "120_retention.sql",
    "120_views.sql",
)

CHECKS = (
    "ck_tasks_priority",
    "ck_tasks_priority_given",
    "ck_tasks_max_attempts",
    "ck_tasks_lapses",
    "ck_tasks_lease",
)

INDEXES = (
    (
        "ix_tasks_claim_queue",
        (
            "(priority DESC, (coalesce(run_after, created_at)), id) "
            "WHERE status IN ('queued', 'retry') AND type <> 'graph'"
        ),
    ),
    (
        "ix_tasks_claim_graph",
        (
            "(priority DESC, (coalesce(run_after, created_at)), id) "
            "WHERE status IN ('queued', 'retry') AND type = 'graph'"
        ),
    ),
    (
        "ix_tasks_expires",
        "(expires_at) WHERE expires_at IS NOT NULL AND status IN ('created', 'queued', 'retry')",
    ),
    # Keys of ended tasks, for submits that are unique for ever and for naming tasks by key.
    (
        "ix_tasks_key_ended",
        (
            "(idempotency_key, created_at DESC) "
            "WHERE idempotency_key IS NOT NULL AND status IN ('failed', 'cancelled')"
        ),
    ),
)


def upgrade() -> None:
    ops.run_sql("004_dependent_views.sql")
    ops.run_sql("120_columns.sql")
    ops.let_go("tasks")
    ops.run_in_batches("120_repair.sql", "tasks")
    ops.validate("tasks", *CHECKS)
    ops.run_sql("120_priority.sql")
    ops.let_go("tasks")
    ops.run_sql("120_tables.sql")
    ops.let_go("tasks")
    for name in FILES:
        ops.run_sql(name)
    ops.execute("SELECT task_events_ensure();")
    ops.run_sql("120_triggers.sql")
    ops.let_go("tasks")
    for name, definition in INDEXES:
        ops.create_index(name, "tasks", definition)
    ops.create_index(
        "ux_tasks_idempotency_key",
        "tasks",
        "(idempotency_key) WHERE idempotency_key IS NOT NULL AND status NOT IN ('failed', 'cancelled')",
        unique=True,
    )
    ops.run_sql("120_index_comments.sql")


def downgrade() -> None:
    ops.require_empty("task_events", "task_schedules")
    ops.run_sql("120_task_queue_engine.down.sql")
    # 006's own versions of the functions that were replaced.
    ops.run_sql("006_lease_functions.sql")
