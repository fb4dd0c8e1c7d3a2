"""Holding lanes and domains back: pauses, rates, numbers at once, turns."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from seedcore.errors import Conflict, NotFound, UsageError
from seedcore.task import lanes
from tests.integration.task.worker import Worker, new

Conn = psycopg.Connection[dict[str, Any]]


def fill(
    conn: Conn, domain: str | None, count: int, priority: int = 5, type_: str = "echo"
) -> None:
    conn.execute(
        "INSERT INTO tasks (type, domain, status, priority)"
        " SELECT %s, %s, 'queued', %s FROM generate_series(1, %s)",
        [type_, domain, priority, count],
    )


def refill(conn: Conn, seconds: float) -> None:
    """Let so much time pass for every bucket."""
    conn.execute(
        "UPDATE queue_controls SET filled_at = filled_at - make_interval(secs => %s)", [seconds]
    )


def domains(rows: list[dict[str, Any]]) -> Counter[str | None]:
    return Counter(row["domain"] for row in rows)


def limit(conn: Conn, lane: str = "queue", **given: Any) -> None:
    lanes.limit_lane(conn, lane, actor="ann", **given)


def is_restricted(conn: Conn, lane: str = "queue") -> bool:
    row = conn.execute("SELECT restricted FROM queue_lanes WHERE lane = %s", [lane]).fetchone()
    assert row is not None
    return row["restricted"]


def test_a_lane_is_restricted_while_anything_holds_it_back(conn: Conn) -> None:
    steps: list[tuple[Callable[[], Any], bool]] = [
        (lambda: limit(conn, rate_per_s=1), True),
        (lambda: lanes.pause_lane(conn, "queue", domain="a", actor="ann"), True),
        (lambda: lanes.unlimit_lane(conn, "queue", actor="ann"), True),
        (lambda: lanes.resume_lane(conn, "queue", domain="a", actor="ann"), False),
        (lambda: lanes.set_fair(conn, "queue", True, actor="ann"), True),
        (lambda: limit(conn, domain="b", concurrency=1), True),
        (lambda: lanes.set_fair(conn, "queue", False, actor="ann"), True),
        (lambda: lanes.unlimit_lane(conn, "queue", domain="b", actor="ann"), False),
        (lambda: lanes.pause_lane(conn, "queue", actor="ann"), False),
    ]
    for step, expected in steps:
        step()
        assert is_restricted(conn) is expected
    assert not is_restricted(conn, "graph")
    assert conn.execute("SELECT FROM queue_controls").rowcount == 0


def test_two_changes_at_once_leave_the_lane_restricted(
    conn: Conn, other: Conn, aside: Callable[..., Future[Any]], blocked: Callable[[Conn], None]
) -> None:
    limit(conn, domain="a", concurrency=1)
    with conn.transaction():
        lanes.unlimit_lane(conn, "queue", domain="a", actor="ann")
        second = aside(limit, other, domain="b", concurrency=1)
        blocked(other)
    second.result(timeout=30)
    assert is_restricted(conn)


@pytest.mark.parametrize("domain", [None, "a"])
def test_a_rate_is_never_exceeded(conn: Conn, worker: Worker, domain: str | None) -> None:
    fill(conn, "a", 20)
    limit(conn, domain=domain, rate_per_s=0.001, burst=3)
    assert len(worker.claim(2)) == 2
    assert len(worker.claim(5)) == 1
    assert worker.claim(5) == []
    refill(conn, 2000)
    assert len(worker.claim(5)) == 2
    refill(conn, 1_000_000)
    assert len(worker.claim(10)) == 3


def test_what_was_spent_stays_spent_when_the_rate_changes(conn: Conn, worker: Worker) -> None:
    fill(conn, None, 9)
    limit(conn, rate_per_s=0.001, burst=5)
    worker.claim(4)
    limit(conn, rate_per_s=0.002, burst=8)
    assert len(worker.claim(9)) == 1


def test_an_empty_claim_spends_nothing(conn: Conn, worker: Worker) -> None:
    limit(conn, rate_per_s=0.001, burst=1)
    assert worker.claim(5) == []
    fill(conn, None, 2)
    assert len(worker.claim(5)) == 1


def test_the_next_token_is_announced(conn: Conn, worker: Worker) -> None:
    def next_s(lane: str = "queue") -> float | None:
        row = conn.execute("SELECT queue_next_token_s(%s) AS s", [lane]).fetchone()
        assert row is not None
        return row["s"]

    fill(conn, "a", 3)
    limit(conn, domain="a", rate_per_s=0.01, burst=1)
    assert next_s() is None
    worker.claim()
    assert 90 < (next_s() or 0) <= 100
    assert next_s("graph") is None
    lanes.pause_lane(conn, "queue", actor="ann")
    assert next_s() is None


@pytest.mark.parametrize("domain", [None, "a"])
def test_no_more_run_at_once_than_allowed(conn: Conn, worker: Worker, domain: str | None) -> None:
    fill(conn, "a", 9, priority=7)
    fill(conn, "a", 9)
    limit(conn, domain=domain, concurrency=3)
    first = worker.claim(2)
    assert len(worker.claim(9)) == 1
    assert worker.claim(9) == []
    worker.complete(first[0]["id"])
    assert len(worker.claim(9)) == 1


def test_a_domain_s_number_counts_over_priorities_and_keys_in_one_claim(
    conn: Conn, worker: Worker
) -> None:
    for priority in (9, 5, 1):
        fill(conn, "a", 1, priority)
        new(conn, domain="a", priority=priority, concurrency_key=f"k{priority}")
    limit(conn, domain="a", concurrency=2)
    assert len(worker.claim(9)) == 2


def test_a_paused_domain_is_passed_by(conn: Conn, worker: Worker) -> None:
    fill(conn, "a", 2, priority=9)
    fill(conn, "b", 1)
    fill(conn, None, 1)
    lanes.pause_lane(conn, "queue", domain="a", actor="ann", reason="audit")
    assert domains(worker.claim(9)) == {"b": 1, None: 1}
    lanes.resume_lane(conn, "queue", domain="a", actor="ann")
    assert domains(worker.claim(9)) == {"a": 2}


def test_a_worker_s_types_and_domains_still_count(conn: Conn, worker: Worker) -> None:
    for domain in ("a", "b", None):
        fill(conn, domain, 2)
        fill(conn, domain, 2, type_="other")
    lanes.set_fair(conn, "queue", True, actor="ann")
    assert domains(worker.claim(9, types=["other"], domains=["a"])) == {"a": 2}
    assert {row["type"] for row in worker.claim(9, types=["echo"])} == {"echo"}


def test_a_domain_that_has_none_of_the_worker_s_types_takes_no_turn(
    conn: Conn, worker: Worker
) -> None:
    for domain in "abc":
        fill(conn, domain, 2, type_="other")
    fill(conn, "d", 2)
    lanes.set_fair(conn, "queue", True, actor="ann")
    assert domains(worker.claim(1, types=["echo"])) == {"d": 1}
    assert domains(worker.claim(2, types=["echo"])) == {"d": 1}


def test_lanes_are_limited_apart(conn: Conn, worker: Worker) -> None:
    fill(conn, None, 3)
    fill(conn, None, 3, type_="graph")
    limit(conn, "graph", concurrency=1)
    assert len(worker.claim(9)) == 3
    assert len(worker.claim(9, lane="graph")) == 1


def test_a_backlog_does_not_delay_another_domain_s_first_task(conn: Conn, worker: Worker) -> None:
    fill(conn, "big", 500)
    lanes.set_fair(conn, "queue", True, actor="ann")
    fill(conn, "small", 2)
    assert domains(worker.claim(10)) == {"big": 8, "small": 2}
    fill(conn, "late", 1)
    assert [row["domain"] for _ in range(2) for row in worker.claim(1)].count("late") == 1


def test_domains_take_turns_claim_by_claim(conn: Conn, worker: Worker) -> None:
    for domain in ("a", "b", None, "c"):
        fill(conn, domain, 5)
    lanes.set_fair(conn, "queue", True, actor="ann")
    taken = [row["domain"] for _ in range(8) for row in worker.claim(1)]
    assert domains([{"domain": d} for d in taken[:4]]) == {"a": 1, "b": 1, "c": 1, None: 1}
    assert taken[:4] == taken[4:]
    assert domains(worker.claim(6)).total() == 6
    # Six over four domains: two of them got one more, and the other two get it next.
    assert set(domains(worker.claim(6)).values()) == {1, 2}
    assert worker.claim(9) == []


def test_turns_are_taken_inside_a_priority(conn: Conn, worker: Worker) -> None:
    fill(conn, "a", 3, priority=9)
    fill(conn, "b", 3, priority=1)
    lanes.set_fair(conn, "queue", True, actor="ann")
    rows = worker.claim(4)
    assert Counter(row["priority"] for row in rows) == {9: 3, 1: 1}


def test_future_and_expired_tasks_get_no_turn(conn: Conn, worker: Worker) -> None:
    lanes.set_fair(conn, "queue", True, actor="ann")
    fill(conn, "a", 1)
    conn.execute("UPDATE tasks SET run_after = now() + interval '1 hour'")
    fill(conn, "b", 2)
    conn.execute(
        "UPDATE tasks SET expires_at = now() - interval '1 s' WHERE id = (SELECT min(id::text)::uuid"
        " FROM tasks WHERE domain = 'b')"
    )
    assert domains(worker.claim(9)) == {"b": 1}


def test_domains_that_have_nothing_to_give_hide_no_others(conn: Conn, worker: Worker) -> None:
    """However many there are, and however high their priority: a claim can ask only some of them."""
    lanes.set_fair(conn, "queue", True, actor="ann")
    conn.execute(
        "INSERT INTO tasks (type, domain, status, run_after)"
        " SELECT 'echo', 'd' || to_char(n, 'FM0000'), 'queued', now() + interval '1 day'"
        " FROM generate_series(1, 1200) AS n"
    )
    fill(conn, "z", 1)
    fill(conn, "a", 1, priority=3)
    taken = [domains(worker.claim(10)) for _ in range(4)]
    assert taken[0] == {"a": 1}
    assert sum(taken, Counter[str | None]()) == {"a": 1, "z": 1}


@pytest.mark.parametrize("last", [1, 700])
def test_walks_of_several_priorities_leave_no_domain_out(
    conn: Conn, worker: Worker, last: int
) -> None:
    """Each priority's walk is broken off elsewhere; the next claim goes on at the nearest."""
    lanes.set_fair(conn, "queue", True, actor="ann")
    conn.execute(
        "INSERT INTO queue_turns (lane, kind, last_taken) VALUES ('queue', 'domain', %s)",
        [f"d{last:04}"],
    )
    conn.execute(
        "INSERT INTO tasks (type, domain, priority, status, run_after)"
        " SELECT 'echo', 'd' || to_char(n, 'FM0000'), p.level, 'queued', now() + interval '1 day'"
        " FROM generate_series(1, 1200) AS n CROSS JOIN (VALUES (9, 1), (3, 2)) AS p (level, step)"
        " WHERE mod(n, p.step) = 0"
    )
    fill(conn, "d0550", 1, priority=9)
    fill(conn, "d0005", 1, priority=3)
    taken = sum((domains(worker.claim(10)) for _ in range(5)), Counter[str | None]())
    assert taken == {"d0550": 1, "d0005": 1}


