"""Rollouts that are measured, held, and moved by the workers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import psycopg
import pytest

from tests.integration.schema.database import Conn, code, value
from tests.integration.schema.pkg import policy

Aside = Callable[..., Future[Any]]
Blocked = Callable[[psycopg.Connection[Any]], None]

GATES = [
    {"name": "deny_rate_delta", "operator": "<", "threshold": 0.2},
    {"name": "errors", "operator": "=", "threshold": 0},
]


def running(conn: Conn, *percents: int, **more: Any) -> tuple[int, int, int]:
    """v1 is active, v2 on its way; return the plan and both."""
    stable, new = policy.green(conn, "v1"), policy.green(conn, "v2")
    policy.promote(conn, stable)
    options = {"gates": GATES, "automatic": True, "min_samples": 4, "max_fail": 2, **more}
    plan_id = policy.plan(conn, new, *percents, **options)
    policy.start(conn, plan_id)
    return plan_id, stable, new


def evaluated(
    conn: Conn, snapshot_id: int, n: int, *, denied: int = 0, outcome: str = "ok", ago: str = "0"
) -> None:
    conn.execute(
        "INSERT INTO pkg_evaluations"
        " (snapshot_id, target, input_digest, outcome, denied, duration_ms, created_at)"
        " SELECT %s, 'router', '', %s, n <= %s, n, clock_timestamp() - %s::interval"
        " FROM generate_series(1, %s) AS n",
        [snapshot_id, outcome, denied, ago, n],
    )


def measured(conn: Conn, plan_id: int, function: str = "measure") -> dict[str, tuple[Any, ...]]:
    rows = conn.execute(
        f"SELECT gate, value, passed, samples FROM pkg_rollout_{function}(%s)".encode(), [plan_id]
    ).fetchall()
    return {row["gate"]: (row["value"], row["passed"], row["samples"]) for row in rows}


def check(conn: Conn, plan_id: int) -> tuple[str, int, str | None]:
    row = conn.execute(
        "SELECT action, percent, message FROM pkg_rollout_check(%s, 'canary')", [plan_id]
    ).fetchone()
    assert row is not None
    return row["action"], row["percent"], row["message"]


def tick(conn: Conn) -> list[tuple[Any, ...]]:
    rows = conn.execute("SELECT plan_id, action, percent FROM pkg_rollout_tick()").fetchall()
    return [tuple(row.values()) for row in rows]


def held(conn: Conn, verb: str, plan_id: int | None) -> str | None:
    """Pause or resume; return the refusal's code."""
    try:
        conn.execute(f"SELECT pkg_rollout_{verb}(%s, 'ann', 'lunch')".encode(), [plan_id])
    except psycopg.Error as error:
        return code(error)[1]
    return None


def jump(conn: Conn, plan_id: int, percent: int, **more: Any) -> int:
    arguments = "".join(f", p_{name} => %s" for name in more)
    return value(
        conn,
        f"SELECT pkg_rollout_jump(%s, %s, 'ann'{arguments})".encode(),
        [plan_id, percent, *more.values()],
    )


def test_gates_are_measured_beside_what_the_others_are_served(conn: Conn) -> None:
    plan_id, stable, new = running(conn)
    assert measured(conn, plan_id) == {
        "deny_rate_delta": (None, None, 0), "errors": (0, None, 0),
    }  # fmt: skip
    evaluated(conn, new, 4, denied=1)
    evaluated(conn, new, 9, denied=9, ago="1 hour")  # before the step
    evaluated(conn, new, 9, outcome="skipped")
    assert measured(conn, plan_id)["deny_rate_delta"] == (None, None, 4)
    # Too few since the step: the day before counts too.
    evaluated(conn, stable, 4, denied=1, ago="1 hour")
    assert measured(conn, plan_id)["deny_rate_delta"] == (0, True, 4)
    evaluated(conn, stable, 4)
    assert measured(conn, plan_id)["deny_rate_delta"] == (0.25, False, 4)
    assert measured(conn, 0) == {}


def test_one_error_is_too_many_before_there_are_enough_samples(conn: Conn) -> None:
    plan_id, _, new = running(conn)
    evaluated(conn, new, 1, outcome="error")
    assert measured(conn, plan_id)["errors"] == (1, False, 1)


def test_the_first_snapshot_of_all_is_measured_beside_nothing(conn: Conn) -> None:
    plan_id = policy.plan(conn, policy.green(conn, "v1"), gates=GATES, min_samples=2)
    policy.start(conn, plan_id)
    evaluated(conn, value(conn, "SELECT snapshot_id FROM pkg_deployments"), 2, denied=1)
    assert measured(conn, plan_id)["deny_rate_delta"] == (0.5, False, 2)


