"""What workers remove by themselves: slowly, never what is needed, and nothing unless asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from seedcore.config.settings import Settings
from seedcore.db.settings import write_setting
from seedcore.errors import UsageError
from seedcore.task import service
from seedcore.task.sweeps import Sweeps
from seedcore.testing import age
from tests.integration.task.worker import Worker, new, status, task
from workers.duties.retention import RetainEvents, RetainTasks
from workers.metrics import Metrics

Conn = psycopg.Connection[dict[str, Any]]

DAY_S = 86400.0


def count(conn: Conn) -> int:
    row = conn.execute("SELECT count(*) AS n FROM tasks").fetchone()
    assert row is not None
    return row["n"]


def ended(conn: Conn, worker: Worker, number: int, by: str, *, failed: bool = False) -> list[UUID]:
    tasks = [new(conn) for _ in range(number)]
    worker.claim(number)
    if failed:
        worker.fail(*tasks, retryable=False)
    else:
        worker.complete(*tasks)
    age(conn, tasks, by)
    return tasks


def retain(conn: Conn, **given: Any) -> dict[str, Any] | None:
    """Run one slice, whatever pause the last one asked for."""
    options = {"completed": 0, "failed": 0, "cancelled": 0, "limit": 1000, "share": 0.1} | given
    conn.execute("UPDATE task_retention SET next_at = '-infinity'")
    return conn.execute(
        "SELECT * FROM tasks_retain(%(completed)s, %(failed)s, %(cancelled)s, %(limit)s, %(share)s)",
        options,
    ).fetchone()


def test_nothing_goes_unless_somebody_asked(conn: Conn, worker: Worker) -> None:
    ended(conn, worker, 2, "900d")
    assert retain(conn) is None
    assert count(conn) == 2


def test_each_end_has_its_own_time(conn: Conn, worker: Worker) -> None:
    done = ended(conn, worker, 3, "8d")
    failed = ended(conn, worker, 2, "8d", failed=True)
    recent = ended(conn, worker, 1, "6d")
    gone = new(conn)
    service.cancel(conn, [gone], actor="ann")
    age(conn, gone, "8d")
    old_but_live = new(conn)
    age(conn, old_but_live, "30d")
    swept = retain(conn, completed=7 * DAY_S, cancelled=30 * DAY_S)
    assert swept is not None
    assert (swept["removed"], swept["swept"]) == (3, 3)
    assert count(conn) == 5
    assert status(conn, *failed, *recent, gone, old_but_live) == [
        "failed", "failed", "completed", "cancelled", "queued",
    ]  # fmt: skip
    assert done
    assert (retain(conn, failed=7 * DAY_S) or {})["removed"] == 2


def test_a_sweep_goes_on_where_the_last_slice_ended_and_looks_at_no_row_twice(
    conn: Conn, worker: Worker
) -> None:
    kept = ended(conn, worker, 4, "20d", failed=True)
    ended(conn, worker, 5, "10d")
    slices: list[tuple[int, int, Any]] = []
    for _ in range(4):
        done = retain(conn, completed=7 * DAY_S, limit=3)
        assert done is not None
        slices.append((done["removed"], done["seen"], done["swept"]))
    # Four that stay are passed over once; the fourth slice finds the end.
    assert slices == [(0, 3, None), (2, 3, None), (3, 3, None), (0, 0, 5)]
    assert status(conn, *kept) == ["failed"] * 4
    again = retain(conn, completed=7 * DAY_S, limit=3)
    assert (again or {})["seen"] == 3  # a new sweep begins with the oldest


def test_all_workers_together_keep_to_the_share(conn: Conn, other: Conn, worker: Worker) -> None:
    ended(conn, worker, 4, "10d")
    first = retain(conn, completed=DAY_S, limit=2, share=0.001)
    assert first is not None
    assert first["removed"] == 2
    # 999 times as long as it took; a second worker is told to wait as well.
    second = other.execute("SELECT * FROM tasks_retain(86400, p_limit => 2)").fetchone()
    assert second is not None
    assert (second["removed"], second["seen"]) == (0, 0)
    assert 0 < second["wait_s"] <= first["wait_s"]
    assert count(conn) == 2


def test_one_at_a_time(conn: Conn, other: Conn, worker: Worker) -> None:
    ended(conn, worker, 2, "10d")
    with other.transaction():
        other.execute("SELECT * FROM tasks_retain(86400, p_limit => 1)")
        assert conn.execute("SELECT * FROM tasks_retain(86400)").fetchone() is None


def test_what_an_unfinished_task_waits_for_stays(conn: Conn, worker: Worker) -> None:
    first, second = new(conn), new(conn)
    child = new(conn, depends_on=(str(first), str(second)))
    worker.claim(1)
    worker.complete(first)
    age(conn, [first, second, child], "30d")
    assert (retain(conn, completed=DAY_S) or {})["removed"] == 0
    worker.claim(1)
    worker.complete(second)
    worker.claim(1)
    worker.complete(child)
    age(conn, [first, second, child], "30d")
    assert (retain(conn, completed=DAY_S) or {})["removed"] == 3


def test_a_task_that_is_retried_at_the_same_moment_stays(
    conn: Conn, other: Conn, worker: Worker
) -> None:
    (one, _) = ended(conn, worker, 2, "10d", failed=True)
    with other.transaction():
        service.retry(other, [one], actor="ann")
        assert (retain(conn, failed=DAY_S) or {})["removed"] == 1
    assert status(conn, one) == "queued"


def test_what_belonged_to_a_task_goes_with_it(conn: Conn, worker: Worker) -> None:
    (one,) = ended(conn, worker, 1, "10d")
    conn.execute("INSERT INTO task_progress (task_id, attempt, done) VALUES (%s, 1, 1)", [one])
    retain(conn, completed=DAY_S)
    assert conn.execute("SELECT count(*) AS n FROM task_progress").fetchone() == {"n": 0}


def test_the_databases_setting_wins(conn: Conn, worker: Worker) -> None:
    ended(conn, worker, 1, "10d")
    write_setting(conn, "task_retention_completed", "30d", actor="ann")
    assert (retain(conn, completed=DAY_S) or {})["removed"] == 0
    write_setting(conn, "task_retention_completed", "0", actor="ann")
    assert retain(conn, completed=DAY_S) is None
    write_setting(conn, "task_retention_completed", "7d12h", actor="ann")
    assert (retain(conn) or {})["removed"] == 1
    with pytest.raises(UsageError, match="task_retention_failed: 'soon' is not a duration"):
        write_setting(conn, "task_retention_failed", "soon", actor="ann")
    conn.execute(
        "INSERT INTO seedcore_settings (name, value) VALUES ('task_retention_failed', '-1s')"
    )
    with pytest.raises(psycopg.Error) as caught:
        retain(conn)
    assert caught.value.sqlstate == "SC422"


# -- events ------------------------------------------------------------------------------------


def days(conn: Conn) -> list[str]:
    rows = conn.execute(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'task_events'::regclass ORDER BY 1"
    ).fetchall()
    return [row["name"].removeprefix("task_events_p") for row in rows]


@pytest.fixture
def old_days(conn: Conn) -> list[str]:
    """Three days of 2020, each with an event; and one event of a day without a partition."""
    for day in (1, 2, 3):
        conn.execute(
            f"CREATE TABLE task_events_p2020010{day} (LIKE task_events INCLUDING DEFAULTS)"
        )
        conn.execute(
            f"ALTER TABLE task_events ATTACH PARTITION task_events_p2020010{day}"
            f" FOR VALUES FROM ('2020-01-0{day}Z') TO ('2020-01-0{day + 1}Z')"
        )
    for day in (1, 2, 3, 9):
        conn.execute(
            "INSERT INTO task_events (task_id, at, to_status, attempts)"
            " VALUES (gen_random_uuid(), %s, 'completed', 1)",
            [datetime(2020, 1, day, 12, tzinfo=UTC)],
        )
    return ["20200101", "20200102", "20200103"]


def retain_events(conn: Conn, seconds: float = 0) -> dict[str, Any] | None:
    conn.execute("UPDATE task_retention SET next_at = '-infinity'")
    return conn.execute("SELECT * FROM task_events_retain(%s)", [seconds]).fetchone()


def test_days_of_events_go_one_at_a_time_and_only_whole(conn: Conn, old_days: list[str]) -> None:
    assert retain_events(conn) is None
    kept_s = (datetime.now(UTC) - datetime(2020, 1, 3, 12, tzinfo=UTC)) / timedelta(seconds=1)
    for day in old_days[:2]:
        done = retain_events(conn, kept_s)
        assert done is not None
        assert (f"{done['day']:%Y%m%d}", done["busy"]) == (day, False)
        assert day not in days(conn)
    done = retain_events(conn, kept_s)
    assert done is not None
    assert (done["day"], done["removed"]) == (None, 0)
    assert "20200103" in days(conn)
    retain_events(conn, 30 * DAY_S)
    done = retain_events(conn, 30 * DAY_S)
    assert (done or {})["removed"] == 1  # the day that had no partition
    assert f"{datetime.now(UTC):%Y%m%d}" in days(conn)


def test_a_day_in_use_is_dropped_later_and_holds_nobody_up(
    conn: Conn, other: Conn, old_days: list[str]
) -> None:
    with other.transaction():
        other.execute("SELECT count(*) FROM task_events")  # such as a dump, or task verify
        done = retain_events(conn, DAY_S)
        assert done is not None
        assert (done["day"], done["busy"], done["wait_s"]) == (None, True, 10)
        # Nothing is left waiting for the table, so whoever writes events goes on.
        conn.execute("SET statement_timeout = '5s'")
        new(conn)
        assert old_days[0] in days(conn)
    assert (retain_events(conn, DAY_S) or {})["day"] is not None


# -- the duties --------------------------------------------------------------------------------


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("queue@test-1")


async def test_the_duties_remove_count_and_say_when_to_come_back(
    conn: Conn, worker: Worker, database_url: str, old_days: list[str], metrics: Metrics,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    ended(conn, worker, 3, "10d")
    nothing = Settings()
    settings = Settings(task_retention_completed=DAY_S, task_event_retention=DAY_S)
    sweeps = await Sweeps.connect(database_url)
    try:
        assert await RetainTasks(nothing, metrics).run(sweeps) == 60
        assert await RetainEvents(nothing, metrics).run(sweeps) == 60
        assert count(conn) == 3
        assert await RetainTasks(settings, metrics).run(sweeps) == 60
        assert await RetainEvents(settings, metrics).run(sweeps) == 1
    finally:
        await sweeps.close()
    assert count(conn) == 0
    page = metrics.render().decode()
    assert "seedcore_tasks_purged_total 3.0" in page
    assert "seedcore_event_days_dropped_total 1.0" in page
    said = {
        record.__dict__["event"]: record.__dict__
        for record in caplog.records
        if "event" in record.__dict__
    }
    assert said["task.purged"]["count"] == 3
    assert said["events.day_dropped"]["day"] == "2020-01-01"


def test_a_purged_task_is_no_fault_to_the_checker(conn: Conn, worker: Worker) -> None:
    from seedcore.task.verify import verify

    (one,) = ended(conn, worker, 1, "10d")
    retain(conn, completed=DAY_S)
    assert list(verify(conn)) == []
    with pytest.raises(AssertionError):
        task(conn, one)
