"""Tasks that wait for others: released, cancelled, and never forgotten."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from seedcore.errors import Conflict, NotFound, UsageError
from seedcore.task import service
from tests.integration.task.worker import Worker, history, new, set_level, status, task

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]
Blocked = Callable[[Conn], None]


def depend(conn: Conn, src: UUID, dst: UUID, **options: Any) -> bool:
    return service.add_dependency(conn, src, dst, actor="ann", **options)


def test_a_chain_runs_in_its_order(conn: Conn, worker: Worker) -> None:
    first = new(conn)
    second = new(conn, depends_on=(str(first),))
    third = new(conn, depends_on=(str(second),))
    for expected in (first, second, third):
        (row,) = worker.claim(10)
        assert row["id"] == expected
        worker.complete(expected)
    assert worker.claim(10) == []


def test_a_failure_cancels_all_that_waits_down_the_line(conn: Conn, worker: Worker) -> None:
    first = new(conn)
    second = new(conn, depends_on=(str(first),))
    third = new(conn, depends_on=(str(second),))
    other = new(conn)
    worker.claim(2)
    worker.fail(first, retryable=False)
    assert status(conn, second, third, other) == ["cancelled", "cancelled", "running"]
    assert task(conn, second)["error"] == f"dependency_failed: task {first} is failed"
    assert task(conn, third)["error"] == f"dependency_failed: task {second} is cancelled"
    assert task(conn, third)["finished_at"] is not None
    assert [event[:2] for event in history(conn, third)] == [("created", "cancelled")]


def test_a_retry_of_the_dependency_keeps_the_others_waiting(conn: Conn, worker: Worker) -> None:
    first = new(conn)
    second = new(conn, depends_on=(str(first),))
    worker.claim()
    worker.fail(first, delay_s=0)
    assert status(conn, second) == "created"
    worker.claim()
    worker.complete(first)
    assert status(conn, second) == "queued"


def test_an_optional_dependency_only_has_to_end(conn: Conn, worker: Worker) -> None:
    first = new(conn)
    second = new(conn, hold=True)
    assert depend(conn, second, first, required=False)
    conn.execute("SELECT tasks_release(%s)", [[second]])
    assert status(conn, second) == "created"
    worker.claim()
    worker.fail(first, retryable=False)
    assert status(conn, second) == "queued"


def test_only_the_dependants_of_the_batch_are_touched(conn: Conn, worker: Worker) -> None:
    parents = [new(conn) for _ in range(3)]
    children = [new(conn, depends_on=(str(parent),)) for parent in parents]
    worker.claim(3)
    worker.complete(parents[0], parents[2])
    assert status(conn, *children) == ["queued", "created", "queued"]


def test_two_parents_that_finish_at_once_release_the_child(
    conn: Conn, worker: Worker, rival: Worker, aside: Aside, blocked: Blocked
) -> None:
    left, right = new(conn), new(conn)
    child = new(conn, depends_on=(str(left), str(right)))
    mine, theirs = worker.claim(1)[0]["id"], rival.claim(1)[0]["id"]
    with conn.transaction():
        worker.complete(mine)
        # It ends its own parent, then waits for the child's lock until this transaction ends.
        late = aside(rival.complete, theirs)
        blocked(rival.conn)
        assert status(conn, child) == "created"
    assert late.result(10) == {theirs}
    assert status(conn, child) == "queued"


def test_two_parents_of_which_one_fails_at_once_cancel_the_child(
    conn: Conn, worker: Worker, rival: Worker, aside: Aside, blocked: Blocked
) -> None:
    left, right = new(conn), new(conn)
    child = new(conn, depends_on=(str(left), str(right)))
    mine, theirs = worker.claim(1)[0]["id"], rival.claim(1)[0]["id"]
    with conn.transaction():
        worker.complete(mine)
        late = aside(lambda: rival.fail(theirs, retryable=False))
        blocked(rival.conn)
    assert late.result(10) == {theirs: "failed"}
    assert status(conn, child) == "cancelled"


def test_many_parents_on_two_connections_release_every_child(
    conn: Conn, worker: Worker, rival: Worker, aside: Aside
) -> None:
    parents = [new(conn) for _ in range(40)]
    children = [
        new(conn, depends_on=(str(parents[n]), str(parents[(n * 7 + 3) % 40]))) for n in range(40)
    ]
    mine = [row["id"] for row in worker.claim(20)]
    theirs = [row["id"] for row in rival.claim(20)]

    def finish(who: Worker, ids: list[UUID]) -> None:
        for start in range(0, 20, 4):
            who.complete(*reversed(ids[start : start + 4]))

    both = [aside(finish, worker, mine), aside(finish, rival, theirs)]
    for one in both:
        one.result(30)
    assert set(status(conn, *children)) == {"queued"}


def test_a_hold_is_lifted_into_the_queue_or_into_waiting(conn: Conn, worker: Worker) -> None:
    parent = new(conn)
    free, waiting = new(conn, hold=True), new(conn, hold=True, depends_on=(str(parent),))
    worker.claim()
    worker.complete(parent)  # a held task stays held whatever it waits for
    assert status(conn, waiting) == "created"
    open_parent = new(conn)
    still = new(conn, hold=True, depends_on=(str(open_parent),))
    rows = service.release(conn, [free, waiting, still, parent], actor="ann", reason="go")
    assert [(row["after"], row["changed"]) for row in rows] == [
        ("queued", True), ("queued", True), ("created", True), ("completed", False),
    ]  # fmt: skip
    assert history(conn, free) == [("created", "queued", 0, "ann", "go")]
    assert history(conn, still) == [("created", "created", 0, "ann", "go")]
    worker.claim(3)
    worker.complete(open_parent)
    assert status(conn, still) == "queued"


def test_lifting_a_hold_misses_no_end_of_a_dependency(
    conn: Conn, worker: Worker, rival: Worker, aside: Aside, blocked: Blocked
) -> None:
    parent = new(conn)
    child = new(conn, hold=True, depends_on=(str(parent),))
    rival.claim()
    with conn.transaction():
        conn.execute("SELECT tasks_release(%s)", [[child]])
        late = aside(rival.complete, parent)
        blocked(rival.conn)
    assert late.result(10) == {parent}
    assert status(conn, child) == "queued"


def test_a_dependency_can_be_added_while_the_task_waits(conn: Conn, worker: Worker) -> None:
    first, second = new(conn), new(conn)
    child = new(conn, depends_on=(str(first),))
    assert depend(conn, child, second)
    assert not depend(conn, child, second)  # it is there
    worker.claim(2)
    worker.complete(first)
    assert status(conn, child) == "created"
    worker.complete(second)
    assert status(conn, child) == "queued"


def test_a_failed_dependency_that_is_added_cancels_the_waiting_task(
    conn: Conn, worker: Worker
) -> None:
    failed, first = new(conn), new(conn)
    worker.claim(1)
    worker.fail(failed, retryable=False)
    child = new(conn, depends_on=(str(first),))
    grandchild = new(conn, depends_on=(str(child),))
    depend(conn, child, failed)
    assert status(conn, child, grandchild) == ["cancelled", "cancelled"]


def test_a_cycle_is_refused(conn: Conn) -> None:
    a = new(conn, hold=True)
    b = new(conn, depends_on=(str(a),))
    c = new(conn, depends_on=(str(b),))
    for dst in (b, c):
        with pytest.raises(Conflict, match="cycle") as caught:
            depend(conn, a, dst)
        assert caught.value.code == "task.cycle"
    with pytest.raises(UsageError, match="wait for itself"):
        depend(conn, a, a)


def test_two_edges_that_close_a_cycle_together_do_not_pass_side_by_side(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    a, b = new(conn, hold=True), new(conn, hold=True)
    with conn.transaction():
        depend(conn, a, b)
        late = aside(depend, other, b, a)
        blocked(other)
    with pytest.raises(Conflict, match="cycle"):
        late.result(10)


def test_a_task_that_was_queued_gets_no_dependency(conn: Conn) -> None:
    queued, dst = new(conn), new(conn)
    with pytest.raises(Conflict, match="queued"):
        depend(conn, queued, dst)


def test_both_ends_of_a_dependency_have_to_be_there(conn: Conn) -> None:
    known, ghost = new(conn, hold=True), uuid4()
    for src, dst in ((known, ghost), (ghost, known)):
        with pytest.raises(NotFound, match=str(ghost)):
            depend(conn, src, dst)


def test_every_step_of_a_release_is_recorded_when_everything_is(conn: Conn, worker: Worker) -> None:
    set_level(conn, "all")
    first = new(conn)
    second = new(conn, depends_on=(str(first),))
    worker.claim()
    worker.complete(first)
    assert [event[:2] for event in history(conn, second)] == [
        (None, "created"), ("created", "queued"),
    ]  # fmt: skip


def test_the_repair_sweep_finds_what_was_missed(conn: Conn) -> None:
    first, second = new(conn), new(conn)
    ready, doomed, waiting = (
        new(conn, depends_on=(str(dst),)) for dst in (first, second, new(conn))
    )
    conn.execute("ALTER TABLE tasks DISABLE TRIGGER USER")
    conn.execute("UPDATE tasks SET status = 'completed' WHERE id = %s", [first])
    conn.execute("UPDATE tasks SET status = 'failed' WHERE id = %s", [second])
    conn.execute("ALTER TABLE tasks ENABLE TRIGGER USER")
    assert status(conn, ready, doomed) == ["created", "created"]
    assert conn.execute("SELECT tasks_release_ready() AS n").fetchone() == {"n": 2}
    assert status(conn, ready, doomed, waiting) == ["queued", "cancelled", "created"]
    assert conn.execute("SELECT tasks_release_ready() AS n").fetchone() == {"n": 0}
