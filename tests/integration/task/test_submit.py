"""Submitting one task: what it becomes, keys, dependencies, two sessions at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from seedcore.errors import Duplicate, NotFound, UsageError
from seedcore.task.model import NewTask, TaskStatus
from seedcore.task.submission import submit
from tests.integration.task.worker import Worker, history, new, set_level, status, task

Conn = psycopg.Connection[dict[str, Any]]


def hints(**values: Any) -> dict[str, Any]:
    return {"routing": {"hints": values}}


def test_a_plain_task_is_queued_with_defaults(conn: Conn) -> None:
    done = submit(conn, NewTask(type="echo", params={"a": [1, None, "ü"]}))
    assert done.id is not None
    assert UUID(str(done.id)).version == 7
    row = task(conn, done.id)
    assert (done.created, done.status) == (True, TaskStatus.QUEUED)
    assert row["params"] == {"a": [1, None, "ü"]}
    assert (row["priority"], row["attempts"], row["max_attempts"], row["lapses"]) == (5, 0, None, 0)
    assert (row["owner_id"], row["run_after"], row["expires_at"]) == (None, None, None)


def test_hints_fill_columns(conn: Conn) -> None:
    params = hints(priority=9, deadline_at="2031-05-17T09:30:00+02:00", ttl_seconds=90.5)
    row = task(conn, new(conn, params=params))
    assert row["priority"] == 9
    assert row["deadline_at"] == datetime(2031, 5, 17, 7, 30, tzinfo=UTC)
    assert row["expires_at"] - row["created_at"] == timedelta(seconds=90.5)


def test_what_is_given_beats_the_hints(conn: Conn) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    params = hints(priority=9, deadline_at="2031-05-17T09:30:00Z", ttl_seconds=90)
    row = task(conn, new(conn, params=params, priority=0, deadline_at=moment, expires_at=moment))
    assert (row["priority"], row["deadline_at"], row["expires_at"]) == (0, moment, moment)


@pytest.mark.parametrize(
    "values",
    [
        {"priority": "high", "deadline_at": "tomorrow", "ttl_seconds": "90"},
        {"priority": 2.5, "deadline_at": "2031-02-30T00:00:00Z", "ttl_seconds": -1},
        {"priority": None, "deadline_at": "2031-05-17T09:30:00", "ttl_seconds": 1e300},
        {"priority": [1], "deadline_at": 5, "ttl_seconds": {}},
    ],
)
def test_a_hint_that_cannot_be_read_is_ignored(conn: Conn, values: dict[str, Any]) -> None:
    conn.execute(
        "SELECT task_submit('echo', p_params => %s::jsonb)", [psycopg_json(hints(**values))]
    )
    row = conn.execute("SELECT priority, deadline_at, expires_at FROM tasks").fetchone()
    assert row == {"priority": 5, "deadline_at": None, "expires_at": None}


@pytest.mark.parametrize(("given", "stored"), [(-3, 0), (99, 10), (10, 10), (0, 0)])
def test_a_priority_hint_is_moved_into_its_range(conn: Conn, given: int, stored: int) -> None:
    conn.execute(
        "SELECT task_submit('echo', p_params => %s::jsonb)", [psycopg_json(hints(priority=given))]
    )
    assert conn.execute("SELECT priority FROM tasks").fetchone() == {"priority": stored}


def test_a_delay_counts_from_the_databases_clock(conn: Conn) -> None:
    done = submit(conn, NewTask(type="echo", in_s=30))
    assert done.id is not None
    row = task(conn, done.id)
    assert row["run_after"] == done.run_after
    assert timedelta(seconds=29) < row["run_after"] - row["created_at"] < timedelta(seconds=31)


def test_a_key_returns_the_live_or_completed_task(conn: Conn, worker: Worker) -> None:
    first = new(conn, idempotency_key="k")
    again = submit(conn, NewTask(type="other", idempotency_key="k"))
    assert (again.id, again.created, again.status) == (first, False, "queued")
    worker.claim()
    worker.complete(first)
    again = submit(conn, NewTask(type="echo", idempotency_key="k"))
    assert (again.id, again.created, again.status) == (first, False, "completed")


def test_a_key_is_free_again_after_a_failure(conn: Conn, worker: Worker) -> None:
    first = new(conn, idempotency_key="k")
    worker.claim()
    worker.fail(first, retryable=False)
    again = submit(conn, NewTask(type="echo", idempotency_key="k"))
    assert again.created
    assert again.id != first


def test_a_key_that_is_unique_for_ever_returns_the_failed_task(conn: Conn, worker: Worker) -> None:
    first = new(conn, idempotency_key="k")
    worker.claim()
    worker.fail(first, retryable=False)
    again = submit(conn, NewTask(type="echo", idempotency_key="k"), unique="ever")
    assert (again.id, again.created, again.status) == (first, False, "failed")


def test_a_key_can_be_refused(conn: Conn) -> None:
    first = new(conn, idempotency_key="k")
    with pytest.raises(Duplicate, match=str(first)) as caught:
        submit(conn, NewTask(type="echo", idempotency_key="k"), on_conflict="fail")
    assert caught.value.code == "task.duplicate_key"


def test_an_id_can_be_given_once(conn: Conn) -> None:
    given = uuid4()
    assert submit(conn, NewTask(type="echo", id=given)).created
    again = submit(conn, NewTask(type="echo", id=given))
    assert (again.id, again.created) == (given, False)


def test_two_sessions_with_one_key_make_one_task(
    conn: Conn, other: Conn, aside: Callable[..., Future[Any]], blocked: Callable[[Any], None]
) -> None:
    with conn.transaction():
        first = new(conn, idempotency_key="k")
        late = aside(submit, other, NewTask(type="echo", idempotency_key="k"))
        blocked(other)
    assert (late.result(10).id, late.result().created) == (first, False)


def test_the_second_session_gets_the_key_when_the_first_rolls_back(
    conn: Conn, other: Conn, aside: Callable[..., Future[Any]], blocked: Callable[[Any], None]
) -> None:
    with conn.transaction(force_rollback=True):
        new(conn, idempotency_key="k")
        late = aside(submit, other, NewTask(type="echo", idempotency_key="k"))
        blocked(other)
    assert late.result(10).created


def test_a_held_task_is_not_claimable(conn: Conn, worker: Worker) -> None:
    held = new(conn, hold=True)
    assert status(conn, held) == "created"
    assert worker.claim() == []


def test_a_task_waits_for_its_dependencies(conn: Conn, worker: Worker) -> None:
    first, second = new(conn, idempotency_key="a"), new(conn)
    child = new(conn, depends_on=("key:a", str(second)))
    assert status(conn, child) == "created"
    worker.claim(2)
    worker.complete(first)
    assert status(conn, child) == "created"
    worker.complete(second)
    assert status(conn, child) == "queued"


def test_a_completed_dependency_needs_no_wait(conn: Conn, worker: Worker) -> None:
    first = new(conn)
    worker.claim()
    worker.complete(first)
    assert status(conn, new(conn, depends_on=(str(first),))) == "queued"


def test_a_dependency_that_has_failed_cancels_the_task_at_once(conn: Conn, worker: Worker) -> None:
    first = new(conn)
    worker.claim()
    worker.fail(first, retryable=False)
    done = submit(conn, NewTask(type="echo", depends_on=(str(first),)))
    assert (done.created, done.status) == (True, TaskStatus.CANCELLED)
    assert done.error == f"dependency_failed: task {first} is failed"
    assert done.id is not None
    assert task(conn, done.id)["finished_at"] is not None


def test_a_missing_dependency_is_named(conn: Conn) -> None:
    missing = uuid4()
    with pytest.raises(NotFound, match=str(missing)) as caught:
        new(conn, depends_on=(str(missing),))
    assert caught.value.code == "task.dependency_not_found"
    with pytest.raises(NotFound, match='key "nobody"'):
        new(conn, depends_on=("key:nobody",))
    assert conn.execute("SELECT count(*) AS n FROM tasks").fetchone() == {"n": 0}


def test_a_task_cannot_wait_for_itself(conn: Conn) -> None:
    given = uuid4()
    with pytest.raises(UsageError, match="wait for itself"):
        new(conn, id=given, depends_on=(str(given),))


def test_no_completion_slips_between_the_look_and_the_row(
    conn: Conn,
    worker: Worker,
    rival: Worker,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[Any], None],
) -> None:
    parent = new(conn)
    rival.claim()
    with conn.transaction():
        child = new(conn, depends_on=(str(parent),))
        late = aside(rival.complete, parent)
        blocked(rival.conn)  # the parent can't end before the child is there to be released
    assert late.result(10) == {parent}
    assert status(conn, child) == "queued"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"type": ""}, "type"),
        ({"type": "x" * 1025}, "type"),
        ({"priority": 11}, "priority"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 40000}, "max_attempts"),
        ({"drift_score": float("nan")}, "drift_score"),
        ({"idempotency_key": "k" * 3000}, "idempotency_key"),
        ({"depends_on": ("nonsense",)}, "depends_on"),
        ({"run_after": datetime(2031, 5, 17)}, "run_after"),  # noqa: DTZ001 - that is the fault
        ({"in_s": -1.0}, "in"),
        ({"in_s": 5.0, "run_after": datetime(2031, 5, 17, tzinfo=UTC)}, "run_after"),
        ({"params": {"a": "\0"}}, "params/a"),
        ({"params": {"_router": {}}}, "_router"),
    ],
)
def test_a_bad_field_is_refused_by_name(conn: Conn, fields: dict[str, Any], place: str) -> None:
    with pytest.raises(UsageError, match=place):
        submit(conn, NewTask(**{"type": "echo", **fields}))
    assert conn.execute("SELECT count(*) AS n FROM tasks").fetchone() == {"n": 0}


def test_a_dry_run_stores_nothing_and_tells_the_same(conn: Conn) -> None:
    known = new(conn, idempotency_key="k")
    fresh = submit(conn, NewTask(type="echo", in_s=5), dry_run=True)
    assert (fresh.id, fresh.created, fresh.status) == (None, True, TaskStatus.QUEUED)
    assert submit(conn, NewTask(type="echo", idempotency_key="k"), dry_run=True).id == known
    assert conn.execute("SELECT count(*) AS n FROM tasks").fetchone() == {"n": 1}


def test_submitting_is_recorded_when_everything_is(conn: Conn) -> None:
    set_level(conn, "all")
    done = submit(conn, NewTask(type="echo"), actor="ann", reason="because")
    assert isinstance(done.id, UUID)
    assert history(conn, done.id) == [(None, "queued", 0, "ann", "because")]


def psycopg_json(value: Any) -> Any:
    from psycopg.types.json import Jsonb

    return Jsonb(value)
