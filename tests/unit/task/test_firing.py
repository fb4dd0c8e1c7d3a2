from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from seedcore.task.schedule.cron import Cron
from seedcore.task.schedule.firing import FIRES_AT_ONCE, SCHEDULES_AT_ONCE, order, plan
from seedcore.task.schedule.model import Misfire

ZONE = ZoneInfo("UTC")
NOW = datetime(2031, 5, 12, 9, 30, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def row(**fields: Any) -> dict[str, Any]:
    given = {
        "schedule_id": uuid4(), "name": "n", "cron": "* * * * *", "timezone": "UTC", "type": "t",
        "description": None, "domain": None, "params": {}, "priority": None, "max_attempts": None,
        "misfire": "once", "next_run_at": NOW.replace(second=0), "now": NOW,
    }  # fmt: skip
    return given | fields


@pytest.mark.parametrize("misfire", Misfire)
def test_a_time_that_has_just_come_is_fired(misfire: Misfire) -> None:
    due = NOW.replace(second=0)
    found = plan(Cron("* * * * *"), ZONE, misfire, due_at=due, now=NOW)
    assert (found.fires, found.missed, found.following) == ([due], None, due + MINUTE)


def test_what_becomes_of_times_that_nobody_fired() -> None:
    due, last = NOW.replace(second=0) - timedelta(hours=5), NOW.replace(second=0)
    cron = Cron("* * * * *")
    assert plan(cron, ZONE, Misfire.ONCE, due_at=due, now=NOW).fires == [last]
    assert plan(cron, ZONE, Misfire.SKIP, due_at=due, now=NOW).fires == [last]
    every = plan(cron, ZONE, Misfire.ALL, due_at=due, now=NOW)
    assert every.fires == [due + n * MINUTE for n in range(301)]
    assert every.following == last + MINUTE


def test_skip_leaves_out_what_comes_too_late() -> None:
    due = NOW.replace(hour=3, minute=0, second=0)
    found = plan(Cron("0 3 * * *"), ZONE, Misfire.SKIP, due_at=due, now=NOW)
    assert (found.fires, found.missed) == ([], due)
    assert found.following == due + timedelta(days=1)


def test_all_is_bounded_and_goes_on_where_it_stopped() -> None:
    cron, due = Cron("* * * * *"), NOW.replace(second=0) - timedelta(minutes=25)
    fires: list[datetime] = []
    start: datetime | None = due
    while start is not None and start <= NOW:
        found = plan(cron, ZONE, Misfire.ALL, due_at=start, now=NOW, limit=10)
        assert len(found.fires) <= 10
        fires += found.fires
        start = found.following
    assert fires == [due + n * MINUTE for n in range(26)]


@pytest.mark.parametrize("line", ["* * * * *", "0 3 * * *", "0 0 1 * *", "0 0 29 2 *", "* * * 1 *"])
def test_the_latest_time_is_found_after_years(line: str) -> None:
    cron = Cron(line)
    due = cron.following(NOW - timedelta(days=8 * 366), ZONE)
    assert due is not None
    (latest,) = plan(cron, ZONE, Misfire.ONCE, due_at=due, now=NOW).fires
    assert due <= latest <= NOW
    following = cron.following(latest, ZONE)
    assert following is not None
    assert following > NOW


def test_a_schedule_that_cannot_be_read_is_told_and_looked_at_later() -> None:
    bad, good = row(timezone="Mars/Olympus"), row()
    found = order([bad, good], lambda _: None)
    assert found.outcomes == ["failed", "submitted"]
    assert "Mars/Olympus" in (found.errors[0] or "")
    assert found.next[0] == NOW + timedelta(minutes=15)


def test_a_task_that_would_be_refused_is_not_submitted() -> None:
    found = order([row(type="bad"), row()], lambda t: "no such" if t.type == "bad" else None)
    assert (found.outcomes, found.errors) == (["failed", "submitted"], ["no such", None])
    assert not found.is_more_due


def test_a_round_is_bounded() -> None:
    long_ago = NOW - timedelta(days=1)
    found = order([row(misfire="all", next_run_at=long_ago), row(), row()], lambda _: None)
    assert len(found.fire_at) == FIRES_AT_ONCE
    assert len(found.ids) == 1
    assert found.is_more_due
    assert order([row() for _ in range(SCHEDULES_AT_ONCE)], lambda _: None).is_more_due