def test_many_claims_at_once_never_exceed_a_limit(conn: Conn, database_url: str) -> None:
    fill(conn, "a", 200)
    fill(conn, "b", 200)
    limit(conn, rate_per_s=0.001, burst=60)
    limit(conn, domain="a", concurrency=7)
    start = threading.Barrier(6)

    def work(name: str) -> int:
        with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as own:
            mine = Worker(own, name)
            start.wait(10)
            return sum(len(mine.claim(3)) for _ in range(10))

    with ThreadPoolExecutor(6) as pool:
        claimed = sum(pool.map(work, (f"w{n}" for n in range(6))))
    running = conn.execute(
        "SELECT domain, count(*) AS n FROM tasks WHERE status = 'running' GROUP BY 1"
    ).fetchall()
    assert claimed == 60
    assert {row["domain"]: row["n"] for row in running} == {"a": 7, "b": 53}


def test_claims_of_a_limited_lane_follow_each_other(
    conn: Conn,
    other: Conn,
    worker: Worker,
    rival: Worker,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[Conn], None],
) -> None:
    fill(conn, None, 9)
    limit(conn, concurrency=3)
    with conn.transaction():
        assert len(worker.claim(2)) == 2
        second = aside(rival.claim, 9)
        blocked(other)
    assert len(second.result(timeout=30)) == 1


