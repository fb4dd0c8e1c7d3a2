"""The words of the task slice: states, a stored task, a task to be submitted, a choice of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class TaskStatus(StrEnum):
    """Where a task stands; the words are the database's."""

    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRY = "retry"


FINAL = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})
"""States that only an operator's retry leaves (and `completed` nobody leaves)."""

LIVE = frozenset(TaskStatus) - FINAL
"""States of a task that still may run."""

NEXT: Mapping[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.CREATED: frozenset({TaskStatus.QUEUED, TaskStatus.CANCELLED}),
    TaskStatus.QUEUED: frozenset({TaskStatus.RUNNING, TaskStatus.CANCELLED}),
    TaskStatus.RUNNING: frozenset(
        {TaskStatus.COMPLETED, TaskStatus.RETRY, TaskStatus.FAILED, TaskStatus.CANCELLED}
    ),
    TaskStatus.RETRY: frozenset({TaskStatus.RUNNING, TaskStatus.QUEUED, TaskStatus.CANCELLED}),
    TaskStatus.COMPLETED: frozenset(),
    # To created when it has to wait for a dependency again.
    TaskStatus.FAILED: frozenset({TaskStatus.QUEUED, TaskStatus.CREATED}),
    TaskStatus.CANCELLED: frozenset({TaskStatus.QUEUED, TaskStatus.CREATED}),
}
"""The life cycle: every move that the database makes."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A row of `tasks`. Times have a zone; `params` and `result` are decoded JSON."""

    id: UUID
    status: TaskStatus
    type: str
    description: str | None
    domain: str | None
    drift_score: float
    params: dict[str, Any]
    result: Any
    error: str | None
    priority: int
    attempts: int
    max_attempts: int | None
    lapses: int
    run_after: datetime | None
    deadline_at: datetime | None
    expires_at: datetime | None
    idempotency_key: str | None
    unique_while: str | None
    concurrency_key: str | None
    concurrency_limit: int | None
    aged: int
    auto_release: bool
    owner_id: str | None
    locked_by: str | None
    locked_at: datetime | None
    lease_expires_at: datetime | None
    last_heartbeat: datetime | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """A task to be submitted. What is None is left to the database or to the routing hints.

    Args:
        type: What kind of work; `graph` goes to the graph lane.
        params: The envelopes, any JSON that jsonb can hold.
        description: What to do, in words.
        domain: Free namespace.
        drift_score: How unusual the task looks; finite and not negative.
        priority: 0..10, 10 is claimed first.
        run_after: Earliest start.
        in_s: Earliest start in seconds from now, by the database's clock; excludes `run_after`.
        deadline_at: When the result stops being useful (advisory).
        expires_at: Never started after this time.
        max_attempts: Attempts before the task counts as failed.
        idempotency_key: Says "once".
        concurrency_key: Tasks with the same key share a limit on how many of them run at once.
        concurrency_limit: It begins only while fewer than so many of its key run; needs a key;
            default 1: one after the other.
        depends_on: Tasks to wait for: ids, or `key:K` for the task with that idempotency key; with
            `ended:` before it, it only has to end, else it has to complete.
        hold: Stay `created` until released by hand.
        id: The id to give it; default: a new one.
    """

    type: str
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    description: str | None = None
    domain: str | None = None
    drift_score: float = 0.0
    priority: int | None = None
    run_after: datetime | None = None
    in_s: float | None = None
    deadline_at: datetime | None = None
    expires_at: datetime | None = None
    max_attempts: int | None = None
    idempotency_key: str | None = None
    concurrency_key: str | None = None
    concurrency_limit: int | None = None
    depends_on: tuple[str, ...] = ()
    hold: bool = False
    id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What became of a submission.

    Args:
        id: The task's id; None in a dry run that gave none.
        created: False when a known id or key returned an existing task.
        status: Where that task stands now.
        run_after: Its earliest start, if one was given.
        error: Why it was cancelled at once (a dependency that has failed), else None.
    """

    id: UUID | None
    created: bool
    status: TaskStatus
    run_after: datetime | None = None
    error: str | None = None


@dataclass(frozen=True)
class FailedMember:
    """A task that another one waited for, and that did not complete.

    Args:
        id: The task's id.
        status: failed or cancelled.
        error: Why.
    """

    id: str
    status: str
    error: str | None


@dataclass(frozen=True)
class Members:
    """The tasks that one waits for, or waited for.

    Args:
        total: How many.
        by_status: How many in each state; states that none is in are left out.
        failed: Those that failed or were cancelled, by id; the first ones if there are many.
    """

    total: int
    by_status: Mapping[str, int]
    failed: list[FailedMember]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which tasks; conditions are joined by "and", alternatives of one condition by "or".

    Args:
        ids: Only these.
        statuses: Any of these states.
        types: Any of these types.
        domains: Any of these domains.
        owner: Lease owner, or `locked_by`.
        since: Created at or after.
        until: Created before.
        stale: Running, with a lease that is past.
        due: Claimable now.
        params: Pairs of a dotted path in params and a value, compared as JSON, else as text.
        search: Part of the description, case ignored.
        limit: At most so many; 0 = all.
        sort: A sortable field, with `:desc` for the other direction.
    """

    ids: tuple[UUID, ...] = ()
    statuses: tuple[TaskStatus, ...] = ()
    types: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    owner: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    stale: bool = False
    due: bool = False
    params: tuple[tuple[str, str], ...] = ()
    search: str | None = None
    limit: int = 50
    sort: str = "created_at:desc"
