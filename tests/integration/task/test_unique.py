"""How long a task keeps its idempotency key taken, one by one and in bulk."""

from __future__ import annotations

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from seedcore.task import service
from seedcore.task.line import Unique
from seedcore.task.model import NewTask
from seedcore.task.reading import read_lines
from seedcore.task.submission import submit
from tests.integration.task.worker import Worker, new, status

Conn = psycopg.Connection[dict[str, Any]]

# Where the first task may stand while a second one with its key is refused.
HELD: dict[Unique, set[str]] = {
    "waiting": {"created", "queued"},
    "unfinished": {"created", "queued", "running", "retry"},
    "live": {"created", "queued", "running", "retry", "completed"},
    "ever": {"created", "queued", "running", "retry", "completed", "failed", "cancelled"},
}


def first_in(conn: Conn, worker: Worker, state: str, unique: Unique, key: str = "k") -> UUID:
    done = submit(
        conn, NewTask(type="echo", idempotency_key=key, hold=state == "created"), unique=unique
    )
    assert done.id is not None
    if state in {"running", "retry", "completed", "failed"}:
        worker.claim(9)
    if state == "retry":
        worker.fail(done.id, delay_s=60)
    elif state == "completed":
        worker.complete(done.id)
    elif state == "failed":
        worker.fail(done.id, retryable=False)
    elif state == "cancelled":
        service.cancel(conn, [done.id], actor="ann")
    assert status(conn, done.id) == state
    return done.id


def in_bulk(
    conn: Conn, unique: Unique, key: str = "k", *, dry_run: bool = False
) -> tuple[str | None, bool]:
    line = json.dumps({"type": "echo", "idempotency_key": key}).encode()
    (result,) = service.submit_lines(
        conn,
        read_lines(io.BytesIO(line), max_bytes=1000),
        unique=unique,
        actor="ann",
        dry_run=dry_run,
    )
    return result.id, result.created


@pytest.mark.parametrize("unique", HELD)
def test_a_key_is_taken_while_its_task_is_in_the_set(
    conn: Conn, worker: Worker, unique: Unique
) -> None:
    # Queued comes last: it would be claimed with those that are to run.
    for state in sorted(HELD["ever"], key=lambda s: (s == "queued", s)):
        first = first_in(conn, worker, state, unique, state)
        taken = state in HELD[unique]
        task = NewTask(type="echo", idempotency_key=state)
        assert submit(conn, task, unique=unique, dry_run=True).created is not taken
        assert in_bulk(conn, unique, state, dry_run=True)[1] is not taken
        found, created = in_bulk(conn, unique, state)
        assert (created, found != str(first)) == (not taken, not taken)
        again = submit(conn, task, unique=unique)
        assert (str(again.id), again.created) == (found, False)
        if created:
            service.cancel(conn, [UUID(found)], actor="ann")


@pytest.mark.parametrize("unique", HELD)
def test_many_at_once_make_one_task(conn: Conn, database_url: str, unique: Unique) -> None:
    start = threading.Barrier(6)

    def work(number: int) -> bool:
        with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as own:
            start.wait(10)
            if number % 2:
                return in_bulk(own, unique)[1]
            return submit(own, NewTask(type="echo", idempotency_key="k"), unique=unique).created

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(work, range(6))) == 1
    assert conn.execute("SELECT FROM tasks").rowcount == 1


def test_the_end_of_an_attempt_never_meets_a_taken_key(conn: Conn, worker: Worker) -> None:
    """A task that let go of its key goes back to waiting without asking for it again."""
    first = first_in(conn, worker, "running", "waiting")
    second = submit(conn, NewTask(type="echo", idempotency_key="k"), unique="waiting")
    assert worker.fail(first, delay_s=0) == {first: "retry"}
    assert second.created
    assert len(worker.claim(9)) == 2


def test_a_retry_by_hand_leaves_a_taken_key_alone(conn: Conn, worker: Worker) -> None:
    first = first_in(conn, worker, "failed", "unfinished")
    second = submit(conn, NewTask(type="echo", idempotency_key="k"), unique="unfinished")
    (row,) = service.retry(conn, [first], actor="ann")
    assert (row["changed"], status(conn, first)) == (False, "failed")
    assert second.id is not None
    service.cancel(conn, [second.id], actor="ann")
    (row,) = service.retry(conn, [first], actor="ann")
    assert (row["changed"], status(conn, first)) == (True, "queued")


def test_each_task_s_own_word_counts(conn: Conn, worker: Worker) -> None:
    first = first_in(conn, worker, "completed", "unfinished")
    again = submit(conn, NewTask(type="echo", idempotency_key="k"), unique="live")
    assert again.created
    # And the key means the one that has it.
    assert service.resolve(conn, "key:k") == again.id != first


def test_another_word_is_refused(conn: Conn) -> None:
    with pytest.raises(psycopg.Error, match='waiting, unfinished, live or ever, not "queued"'):
        conn.execute("SELECT task_submit('echo', p_unique => 'queued')")


def test_keys_travel_with_an_export(conn: Conn) -> None:
    new(conn, concurrency_key="k", concurrency_limit=2, priority=3)
    conn.execute("UPDATE tasks SET aged = 1, priority = 4")
    (line,) = service.export(conn, service_selection(), ids=False)
    found = json.loads(line)
    assert (found["concurrency_key"], found["concurrency"], found["priority"]) == ("k", 2, 3)
    (result,) = service.submit_lines(
        conn, read_lines(io.BytesIO(line.encode()), max_bytes=1000), actor="ann"
    )
    assert result.created


def service_selection() -> Any:
    from seedcore.task.model import Selection

    return Selection(limit=0, sort="created_at")