def test_a_domain_that_another_claims_from_is_passed_by(
    conn: Conn, other: Conn, worker: Worker, rival: Worker
) -> None:
    fill(conn, "a", 4)
    fill(conn, "b", 4)
    limit(conn, domain="a", concurrency=3)
    with other.transaction():
        assert domains(rival.claim(2)) == {"a": 1, "b": 1}
        # Nobody waits, neither for the limit nor for the turn.
        assert domains(worker.claim(2)) == {"b": 2}
    assert domains(worker.claim(9)) == {"a": 2, "b": 1}


def test_limits_need_fresh_reads(conn: Conn, worker: Worker) -> None:
    fill(conn, None, 1)
    limit(conn, concurrency=1)
    conn.execute("SET default_transaction_isolation = 'repeatable read'")
    with pytest.raises(psycopg.Error, match="isolation level read committed"):
        worker.claim()


def test_a_resume_and_a_new_limit_wake_the_waiting(conn: Conn, other: Conn) -> None:
    conn.execute("INSERT INTO queue_waiters (lane, worker) VALUES ('queue', 'w9')")
    lanes.pause_lane(conn, "queue", domain="a", actor="ann")
    limit(conn, concurrency=1)
    other.execute("LISTEN tasks_new")
    lanes.resume_lane(conn, "queue", domain="a", actor="ann")
    limit(conn, concurrency=2)
    lanes.unlimit_lane(conn, "queue", actor="ann")
    woken = [n.payload for n in other.notifies(timeout=10, stop_after=3)]
    assert woken == ["queue"] * 3


