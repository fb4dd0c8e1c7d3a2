"""The epoch: set once, rotated by one at a time, with its history."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.schema.database import Conn, code, value

ROTATE = "SELECT set_current_epoch(%s, %s)"
CURRENT = "SELECT current_epoch FROM cluster_metadata"


def history(conn: Conn) -> list[tuple[UUID, UUID | None]]:
    rows = conn.execute("SELECT epoch, previous_epoch FROM cluster_epoch_history ORDER BY id")
    return [(r["epoch"], r["previous_epoch"]) for r in rows]


def test_the_first_epoch_is_the_first_candidate(conn: Conn) -> None:
    first = uuid4()
    assert value(conn, "SELECT ensure_current_epoch(%s)", [first]) == first
    assert value(conn, "SELECT ensure_current_epoch(%s)", [uuid4()]) == first
    assert history(conn) == [(first, None)]


def test_of_two_first_candidates_one_wins(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    first = uuid4()
    with conn.transaction():
        conn.execute("SELECT ensure_current_epoch(%s)", [first])
        second = aside(value, other, "SELECT ensure_current_epoch(%s)", [uuid4()])
        blocked(other)
    assert second.result(10) == first
    assert history(conn) == [(first, None)]


def test_a_rotation_returns_the_previous_epoch_and_is_written_down(conn: Conn) -> None:
    first, second = uuid4(), uuid4()
    assert value(conn, ROTATE, [first, None]) is None
    with conn.transaction():
        conn.execute("SELECT set_config('seedcore.actor', 'ann', true)")
        assert value(conn, ROTATE, [second, first]) == first
    conn.execute(
        "SELECT set_current_epoch(%s, actor => 'bob', reason => 'drill')", [third := uuid4()]
    )
    assert value(conn, CURRENT) == third
    rows = conn.execute(
        "SELECT previous_epoch, actor, reason FROM cluster_epoch_history ORDER BY id OFFSET 1"
    ).fetchall()
    assert [tuple(r.values()) for r in rows] == [
        (first, "ann", None),
        (second, "bob", "drill"),
    ]


def test_rotating_to_the_current_epoch_changes_nothing(conn: Conn) -> None:
    epoch = uuid4()
    conn.execute(ROTATE, [epoch, None])
    assert value(conn, ROTATE, [epoch, epoch]) == epoch
    assert history(conn) == [(epoch, None)]


@pytest.mark.parametrize("set_before", [True, False])
def test_a_rotation_refuses_when_the_epoch_is_not_the_expected_one(
    conn: Conn, set_before: bool
) -> None:
    if set_before:
        conn.execute(ROTATE, [uuid4(), None])
    before = history(conn)
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(ROTATE, [uuid4(), uuid4()])
    assert code(caught.value) == ("SC409", "registry.epoch_changed")
    assert history(conn) == before


def test_a_rotation_to_nothing_is_refused(conn: Conn) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(ROTATE, [None, None])
    assert code(caught.value) == ("SC422", "registry.bad_epoch")
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT ensure_current_epoch(NULL)")
    assert code(caught.value) == ("SC422", "registry.bad_epoch")


@pytest.mark.parametrize("expecting", [True, False])
def test_two_rotations_at_once_follow_each_other(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
    expecting: bool,
) -> None:
    """The second waits; compare-and-set then sees what the first one did."""
    old, first, second = uuid4(), uuid4(), uuid4()
    conn.execute(ROTATE, [old, None])
    with conn.transaction():
        conn.execute(ROTATE, [first, old])
        late = aside(value, other, ROTATE, [second, old if expecting else None])
        blocked(other)
    if expecting:
        with pytest.raises(psycopg.Error) as caught:
            late.result(10)
        assert code(caught.value) == ("SC409", "registry.epoch_changed")
        assert value(conn, CURRENT) == first
    else:
        assert late.result(10) == first
        assert history(conn) == [(old, None), (first, old), (second, first)]


def test_there_is_one_row_of_the_cluster(conn: Conn) -> None:
    conn.execute(ROTATE, [uuid4(), None])
    with pytest.raises(psycopg.errors.CheckViolation, match="ck_cluster_metadata_one_row"):
        conn.execute("INSERT INTO cluster_metadata VALUES (2, gen_random_uuid())")
