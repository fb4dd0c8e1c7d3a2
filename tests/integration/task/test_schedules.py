"""Firing schedules: by the duty of several workers, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from seedcore.config.settings import Settings
from seedcore.errors import Conflict, Duplicate, NotFound
from seedcore.task.schedule import service
from seedcore.task.schedule.firing import order
from seedcore.task.schedule.model import Misfire, NewSchedule, Overlap
from seedcore.task.schedule.store import queries
from seedcore.task.sweeps import Sweeps
from tests.integration.task.worker import Worker
from workers.duties.schedules import Schedules
from workers.metrics import Metrics

Conn = psycopg.Connection[dict[str, Any]]


def add(conn: Conn, name: str = "s", *, ago: timedelta | None = None, **fields: Any) -> Any:
    """Add a schedule for every minute; with `ago` its next time was so long ago, at a full minute."""
    new = NewSchedule(name=name, **({"cron": "* * * * *", "type": "report"} | fields))
    row = service.add(conn, new, actor="ann")
    if ago is not None:
        conn.execute(
            "UPDATE task_schedules SET next_run_at = date_trunc('minute', now() - %s::interval)"
            " WHERE schedule_id = %s",
            [ago, row["schedule_id"]],
        )
    return row["schedule_id"]


def fires(conn: Conn, schedule_id: Any) -> list[dict[str, Any]]:
    return conn.execute(
        "SELECT * FROM task_schedule_fires WHERE schedule_id = %s ORDER BY fire_at", [schedule_id]
    ).fetchall()


def stored(conn: Conn, schedule_id: Any) -> dict[str, Any]:
    row = conn.execute("SELECT * FROM task_schedules WHERE schedule_id = %s", [schedule_id])
    found = row.fetchone()
    assert found is not None
    return found


def count(conn: Conn) -> int:
    """Count tasks."""
    row = conn.execute("SELECT count(*) AS n FROM tasks").fetchone()
    assert row is not None
    return row["n"]


def tick(url: str, workers: int = 1) -> list[float]:
    """Let workers run the duty side by side until nothing is due; return when they want to look again."""

    async def one() -> float:
        sweeps = await Sweeps.connect(url)
        try:
            duty = Schedules(Settings(), Metrics("w"))
            while (pause := await duty.run(sweeps)) == 0.0:
                pass
            return pause
        finally:
            await sweeps.close()

    async def all_of_them() -> list[float]:
        return await asyncio.gather(*(one() for _ in range(workers)))

    return asyncio.run(all_of_them())


def due(conn: Conn) -> dict[str, Any]:
    """What a worker that looks now would send."""
    rows = conn.execute(queries.due_schedules, {"limit": 100}).fetchall()
    return order(rows, lambda _: None).parameters()


def fire(conn: Conn, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    return conn.execute(queries.fire_schedules, parameters).fetchall()


def test_ten_workers_fire_each_time_once(conn: Conn, database_url: str) -> None:
    many = add(conn, "many", ago=timedelta(minutes=40), misfire=Misfire.ALL)
    once = add(conn, "once", ago=timedelta(minutes=40))
    pauses = tick(database_url, workers=10)
    assert all(0.0 < pause < 61.0 for pause in pauses)
    tick(database_url)  # a round that found the lock taken left it to the others
    times = [row["fire_at"] for row in fires(conn, many)]
    assert times == sorted(set(times))
    assert len(times) in (41, 42)
    assert len(fires(conn, once)) in (1, 2)
    assert count(conn) == len(times) + len(fires(conn, once))
    assert stored(conn, many)["next_run_at"] > times[-1]
    assert {row["actor"] for row in fires(conn, many)} == {"schedule many"}


def test_a_rival_that_read_the_same_fires_nothing(conn: Conn, other: Conn) -> None:
    add(conn, ago=timedelta(minutes=2))
    mine, theirs = due(conn), due(other)
    with conn.transaction():
        assert len(fire(conn, mine)) == 1
        assert fire(other, theirs) == []  # the duty's lock is taken
    assert fire(other, theirs) == []  # it has moved on
    assert count(conn) == 1


def test_what_a_crash_leaves_behind_is_fired_once(conn: Conn, other: Conn) -> None:
    it = add(conn, ago=timedelta(minutes=2))
    with conn.transaction(force_rollback=True):
        assert len(fire(conn, due(conn))) == 1
    assert (count(conn), fires(conn, it)) == (0, [])
    fire(other, due(other))
    assert count(conn) == 1


def test_a_time_is_fired_once_although_next_was_turned_back(
    conn: Conn, worker: Worker, database_url: str
) -> None:
    """As after a restore of task_schedules alone, or a clock that went backwards."""
    it = add(conn, ago=timedelta(minutes=3), misfire=Misfire.ALL)
    tick(database_url)
    first = count(conn)
    with conn.transaction():
        conn.execute("UPDATE task_schedules SET next_run_at = now() - interval '1 hour'")
        conn.execute("UPDATE task_schedules SET next_run_at = date_trunc('minute', next_run_at)")
    # Without the history the tasks' keys remember, failed ones included.
    conn.execute("DELETE FROM task_schedule_fires WHERE schedule_id = %s", [it])
    claimed = [row["id"] for row in worker.claim(100)]
    worker.fail(*claimed, retryable=False)
    tick(database_url)
    assert {row["task_id"] for row in fires(conn, it)} >= set(claimed)
    assert count(conn) in range(first + 55, first + 62)


def test_one_that_fails_does_not_hold_up_the_others(conn: Conn, database_url: str) -> None:
    bad = add(conn, "bad", ago=timedelta(minutes=2))
    lost = add(conn, "lost", ago=timedelta(minutes=2))
    linted = add(conn, "linted", ago=timedelta(minutes=2))
    good = add(conn, "good", ago=timedelta(minutes=2))
    conn.execute("UPDATE task_schedules SET type = '' WHERE name = 'bad'")
    conn.execute("UPDATE task_schedules SET timezone = 'Mars/Olympus' WHERE name = 'lost'")
    conn.execute("""UPDATE task_schedules SET params = '{"tool_calls": 5}' WHERE name = 'linted'""")
    tick(database_url)
    assert count(conn) == len(fires(conn, good)) >= 1
    shown = {row["name"]: row for row in service.list_all(conn)}
    assert "type" in shown["bad"]["last_error"]
    assert "Mars/Olympus" in shown["lost"]["last_error"]
    assert "tool_calls" in shown["linted"]["last_error"]
    assert shown["good"]["last_error"] is None
    assert all(shown[name]["failures"] >= 1 for name in ("bad", "lost", "linted"))
    assert all(stored(conn, it)["next_run_at"] > datetime.now(UTC) for it in (bad, lost, linted))
    # Mended, it fires again, and the error is gone.
    conn.execute(
        "UPDATE task_schedules SET type = 't', next_run_at = date_trunc('minute', now()) - interval '1m'"
        " WHERE name = 'bad'"
    )
    conn.execute("DELETE FROM task_schedule_fires")
    tick(database_url)
    assert (stored(conn, bad)["last_error"], stored(conn, bad)["failures"]) == (None, 0)
    assert "there is no time zone" in service.show(conn, "lost")["last_error"]


def test_what_is_wrong_with_the_server_is_raised_and_fired_later(conn: Conn) -> None:
    it = add(conn, ago=timedelta(minutes=2))
    conn.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END$$"
    )
    conn.execute("CREATE TRIGGER full_disk BEFORE INSERT ON tasks EXECUTE FUNCTION full_disk()")
    with pytest.raises(psycopg.errors.DiskFull):
        fire(conn, due(conn))
    assert stored(conn, it)["last_error"] is None
    conn.execute("DROP TRIGGER full_disk ON tasks")
    assert [row["outcome"] for row in fire(conn, due(conn))] == ["submitted"]


def test_overlap_skip_waits_for_the_task_before(
    conn: Conn, worker: Worker, database_url: str
) -> None:
    it = add(conn, ago=timedelta(minutes=5), misfire=Misfire.ALL, overlap=Overlap.SKIP)
    tick(database_url)
    outcomes = [row["outcome"] for row in fires(conn, it)]
    assert (outcomes[0], set(outcomes[1:])) == ("submitted", {"skipped"})
    assert len({row["task_id"] for row in fires(conn, it)}) == 1
    with pytest.raises(Conflict, match="has not ended") as caught:
        service.run(conn, "s", actor="ann")
    assert caught.value.code == "schedule.overlap"
    (claimed,) = worker.claim()
    worker.complete(claimed["id"])
    assert service.run(conn, "s", actor="ann")["id"] is not None


def test_too_late_for_skip_is_written_down(conn: Conn, database_url: str) -> None:
    it = add(conn, cron="0 3 * * *", ago=timedelta(minutes=5), misfire=Misfire.SKIP)
    tick(database_url)
    assert [row["outcome"] for row in fires(conn, it)] == ["missed"]
    assert count(conn) == 0


def test_the_history_keeps_the_last_thousand(conn: Conn, database_url: str) -> None:
    it = add(conn, ago=timedelta(minutes=1), type="t")
    conn.execute(
        "INSERT INTO task_schedule_fires (schedule_id, fire_at, outcome, actor)"
        " SELECT %s, now() - make_interval(days => n), 'missed', 'ann' FROM generate_series(1, 1200) n",
        [it],
    )
    tick(database_url)
    found = fires(conn, it)
    assert len(found) == 1000
    assert found[-1]["outcome"] == "submitted"


def test_keeping_the_history_short_does_not_look_for_the_limit_row_by_row(conn: Conn) -> None:
    it = add(conn, ago=timedelta(minutes=1), type="t")
    conn.execute(
        "INSERT INTO task_schedule_fires (schedule_id, fire_at, outcome, actor)"
        " SELECT %s, now() - make_interval(days => n), 'missed', 'ann' FROM generate_series(1, 1001) n",
        [it],
    )
    parameters = due(conn)
    with conn.transaction():
        conn.execute(queries.fire_schedules, parameters)
        row = conn.execute(
            "SELECT idx_scan + seq_scan AS scans FROM pg_stat_xact_user_tables"
            " WHERE relname = 'task_schedule_fires'"
        ).fetchone()
    assert row is not None
    assert row["scans"] < 20
    assert len(fires(conn, it)) == 1000


def test_a_paused_one_fires_nothing_and_resumes_from_now(conn: Conn, database_url: str) -> None:
    it = add(conn, ago=timedelta(minutes=2))
    parameters = due(conn)
    assert service.pause(conn, "s", actor="bob", reason="holiday")
    assert not service.pause(conn, "s", actor="bob")
    assert fire(conn, parameters) == []
    tick(database_url)
    assert count(conn) == 0
    assert (stored(conn, it)["changed_by"], stored(conn, it)["reason"]) == ("bob", "holiday")
    assert service.resume(conn, "s", actor="bob")
    assert not service.resume(conn, "s", actor="bob")
    assert stored(conn, it)["next_run_at"] > datetime.now(UTC)


def test_names_are_given_once_and_runs_by_hand_are_recorded(conn: Conn, other: Conn) -> None:
    it = add(conn, "nightly", priority=7, ttl_s=3600, domain="lab", max_attempts=2)
    with pytest.raises(Duplicate):
        add(other, "nightly")
    done = [service.run(conn, "nightly", actor="ann")["id"] for _ in range(2)]
    assert count(conn) == 2
    task = conn.execute("SELECT * FROM tasks WHERE id = %s", [done[0]]).fetchone()
    assert task is not None
    assert (task["priority"], task["domain"], task["max_attempts"]) == (7, "lab", 2)
    assert timedelta(minutes=59) < task["expires_at"] - task["created_at"] <= timedelta(hours=1)
    assert [(r["outcome"], r["actor"], r["task_id"]) for r in fires(conn, it)] == [
        ("by_hand", "ann", task_id) for task_id in done
    ]
    with pytest.raises(NotFound) as caught:
        service.run(conn, "nihgtly", actor="ann")
    assert caught.value.hint == "did you mean nightly?"
    service.remove(conn, "nightly", actor="ann")
    assert (fires(conn, it), count(conn)) == ([], 2)


def test_a_worker_looks_again_at_the_full_minute(conn: Conn, database_url: str) -> None:
    (pause,) = tick(database_url)
    row = conn.execute("SELECT extract(second FROM clock_timestamp())::float8 AS s").fetchone()
    assert row is not None
    late = (row["s"] + pause) % 60
    assert late < 1.0 or late > 59.5  # the clock went on between the two questions


def test_two_who_run_one_at_once_do_not_overlap(
    conn: Conn, other: Conn, aside: Callable[..., Future[Any]], blocked: Callable[[Conn], None]
) -> None:
    add(conn, overlap=Overlap.SKIP)
    with conn.transaction():
        service.run(conn, "s", actor="ann")
        rival = aside(service.run, other, "s", actor="bob")
        blocked(other)
    with pytest.raises(Conflict, match="has not ended"):
        rival.result(10)
    assert count(conn) == 1
