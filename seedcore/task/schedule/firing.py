"""What is due: which times of which schedules are to be fired now, and when to look again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from seedcore.errors import UsageError
from seedcore.task.model import NewTask
from seedcore.task.schedule.cron import Cron
from seedcore.task.schedule.model import Misfire
from seedcore.task.schedule.zone import zone_of
from seedcore.task.store import Row

SCHEDULES_AT_ONCE: Final = 100
FIRES_AT_ONCE: Final = 1000
"""Times that one round submits at most; the others follow in the next."""

GRACE: Final = timedelta(seconds=60)
"""How late a time of a schedule with `skip` may be fired: workers tick, and restart."""

AGAIN_AFTER: Final = timedelta(minutes=15)
"""When to look again at a schedule whose line or zone can't be read: a host may lack zones."""

_WINDOWS: Final = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=366))


@dataclass(frozen=True)
class Plan:
    """What to do about one schedule.

    Attributes:
        fires: Times to submit a task for, oldest first.
        missed: The latest time that comes too late for the schedule's policy.
        following: When it is due next; None = never.
    """

    fires: list[datetime]
    missed: datetime | None
    following: datetime | None


def plan(
    cron: Cron,
    zone: ZoneInfo,
    misfire: Misfire,
    *,
    due_at: datetime,
    now: datetime,
    limit: int = FIRES_AT_ONCE,
) -> Plan:
    """Decide which times of a due schedule are fired.

    Args:
        cron: Its line.
        zone: Its zone.
        misfire: Its policy.
        due_at: Its next time as stored; not after now.
        now: The database's time.
        limit: Times to fire at most; with `all` the others stay due.
    """
    if misfire is Misfire.ALL:
        due = [due_at, *islice(cron.between(due_at, now, zone), limit)]
        if len(due) > limit:
            return Plan(due[:limit], None, due[limit])
        return Plan(due, None, cron.following(now, zone))
    latest = _latest(cron, zone, due_at, now)
    is_late = misfire is Misfire.SKIP and latest < now - GRACE
    return Plan([] if is_late else [latest], latest if is_late else None, cron.following(now, zone))


def _latest(cron: Cron, zone: ZoneInfo, due_at: datetime, now: datetime) -> datetime:
    """Return the last time until now; looked for backwards, as years may have passed unfired."""
    for window in _WINDOWS:
        start = now - window
        if start <= due_at:
            break
        times = list(cron.between(start, now, zone))
        if times:
            return times[-1]
    latest = due_at
    for moment in cron.between(due_at, now, zone):
        latest = moment
    return latest


@dataclass
class Order:
    """One round's work for the database: parallel lists, as the statement takes them.

    Attributes:
        is_more_due: Whether there is more to fire than one round takes.
    """

    ids: list[Any] = field(default_factory=list[Any])
    expected: list[datetime] = field(default_factory=list[datetime])
    next: list[datetime | None] = field(default_factory=list["datetime | None"])
    fire_ids: list[Any] = field(default_factory=list[Any])
    fire_at: list[datetime] = field(default_factory=list[datetime])
    outcomes: list[str] = field(default_factory=list[str])
    errors: list[str | None] = field(default_factory=list["str | None"])
    is_more_due: bool = False

    def parameters(self) -> dict[str, Any]:
        """Return them by name."""
        return {
            "ids": self.ids, "expected": self.expected, "next": self.next, "fire_ids": self.fire_ids,
            "fire_at": self.fire_at, "outcomes": self.outcomes, "errors": self.errors,
        }  # fmt: skip

    def move(self, row: Row, following: datetime | None) -> None:
        """Let a schedule be due next at another time."""
        self.ids.append(row["schedule_id"])
        self.expected.append(row["next_run_at"])
        self.next.append(following)

    def fire(self, row: Row, at: datetime, outcome: str, error: str | None = None) -> None:
        """Note one time of a schedule and what is to become of it."""
        self.fire_ids.append(row["schedule_id"])
        self.fire_at.append(at)
        self.outcomes.append(outcome)
        self.errors.append(error)


def order(rows: list[Row], refusal: Callable[[NewTask], str | None]) -> Order:
    """Plan one round.

    Args:
        rows: Due schedules, as `due_schedules` returns them.
        refusal: Says why a task would not be accepted now, or None.
    """
    found = Order(is_more_due=len(rows) >= SCHEDULES_AT_ONCE)
    for row in rows:
        left = FIRES_AT_ONCE - len(found.fire_at)
        if left <= 0:
            found.is_more_due = True
            break
        due_at, now = row["next_run_at"], row["now"]
        try:
            cron, zone = Cron(row["cron"]), zone_of(row["timezone"])
        except UsageError as error:
            found.move(row, now + AGAIN_AFTER)
            found.fire(row, due_at, "failed", error.message)
            continue
        planned = plan(cron, zone, Misfire(row["misfire"]), due_at=due_at, now=now, limit=left)
        found.is_more_due |= planned.following is not None and planned.following <= now
        found.move(row, planned.following)
        if planned.missed is not None:
            found.fire(row, planned.missed, "missed")
        error = refusal(_task(row)) if planned.fires else None
        for at in planned.fires:
            found.fire(row, at, "failed" if error else "submitted", error)
    return found


def _task(row: Row) -> NewTask:
    return NewTask(
        type=row["type"],
        params=row["params"],
        description=row["description"],
        domain=row["domain"],
        priority=row["priority"],
        max_attempts=row["max_attempts"],
    )
