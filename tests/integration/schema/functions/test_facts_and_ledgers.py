"""Facts, energy, drift and policies while another session is at them, and what tests before left out."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.integration.schema.database import code, row, value
from tests.integration.schema.facts.test_facts import add as add_fact, ids, triple
from tests.integration.schema.pkg import policy

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]
Blocked = Callable[[Conn], None]


def test_two_clean_ups_at_once_delete_each_fact_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    for _ in range(3):
        add_fact(conn, valid_to="-1 h")
    kept = add_fact(conn, valid_to="-1 h")
    clean = "SELECT cleanup_expired_facts()"
    with conn.transaction():
        conn.execute("UPDATE facts SET valid_to = now() + interval '1 h' WHERE id = %s", [kept])
        assert value(conn, clean) == 3
        rival = aside(value, other, clean)
        blocked(other)
    # What is valid again meanwhile is not deleted either.
    assert rival.result(10) == 0
    assert ids(conn, "SELECT id FROM facts") == [kept]


def test_a_text_that_two_make_a_triple_of_at_once_is_made_one_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    made = add_fact(conn, "The gym is a Facility")
    changed = add_fact(conn, "The spa is a Facility")
    apply_ = "SELECT facts_apply_triples(%s, %s)"
    with conn.transaction():
        assert value(conn, apply_, [[made], "ann"]) == 1
        conn.execute("UPDATE facts SET text = 'It rains' WHERE id = %s", [changed])
        rival = aside(value, other, apply_, [[made, changed], "bob"])
        blocked(other)
    assert rival.result(10) == 0
    assert (
        value(conn, "SELECT meta_data #>> '{triple,actor}' FROM facts WHERE id = %s", [made])
        == "ann"
    )
    assert value(conn, "SELECT subject FROM facts WHERE id = %s", [changed]) is None


def test_a_preview_shows_the_oldest_texts_of_its_namespace(conn: Conn) -> None:
    first, second = (add_fact(conn, f"Room {n} is a Room") for n in range(2))
    add_fact(conn, "The gym is a Facility", namespace="other")
    triple(conn)
    assert ids(conn, "SELECT id FROM facts_preview_triples()") == [first, second]
    assert ids(conn, "SELECT id FROM facts_preview_triples('default', 1)") == [first]
    assert ids(conn, "SELECT id FROM facts_preview_triples('nowhere')") == []


def test_two_resets_of_a_balance_at_once_take_it_off_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    scope, first, second = (uuid4().hex for _ in range(3))
    conn.execute("SELECT energy_append(%s, %s, '1', -5)", [uuid4().hex, scope])
    reset = "SELECT energy_reset(%s, '1', %s, 'ann')"
    with conn.transaction():
        assert value(conn, reset, [scope, first]) == 5
        rival = aside(value, other, reset, [scope, second])
        blocked(other)
    assert rival.result(10) == 0
    assert value(conn, "SELECT balance FROM energy_balance WHERE scope = %s", [scope]) == 0


def test_a_sum_that_is_being_reset_grows_from_zero(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    update = "SELECT s_t FROM ocps_update('d', 0.3)"
    value(conn, update)
    with conn.transaction():
        conn.execute("SELECT ocps_reset('d')")
        late = aside(value, other, update)
        blocked(other)
    assert late.result(10) == pytest.approx(0.2)
    assert value(conn, "SELECT fast_count FROM ocps_state") == 2


def refused(conn: Conn, call: Callable[..., Any], *arguments: Any) -> tuple[str | None, str | None]:
    with pytest.raises(psycopg.Error) as caught:
        call(conn, *arguments)
    return code(caught.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [(policy.advance, "pkg.plan_not_running"), (policy.abort, "pkg.plan_finished")],
)
def test_a_rollout_that_is_being_aborted_goes_nowhere_else(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked, call: Callable[..., Any], said: str
) -> None:
    new = policy.green(conn, "v1")
    plan_id = policy.plan(conn, new)
    policy.start(conn, plan_id)
    with conn.transaction():
        policy.abort(conn, plan_id)
        late = aside(refused, other, call, plan_id)
        blocked(other)
    assert late.result(10) == ("SC409", said)
    assert policy.served(conn) == (new, 0, False)


def test_two_who_set_a_lane_at_once_follow_each_other(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    first, second = policy.green(conn, "v1"), policy.green(conn, "v2")
    put = "SELECT pkg_set_lane('router', 'global', %s, %s, 'ann')"
    with conn.transaction():
        value(conn, put, [first, 20])
        late = aside(value, other, put, [second, 30])
        blocked(other)
    assert late.result(10) == 30
    assert policy.served(conn) == (second, 30, True)
    # The second one's event begins where the first one's ended.
    lane = conn.execute(
        "SELECT snapshot_id, from_percent, to_percent FROM pkg_rollout_events ORDER BY id"
    ).fetchall()
    assert [tuple(r.values()) for r in lane][-2:] == [(first, None, 20), (second, 20, 30)]


def test_a_change_of_a_lane_that_changes_nothing_is_no_event(conn: Conn) -> None:
    policy.lane(conn, policy.green(conn, "v1"), 20)
    before = value(conn, "SELECT count(*) FROM pkg_rollout_events")
    conn.execute("UPDATE pkg_deployments SET percent = percent, salt = 'x', activated_by = 'bob'")
    assert value(conn, "SELECT count(*) FROM pkg_rollout_events") == before


def test_what_is_of_no_snapshot_has_no_faults_and_no_digest(conn: Conn) -> None:
    policy.snapshot(conn, "v1")
    assert row(conn, "SELECT * FROM pkg_check_integrity(-1)") == {"ok": True, "msg": "no faults"}
    assert value(conn, "SELECT pkg_snapshot_digest(-1)") is None
    assert value(conn, "SELECT pkg_snapshot_digest(NULL)") is None


@pytest.mark.parametrize(
    "call",
    [
        "pkg_active_snapshot_id('moon')",
        "pkg_effective_snapshot('router', 'eu', 'd1', 'moon')",
        "pkg_promote_snapshot(1, 'moon', 'ann')",
        "pkg_rollback('moon', 'ann', 'x')",
    ],
)
def test_an_environment_that_is_none_is_refused(conn: Conn, call: str) -> None:
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="moon"):
        conn.execute(f"SELECT {call}".encode())


def test_a_row_that_says_when_it_changed_is_believed(conn: Conn) -> None:
    fact = add_fact(conn)
    conn.execute("UPDATE facts SET text = 'b', updated_at = '2020-01-01Z' WHERE id = %s", [fact])
    assert value(conn, "SELECT updated_at = '2020-01-01Z' FROM facts") is True
    conn.execute("UPDATE facts SET text = 'c'")
    assert value(conn, "SELECT updated_at > '2020-01-02Z' FROM facts") is True


def test_a_row_with_a_snapshot_keeps_it_and_one_without_gets_the_active_one(conn: Conn) -> None:
    active, other = policy.green(conn, "v1"), policy.snapshot(conn, "v2")
    policy.promote(conn, active)
    given, left = add_fact(conn, snapshot_id=other), add_fact(conn)
    scope = "SELECT snapshot_id FROM facts WHERE id = %s"
    assert (value(conn, scope, [given]), value(conn, scope, [left])) == (other, active)
    conn.execute("UPDATE pkg_snapshots SET is_active = false")
    assert value(conn, scope, [add_fact(conn)]) is None
