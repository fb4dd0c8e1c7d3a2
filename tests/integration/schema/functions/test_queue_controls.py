"""What holds lanes, domains and keys back, function by function: what is granted, spent, picked, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from seedcore.task.line import Unique
from seedcore.task.model import TaskStatus
from tests.integration.schema.database import code, row, value
from tests.integration.task.test_unique import HELD
from tests.integration.task.worker import Worker, new

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]
Blocked = Callable[[Conn], None]


def control(conn: Conn, domain: str = "", lane: str = "queue", **fields: Any) -> None:
    """Store a control; with a rate its bucket is full, or holds what `tokens` says."""
    if "rate_per_s" in fields:
        fields = {"burst": 5, "tokens": 5, "filled_at": datetime.now(UTC)} | fields
    fields |= {"lane": lane, "domain": domain}
    conn.execute(
        f"INSERT INTO queue_controls ({', '.join(fields)})"
        f" VALUES ({', '.join(['%s'] * len(fields))})".encode(),
        list(fields.values()),
    )


def tokens(conn: Conn) -> dict[str, float | None]:
    """What each bucket held when somebody last looked into it."""
    return {
        row["domain"]: row["tokens"] and round(row["tokens"], 2)
        for row in conn.execute("SELECT domain, tokens FROM queue_controls")
    }


def grant(conn: Conn, domain: str = "", limit: int = 9, picked: tuple[UUID, ...] = ()) -> int:
    return value(
        conn, "SELECT queue_grant('queue', %s, %s, %s::uuid[])", [domain, limit, list(picked)]
    )


LEVEL = "SELECT set_config('default_transaction_isolation', %s, false)"


@pytest.mark.parametrize("level", ["read uncommitted", "read committed"])
def test_where_each_statement_sees_what_is_committed_limits_are_counted(
    conn: Conn, level: str
) -> None:
    conn.execute(LEVEL, [level])
    conn.execute("SELECT queue_require_fresh_reads()")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_where_a_transaction_sees_what_was_limits_are_not_counted(conn: Conn, level: str) -> None:
    conn.execute(LEVEL, [level])
    with pytest.raises(psycopg.Error, match=f"read committed, not {level}") as caught:
        conn.execute("SELECT queue_require_fresh_reads()")
    assert code(caught.value) == ("SC422", "queue.isolation")


def test_a_bucket_fills_with_time_up_to_its_burst(conn: Conn) -> None:
    control(conn, rate_per_s=0.1, tokens=2)
    later = {-3600: 2, 0: 2, 10: 3, 15: 3.5, 30: 5, 10**9: 5}  # also after the clock was set back
    for seconds, held in later.items():
        ask = (
            "SELECT queue_tokens(c, c.filled_at + make_interval(secs => %s)) FROM queue_controls c"
        )
        assert value(conn, ask, [seconds]) == pytest.approx(held), seconds


def test_without_a_rate_there_is_no_bucket(conn: Conn) -> None:
    control(conn, concurrency=1)
    assert value(conn, "SELECT queue_tokens(c, now()) FROM queue_controls c") is None


# -- granting and spending ---------------------------------------------------------------------


def test_what_nothing_holds_back_is_granted_in_full(conn: Conn) -> None:
    control(conn, "b", paused=True)
    control(conn, "", "graph", concurrency=1)
    assert (grant(conn), grant(conn, "a"), grant(conn, "b")) == (9, 9, 0)


def test_whole_tokens_and_free_places_are_granted(conn: Conn, worker: Worker) -> None:
    tasks = [new(conn, domain="a") for _ in range(4)]
    worker.claim(2)
    control(conn, rate_per_s=0.001, tokens=2.9)
    control(conn, "a", concurrency=4)
    assert (grant(conn), grant(conn, limit=1)) == (2, 1)
    assert grant(conn, "a") == 2
    assert grant(conn, "a", picked=(tasks[2],)) == 1
    assert grant(conn, "a", picked=(tasks[2], tasks[3])) == 0


def test_more_may_run_than_a_lowered_limit_says(conn: Conn, worker: Worker) -> None:
    for _ in range(3):
        new(conn)
    worker.claim(3)
    control(conn, concurrency=2)
    assert grant(conn) == 0


def test_tokens_are_taken_from_one_bucket_and_never_below_nothing(conn: Conn) -> None:
    control(conn, rate_per_s=0.0001)
    control(conn, "a", rate_per_s=0.0001)
    control(conn, "b", concurrency=1)
    for domain, tasks in (("", 2), ("a", 0), ("a", -3), ("b", 1), ("c", 1)):
        conn.execute("SELECT queue_spend('queue', %s, %s)", [domain, tasks])
    assert tokens(conn) == {"": 3, "a": 5, "b": None}
    conn.execute("SELECT queue_spend('queue', '', 9)")
    assert tokens(conn)[""] == 0


def test_who_asks_while_another_spends_waits_and_gets_what_is_left(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    control(conn, rate_per_s=0.0001)
    with conn.transaction():
        assert grant(conn, limit=3) == 3
        late = aside(grant, other)
        blocked(other)
        conn.execute("SELECT queue_spend('queue', '', 3)")
    assert late.result(10) == 2


def test_a_domain_that_another_asks_for_is_left_to_it(conn: Conn, other: Conn) -> None:
    control(conn, "a", concurrency=3)
    other.execute("SET lock_timeout = '2s'")
    with conn.transaction():
        assert grant(conn, "a") == 3
        assert (grant(other, "a"), grant(other, "b")) == (0, 9)
    assert grant(other, "a") == 3


def test_the_soonest_token_counts_but_not_that_of_what_is_paused(conn: Conn) -> None:
    empty = {"rate_per_s": 0.01, "tokens": 0}
    control(conn, **empty | {"tokens": 1})
    control(conn, "a", **empty)
    control(conn, "b", **empty | {"tokens": 0.5})
    control(conn, "c", **empty | {"tokens": 0.9}, paused=True)
    ask = "SELECT queue_next_token_s('queue')"
    assert value(conn, ask) == pytest.approx(50, abs=5)
    conn.execute("DELETE FROM queue_controls WHERE domain IN ('a', 'b')")
    assert value(conn, ask) is None


# -- turns and picks ---------------------------------------------------------------------------


def turns(conn: Conn) -> dict[tuple[str, str], str]:
    rows = conn.execute("SELECT lane, kind, last_taken FROM queue_turns").fetchall()
    return {(row["lane"], row["kind"]): row["last_taken"] for row in rows}


TAKE = "SELECT queue_turn_taken(%s, %s, %s)"


def test_each_lane_remembers_its_last_domain_and_its_last_key(conn: Conn) -> None:
    for turn in (("queue", "domain", "a"), ("queue", "key", "k"), ("graph", "domain", "z"),
                 ("queue", "domain", "")):  # fmt: skip
        conn.execute(TAKE, turn)
    assert turns(conn) == {("queue", "domain"): "", ("queue", "key"): "k", ("graph", "domain"): "z"}


def test_a_turn_is_that_of_a_domain_or_of_a_key(conn: Conn) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        conn.execute(TAKE, ["queue", "worker", "w1"])


@pytest.mark.parametrize("known", [False, True])
def test_nobody_waits_to_write_down_a_turn(conn: Conn, other: Conn, known: bool) -> None:
    if known:
        conn.execute(TAKE, ["queue", "key", "a"])
    other.execute("SET lock_timeout = '2s'")
    with conn.transaction():
        conn.execute(TAKE, ["queue", "key", "b"])
        other.execute(TAKE, ["queue", "key", "c"])
    assert turns(conn) == {("queue", "key"): "b"}
    other.execute(TAKE, ["queue", "key", "d"])
    assert turns(conn) == {("queue", "key"): "d"}


def in_order(
    conn: Conn, limit: int = 9, lane: str = "queue", types: Any = None, domains: Any = None
) -> list[UUID]:
    ask = "SELECT tasks_pick_in_order(%s, %s, %s::text[], %s::text[])"
    return value(conn, ask, [lane, limit, types, domains])


@pytest.mark.parametrize("lane", ["queue", "graph"])
def test_the_urgent_are_picked_first_and_then_the_longest_due(conn: Conn, lane: str) -> None:
    graph = {"type_": "graph", "params": {"graph_op": "sync_nodes"}}
    given: dict[str, dict[str, Any]] = {"queue": {}, "graph": graph}
    tasks = [new(conn, priority=p, **given[lane]) for p in (5, 10, 5, 0)]
    new(conn, priority=9, **given["graph" if lane == "queue" else "queue"])
    expected = [tasks[1], tasks[0], tasks[2], tasks[3]]
    assert in_order(conn, lane=lane) == expected
    assert in_order(conn, 2, lane=lane) == expected[:2]


def test_what_is_not_due_or_not_asked_for_is_not_picked(conn: Conn) -> None:
    new(conn, in_s=60)
    new(conn, hold=True)
    new(conn, concurrency_key="k")
    expired = new(conn)
    conn.execute("UPDATE tasks SET expires_at = now() WHERE id = %s", [expired])
    a, b, plain = new(conn, "x", domain="a"), new(conn, "y", domain="b"), new(conn, "x")
    assert in_order(conn) == [a, b, plain]
    assert in_order(conn, types=["x"]) == [a, plain]
    assert in_order(conn, domains=["a", "b"]) == [a, b]
    assert in_order(conn, types=["y"], domains=["a"]) == []


def test_what_another_session_has_picked_is_passed_by(conn: Conn, other: Conn) -> None:
    first, second = new(conn), new(conn)
    other.execute("SET lock_timeout = '2s'")
    with conn.transaction():
        assert in_order(conn, 1) == [first]
        assert in_order(other) == [second]
    assert in_order(other) == [first, second]


# -- changes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", ["slow", "", "Queue", None])
def test_a_lane_that_is_not_there_can_not_be_held(conn: Conn, lane: str | None) -> None:
    with pytest.raises(psycopg.Error, match="there is no lane") as caught:
        conn.execute("SELECT queue_hold_lane(%s)", [lane])
    assert code(caught.value) == ("SC404", "queue.lane_not_found")
    assert caught.value.diag.message_hint == "the lanes are queue and graph"


def test_lanes_are_held_apart(conn: Conn, other: Conn, aside: Aside, blocked: Blocked) -> None:
    with conn.transaction():
        conn.execute("SELECT queue_hold_lane('queue')")
        other.execute("SELECT queue_hold_lane('graph')")
        late = aside(other.execute, "SELECT queue_hold_lane('queue')")
        blocked(other)
    late.result(10)


def test_only_controls_that_say_nothing_are_deleted(conn: Conn) -> None:
    control(conn, "paused", paused=True)
    control(conn, "rate", rate_per_s=1)
    control(conn, "number", concurrency=1)
    control(conn, "nothing", reason="was paused once")
    control(conn, "nothing", "graph")
    conn.execute("SELECT queue_control_tidy('queue')")
    left = {(r["lane"], r["domain"]) for r in conn.execute("SELECT * FROM queue_controls")}
    assert left == {
        ("queue", "paused"),
        ("queue", "rate"),
        ("queue", "number"),
        ("graph", "nothing"),
    }


def test_a_limit_leaves_what_it_does_not_name(conn: Conn) -> None:
    limit = "SELECT queue_limit('queue', 'ann', %s, 'a', %s, %s, %s)"
    conn.execute(limit, ["slow disk", 2.5, None, None])
    conn.execute("SELECT queue_pause('queue', 'ann', p_domain => 'a')")
    conn.execute(limit, [None, None, None, 4])
    found = row(conn, "SELECT rate_per_s, burst, tokens, concurrency, paused FROM queue_controls")
    assert found == {"rate_per_s": 2.5, "burst": 3, "tokens": 3, "concurrency": 4, "paused": True}


def test_two_limits_of_one_domain_at_once_both_stand(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    with conn.transaction():
        conn.execute("SELECT queue_limit('queue', 'ann', p_domain => 'a', p_rate_per_s => 2)")
        late = aside(
            other.execute, "SELECT queue_limit('queue', 'bob', p_domain => 'a', p_concurrency => 3)"
        )
        blocked(other)
    late.result(10)
    assert row(conn, "SELECT rate_per_s, concurrency, changed_by FROM queue_controls") == {
        "rate_per_s": 2,
        "concurrency": 3,
        "changed_by": "bob",
    }


def test_of_two_who_lift_one_limit_at_once_the_second_is_told(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    control(conn, "a", concurrency=1)
    lift = "SELECT queue_unlimit('queue', 'ann', 'a')"
    with conn.transaction():
        conn.execute(lift)
        late = aside(other.execute, lift)
        blocked(other)
    with pytest.raises(psycopg.Error, match="domain a of lane queue has no limit") as caught:
        late.result(10)
    assert code(caught.value) == ("SC409", "queue.not_limited")


def test_a_lane_stays_restricted_when_turns_end_while_a_limit_begins(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    fair = "SELECT queue_fair('queue', %s, 'ann')"
    conn.execute(fair, [True])
    with conn.transaction():
        conn.execute("SELECT queue_limit('queue', 'ann', p_concurrency => 1)")
        late = aside(other.execute, fair, [False])
        blocked(other)
    late.result(10)
    ask = "SELECT fair, restricted FROM queue_lanes WHERE lane = 'queue'"
    assert row(conn, ask) == {"fair": False, "restricted": True}


# -- why, and whose ----------------------------------------------------------------------------


def test_what_holds_others_back_is_no_reason(conn: Conn, worker: Worker) -> None:
    def why(task: UUID) -> str | None:
        return value(conn, "SELECT task_held_back_by(%s)", [task])

    tasks = [new(conn, concurrency_key="k", concurrency_limit=2) for _ in range(3)]
    control(conn, "b", paused=True)
    control(conn, "", "graph", concurrency=1)
    worker.claim(1)
    assert [why(task) for task in tasks[1:]] == [None, None]
    worker.claim(1)
    assert why(tasks[2]) == "2 of concurrency key k are running"
    assert (why(tasks[0]), why(new(conn, hold=True)), why(UUID(int=0))) == (None, None, None)
    graph = new(conn, "graph", params={"graph_op": "sync_nodes"})
    assert why(graph) is None
    conn.execute("SELECT queue_pause('graph', 'ann', 'upgrade')")
    assert why(graph) == "lane graph is paused: upgrade"


@pytest.mark.parametrize("unique", [*HELD, None])
def test_a_key_is_held_in_these_states_and_no_others(conn: Conn, unique: Unique | None) -> None:
    rows = conn.execute(
        "SELECT s::text FROM unnest(enum_range(NULL::taskstatus)) AS s WHERE task_holds_key(s, %s)",
        [unique],
    )
    assert {row["s"] for row in rows} == HELD[unique or "live"]
    assert {status.value for status in TaskStatus} >= HELD["ever"]


def test_ageing_takes_no_more_than_its_limit_of_all_lanes(conn: Conn) -> None:
    fields: list[dict[str, Any]] = [
        {}, {"type_": "graph", "params": {"graph_op": "sync_nodes"}}, {"concurrency_key": "k"},
    ]  # fmt: skip
    for each in fields:
        for _ in range(2):
            new(conn, **each)
    conn.execute("UPDATE tasks SET created_at = created_at - %s", [timedelta(seconds=90)])
    grown = [value(conn, "SELECT tasks_age(60, 5)") for _ in range(3)]
    assert grown == [5, 1, 0]


def test_only_what_people_decide_is_recorded(conn: Conn, worker: Worker) -> None:
    seen = value(conn, "SELECT coalesce(max(id), 0) FROM queue_changes")
    conn.execute("SELECT queue_limit('queue', 'ann', 'slow printer', p_rate_per_s => 5)")
    conn.execute("SELECT queue_limit('queue', 'ann', 'slow printer', p_rate_per_s => 5)")
    new(conn)
    assert len(worker.claim()) == 1  # spends a token
    conn.execute(
        "INSERT INTO task_schedules (name, cron, type, created_by) VALUES ('s', '@daily', 't', 'bob')"
    )
    conn.execute("UPDATE task_schedules SET next_run_at = now(), failures = 3")
    rows = conn.execute("SELECT * FROM queue_changes WHERE id > %s ORDER BY id", [seen]).fetchall()
    assert [(r["kind"], r["actor"], r["reason"]) for r in rows] == [
        ("lane", "ann", "slow printer"),
        ("schedule", "bob", None),
    ]
    assert (rows[0]["before"], rows[0]["after"]) == (None, {"rate_per_s": 5, "burst": 5})
