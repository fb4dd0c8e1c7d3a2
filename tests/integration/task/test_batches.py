"""Tasks that wait for very many others, to complete or only to end."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from seedcore.errors import NotFound, UsageError
from seedcore.task import service
from seedcore.task.bulk import submit_lines
from seedcore.task.ids import new_id
from seedcore.task.model import NewTask, Selection, TaskStatus
from seedcore.task.reading import read_lines
from tests.integration.task.worker import Worker

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]


def members(conn: Conn, count: int) -> list[UUID]:
    """Store tasks that are due; ids in the order in which they will be claimed."""
    ids = [UUID(new_id()) for _ in range(count)]
    conn.execute(
        "INSERT INTO tasks (id, type, status, created_at)"
        " SELECT m.id, 'member', 'queued', now() - interval '1h' + n * interval '1 ms'"
        " FROM unnest(%s::uuid[]) WITH ORDINALITY AS m (id, n)",
        [ids],
    )
    return ids


def gather(conn: Conn, ids: list[UUID], *, required: bool = False) -> UUID:
    done = service.submit_after(
        conn, NewTask(type="gather", id=uuid4()), ids, required=required, actor="ann"
    )
    assert done.id is not None
    return done.id


def status(conn: Conn, task_id: UUID) -> str:
    row = conn.execute("SELECT status::text AS s FROM tasks WHERE id = %s", [task_id]).fetchone()
    assert row is not None
    return row["s"]


def take(worker: Worker, ids: list[UUID]) -> None:
    """Lease tasks by name, whatever their place in the queue."""
    worker.rows(
        "UPDATE tasks SET status = 'running', owner_id = %s, attempts = attempts + 1,"
        " lease_expires_at = now() + interval '1h' WHERE id = ANY (%s)",
        [worker.owner, ids],
    )
    worker.held |= dict.fromkeys(ids, 1)


def remembered(conn: Conn) -> UUID | None:
    row = conn.execute("SELECT member_id FROM task_waits").fetchone()
    return row and row["member_id"]


@pytest.mark.parametrize("count", [3, 70])
@pytest.mark.parametrize("required", [True, False])
def test_it_runs_after_the_last_member(
    conn: Conn, worker: Worker, count: int, required: bool
) -> None:
    ids = members(conn, count)
    it = gather(conn, ids, required=required)
    take(worker, ids)
    random.Random(7).shuffle(ids)  # noqa: S311
    for task_id in ids:
        assert status(conn, it) == "created"
        worker.complete(task_id)
    assert status(conn, it) == "queued"
    assert remembered(conn) is None


@pytest.mark.parametrize("count", [3, 70])
def test_one_that_fails_cancels_it_or_is_counted(conn: Conn, worker: Worker, count: int) -> None:
    ids = members(conn, count)
    strict, patient = gather(conn, ids, required=True), gather(conn, ids)
    take(worker, ids)
    worker.fail(ids[1], reason="tool_error: no", retryable=False)
    assert (status(conn, strict), status(conn, patient)) == ("cancelled", "created")
    worker.complete(ids[0], *ids[2:])
    assert status(conn, patient) == "queued"
    found = service.members_of(conn, patient, limit=1)
    assert (found.total, found.by_status) == (count, {"completed": count - 1, "failed": 1})
    assert [(m.id, m.status, m.error) for m in found.failed] == [
        (str(ids[1]), "failed", "tool_error: no")
    ]
    shown = service.inspect(conn, patient, events=False, graph=False)
    assert shown["members"] == {"total": count, "completed": count - 1, "failed": 1}


def test_members_that_have_ended_before_are_not_waited_for(conn: Conn, worker: Worker) -> None:
    ids = members(conn, 80)
    take(worker, ids)
    worker.complete(*ids[1:])
    worker.fail(ids[0], retryable=False)
    assert status(conn, gather(conn, ids)) == "queued"
    assert status(conn, gather(conn, ids, required=True)) == "cancelled"
    assert status(conn, gather(conn, [])) == "queued"


def edges_read(conn: Conn) -> int:
    row = conn.execute(
        "SELECT seq_tup_read + idx_tup_fetch AS n FROM pg_stat_xact_user_tables"
        " WHERE relname = 'task_depends_on_task'"
    ).fetchone()
    assert row is not None
    return row["n"]


@pytest.mark.parametrize("order", ["forward", "backward", "shuffled"])
def test_an_end_costs_what_ends_and_not_what_is_waited_for(
    conn: Conn, worker: Worker, order: str
) -> None:
    """Rows read of the edges while 20 of 2,000 members end, again and again."""
    ids = members(conn, 2000)
    it = gather(conn, ids)
    take(worker, ids)
    conn.execute("ANALYZE tasks, task_depends_on_task")
    ended = list(ids)
    if order == "backward":
        ended.reverse()
    elif order == "shuffled":
        random.Random(7).shuffle(ended)  # noqa: S311
    reads: list[int] = []
    for start in range(0, 1980, 20):
        with (
            conn.transaction()
        ):  # in which nothing is flushed to where everybody's reads are counted
            before = edges_read(conn)
            worker.complete(*ended[start : start + 20])
            reads.append(edges_read(conn) - before)
    # Five reads a member, and a few steps to the next one to remember; all together about one pass more.
    assert sorted(reads)[-5] < 150
    assert sum(reads) < 99 * 120 + 2 * 2000
    assert status(conn, it) == "created"
    worker.complete(*ended[1980:])
    assert status(conn, it) == "queued"


def test_who_ends_what_is_being_remembered_waits_and_then_looks(
    conn: Conn, other: Conn, worker: Worker, rival: Worker, aside: Aside,
    blocked: Callable[[Conn], None],
) -> None:  # fmt: skip
    ids = members(conn, 70)
    it = gather(conn, ids)
    take(worker, ids[:69])
    take(rival, ids[69:])
    first = remembered(conn)
    assert first == max(ids)
    with conn.transaction():
        rest = [i for i in ids[:69] if i != max(ids[:69])]
        worker.complete(*rest)
        # The last one by id ends elsewhere; this session remembers it meanwhile.
        assert remembered(conn) == first
    last = max(ids[:69])
    with other.transaction():
        rival.complete(ids[69])  # looks for another: the one that is left
        assert remembered(other) == last
        ending = aside(worker.complete, last)
        blocked(conn)
    ending.result(10)
    assert status(other, it) == "queued"


def test_two_that_end_the_last_two_do_not_both_leave_it_to_the_other(
    conn: Conn, other: Conn, worker: Worker, rival: Worker, aside: Aside,
    blocked: Callable[[Conn], None],
) -> None:  # fmt: skip
    ids = sorted(members(conn, 70))
    it = gather(conn, ids)
    take(worker, ids[:69])
    take(rival, ids[69:])
    worker.complete(*ids[:68])
    with conn.transaction():
        worker.complete(ids[68])  # the other one is remembered, so nothing is looked at
        ending = aside(rival.complete, ids[69])  # finds nobody but the one that is just ending
        blocked(other)
    ending.result(10)
    assert status(conn, it) == "queued"


LOCK = "SELECT FROM tasks WHERE id = %s FOR NO KEY UPDATE"


@pytest.mark.parametrize("is_remembered", [True, False])
def test_of_two_that_end_the_last_two_none_waits_for_a_member_of_the_other(
    conn: Conn, other: Conn, worker: Worker, rival: Worker, aside: Aside,
    blocked: Callable[[Conn], None], is_remembered: bool,
) -> None:  # fmt: skip
    ids = sorted(members(conn, 70))
    it = gather(conn, ids)
    take(worker, [*ids[:68], ids[69]])
    take(rival, [ids[68]])
    worker.complete(*ids[:68])
    if not is_remembered:
        conn.execute("DELETE FROM task_waits")
    conn.execute("SET lock_timeout = '5s'")
    with other.transaction():
        # As if in the middle of its statement: its member is locked, what waits for it not yet.
        other.execute(LOCK, [ids[68]])
        with conn.transaction():
            worker.complete(ids[69])
            assert remembered(conn) is None
            ending = aside(rival.complete, ids[68])
            blocked(other)
        ending.result(10)
    assert status(conn, it) == "queued"


def test_who_cancels_a_batch_and_who_ends_a_member_do_not_wait_for_each_other(
    conn: Conn, other: Conn, worker: Worker, aside: Aside, blocked: Callable[[Conn], None]
) -> None:
    (member,) = members(conn, 1)
    it = UUID(int=1)  # comes before its member
    service.submit_after(conn, NewTask(type="g", id=it), [member], required=False, actor="ann")
    take(worker, [member])
    with conn.transaction():
        conn.execute(LOCK, [member])
        cancelling = aside(other.execute, "SELECT tasks_cancel(%s, 'x')", [[it, member]])
        blocked(other)
        worker.complete(member)
    cancelling.result(10)
    assert (status(conn, it), status(conn, member)) == ("cancelled", "completed")


def test_what_is_cancelled_because_of_another_is_locked_in_one_order(
    conn: Conn, other: Conn, worker: Worker, aside: Aside, blocked: Callable[[Conn], None]
) -> None:
    low, high = UUID(int=1), UUID(int=2)
    first, second = members(conn, 2)
    # The lower one falls by the higher one's fall, and both wait for the second member.
    service.submit_after(
        conn, NewTask(type="g", id=high), [first, second], required=True, actor="ann"
    )
    service.submit_after(
        conn, NewTask(type="g", id=low), [high, second], required=True, actor="ann"
    )
    take(worker, [first])
    conn.execute("SET lock_timeout = '5s'")
    with other.transaction():
        other.execute(LOCK, [low])  # as who ends the second member begins
        failing = aside(worker.fail, first, retryable=False)
        blocked(conn)
        other.execute(LOCK, [high])
    failing.result(10)
    assert (status(conn, low), status(conn, high)) == ("cancelled", "cancelled")


def test_a_member_that_is_requeued_is_waited_for_again(conn: Conn, worker: Worker) -> None:
    ids = sorted(members(conn, 70))
    it = gather(conn, ids)
    take(worker, ids)
    worker.fail(ids[69], retryable=False)
    service.retry(conn, [ids[69]], actor="ann")
    worker.complete(*ids[:69])
    assert status(conn, it) == "created"
    take(worker, [ids[69]])
    worker.held[ids[69]] = 2
    worker.complete(ids[69])
    assert status(conn, it) == "queued"


def test_a_missed_release_is_repaired(conn: Conn, worker: Worker) -> None:
    ids = members(conn, 70)
    it = gather(conn, ids)
    conn.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_updated")
    conn.execute("UPDATE tasks SET status = 'completed' WHERE id = ANY (%s)", [ids])
    conn.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_updated")
    assert conn.execute("SELECT tasks_release_ready() AS n").fetchone() == {"n": 1}
    assert status(conn, it) == "queued"


def test_an_interrupted_submission_goes_on_with_its_key(conn: Conn, worker: Worker) -> None:
    ids = members(conn, 5)
    key = NewTask(type="gather", idempotency_key="g", hold=True)
    service.submit(conn, key)  # where it stopped: held, without members
    new = NewTask(type="gather", idempotency_key="g")
    done = service.submit_after(conn, new, ids, required=True, actor="ann")
    assert (done.created, done.status) == (False, TaskStatus.CREATED)
    take(worker, ids)
    worker.complete(*ids)
    assert done.id is not None
    assert status(conn, done.id) == "queued"
    again = service.submit_after(conn, new, ids, required=True, actor="ann")
    assert (again.id, again.status) == (done.id, TaskStatus.QUEUED)


def test_what_is_not_held_is_left_as_it_is(conn: Conn) -> None:
    (it,) = members(conn, 1)
    row = conn.execute("SELECT task_await(%s)::text AS s", [it]).fetchone()
    assert row == {"s": "queued"}


def test_a_member_that_ends_while_the_wait_begins_is_seen(
    conn: Conn, other: Conn, rival: Worker, aside: Aside, blocked: Callable[[Conn], None]
) -> None:
    ids = sorted(members(conn, 70))
    take(rival, ids)
    done = service.submit(conn, NewTask(type="gather", hold=True))
    assert done.id is not None
    conn.execute(
        "SELECT tasks_link(array_fill(%s::uuid, ARRAY[70]), %s::uuid[], array_fill(true, ARRAY[70]))",
        [done.id, ids],
    )
    rival.complete(*ids[:69])
    with conn.transaction():
        conn.execute("SELECT task_await(%s)", [done.id])
        ending = aside(rival.complete, ids[69])
        blocked(other)
    ending.result(10)
    assert status(conn, done.id) == "queued"


# -- "ended:" ---------------------------------------------------------------------------------


def test_single_submission_says_that_one_only_has_to_end(conn: Conn, worker: Worker) -> None:
    one, two = members(conn, 2)
    done = service.submit(conn, NewTask(type="t", depends_on=(str(one), f"ended:{two}")))
    assert done.status is TaskStatus.CREATED
    assert done.id is not None
    take(worker, [one, two])
    worker.fail(two, retryable=False)
    assert status(conn, done.id) == "created"
    worker.complete(one)
    assert status(conn, done.id) == "queued"
    late = service.submit(conn, NewTask(type="t", depends_on=(f"ended:{two}",)))
    assert late.status is TaskStatus.QUEUED
    held = service.submit(conn, NewTask(type="t", depends_on=(f"ended:{two}",), hold=True))
    assert held.status is TaskStatus.CREATED
    with pytest.raises(NotFound, match="to wait for"):
        service.submit(conn, NewTask(type="t", depends_on=(f"ended:{uuid4()}",)))
    with pytest.raises(UsageError, match="give a full id"):
        service.submit(conn, NewTask(type="t", depends_on=("ended:nonsense",)))
    own = uuid4()
    with pytest.raises(UsageError, match="wait for itself"):
        service.submit(conn, NewTask(type="t", id=own, depends_on=(f"ended:{own}",)))


def test_lines_say_it_and_exports_keep_it(conn: Conn, worker: Worker) -> None:
    (stored,) = members(conn, 1)
    text = (
        '{"type": "a", "idempotency_key": "a"}\n'
        f'{{"type": "b", "depends_on": ["ended:key:a", "ended:{stored}"], "idempotency_key": "b"}}\n'
        '{"type": "c", "depends_on": ["key:a"]}\n'
        '{"type": "d", "depends_on": ["ended:key:e"]}\n'
    )
    lines = read_lines(io.BytesIO(text.encode()), max_bytes=10_000)
    results = list(submit_lines(conn, lines, actor="ann", on_error="continue"))
    a, b, c = (UUID(result.id) for result in results[:3] if result.id)
    assert results[3].error is not None
    assert results[3].error.code == "task.dependency_not_found"
    take(worker, [a, stored])
    exported = "\n".join(service.export(conn, only(b)))
    assert f'"ended:{a}"' in exported
    worker.fail(a, retryable=False)
    assert (status(conn, b), status(conn, c)) == ("created", "cancelled")
    worker.complete(stored)
    assert status(conn, b) == "queued"


def only(task_id: UUID) -> Selection:
    return Selection(ids=(task_id,))
