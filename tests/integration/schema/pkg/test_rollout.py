"""Rollouts: step by step, held back by gates, one per lane, and undone whole."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import psycopg
import pytest

from tests.integration.schema.database import Conn, code, row, value
from tests.integration.schema.pkg import policy

GATES = [
    {"name": "deny_rate_delta", "operator": "<", "threshold": 0.02},
    {"name": "p95_ms", "operator": "<", "threshold": 15},
]


def refusal(
    call: Callable[..., Any], *args: Any, **more: Any
) -> tuple[str | None, str | None, str]:
    with pytest.raises(psycopg.Error) as caught:
        call(*args, **more)
    return (*code(caught.value), caught.value.diag.message_primary or "")


def state(conn: Conn, plan_id: int) -> tuple[Any, ...]:
    found = row(conn, "SELECT state, current_step FROM pkg_rollout_plans WHERE id = %s", [plan_id])
    steps = conn.execute(
        "SELECT state FROM pkg_rollout_steps WHERE plan_id = %s ORDER BY step_no", [plan_id]
    )
    assert found is not None
    return (*found.values(), [s["state"] for s in steps])


def events(conn: Conn) -> list[tuple[Any, ...]]:
    rows = conn.execute(
        "SELECT snapshot_id, from_percent, to_percent, is_rollback, actor, plan_id, reason"
        " FROM pkg_rollout_events ORDER BY id"
    )
    return [tuple(r.values()) for r in rows]


def test_a_rollout_rises_step_by_step_to_the_end(conn: Conn) -> None:
    stable, new = policy.green(conn, "v1"), policy.green(conn, "v2")
    policy.promote(conn, stable)
    plan_id = policy.plan(conn, new, reason="better")
    assert state(conn, plan_id) == ("planned", None, ["pending"] * 3)
    assert policy.start(conn, plan_id) == 5
    assert policy.served(conn) == (new, 5, True)
    assert state(conn, plan_id) == ("running", 1, ["active", "pending", "pending"])
    assert policy.advance(conn, plan_id) == 50
    assert policy.advance(conn, plan_id, reason="fine", expected_percent=50) == 100
    assert state(conn, plan_id) == ("running", 3, ["passed", "passed", "active"])
    assert policy.advance(conn, plan_id) == 100
    assert state(conn, plan_id) == ("completed", 3, ["passed"] * 3)
    assert policy.served(conn) == (new, 100, True)
    assert events(conn) == [
        (new, None, 5, False, "ann", plan_id, "better"),
        (new, 5, 50, False, "ann", plan_id, None),
        (new, 50, 100, False, "ann", plan_id, "fine"),
        (new, 100, 100, False, "ann", plan_id, None),
    ]
    # It stays to be promoted: a lane is not its environment.
    assert policy.active(conn) == stable
    times = row(
        conn,
        "SELECT p.started_at <= p.finished_at AS plan, p.updated_at > p.created_at AS touched,"
        " bool_and(s.entered_at <= s.left_at) AS steps"
        " FROM pkg_rollout_plans AS p JOIN pkg_rollout_steps AS s ON s.plan_id = p.id GROUP BY p.id",
    )
    assert times == {"plan": True, "touched": True, "steps": True}
    assert refusal(policy.advance, conn, plan_id)[:2] == ("SC409", "pkg.plan_not_running")
    assert refusal(policy.abort, conn, plan_id)[:2] == ("SC409", "pkg.plan_finished")
    assert refusal(policy.start, conn, plan_id)[:2] == ("SC409", "pkg.plan_started")


def test_steps_marked_as_skipped_are_passed_over(conn: Conn) -> None:
    plan_id = policy.plan(conn, policy.green(conn, "v1"), 5, 20, 50, 100)
    conn.execute("UPDATE pkg_rollout_steps SET state = 'skipped' WHERE step_no IN (1, 3)")
    assert [policy.start(conn, plan_id), policy.advance(conn, plan_id)] == [20, 100]
    assert state(conn, plan_id) == ("running", 4, ["skipped", "passed", "skipped", "active"])


def test_gates_hold_a_rollout_back(conn: Conn) -> None:
    plan_id = policy.plan(conn, policy.green(conn, "v1"), 5, 100, gates=GATES)
    policy.start(conn, plan_id)
    assert refusal(policy.advance, conn, plan_id) == (
        "SC409", "pkg.gate_not_passed",
        (
            f"rollout plan {plan_id} can't go on: gate deny_rate_delta was not measured;"
            " gate p95_ms was not measured"
        ),
    )  # fmt: skip
    policy.measure(conn, plan_id, 1, "deny_rate_delta", 0.01, ok=True)
    policy.measure(conn, plan_id, 1, "p95_ms", 9.0, ok=True)
    policy.measure(conn, plan_id, 1, "p95_ms", 20.0, ok=False)
    policy.measure(conn, plan_id, 2, "p95_ms", 1.0, ok=True)
    # The newest result of this step counts, not the best.
    assert refusal(policy.advance, conn, plan_id)[2].endswith("can't go on: gate p95_ms is at 20")
    policy.measure(conn, plan_id, 1, "p95_ms", 10.0, ok=True)
    assert policy.advance(conn, plan_id) == 100
    # Each step is measured anew.
    assert "deny_rate_delta was not measured" in refusal(policy.advance, conn, plan_id)[2]


def test_a_step_lasts_as_long_as_it_should(conn: Conn) -> None:
    plan_id = policy.plan(conn, policy.green(conn, "v1"), 5, 100, lasting="10 minutes")
    policy.start(conn, plan_id)
    sqlstate, detail, message = refusal(policy.advance, conn, plan_id)
    assert (sqlstate, detail) == ("SC409", "pkg.gate_not_passed")
    assert "it stays at 5 % until" in message
    conn.execute("UPDATE pkg_rollout_steps SET entered_at = entered_at - interval '10 minutes'")
    assert policy.advance(conn, plan_id) == 100


def test_force_takes_a_reason(conn: Conn) -> None:
    plan_id = policy.plan(conn, policy.green(conn, "v1"), 5, 100, gates=GATES, lasting="1 day")
    policy.start(conn, plan_id)
    assert refusal(policy.advance, conn, plan_id, force=True)[:2] == (
        "SC422",
        "pkg.reason_required",
    )
    assert policy.advance(conn, plan_id, force=True, reason="fire") == 100
    assert events(conn)[-1][-1] == "fire"


def test_a_paused_rollout_waits_for_force(conn: Conn) -> None:
    plan_id = policy.plan(conn, policy.green(conn, "v1"))
    policy.start(conn, plan_id)
    conn.execute("UPDATE pkg_rollout_plans SET state = 'paused'")
    assert refusal(policy.advance, conn, plan_id)[2].endswith("can't go on: it is paused")
    assert policy.advance(conn, plan_id, force=True, reason="fine") == 50
    assert state(conn, plan_id)[0] == "running"


def test_an_expected_percent_keeps_two_from_going_two_steps(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    plan_id = policy.plan(conn, policy.green(conn, "v1"))
    policy.start(conn, plan_id)
    with conn.transaction():
        assert policy.advance(conn, plan_id, expected_percent=5) == 50
        rival = aside(refusal, policy.advance, other, plan_id, expected_percent=5)
        blocked(other)
    assert rival.result(10)[:2] == ("SC409", "pkg.percent_changed")
    with conn.transaction():
        policy.advance(conn, plan_id)
        follower = aside(policy.advance, other, plan_id)
        blocked(other)
    assert follower.result(10) == 100
    assert state(conn, plan_id) == ("completed", 3, ["passed"] * 3)


def test_a_lane_has_one_unfinished_plan(conn: Conn) -> None:
    found = policy.green(conn, "v1")
    first = policy.plan(conn, found)
    policy.plan(conn, found, region="eu")
    policy.plan(conn, found, target="edge:door")
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_pkg_rollout_plans_unfinished"):
        policy.plan(conn, found)
    policy.start(conn, first)
    with pytest.raises(psycopg.errors.UniqueViolation):
        policy.plan(conn, found)
    policy.abort(conn, first)
    assert policy.start(conn, policy.plan(conn, found)) == 5


def test_of_two_plans_made_at_once_one_stands(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    found = policy.green(conn, "v1")
    with conn.transaction():
        policy.plan(conn, found)
        rival = aside(refusal, policy.plan, other, found)
        blocked(other)
    assert rival.result(10)[0] == "23505"


def test_of_two_starts_at_once_one_wins(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    plan_id = policy.plan(conn, policy.green(conn, "v1"))
    with conn.transaction():
        policy.start(conn, plan_id)
        rival = aside(refusal, policy.start, other, plan_id)
        blocked(other)
    assert rival.result(10)[:2] == ("SC409", "pkg.plan_started")
    assert len(events(conn)) == 1


def test_what_may_not_be_rolled_out_changes_nothing(conn: Conn) -> None:
    untested, empty = policy.whole(conn, "v1"), policy.snapshot(conn, "v2")
    dev, prod = policy.green(conn, "v3", "dev"), policy.green(conn, "v4")
    policy.lane(conn, prod, 100)
    policy.validate(conn, empty)

    def refused(snapshot_id: int, *percents: int) -> tuple[str | None, str | None]:
        with conn.transaction(force_rollback=True):
            plan_id = policy.plan(conn, snapshot_id, *percents)
            found: Any = None
            with pytest.raises(psycopg.Error) as caught, conn.transaction():
                policy.start(conn, plan_id)
            found = code(caught.value)
            assert policy.served(conn) == (prod, 100, True)
        return found

    assert refused(untested) == ("SC409", "pkg.not_validated")
    assert refused(empty) == ("SC409", "pkg.integrity")
    assert refused(dev) == ("SC409", "pkg.env_mismatch")
    assert refused(prod) == ("SC409", "pkg.already_served")
    new = policy.green(conn, "v5")
    assert refused(new, 5, 50) == ("SC422", "pkg.bad_steps")
    assert refused(new, 50, 5, 100) == ("SC422", "pkg.bad_steps")
    bare = policy.insert(
        conn, "pkg_rollout_plans", target="edge", snapshot_id=new, created_by="ann"
    )
    assert refusal(policy.start, conn, bare)[:2] == ("SC422", "pkg.bad_steps")
    for call in (policy.start, policy.advance, policy.abort):
        assert refusal(call, conn, 999)[:2] == ("SC404", "pkg.plan_not_found")
    planned = policy.plan(conn, new)
    assert refusal(policy.advance, conn, planned)[:2] == ("SC409", "pkg.plan_not_running")


def test_what_is_not_validated_is_rolled_out_by_force_with_a_reason(conn: Conn) -> None:
    found = policy.whole(conn, "v1")
    plan_id = policy.plan(conn, found)
    force = "SELECT pkg_rollout_start(%s, 'ann', true)"
    assert refusal(value, conn, force, [plan_id])[:2] == ("SC422", "pkg.reason_required")
    conn.execute("UPDATE pkg_rollout_plans SET reason = 'fire'")
    assert value(conn, force, [plan_id]) == 5


def test_whom_a_rollout_does_not_reach_keeps_what_the_lane_served(conn: Conn) -> None:
    active, stable, new = (policy.green(conn, v) for v in ("v1", "v2", "v3"))
    policy.promote(conn, active)
    policy.lane(conn, stable, 100)
    plan_id = policy.plan(conn, new, 0, 20, 100)
    share = (
        "SELECT array_agg(pkg_effective_snapshot('router', 'eu', 'd' || n) ORDER BY n) AS found"
        " FROM generate_series(1, 1000) AS n"
    )
    policy.start(conn, plan_id)
    assert set(value(conn, share)) == {stable}
    policy.advance(conn, plan_id)
    twenty = value(conn, share)
    assert set(twenty) == {stable, new}
    assert 150 < twenty.count(new) < 250
    conn.execute("UPDATE pkg_rollout_plans SET state = 'paused'")
    assert value(conn, share) == twenty
    policy.abort(conn, plan_id)
    assert set(value(conn, share)) == {stable}


@pytest.mark.parametrize("before", [100, 30])
def test_abort_restores_the_lane(conn: Conn, before: int) -> None:
    stable, new = policy.green(conn, "v1"), policy.green(conn, "v2")
    policy.lane(conn, stable, before)
    plan_id = policy.plan(conn, new)
    policy.start(conn, plan_id)
    policy.advance(conn, plan_id)
    policy.abort(conn, plan_id)
    assert policy.served(conn) == (stable, before, True)
    assert state(conn, plan_id) == ("aborted", 2, ["passed", "failed", "skipped"])
    assert events(conn)[-1] == (stable, 50, before, True, "bob", plan_id, "too slow")
    assert [e[3] for e in events(conn)] == [False, False, False, True]


def test_abort_turns_a_lane_off_that_served_nothing(conn: Conn) -> None:
    new = policy.green(conn, "v1")
    plan_id = policy.plan(conn, new)
    policy.start(conn, plan_id)
    policy.abort(conn, plan_id)
    assert policy.served(conn) == (new, 0, False)
    assert events(conn)[-1] == (new, 5, 0, True, "bob", plan_id, "too slow")
    assert policy.effective(conn, "d1") is None
    # A lane that is off is nothing to come back to.
    plan_id = policy.plan(conn, new)
    policy.start(conn, plan_id)
    assert (
        value(conn, "SELECT from_snapshot_id FROM pkg_rollout_plans WHERE id = %s", [plan_id])
        is None
    )


def test_abort_of_what_was_only_planned_leaves_the_lane_alone(conn: Conn) -> None:
    stable, new = policy.green(conn, "v1"), policy.green(conn, "v2")
    policy.lane(conn, stable, 100)
    plan_id = policy.plan(conn, new)
    policy.abort(conn, plan_id)
    assert policy.served(conn) == (stable, 100, True)
    assert state(conn, plan_id) == ("aborted", None, ["skipped"] * 3)
    assert len(events(conn)) == 1


def test_a_rollout_goes_on_from_the_share_that_a_lane_has(conn: Conn) -> None:
    new = policy.green(conn, "v1")
    policy.lane(conn, new, 30)
    plan_id = policy.plan(conn, new, 50, 100)
    assert policy.start(conn, plan_id) == 50
    policy.abort(conn, plan_id)
    assert policy.served(conn) == (new, 30, True)
    assert events(conn)[-1][3] is True


def test_nobody_else_moves_a_lane_during_a_rollout(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    stable, new = policy.green(conn, "v1"), policy.green(conn, "v2")
    plan_id = policy.plan(conn, new)
    put = "SELECT pkg_set_lane('router', 'global', %s, 100, 'bob')"
    with conn.transaction():
        policy.start(conn, plan_id)
        rival = aside(refusal, value, other, put, [stable])
        blocked(other)
    assert rival.result(10)[:2] == ("SC409", "pkg.lane_busy")
    assert value(conn, "SELECT pkg_set_lane('router', 'eu', %s, 100, 'bob')", [stable]) == 100
    policy.abort(conn, plan_id)
    assert value(conn, put, [stable]) == 100
