"""Concurrency keys: how many tasks of a key run at once, in which order, and that no key starves."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from seedcore.errors import UsageError
from seedcore.task import lanes
from seedcore.task.intake import read_document
from seedcore.task.model import NewTask
from seedcore.task.submission import submit
from seedcore.testing import age
from tests.integration.task.worker import Worker, new

Conn = psycopg.Connection[dict[str, Any]]


def keyed(conn: Conn, key: str = "k", limit: int | None = None, **fields: Any) -> UUID:
    return new(conn, concurrency_key=key, concurrency_limit=limit, **fields)


def ids(rows: list[dict[str, Any]]) -> list[UUID]:
    return [row["id"] for row in rows]


def test_tasks_of_a_key_run_one_after_the_other(conn: Conn, worker: Worker, rival: Worker) -> None:
    first, second = keyed(conn), keyed(conn)
    free = new(conn)
    assert set(ids(worker.claim(9))) == {first, free}
    assert rival.claim(9) == []
    worker.complete(first)
    assert ids(rival.claim(9)) == [second]


def test_a_key_lets_as_many_run_as_it_says(conn: Conn, worker: Worker) -> None:
    tasks = [keyed(conn, limit=3) for _ in range(5)]
    assert ids(worker.claim(9)) == tasks[:3]
    worker.complete(tasks[1])
    assert ids(worker.claim(9)) == tasks[3:4]


def test_of_different_limits_the_smallest_that_runs_counts(conn: Conn, worker: Worker) -> None:
    wide, narrow = [keyed(conn, limit=3) for _ in range(2)], keyed(conn, limit=2)
    assert ids(worker.claim(9)) == wide
    worker.complete(wide[0])
    assert ids(worker.claim(9)) == [narrow]
    keyed(conn, limit=9)
    assert worker.claim(9) == []


@pytest.mark.parametrize("end", ["retry", "fail", "lapse", "give_back", "foreign completion"])
def test_however_its_owner_ends_an_attempt_its_key_is_free(
    conn: Conn, worker: Worker, end: str
) -> None:
    first, second = keyed(conn), keyed(conn)
    worker.claim()
    if end == "retry":
        worker.fail(first, delay_s=60)
    elif end == "fail":
        worker.fail(first, retryable=False)
    elif end == "lapse":
        age(conn, first, "1h")
        conn.execute("SELECT tasks_reap_expired()")
    elif end == "give_back":
        worker.give_back(first)
    else:
        conn.execute("UPDATE tasks SET status = 'completed' WHERE id = %s", [first])
    (claimed,) = worker.claim(9)
    # What was taken back, or given back unspent, keeps its place.
    assert claimed["id"] == (first if end in ("lapse", "give_back") else second)


OVER_THE_OWNERS_HEAD: dict[str, LiteralString] = {
    "cancel": "SELECT tasks_cancel(ARRAY[%s]::uuid[], 'x')",
    "requeue-stale": "SELECT tasks_requeue_stale(ARRAY[%s]::uuid[])",
    "fail": "SELECT tasks_retry_or_fail(ARRAY[%s]::uuid[], ARRAY['x'])",
    "foreign cancel": "UPDATE tasks SET status = 'cancelled' WHERE id = %s",
    "foreign delete": "DELETE FROM tasks WHERE id = %s",
}


@pytest.mark.parametrize("end", [*OVER_THE_OWNERS_HEAD])
def test_over_the_owners_head_a_key_stays_taken_until_the_tool_has_stopped(
    conn: Conn, worker: Worker, rival: Worker, end: str
) -> None:
    first, second = keyed(conn), keyed(conn)
    worker.claim()
    conn.execute(OVER_THE_OWNERS_HEAD[end], [first])
    assert rival.claim(9) == []
    held_back = conn.execute("SELECT task_held_back_by(%s) AS why", [second]).fetchone()
    assert held_back == {"why": "the tool of an ended task of concurrency key k may still run"}

    stopped = "SELECT tasks_let_keys_go(%s, ARRAY[%s]::uuid[], ARRAY[%s]) AS n"
    assert conn.execute(stopped, ["another", first, 1]).fetchone() == {"n": 0}
    assert conn.execute(stopped, [worker.owner, first, 1]).fetchone() == {"n": 1}
    assert len(rival.claim(9)) == 1


def test_a_held_key_is_free_when_its_lease_would_have_ended(
    conn: Conn, worker: Worker, rival: Worker
) -> None:
    first, second = keyed(conn), keyed(conn)
    worker.claim(lease_s=60)
    conn.execute("SELECT tasks_cancel(%s, 'x')", [[first]])
    assert conn.execute("SELECT tasks_forget_key_holds() AS n").fetchone() == {"n": 0}
    assert rival.claim(9) == []
    conn.execute("UPDATE task_key_holds SET held_until = now() - interval '1 ms'")
    assert ids(rival.claim(9)) == [second]
    assert conn.execute("SELECT tasks_forget_key_holds() AS n").fetchone() == {"n": 1}


def test_an_owner_prolongs_the_hold_of_what_it_cannot_stop(
    conn: Conn, worker: Worker, rival: Worker
) -> None:
    first, free = keyed(conn), new(conn)
    keyed(conn)
    assert len(worker.claim(9)) == 2
    # Out of time, but its thread goes on: first the hold, then the end.
    hold = "SELECT id FROM tasks_hold_keys(%s, %s, %s, 60) AS id"
    arguments = [worker.owner, [first, free], [1, 1]]
    assert [row["id"] for row in conn.execute(hold, arguments)] == [first]
    worker.fail(first, retryable=False)
    assert rival.claim(9) == []
    conn.execute("UPDATE task_key_holds SET held_until = now() - interval '1 ms'")
    assert [row["id"] for row in conn.execute(hold, arguments)] == [first]
    assert rival.claim(9) == []
    assert conn.execute(hold, ["another", [first], [1]]).fetchall() == []


def test_a_claim_sees_the_key_of_what_is_cancelled_meanwhile(
    conn: Conn, other: Conn, worker: Worker, rival: Worker
) -> None:
    first, second = keyed(conn), keyed(conn)
    worker.claim()
    with other.transaction():
        other.execute("SELECT tasks_cancel(%s, 'x')", [[first]])
        # Not committed: it runs. Committed: its tool may.
        assert worker.claim(9) == []
    assert rival.claim(9) == []
    worker.conn.execute("SELECT tasks_let_keys_go(%s, %s, %s)", [worker.owner, [first], [1]])
    assert ids(rival.claim(9)) == [second]


def test_without_keys_a_cancel_writes_no_hold(conn: Conn, worker: Worker) -> None:
    task_id = new(conn)
    worker.claim()
    conn.execute("SELECT tasks_cancel(%s, 'x')", [[task_id]])
    assert conn.execute("SELECT count(*) AS n FROM task_key_holds").fetchone() == {"n": 0}


def test_in_a_key_urgent_ones_go_first_and_then_by_time(conn: Conn, worker: Worker) -> None:
    late = keyed(conn)
    keyed(conn, priority=9, in_s=3600)
    urgent = keyed(conn, priority=8)
    early = keyed(conn, run_after=None)
    age(conn, early, "1h")
    order: list[UUID] = []
    while rows := worker.claim(9):
        order += ids(rows)
        worker.complete(*ids(rows))
    assert order == [urgent, early, late]


def test_keys_and_tasks_without_one_are_claimed_in_one_order(conn: Conn, worker: Worker) -> None:
    tasks = [keyed(conn, "a"), new(conn), keyed(conn, "b"), new(conn)]
    urgent = keyed(conn, "c", priority=9)
    assert ids(worker.claim(3)) == [urgent, *tasks[:2]]
    assert ids(worker.claim(3)) == tasks[2:]


def test_the_first_of_a_key_is_not_passed_by(conn: Conn, worker: Worker) -> None:
    keyed(conn, type_="other")
    keyed(conn)
    assert worker.claim(9, types=["echo"]) == []
    assert len(worker.claim(9, types=["other"])) == 1


def test_expired_tasks_do_not_block_their_key(conn: Conn, worker: Worker) -> None:
    first, second = keyed(conn), keyed(conn)
    conn.execute("UPDATE tasks SET expires_at = now() - interval '1 s' WHERE id = %s", [first])
    assert ids(worker.claim(9)) == [second]


def test_no_key_starves_while_others_are_busy(conn: Conn, worker: Worker) -> None:
    for key in range(120):
        for _ in range(2):
            keyed(conn, f"k{key:03}")
    seen: Counter[str] = Counter()
    for _ in range(120):
        (row,) = worker.claim(1)
        seen[row["concurrency_key"]] += 1
    assert set(seen.values()) == {1}
    assert worker.claim(9) == []


def test_a_busy_key_costs_the_others_nothing(conn: Conn, worker: Worker) -> None:
    for _ in range(300):
        keyed(conn, "a")
    other = keyed(conn, "b")
    assert {row["concurrency_key"] for row in worker.claim(9)} == {"a", "b"}
    worker.complete(other)


def test_who_decides_on_a_key_is_alone(
    conn: Conn, other: Conn, worker: Worker, rival: Worker
) -> None:
    keyed(conn), keyed(conn)
    free = keyed(conn, "other")
    with other.transaction():
        rival.claim(1)
        # Not yet committed, so the key looks idle; who holds its lock is passed by.
        assert ids(worker.claim(9)) == [free]
    assert worker.claim(9) == []


def test_keys_of_a_limited_domain_keep_the_limit(conn: Conn, worker: Worker) -> None:
    for key in "abcd":
        keyed(conn, key, domain="d")
    keyed(conn, "e")
    lanes.limit_lane(conn, "queue", domain="d", rate_per_s=0.001, burst=2, actor="ann")
    assert Counter(row["domain"] for row in worker.claim(9)) == {"d": 2, None: 1}
    lanes.pause_lane(conn, "queue", domain="d", actor="ann")
    assert worker.claim(9) == []


def test_with_keys_and_without_share_a_limited_lane(conn: Conn, worker: Worker) -> None:
    for n in range(40):
        new(conn)
        keyed(conn, f"k{n}")
    lanes.limit_lane(conn, "queue", rate_per_s=0.001, burst=100, actor="ann")
    claimed = [row["concurrency_key"] is None for _ in range(40) for row in worker.claim(1)]
    assert {True, False} == set(claimed)


def test_eight_workers_never_run_more_of_a_key_than_allowed(conn: Conn, database_url: str) -> None:
    """Judged by the database itself, which counts at every start."""
    conn.execute(
        "CREATE FUNCTION too_many() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO starts (key, n) SELECT NEW.concurrency_key, count(*) FROM tasks"
        " WHERE status = 'running' AND concurrency_key = NEW.concurrency_key; RETURN NULL; END $$"
    )
    conn.execute("CREATE TABLE starts (key text, n int)")
    conn.execute(
        "CREATE TRIGGER too_many AFTER UPDATE ON tasks FOR EACH ROW"
        " WHEN (NEW.status = 'running' AND OLD.status <> 'running') EXECUTE FUNCTION too_many()"
    )
    limits = {"one": 1, "two": 2, "five": 5}
    for key, limit in limits.items():
        for _ in range(40):
            keyed(conn, key, limit)
    start = threading.Barrier(8)

    def work(number: int) -> None:
        chance = random.Random(number)  # noqa: S311
        with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as own:
            mine = Worker(own, f"w{number}")
            start.wait(10)
            for _ in range(25):
                for row in mine.claim(chance.randint(1, 4)):
                    match chance.randint(0, 5):
                        case 0:
                            mine.fail(row["id"], delay_s=0)
                        case 1:
                            own.execute("SELECT tasks_requeue_stale(%s)", [[row["id"]]])
                        case 2:
                            mine.give_back(row["id"])
                        case 3:
                            own.execute("SELECT tasks_cancel(%s, 'x')", [[row["id"]]])
                        case _:
                            mine.complete(row["id"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    most = {
        row["key"]: row["most"]
        for row in conn.execute("SELECT key, max(n) AS most FROM starts GROUP BY 1")
    }
    assert set(most) == set(limits)
    assert all(most[key] <= limit for key, limit in limits.items())


def test_a_key_is_counted_with_fresh_reads_only(conn: Conn, worker: Worker) -> None:
    keyed(conn)
    conn.execute("SET default_transaction_isolation = 'serializable'")
    with pytest.raises(psycopg.Error, match="isolation level read committed"):
        worker.claim()


def test_a_limit_needs_a_key(conn: Conn) -> None:
    with pytest.raises(UsageError, match="concurrency needs a concurrency_key"):
        submit(conn, NewTask(type="echo", concurrency_limit=2))
    with pytest.raises(UsageError, match="concurrency needs a concurrency_key"):
        read_document({"type": "echo", "concurrency": 2})
    with pytest.raises(UsageError, match="concurrency is 0; give a whole number from 1 to 32767"):
        read_document({"type": "echo", "concurrency_key": "k", "concurrency": 0})


def held_back_by(conn: Conn, task: UUID) -> str | None:
    row = conn.execute("SELECT task_held_back_by(%s) AS why", [task]).fetchone()
    assert row is not None
    return row["why"]


def test_a_waiting_task_says_what_holds_it_back(conn: Conn, worker: Worker) -> None:
    first, second = keyed(conn, domain="d"), keyed(conn, domain="d")
    assert held_back_by(conn, second) is None
    worker.claim()
    assert held_back_by(conn, first) is None
    why: list[tuple[Callable[[], Any], str]] = [
        (lambda: None, "1 of concurrency key k is running"),
        (
            lambda: lanes.limit_lane(conn, "queue", concurrency=1, actor="ann"),
            "lane queue is limited to 1 at once",
        ),
        (
            lambda: lanes.limit_lane(conn, "queue", domain="d", concurrency=1, actor="ann"),
            "domain d is limited to 1 at once",
        ),
        (
            lambda: (
                lanes.limit_lane(conn, "queue", domain="d", rate_per_s=0.5, actor="ann"),
                conn.execute("UPDATE queue_controls SET tokens = 0 WHERE domain = 'd'"),
            ),
            "domain d is limited to 0.5/s",
        ),
        (
            lambda: lanes.pause_lane(conn, "queue", domain="d", actor="ann", reason="audit"),
            "domain d is paused: audit",
        ),
        (lambda: lanes.pause_lane(conn, "queue", actor="ann"), "lane queue is paused"),
    ]
    for change, sentence in why:
        change()
        assert held_back_by(conn, second) == sentence
    later = keyed(conn, in_s=60)
    assert held_back_by(conn, later) is None


def test_the_lock_of_a_key_ends_with_the_claim(
    conn: Conn, aside: Callable[..., Future[Any]], rival: Worker, worker: Worker
) -> None:
    """Two claims side by side: one gets the task, the other nothing, and nobody waits."""
    for n in range(20):
        keyed(conn, f"k{n}")
    both = [aside(worker.claim, 20), aside(rival.claim, 20)]
    claimed = [row["id"] for one in both for row in one.result(timeout=30)]
    claimed += ids(worker.claim(20))
    assert len(claimed) == len(set(claimed)) == 20
    locks = conn.execute("SELECT FROM pg_locks WHERE locktype = 'advisory'").rowcount
    assert locks == 0
