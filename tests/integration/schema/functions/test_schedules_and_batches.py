"""The functions of schedules, of batches, of redrives and of retention, called by themselves."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.integration.schema.database import code, row, value
from tests.integration.task.worker import new, status, task

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]
Blocked = Callable[[Conn], None]

NOON = datetime(2031, 5, 17, 12, tzinfo=UTC)


def schedule(conn: Conn, name: str = "s", **fields: Any) -> UUID:
    """Store a schedule that is due at NOON."""
    fields = {"name": name, "cron": "* * * * *", "type": "report", "next_run_at": NOON} | fields
    return value(
        conn,
        f"INSERT INTO task_schedules ({', '.join(fields)})"
        f" VALUES ({', '.join(['%s'] * len(fields))}) RETURNING schedule_id".encode(),
        list(fields.values()),
    )


def fired(conn: Conn, it: UUID, at: datetime = NOON, outcome: str = "submitted") -> dict[str, Any]:
    found = row(
        conn,
        "SELECT f.* FROM task_schedules s, task_schedule_fire_one(s, %s, %s, 'why') AS f"
        " WHERE s.schedule_id = %s",
        [at, outcome, it],
    )
    assert found is not None
    return found


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/St_Johns"])
def test_a_time_has_one_key_wherever_the_session_is(conn: Conn, zone: str) -> None:
    conn.execute("SELECT set_config('TimeZone', %s, false)", [zone])
    key = value(conn, "SELECT task_schedule_key(%s, %s)", [UUID(int=7), NOON])
    assert key == f"schedule:{UUID(int=7)}:2031-05-17T12:00:00Z"


def test_the_task_is_the_schedules_and_the_same_for_the_same_key(conn: Conn) -> None:
    schedule(conn, domain="lab", priority=7, max_attempts=2, ttl_seconds=60)
    ask = "SELECT task_schedule_submit(s, %s, %s) FROM task_schedules s"
    first = value(conn, ask, [NOON, "k"])
    stored = task(conn, first)
    assert (stored["type"], stored["domain"], stored["priority"], stored["max_attempts"]) == (
        "report", "lab", 7, 2,
    )  # fmt: skip
    assert (
        timedelta(seconds=59) < stored["expires_at"] - stored["created_at"] <= timedelta(minutes=1)
    )
    conn.execute("SELECT tasks_cancel(%s, 'x')", [[first]])
    assert value(conn, ask, [NOON, "k"]) == first
    assert value(conn, ask, [NOON, "l"]) != first


def test_a_schedule_whose_task_is_refused_submits_none(conn: Conn) -> None:
    schedule(conn, type="")
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT task_schedule_submit(s, now(), 'k') FROM task_schedules s")
    assert code(caught.value) == ("SC422", "task.bad_field")


def test_what_became_of_a_time_is_told_again(conn: Conn) -> None:
    it = schedule(conn)
    first = fired(conn, it)
    assert (first["outcome"], first["task_id"] is None) == ("submitted", False)
    assert fired(conn, it) == fired(conn, it, outcome="missed") == first
    late = fired(conn, it, NOON + timedelta(minutes=1), "missed")
    assert (late["outcome"], late["task_id"], late["error"]) == ("missed", None, "why")
    assert value(conn, "SELECT count(*) FROM tasks") == 1


def test_a_refused_time_is_counted_until_one_is_submitted(conn: Conn) -> None:
    it = schedule(conn, type="")
    for minute in range(2):
        assert fired(conn, it, NOON + timedelta(minutes=minute))["outcome"] == "failed"
    ask = "SELECT failures, last_error FROM task_schedules"
    assert row(conn, ask) == {"failures": 2, "last_error": "a task needs a type"}
    conn.execute("UPDATE task_schedules SET type = 't'")
    fired(conn, it, NOON + timedelta(minutes=2))
    assert row(conn, ask) == {"failures": 0, "last_error": None}


def test_a_name_of_no_schedule_can_not_be_run(conn: Conn) -> None:
    schedule(conn)
    with pytest.raises(psycopg.Error, match='there is no schedule "S"') as caught:
        conn.execute("SELECT task_schedule_run('S')")
    assert code(caught.value) == ("SC404", "schedule.not_found")


def test_two_who_submit_one_time_at_once_get_one_task(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    schedule(conn)
    ask = "SELECT task_schedule_submit(s, now(), 'k') FROM task_schedules s"
    with conn.transaction():
        first = value(conn, ask)
        late = aside(value, other, ask)
        blocked(other)
    assert late.result(10) == first


# -- batches -----------------------------------------------------------------------------------


def batch(conn: Conn, count: int) -> tuple[UUID, list[UUID]]:
    """A held task and those that it is linked to."""
    it = new(conn, hold=True)
    members = sorted(new(conn) for _ in range(count))
    conn.execute("SELECT tasks_link(%s, %s)", [[it] * count, members])
    return it, members


REMEMBER = "SELECT tasks_remember_waiting(%s)"


def test_one_of_more_than_sixty_four_is_remembered(conn: Conn) -> None:
    (few, _), (many, members), (none, _) = batch(conn, 64), batch(conn, 65), batch(conn, 0)
    assert value(conn, REMEMBER, [[few, many, none]]) == [many]
    waits = conn.execute("SELECT * FROM task_waits").fetchall()
    assert waits == [{"task_id": many, "member_id": members[-1]}]
    conn.execute("SELECT tasks_cancel(%s, 'x')", [members[1:]])
    assert value(conn, REMEMBER, [[many]]) == [many]
    assert value(conn, "SELECT member_id FROM task_waits") == members[0]
    conn.execute("SELECT tasks_cancel(%s, 'x')", [members[:1]])
    assert value(conn, REMEMBER, [[many]]) == []
    assert conn.execute("SELECT FROM task_waits").rowcount == 0


def test_a_task_that_nobody_has_can_not_wait(conn: Conn) -> None:
    assert value(conn, "SELECT task_await(%s)", [UUID(int=0)]) is None


# -- redrives ----------------------------------------------------------------------------------


def failed(conn: Conn, count: int) -> list[UUID]:
    rows = conn.execute(
        "INSERT INTO tasks (type, status, attempts, finished_at)"
        " SELECT 't', 'failed', 3, now() FROM generate_series(1, %s) RETURNING id",
        [count],
    )
    return [row["id"] for row in rows]


def redriven(conn: Conn, ids: list[UUID], start: datetime, first: int, gap_s: float) -> list[UUID]:
    rows = conn.execute(
        "SELECT id FROM tasks_redrive(%s, 2, %s, %s, %s) AS id", [ids, start, first, gap_s]
    )
    return [row["id"] for row in rows]


def test_a_place_in_the_list_is_a_place_in_time(conn: Conn) -> None:
    ids = failed(conn, 3)
    asked = [ids[2], ids[0], ids[1]]
    assert redriven(conn, asked, NOON, 4, 10) == asked
    due = [task(conn, each)["run_after"] for each in asked]
    assert due == [NOON + timedelta(seconds=s) for s in (40, 50, 60)]


def test_who_does_not_move_takes_no_place_and_nobody_takes_two(conn: Conn) -> None:
    ids = failed(conn, 3)
    stays = new(conn)
    assert redriven(conn, [ids[0], stays, ids[1], ids[0], ids[2]], NOON, 0, 10) == ids
    due = [task(conn, each)["run_after"] for each in ids]
    assert due == [NOON + timedelta(seconds=s) for s in (0, 10, 20)]


def test_a_start_in_the_past_is_now(conn: Conn) -> None:
    ids = failed(conn, 2)
    before = value(conn, "SELECT clock_timestamp()")
    redriven(conn, ids, before - timedelta(days=1), 0, 1)
    assert all(task(conn, each)["run_after"] >= before for each in ids)
    assert status(conn, *ids) == ["queued", "queued"]


def test_a_redrive_gives_at_least_one_attempt(conn: Conn) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT tasks_redrive(%s, 0, now())", [failed(conn, 1)])
    assert code(caught.value) == ("SC422", "task.bad_attempts")


def test_a_group_of_errors_is_no_longer_than_a_line(conn: Conn) -> None:
    ask = "SELECT task_error_group(%s)"
    assert value(conn, ask, ["x" * 5000]) == "x" * 200


# -- retention ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        (None, timedelta(minutes=1)), ("90", timedelta(seconds=90)), ("0.5", timedelta(seconds=0.5)),
        ("7 days", timedelta(days=7)), ("12:00", timedelta(hours=12)), ("0", None), ("0 days", None),
    ],
)  # fmt: skip
def test_a_time_to_keep_is_seconds_or_an_interval(
    conn: Conn, stored: str | None, kept: timedelta | None
) -> None:
    if stored is not None:
        conn.execute("INSERT INTO seedcore_settings (name, value) VALUES ('kept', %s)", [stored])
    assert value(conn, "SELECT task_retention_of('kept', 60)") == kept


def test_nothing_is_kept_for_less_than_no_time(conn: Conn) -> None:
    conn.execute("INSERT INTO seedcore_settings (name, value) VALUES ('kept', '-1 day')")
    with pytest.raises(psycopg.Error, match="the setting kept is negative: -1 day") as caught:
        conn.execute("SELECT task_retention_of('kept', 60)")
    assert code(caught.value) == ("SC422", "config.bad_value")
