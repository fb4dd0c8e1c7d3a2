"""The words of the queue worker's round trips: what it sends, what it gets back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(slots=True, eq=False)
class ClaimedTask:
    """A task of which this worker holds the lease.

    Attributes:
        id: UUID text.
        attempts: The fencing token: claims so far, this one included.
        params_json: The payload as JSON text; parsed by whoever runs the task, so that one
            unreadable document spoils one task and not its whole batch.
        params: The parsed payload.
        deadline_at: Unix time, or None.
        result: Envelope that an earlier attempt left, or None; its JSON text is `result_json`.
        due_at: Unix time since when it could have been claimed.
        wait_s: Seconds between then and the claim, by the database's clock.
        snapshot_id: The policy that was asked about it, or None.
    """

    id: str
    type: str
    description: str | None
    domain: str | None
    params_json: str
    attempts: int
    max_attempts: int | None
    deadline_at: float | None
    result_json: str | None
    idempotency_key: str | None
    priority: int
    due_at: float
    wait_s: float
    drift_score: float
    lapses: int
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    result: dict[str, Any] | None = None
    snapshot_id: int | None = None


@dataclass(slots=True)
class Success:
    """A finished attempt whose result is to be stored."""

    id: str
    attempts: int
    result_json: str


@dataclass(slots=True, frozen=True)
class Failure:
    """A failed attempt; the database decides between retry and failed.

    Attributes:
        reason: What `tasks.error` will say.
        result_json: The envelope to keep, or None.
        retryable: False ends the task whatever attempts are left.
        delay_s: Wish of the tool; None = the usual growing delay.
    """

    id: str
    attempts: int
    reason: str
    result_json: str | None
    retryable: bool
    delay_s: float | None


@dataclass(slots=True, frozen=True)
class Note:
    """Progress of a running task, kept in its result."""

    id: str
    attempts: int
    result_json: str


@dataclass(slots=True, frozen=True)
class Lease:
    """The right to run one task, and the token that proves it."""

    id: str
    attempts: int


@dataclass(slots=True, frozen=True)
class Filter:
    """Which tasks of the lane a worker takes; None = all."""

    types: list[str] | None = None
    domains: list[str] | None = None


PRIORITIES = 11
"""How many there are: 0 to 10."""


class Position(NamedTuple):
    """A place in the order in which a priority's tasks are claimed; by default before all of them.

    Attributes:
        due_at: Unix time; minus infinity = always.
        id: UUID text; the order of tasks that are due at the same time.
    """

    due_at: float = -math.inf
    id: str = "00000000-0000-0000-0000-000000000000"


@dataclass(slots=True, kw_only=True)
class Batch:
    """What one round trip carries.

    Attributes:
        lingering: Attempts whose tools go on although they end here, or have ended: their
            concurrency keys stay taken.
        linger_s: For how long they do so without another word; None = for a lease.
        gone: Attempts that were lost and whose tools have stopped now.
        asked: Attempts whose end is to be told, because their tools may have stored it themselves.
        limit: How many tasks to claim at most; 0 = no claim.
        floors: The position for each priority, lowest first, behind which tasks are claimed; None =
            from the beginning.
        measure: Also learn how long the claim takes in the database.
        declare: Ask submitters for a notification, and commit that before looking into the queue;
            for a batch that writes nothing else.
        withdraw: Take that back.
        ask_next: Also ask when the next task becomes due.
    """

    successes: Sequence[Success] = ()
    failures: Sequence[Failure] = ()
    returned: Sequence[Lease] = ()
    notes: Sequence[Note] = ()
    lingering: Sequence[Lease] = ()
    linger_s: float | None = None
    gone: Sequence[Lease] = ()
    asked: Sequence[Lease] = ()
    limit: int = 0
    floors: Sequence[Position] | None = None
    measure: bool = False
    declare: bool = False
    withdraw: bool = False
    ask_next: bool = False


@dataclass(slots=True, kw_only=True)
class Answer:
    """What came of a batch.

    Attributes:
        completed: Ids whose result was accepted.
        decided: Failed attempts: id → (new status, seconds until the next attempt or None).
        returned: Ids that were given back.
        lingering: Of the lingering ones, those that have a concurrency key.
        noted: Ids whose progress was stored.
        ends: Of the attempts asked for, those that are still the latest: id → (status, error).
        claimed: New tasks, best first.
        next_due_s: Seconds until a task of the lane becomes due; None = none is known.
        now: Unix time of the claim's transaction by the database's clock, if it was measured.
        claim_s: Seconds that the claim took, if it was measured.
    """

    completed: frozenset[str] = frozenset()
    decided: Mapping[str, tuple[str, float | None]] = field(
        default_factory=dict[str, tuple[str, "float | None"]]
    )
    returned: frozenset[str] = frozenset()
    lingering: frozenset[str] = frozenset()
    noted: frozenset[str] = frozenset()
    ends: Mapping[str, tuple[str, str | None]] = field(
        default_factory=dict[str, tuple[str, "str | None"]]
    )
    claimed: list[ClaimedTask] = field(default_factory=list[ClaimedTask])
    next_due_s: float | None = None
    now: float | None = None
    claim_s: float | None = None


@dataclass(slots=True, frozen=True)
class LeftOver:
    """Unfinished tasks of the lane: due now, delayed, running, held or waiting for others."""

    due: int
    delayed: int
    running: int
    created: int


@dataclass(slots=True, frozen=True, kw_only=True)
class Owner:
    """Who claims, and on what terms.

    Attributes:
        id: `<logical id>@<8 hex>`, unique per process start.
        logical_id: Who that is for people; stored as `locked_by`.
        lease_s: Lease that a claim grants, in seconds.
        max_attempts: Attempts of a task that names none.
        filter: Which tasks it takes.
    """

    id: str
    logical_id: str
    lease_s: float
    max_attempts: int
    filter: Filter = Filter()
