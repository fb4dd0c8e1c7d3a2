"""The queue's functions while another session holds the rows: they wait and see, or pass by."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from seedcore.errors import Conflict
from seedcore.task import service
from seedcore.testing import age
from tests.integration.schema.database import code, value
from tests.integration.task.worker import Worker, new, status, task

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]
Blocked = Callable[[Conn], None]

# what a worker says of a task that it holds, and what it hears when it holds it no more
ANSWERS: dict[str, tuple[Callable[[Worker, UUID], Any], Any]] = {
    "tasks_complete": (lambda w, i: w.complete(i, result="late"), set()),
    "tasks_retry_or_fail": (lambda w, i: w.fail(i), {}),
    "tasks_give_back": (lambda w, i: w.give_back(i), set()),
    "tasks_renew": (lambda w, i: w.renew(i)[i], (False, "retry")),
    "tasks_cancel": (
        lambda w, i: w.rows("SELECT tasks_cancel(%s, 'x', %s)", [[i], w.owner]), [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("function", ANSWERS)
def test_a_worker_whose_lease_is_being_taken_waits_and_is_told(
    conn: Conn, rival: Worker, aside: Aside, blocked: Blocked, function: str
) -> None:
    say, heard = ANSWERS[function]
    held = new(conn)
    rival.claim()
    with conn.transaction():
        conn.execute("SELECT FROM tasks_requeue_stale(%s)", [[held]])
        before = task(conn, held)
        late = aside(say, rival, held)
        blocked(rival.conn)
    assert late.result(10) == heard
    assert task(conn, held) == before


def test_a_lapse_waits_for_the_owner_and_leaves_what_it_ended(
    conn: Conn, rival: Worker, aside: Aside, blocked: Blocked
) -> None:
    held = new(conn)
    rival.claim()
    with rival.conn.transaction():
        rival.complete(held, result="in time")
        lapse = aside(conn.execute, "SELECT * FROM tasks_lapse(%s)", [[held]])
        blocked(conn)
    assert lapse.result(10).fetchall() == []
    assert task(conn, held)["result"] == "in time"


def ripe(conn: Conn, worker: Worker, sweep: str) -> UUID:
    """A task that the sweep would take."""
    soon = datetime.now(UTC) + timedelta(minutes=1)
    one = new(conn, expires_at=soon if sweep == "tasks_expire_due" else None)
    if sweep in ("cleanup_stale_running_tasks", "tasks_requeue_stale", "tasks_purge"):
        worker.claim()
    if sweep == "tasks_purge":
        worker.complete(one)
    age(conn, one, "1h")
    if sweep == "tasks_release_ready":
        conn.execute("UPDATE tasks SET status = 'created', auto_release = true")
    return one


SWEEPS = {
    "cleanup_stale_running_tasks": "cleanup_stale_running_tasks(15)",
    "tasks_requeue_stale": "count(*) FROM tasks_requeue_stale()",
    "tasks_expire_due": "tasks_expire_due()",
    "tasks_release_ready": "tasks_release_ready()",
    "tasks_purge": "tasks_purge('30 m')",
}


@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_sweep_passes_by_what_another_session_holds(
    conn: Conn, other: Conn, worker: Worker, sweep: str
) -> None:
    one = ripe(conn, worker, sweep)
    ask = f"SELECT {SWEEPS[sweep]}".encode()
    other.execute("SET lock_timeout = '2s'")
    with conn.transaction():
        conn.execute("SELECT FROM tasks WHERE id = %s FOR NO KEY UPDATE", [one])
        assert value(other, ask) == 0
    assert value(other, ask) == 1
    assert value(other, ask) == 0


def test_one_link_from_two_sessions_is_one_row(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    pair = [[new(conn, hold=True)], [new(conn)]]
    with conn.transaction():
        conn.execute("SELECT tasks_link(%s, %s)", pair)
        rival = aside(other.execute, "SELECT tasks_link(%s, %s)", pair)
        blocked(other)
    rival.result(10)
    assert value(conn, "SELECT count(*) FROM task_depends_on_task") == 1


def test_a_held_dependency_does_not_end_before_its_holder(
    conn: Conn, rival: Worker, aside: Aside, blocked: Blocked
) -> None:
    parent = new(conn)
    child = new(conn, hold=True, depends_on=(str(parent),))
    rival.claim()
    with conn.transaction():
        conn.execute("SELECT tasks_hold_dependencies(%s)", [[child]])
        late = aside(rival.complete, parent)
        blocked(rival.conn)
        conn.execute("UPDATE tasks SET auto_release = true WHERE id = %s", [child])
    assert late.result(10) == {parent}
    assert status(conn, child) == "queued"


def test_what_waits_is_settled_once_when_two_repair_it_at_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    failed = new(conn)
    child = new(conn, depends_on=(str(failed),))
    with conn.transaction():
        conn.execute("SET LOCAL search_path = public, seedcore_engine")
        conn.execute(
            "UPDATE tasks SET status = 'failed', finished_at = now() WHERE id = %s", [failed]
        )
    release = "SELECT tasks_release_dependants(%s)"
    with conn.transaction():
        conn.execute(release, [[failed]])
        rival = aside(other.execute, release, [[failed]])
        blocked(other)
    rival.result(10)
    assert status(conn, child) == "cancelled"
    assert value(conn, "SELECT count(*) FROM task_events WHERE task_id = %s", [child]) == 1


def test_a_dependency_that_is_ending_is_seen_ended(
    conn: Conn, other: Conn, rival: Worker, aside: Aside, blocked: Blocked
) -> None:
    parent, open_ = new(conn), new(conn)
    child = new(conn, depends_on=(str(open_),))
    rival.claim(2)
    with rival.conn.transaction():
        rival.fail(parent, retryable=False)
        late = aside(service.add_dependency, conn, child, parent, actor="ann")
        blocked(conn)
    assert late.result(10)
    assert status(conn, child) == "cancelled"


def take_back(conn: Conn, src: UUID, dst: UUID) -> bool:
    return value(conn, "SELECT task_remove_dependency(%s, %s)", [src, dst])


def test_a_dependency_is_taken_back_and_the_task_runs(conn: Conn) -> None:
    first, second = new(conn), new(conn)
    child = new(conn, depends_on=(str(first), str(second)))
    assert take_back(conn, child, first)
    assert not take_back(conn, child, first)
    assert status(conn, child) == "created"
    assert take_back(conn, child, second)
    assert status(conn, child) == "queued"
    with pytest.raises(psycopg.Error) as refused:
        take_back(conn, UUID(int=7), first)
    assert code(refused.value) == ("SC404", "task.not_found")


def test_a_dependency_taken_back_while_it_ends_counts_once(
    conn: Conn, rival: Worker, aside: Aside, blocked: Blocked
) -> None:
    parent = new(conn)
    child = new(conn, depends_on=(str(parent),))
    rival.claim()
    with rival.conn.transaction():
        rival.fail(parent, retryable=False)
        late = aside(take_back, conn, child, parent)
        blocked(conn)
    assert late.result(10)
    assert status(conn, child) == "cancelled"  # it had failed before anybody took it back


@pytest.mark.parametrize("call", ["queue_pause('queue', %s, 'x')", "queue_resume('queue', %s)"])
def test_of_two_operators_at_once_the_later_one_stands(
    conn: Conn, other: Conn, worker: Worker, aside: Aside, blocked: Blocked, call: str
) -> None:
    ask = f"SELECT {call}".encode()
    with conn.transaction():
        conn.execute(ask, ["ann"])
        late = aside(other.execute, ask, ["bob"])
        blocked(other)
    late.result(10)
    assert value(conn, "SELECT changed_by FROM queue_lanes WHERE lane = 'queue'") == "bob"


def test_a_claim_does_not_wait_for_an_operator(conn: Conn, rival: Worker) -> None:
    queued = new(conn)
    rival.conn.execute("SET lock_timeout = '2s'")
    with conn.transaction():
        conn.execute("SELECT queue_pause('queue', 'ann')")
        assert [row["id"] for row in rival.claim()] == [queued]
    assert rival.claim() == []


def test_two_who_make_partitions_at_once_make_each_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    before = value(
        conn, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'task_events'::regclass"
    )
    with conn.transaction():
        assert value(conn, "SELECT task_events_ensure(12)") > 0
        rival = aside(value, other, "SELECT task_events_ensure(12)")
        blocked(other)
    assert rival.result(10) == 0
    after = value(
        conn, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'task_events'::regclass"
    )
    assert after > before


def test_two_who_purge_events_at_once_purge_each_day_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    for day in (1, 2):
        conn.execute(
            f"CREATE TABLE task_events_p2020010{day} (LIKE task_events INCLUDING DEFAULTS);"
            f" ALTER TABLE task_events ATTACH PARTITION task_events_p2020010{day}"
            f" FOR VALUES FROM ('2020-01-0{day}Z') TO ('2020-01-0{day + 1}Z')".encode()
        )
    conn.execute(
        "INSERT INTO task_events (task_id, at, to_status, attempts)"
        " SELECT gen_random_uuid(), '2020-01-01 12:00Z'::timestamptz + n * interval '1 day', 'queued', 0"
        " FROM generate_series(0, 1) AS n"
    )
    with conn.transaction():
        assert value(conn, "SELECT task_events_purge('30 days')") == 2
        rival = aside(value, other, "SELECT task_events_purge('30 days')")
        blocked(other)
    assert rival.result(10) == 0


def test_two_who_fire_one_time_at_once_fire_one_task(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    schedule = value(
        conn,
        "INSERT INTO task_schedules (name, cron, type, next_run_at)"
        " VALUES ('nightly', '0 3 * * *', 'report', now()) RETURNING schedule_id",
    )
    fire = "SELECT task_schedule_fire(%s, '2031-05-12 03:00Z', '2031-05-13 03:00Z')"
    with conn.transaction():
        first = value(conn, fire, [schedule])
        rival = aside(value, other, fire, [schedule])
        blocked(other)
    assert rival.result(10) == first
    assert value(conn, "SELECT count(*) FROM tasks") == 1


def test_a_key_that_is_taken_meanwhile_leaves_the_failed_task_and_moves_the_others(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    keyed, plain = new(conn, idempotency_key="k"), new(conn)
    conn.execute("SELECT tasks_cancel(%s, 'x')", [[keyed, plain]])
    with other.transaction():
        new(other, idempotency_key="k")
        late = aside(conn.execute, "SELECT * FROM tasks_requeue(%s)", [[keyed, plain]])
        blocked(conn)
    assert [row["id"] for row in late.result(10)] == [plain]
    assert status(conn, keyed, plain) == ["cancelled", "queued"]


def test_two_who_requeue_one_task_at_once_move_it_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    ended = new(conn)
    conn.execute("SELECT tasks_cancel(%s, 'x')", [[ended]])
    requeue = "SELECT * FROM tasks_requeue(%s, 2)"
    with conn.transaction():
        assert len(conn.execute(requeue, [[ended]]).fetchall()) == 1
        rival = aside(other.execute, requeue, [[ended]])
        blocked(other)
    assert rival.result(10).fetchall() == []
    assert task(conn, ended)["max_attempts"] == 2


def test_a_foreign_change_of_a_task_that_is_ending_is_refused(
    conn: Conn, rival: Worker, aside: Aside, blocked: Blocked
) -> None:
    held = new(conn)
    rival.claim()
    with rival.conn.transaction():
        rival.complete(held)
        late = aside(conn.execute, "UPDATE tasks SET status = 'failed' WHERE id = %s", [held])
        blocked(conn)
    with pytest.raises(psycopg.Error) as caught:
        late.result(10)
    assert code(caught.value) == ("SC409", "task.bad_transition")
    assert status(conn, held) == "completed"


def test_two_foreign_ends_at_once_release_what_waits_for_both(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    left, right = new(conn), new(conn)
    child = new(conn, depends_on=(str(left), str(right)))
    end = "UPDATE tasks SET status = 'completed' WHERE id = %s"
    with conn.transaction():
        conn.execute(end, [left])
        late = aside(other.execute, end, [right])
        blocked(other)
    late.result(10)
    assert status(conn, child) == "queued"


def test_a_cancel_waits_for_a_completion_and_finds_it_done(
    conn: Conn, rival: Worker, aside: Aside, blocked: Blocked
) -> None:
    held = new(conn)
    rival.claim()
    with rival.conn.transaction():
        rival.complete(held)
        late = aside(conn.execute, "SELECT tasks_cancel(%s, 'x')", [[held]])
        blocked(conn)
    assert late.result(10).fetchall() == []
    assert status(conn, held) == "completed"


def test_a_cycle_through_a_third_task_is_refused_at_once_as_well(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    a, b, c = (new(conn, hold=True) for _ in range(3))
    service.add_dependency(conn, c, a, actor="ann")
    with conn.transaction():
        service.add_dependency(conn, a, b, actor="ann")
        late = aside(service.add_dependency, other, b, c, actor="bob")
        blocked(other)
    with pytest.raises(Conflict, match="cycle"):
        late.result(10)
