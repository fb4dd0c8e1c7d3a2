"""Promotion and rollback: gated, one after the other, and written down."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.integration.schema.database import Conn, code, row, value
from tests.integration.schema.pkg import policy

EXPECTING = "SELECT pkg_promote_snapshot(%s, 'prod', 'ann', p_expected_version => %s) AS promotion"
ROLLBACK = "SELECT pkg_rollback('prod', 'bob', 'bad')"


def audit(conn: Conn) -> list[tuple[Any, ...]]:
    rows = conn.execute(
        "SELECT action, from_version, to_version, actor, reason, forced FROM pkg_promotions ORDER BY id"
    )
    return [tuple(r.values()) for r in rows]


def refusal(conn: Conn, statement: str, parameters: Any = None) -> tuple[str | None, str | None]:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(statement.encode(), parameters)
    return code(caught.value)


def test_a_promotion_swaps_the_active_snapshot_and_is_written_down(conn: Conn) -> None:
    first, second = policy.green(conn, "v1"), policy.green(conn, "v2")
    policy.promote(conn, first)
    run = value(conn, "SELECT max(id) FROM pkg_validation_runs")
    promotion = value(
        conn,
        "SELECT pkg_promote_snapshot(%s, 'prod', 'ann', 'better', p_metrics => %s)",
        [second, Jsonb({"p95_ms": 3})],
    )
    assert policy.active(conn) == second
    assert audit(conn) == [
        ("promote", None, "v1", "ann", None, False),
        ("promote", "v1", "v2", "ann", "better", False),
    ]
    assert row(
        conn,
        "SELECT snapshot_id, env, from_snapshot_id, validation_run_id, metrics, success"
        " FROM pkg_promotions WHERE id = %s",
        [promotion],
    ) == {
        "snapshot_id": second, "env": "prod", "from_snapshot_id": first,
        "validation_run_id": run, "metrics": {"p95_ms": 3}, "success": True,
    }  # fmt: skip


def test_actor_and_reason_may_be_of_the_transaction(conn: Conn) -> None:
    found = policy.green(conn, "v1")
    with conn.transaction():
        conn.execute(
            "SELECT set_config('seedcore.actor', 'cid', true), set_config('seedcore.reason', 'x', true)"
        )
        conn.execute("SELECT pkg_promote_snapshot(%s, 'prod', NULL)", [found])
    assert audit(conn) == [("promote", None, "v1", "cid", "x", False)]


def test_environments_do_not_touch_each_other(conn: Conn) -> None:
    prod, dev = policy.green(conn, "v1"), policy.green(conn, "v1", "dev")
    policy.promote(conn, prod)
    policy.promote(conn, dev, "dev")
    assert (policy.active(conn), policy.active(conn, "dev")) == (prod, dev)
    assert refusal(conn, ROLLBACK) == ("SC404", "pkg.nothing_to_roll_back")


def test_what_may_not_be_promoted_changes_nothing(conn: Conn) -> None:
    first = policy.green(conn, "v1")
    policy.promote(conn, first)
    before = audit(conn)
    dev, untested = policy.green(conn, "v2", "dev"), policy.whole(conn, "v3")
    empty = policy.snapshot(conn, "v4")
    policy.validate(conn, empty)
    force = "SELECT pkg_promote_snapshot(%s, 'prod', 'ann', %s, true)"
    plain = "SELECT pkg_promote_snapshot(%s, 'prod', 'ann')"
    assert refusal(conn, plain, [999]) == ("SC404", "pkg.snapshot_not_found")
    assert refusal(conn, plain, [dev]) == ("SC409", "pkg.env_mismatch")
    assert refusal(conn, force, [dev, "x"]) == ("SC409", "pkg.env_mismatch")
    assert refusal(conn, plain, [untested]) == ("SC409", "pkg.not_validated")
    assert refusal(conn, force, [untested, " "]) == ("SC422", "pkg.reason_required")
    # Force stands in for a validation run, not for something to run.
    assert refusal(conn, force, [empty, "x"]) == ("SC409", "pkg.integrity")
    assert (policy.active(conn), audit(conn)) == (first, before)


def test_a_promotion_without_a_green_run_takes_force_and_a_reason(conn: Conn) -> None:
    found = policy.whole(conn, "v1")
    run = policy.validate(conn, found, total=2, failed=1)
    conn.execute("SELECT pkg_promote_snapshot(%s, 'prod', 'ann', 'fire', true)", [found])
    assert audit(conn) == [("promote", None, "v1", "ann", "fire", True)]
    assert value(conn, "SELECT validation_run_id FROM pkg_promotions") == run


def test_faults_of_others_do_not_stop_a_promotion(conn: Conn) -> None:
    policy.snapshot(conn, "v0")
    found = policy.green(conn, "v1")
    policy.promote(conn, found)
    assert policy.active(conn) == found


def test_what_is_active_is_not_promoted_again(conn: Conn) -> None:
    found = policy.green(conn, "v1")
    promotion = policy.promote(conn, found)
    assert policy.promote(conn, found) == promotion
    assert len(audit(conn)) == 1


def test_what_was_made_active_by_hand_is_recorded_once(conn: Conn) -> None:
    found = policy.green(conn, "v1")
    conn.execute("UPDATE pkg_snapshots SET is_active = true")
    assert policy.promote(conn, found) == policy.promote(conn, found)
    assert audit(conn) == [("promote", None, "v1", "ann", None, False)]
    assert policy.active(conn) == found


def test_an_expectation_that_fails_changes_nothing(conn: Conn) -> None:
    first, second = policy.green(conn, "v1"), policy.green(conn, "v2")
    assert refusal(conn, EXPECTING, [first, "v0"]) == ("SC409", "pkg.active_changed")
    conn.execute(EXPECTING, [first, ""])
    assert refusal(conn, EXPECTING, [second, ""]) == ("SC409", "pkg.active_changed")
    assert refusal(conn, EXPECTING, [second, "v0"]) == ("SC409", "pkg.active_changed")
    conn.execute(EXPECTING, [second, "v1"])
    # Also when it asks for what is active by now: somebody else did it.
    assert refusal(conn, EXPECTING, [second, "v1"]) == ("SC409", "pkg.active_changed")
    assert policy.active(conn) == second


def test_of_two_promotions_that_expect_the_same_one_wins(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    first, second, third = (policy.green(conn, v) for v in ("v1", "v2", "v3"))
    policy.promote(conn, first)
    with conn.transaction():
        conn.execute(EXPECTING, [second, "v1"])
        rival = aside(refusal, other, EXPECTING, [third, "v1"])
        blocked(other)
    assert rival.result(10) == ("SC409", "pkg.active_changed")
    assert policy.active(conn) == second
    assert [a[2] for a in audit(conn)] == ["v1", "v2"]


def test_promotions_that_expect_nothing_follow_each_other(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    first, second = policy.green(conn, "v1"), policy.green(conn, "v2")
    dev = policy.green(conn, "v1", "dev")
    with conn.transaction():
        policy.promote(conn, first)
        follower = aside(policy.promote, other, second)
        blocked(other)
        # The other environment has a lock of its own; so has the reader of what is active.
        with psycopg.connect(other.info.dsn, password=other.info.password) as third:
            third.execute("SET lock_timeout = '2s'")
            third.execute("SELECT pkg_promote_snapshot(%s, 'dev', 'ann')", [dev])
            assert third.execute("SELECT pkg_active_snapshot_id()").fetchone() == (None,)
    follower.result(10)
    assert policy.active(conn) == second
    assert [a[1:3] for a in audit(conn) if a[2] != "v1"] == [("v1", "v2")]


def test_a_promotion_under_way_holds_up_nobody_who_uses_the_snapshot(
    conn: Conn, other: Conn
) -> None:
    found = policy.green(conn, "v1")
    other.execute("SET lock_timeout = '2s'")
    with conn.transaction():
        policy.promote(conn, found)
        policy.insert(
            other, "pkg_evaluations",
            snapshot_id=found, target="router", input_digest="", outcome="ok", duration_ms=1,
        )  # fmt: skip
        policy.validate(other, found)
    assert policy.active(conn) == found


def test_a_promotion_taken_back_leaves_the_next_one_free(conn: Conn, other: Conn) -> None:
    first, second = policy.green(conn, "v1"), policy.green(conn, "v2")
    with conn.transaction(force_rollback=True):
        policy.promote(conn, first)
    other.execute("SET lock_timeout = '2s'")
    other.execute(EXPECTING, [second, ""])
    assert policy.active(conn) == second


def test_repeated_rollbacks_go_further_back(conn: Conn) -> None:
    ids = [policy.green(conn, v) for v in ("v1", "v2", "v3")]
    for found in ids:
        policy.promote(conn, found)
    assert value(conn, ROLLBACK) == ids[1]
    assert policy.active(conn) == ids[1]
    assert value(conn, ROLLBACK) == ids[0]
    assert refusal(conn, ROLLBACK) == ("SC404", "pkg.nothing_to_roll_back")
    assert policy.active(conn) == ids[0]
    assert audit(conn)[3:] == [
        ("rollback", "v3", "v2", "bob", "bad", False),
        ("rollback", "v2", "v1", "bob", "bad", False),
    ]


def test_snapshots_promoted_in_turns_are_not_rolled_back_in_circles(conn: Conn) -> None:
    first, second = policy.green(conn, "v1"), policy.green(conn, "v2")
    for found in (first, second, first, second):
        policy.promote(conn, found)
    assert [value(conn, ROLLBACK) for _ in range(3)] == [first, second, first]
    assert refusal(conn, ROLLBACK) == ("SC404", "pkg.nothing_to_roll_back")


def test_after_a_rollback_history_goes_on_from_there(conn: Conn) -> None:
    first, second, third = (policy.green(conn, v) for v in ("v1", "v2", "v3"))
    policy.promote(conn, first)
    policy.promote(conn, second)
    assert value(conn, ROLLBACK) == first
    policy.promote(conn, third)
    # Not to the second: it was given up.
    assert value(conn, ROLLBACK) == first


def test_a_rollback_can_name_its_goal(conn: Conn) -> None:
    ids = [policy.green(conn, v) for v in ("v1", "v2", "v3", "v4")]
    never = policy.whole(conn, "v0")
    dev = policy.whole(conn, "v1", "dev")
    for found in ids:
        policy.promote(conn, found)
    to = "SELECT pkg_rollback('prod', 'bob', NULL, %s)"
    assert value(conn, to, [ids[1]]) == ids[1]
    # What stood above the goal is gone.
    assert value(conn, ROLLBACK) == ids[0]
    # There is no gate: it may go to what was never promoted, nor validated.
    assert value(conn, to, [never]) == never
    assert value(conn, ROLLBACK) == ids[0]
    assert refusal(conn, to, [ids[0]]) == ("SC409", "pkg.already_active")
    assert refusal(conn, to, [dev]) == ("SC409", "pkg.env_mismatch")
    assert refusal(conn, to, [999]) == ("SC404", "pkg.snapshot_not_found")


def test_a_rollback_undoes_what_was_done_by_hand(conn: Conn) -> None:
    first, second, hand = (policy.green(conn, v) for v in ("v1", "v2", "v3"))
    policy.promote(conn, first)
    conn.execute("UPDATE pkg_snapshots SET is_active = false")
    conn.execute("UPDATE pkg_snapshots SET is_active = true WHERE id = %s", [hand])
    policy.promote(conn, second)
    assert [value(conn, ROLLBACK) for _ in range(2)] == [hand, first]
    conn.execute("UPDATE pkg_snapshots SET is_active = false")
    assert value(conn, ROLLBACK) == first


def test_of_two_rollbacks_that_expect_the_same_one_wins(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    ids = [policy.green(conn, v) for v in ("v1", "v2", "v3")]
    for found in ids:
        policy.promote(conn, found)
    back = "SELECT pkg_rollback('prod', 'bob', NULL, p_expected_version => 'v3')"
    with conn.transaction():
        conn.execute(back)
        rival = aside(refusal, other, back)
        blocked(other)
    assert rival.result(10) == ("SC409", "pkg.active_changed")
    assert policy.active(conn) == ids[1]


def test_rollbacks_that_expect_nothing_follow_each_other(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    ids = [policy.green(conn, v) for v in ("v1", "v2", "v3")]
    for found in ids:
        policy.promote(conn, found)
    with conn.transaction():
        conn.execute(ROLLBACK)
        follower = aside(value, other, ROLLBACK)
        blocked(other)
    assert follower.result(10) == ids[0]
    assert policy.active(conn) == ids[0]


@pytest.mark.parametrize(
    "change", ["UPDATE pkg_promotions SET actor = 'x'", "DELETE FROM pkg_promotions",
               "TRUNCATE pkg_promotions CASCADE"]
)  # fmt: skip
def test_the_audit_refuses_change(conn: Conn, change: str) -> None:
    policy.promote(conn, policy.green(conn, "v1"))
    before = audit(conn)
    assert refusal(conn, change)[0] == "SC409"
    assert audit(conn) == before