def test_results_are_kept_when_they_change(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    plan_id, _, new = running(conn, gates=GATES[1:])
    count = "SELECT count(*) FROM pkg_rollout_gate_results"
    measured(conn, plan_id, "record")
    assert value(conn, count) == 0, "what is not measured is no result"
    evaluated(conn, new, 4)
    with conn.transaction():
        assert measured(conn, plan_id, "record")["errors"] == (0, True, 4)
        rival = aside(measured, other, plan_id, "record")
        blocked(other)
    assert rival.result(10)["errors"] == (0, True, 4)
    assert value(conn, count) == 1
    assert measured(conn, 0, "record") == {}


def test_a_rollout_is_held_and_goes_on(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    plan_id, _, _ = running(conn)
    assert held(conn, "resume", plan_id) == "pkg.plan_not_paused"
    with conn.transaction():
        assert held(conn, "pause", plan_id) is None
        rival = aside(held, other, "pause", plan_id)
        blocked(other)
    assert rival.result(10) == "pkg.plan_not_running"
    assert tick(conn) == []
    assert check(conn, plan_id) == ("none", 5, "it is paused")
    with conn.transaction():
        assert held(conn, "resume", plan_id) is None
        rival = aside(held, other, "resume", plan_id)
        blocked(other)
    assert rival.result(10) == "pkg.plan_not_paused"
    assert held(conn, "pause", None) == "pkg.plan_not_running"
    rows = conn.execute(
        "SELECT action, actor, reason, to_percent FROM pkg_rollout_events ORDER BY id"
    )
    assert [tuple(row.values()) for row in rows][1:] == [
        ("pause", "ann", "lunch", 5), ("resume", "ann", "lunch", 5),
    ]  # fmt: skip


def test_an_event_belongs_to_a_plan_that_has_begun(conn: Conn) -> None:
    plan_id = policy.plan(conn, policy.green(conn, "v1"))
    event = "SELECT pkg_rollout_event(%s, 'pause', '', '')"
    assert value(conn, event, [plan_id]) is None
    policy.start(conn, plan_id)
    assert value(conn, event, [plan_id]) is not None
    actor = "SELECT actor = current_user AND reason IS NULL FROM pkg_rollout_events WHERE action = 'pause'"
    assert value(conn, actor) is True


def test_a_jump_leaves_steps_out_and_puts_one_in(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    plan_id, _, _ = running(conn, 5, 20, 50, 100, gates=[])
    conn.execute("UPDATE pkg_rollout_steps SET step_no = 10 * step_no WHERE state = 'pending'")
    with conn.transaction():
        assert jump(conn, plan_id, 30, expected_percent=5) == 30
        rival = aside(jump, other, plan_id, 30)
        blocked(other)
    with pytest.raises(psycopg.Error) as caught:
        rival.result(10)
    assert code(caught.value) == ("SC422", "pkg.bad_percent")
    steps = conn.execute("SELECT percent, state FROM pkg_rollout_steps ORDER BY step_no")
    assert [tuple(row.values()) for row in steps] == [
        (5, "passed"), (20, "skipped"), (30, "active"), (50, "pending"), (100, "pending"),
    ]  # fmt: skip
    assert jump(conn, plan_id, 50) == 50
    conn.execute("UPDATE pkg_rollout_steps SET step_no = 31 WHERE percent = 100")
    with pytest.raises(psycopg.Error) as caught:
        jump(conn, plan_id, 70)
    assert code(caught.value) == ("SC409", "pkg.bad_steps")
    assert jump(conn, plan_id, 100) == 100
    with pytest.raises(psycopg.Error) as caught:
        jump(conn, 0, 50)
    assert code(caught.value) == ("SC404", "pkg.plan_not_found")


def test_a_check_takes_a_rollout_on_or_back(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    plan_id, stable, new = running(conn, 5, 100)
    waits = "0 of 4 evaluations for deny_rate_delta, errors"
    assert check(conn, plan_id)[::2] == ("none", waits)
    evaluated(conn, stable, 4)
    evaluated(conn, new, 4)
    with conn.transaction():
        assert check(conn, plan_id) == ("advanced", 100, None)
        rival = aside(check, other, plan_id)
        blocked(other)
    assert rival.result(10)[:2] == ("none", 100)
    evaluated(conn, new, 4, denied=4)
    assert check(conn, plan_id)[:2] == ("missed", 100)
    assert check(conn, plan_id)[:2] == ("none", 100)
    evaluated(conn, new, 1, denied=1)
    missed = "missed 2 of 2: deny_rate_delta is 1.0000, not < 0.2"
    assert check(conn, plan_id) == ("aborted", 0, missed)
    assert check(conn, plan_id) == ("none", 100, "it is aborted")
    assert check(conn, 0) == ("none", None, "it is unknown")


def test_a_step_that_waits_for_somebody_is_not_passed_by_itself(conn: Conn) -> None:
    plan_id, _, _ = running(conn, gates=[], lasting="1 hour")
    assert check(conn, plan_id) == ("none", 5, "every gate passed; the step goes on")
    conn.execute("UPDATE pkg_rollout_steps SET manual = true")
    assert check(conn, plan_id) == ("none", 5, "waits for somebody to advance it")


def test_a_tick_moves_what_is_automatic_and_one_that_fails_holds_no_other_back(
    conn: Conn, other: Conn
) -> None:
    plan_id, stable, new = running(conn, gates=[])
    by_hand = policy.plan(conn, new, 5, 100, target="edge:door")
    broken = policy.plan(conn, new, 5, 100, target="edge:lamp", automatic=True)
    for one in (by_hand, broken):
        policy.start(conn, one)
    conn.execute("UPDATE pkg_rollout_steps SET percent = 3 WHERE plan_id = %s", [broken])
    conn.execute(
        "ALTER TABLE pkg_deployments ADD CONSTRAINT no_lamp CHECK (target <> 'edge:lamp') NOT VALID"
    )
    with conn.transaction():
        assert tick(conn) == [(plan_id, "advanced", 50), (broken, "failed", None)]
        assert tick(other) == [], "one session at a time"
    assert policy.served(conn) == (new, 50, True)
    assert stable != new
