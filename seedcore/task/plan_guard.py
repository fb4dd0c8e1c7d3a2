"""Whether the engine's statements find their indexes: missing or invalid, each task would cost a scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString, cast

import psycopg
from psycopg.rows import tuple_row

from seedcore.db.errors import translated
from seedcore.db.sql import Queries

queries = Queries("seedcore.task", "plan_guard.sql")


@dataclass(frozen=True, slots=True)
class Finding:
    """A statement of the engine that does not find its index.

    Attributes:
        statement: What the statement is for, in a word: `claim_queue`, `reap`, …
        index: The index that it needs.
        problem: `missing`, `invalid` or `unfit` (there, but not what the statement needs).
        evidence: One sentence: what was seen.
        cure: What helps: SQL, or a command to type.
    """

    statement: str
    index: str
    problem: str
    evidence: str
    cure: str


@dataclass(frozen=True, slots=True)
class _Need:
    statement: str
    explain: LiteralString
    index: str
    definition: str


_CLAIM = (
    "tasks (priority DESC, (coalesce(run_after, created_at)), id)"
    " WHERE status IN ('queued', 'retry') AND type {} 'graph' AND concurrency_key IS NULL"
)
_NEEDS = (
    _Need("claim_queue", queries.claim_queue, "ix_tasks_claim_queue", _CLAIM.format("<>")),
    _Need("claim_graph", queries.claim_graph, "ix_tasks_claim_graph", _CLAIM.format("=")),
    _Need(
        "claim_keyed",
        queries.claim_keyed,
        "ix_tasks_claim_keyed",
        "tasks (task_lane(type), concurrency_key, priority DESC, (coalesce(run_after, created_at)), id)"
        " WHERE status IN ('queued', 'retry') AND concurrency_key IS NOT NULL",
    ),
    _Need(
        "running_keyed",
        queries.running_keyed,
        "ix_tasks_running_key",
        "tasks (concurrency_key) WHERE status = 'running' AND concurrency_key IS NOT NULL",
    ),
    _Need(
        "reap",
        queries.reap,
        "ix_tasks_status_runafter",
        "tasks (status, run_after) WHERE status <> 'completed'",
    ),
    _Need(
        "expire",
        queries.expire,
        "ix_tasks_expires",
        "tasks (expires_at)"
        " WHERE expires_at IS NOT NULL AND status IN ('created', 'queued', 'retry')",
    ),
    _Need("end", queries.end, "tasks_pkey", ""),
    _Need(
        "release",
        queries.release,
        "idx_task_depends_on_task_rev",
        "task_depends_on_task (dst_task_id, src_task_id)",
    ),
)


def check(conn: psycopg.Connection[Any]) -> list[Finding]:
    """Ask the planner about each statement, under the settings that the engine's functions run with.

    It reads catalogues only, in one transaction that leaves nothing behind, so it also works behind a
    pooler in transaction mode.

    Args:
        conn: Open; outside a transaction, or in one of the caller's.

    Returns:
        What is wrong; empty = every statement finds its index.

    Raises:
        SeedcoreError: The database can't be reached, or its schema is older than this program.
    """
    with (
        translated(),
        conn.transaction(force_rollback=True),
        conn.cursor(row_factory=tuple_row) as cursor,
    ):
        cursor.execute(queries.settings)
        looks = [_look(cursor, need) for need in _NEEDS]
    return [finding for finding in looks if finding is not None]


def _look(cursor: psycopg.Cursor[tuple[Any, ...]], need: _Need) -> Finding | None:
    row = cursor.execute(need.explain).fetchone()
    steps = list(_steps(cast("Any", row)[0][0]["Plan"]))
    is_sorted = any("Sort" in step["Node Type"] for step in steps)
    if not is_sorted and need.index in {step.get("Index Name") for step in steps}:
        return None
    state = cursor.execute(queries.state, {"name": f'public."{need.index}"'}).fetchone()
    if state is None:
        return Finding(
            need.statement,
            need.index,
            "missing",
            f"there is no index {need.index}, so {need.statement} reads the whole table",
            f"CREATE INDEX CONCURRENTLY {need.index} ON {need.definition};",
        )
    valid, ready, definition = state
    if not valid or not ready:
        return Finding(
            need.statement,
            need.index,
            "invalid",
            f"the index {need.index} is invalid (its build was interrupted), so {need.statement}"
            " reads the whole table",
            f"REINDEX INDEX CONCURRENTLY {need.index};",
        )
    # Another index serves as well if it is entered at the right place, and not read from end to end.
    if not is_sorted and any("Index Name" in step and "Index Cond" in step for step in steps):
        return None
    return Finding(
        need.statement,
        need.index,
        "unfit",
        f"{need.statement} does not use the index {need.index}, which is {definition}",
        f"DROP INDEX CONCURRENTLY {need.index};"
        f" CREATE INDEX CONCURRENTLY {need.index} ON {need.definition};",
    )


def _steps(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _steps(child)
