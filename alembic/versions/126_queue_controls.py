"""Hold back, slow down and order what is claimed: per lane, per domain, per key.

Locks: the columns and checks take `tasks` exclusively for an instant and are committed at once when it
has rows; the checks are validated and the indexes built while writers go on. The index of idempotency
keys is built beside the old one and swapped at the end.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "126"
down_revision = "125"
branch_labels = None
depends_on = None

CHECKS = (
    "ck_tasks_concurrency_limit",
    "ck_tasks_concurrency_key",
    "ck_tasks_aged",
    "ck_tasks_unique_while",
)

FILES = (
    "126_tables.sql",
    "126_changes.sql",
    "126_key_holds.sql",
    "126_grants.sql",
    "126_pick_keyed.sql",
    "126_pick.sql",
    "126_controls.sql",
    "126_age.sql",
    "126_blocker.sql",
    "126_holds_key.sql",
)

INDEXES = (
    (
        "ix_tasks_claim_keyed",
        (
            "((task_lane(type)), concurrency_key, priority DESC, (coalesce(run_after, created_at)), id) "
            "WHERE status IN ('queued', 'retry') AND concurrency_key IS NOT NULL"
        ),
    ),
    (
        "ix_tasks_age_keyed",
        (
            "(priority, aged, (coalesce(run_after, created_at)), id) "
            "WHERE status IN ('queued', 'retry') AND concurrency_key IS NOT NULL"
        ),
    ),
    (
        "ix_tasks_running_key",
        "(concurrency_key) WHERE status = 'running' AND concurrency_key IS NOT NULL",
    ),
    (
        "ix_tasks_key_free",
        (
            "(idempotency_key, created_at DESC) "
            "WHERE idempotency_key IS NOT NULL AND NOT task_holds_key(status, unique_while)"
        ),
    ),
)


def upgrade() -> None:
    ops.run_sql("126_columns.sql")
    ops.let_go("tasks")
    ops.validate("tasks", *CHECKS)
    for name in FILES:
        ops.run_sql(name)
    ops.let_go("tasks")
    for name, definition in INDEXES:
        ops.create_index(name, "tasks", definition)
    ops.create_index(
        "ux_tasks_key_held",
        "tasks",
        "(idempotency_key) WHERE idempotency_key IS NOT NULL AND task_holds_key(status, unique_while)",
        unique=True,
    )
    ops.run_sql("126_swap_key_index.sql")
    ops.run_sql("126_submit.sql")


def downgrade() -> None:
    ops.require_empty("queue_controls")
    ops.run_sql("126_queue_controls.down.sql")
    # 120's own versions of what was replaced.
    ops.run_sql("120_submit.sql")
    ops.run_sql("120_operator.sql")