SENSELESS: list[tuple[Callable[[Conn], None], type[Exception], str]] = [
    (
        lambda c: limit(c, rate_per_s=0),
        UsageError,
        "a rate of 0 per second lets nothing through",
    ),
    (lambda c: limit(c, rate_per_s=float("inf")), UsageError, "rate of Infinity"),
    (lambda c: limit(c, concurrency=0), UsageError, "0 at once lets nothing through"),
    (lambda c: limit(c), UsageError, "a limit needs a rate or a number at once"),
    (lambda c: limit(c, concurrency=1, burst=2), UsageError, "burst"),
    (lambda c: limit(c, "other", concurrency=1), NotFound, 'no lane "other"'),
    (lambda c: lanes.unlimit_lane(c, "queue", actor="a"), Conflict, "lane queue has no limit"),
    (
        lambda c: lanes.unlimit_lane(c, "queue", domain="x", actor="a"),
        Conflict,
        "domain x of lane queue has no limit",
    ),
    (lambda c: lanes.resume_lane(c, "queue", actor="a"), Conflict, "lane queue is not paused"),
    (
        lambda c: lanes.resume_lane(c, "queue", domain="x", actor="a"),
        Conflict,
        "domain x of lane queue is not paused",
    ),
    (lambda c: lanes.set_fair(c, "x", True, actor="a"), NotFound, 'no lane "x"'),
]


def test_what_makes_no_limit_is_refused(conn: Conn) -> None:
    for call, error, sentence in SENSELESS:
        with pytest.raises(error, match=sentence):
            call(conn)
    assert conn.execute("SELECT FROM queue_controls").rowcount == 0
    assert not is_restricted(conn)
