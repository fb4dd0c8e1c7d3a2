"""Rotation as operators ask for it: compared, announced, recorded, and never twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from seedcore.errors import Conflict, NotFound, UsageError
from seedcore.registry import epoch as epochs, store
from tests.integration.registry.conftest import Conn, Register


def test_a_rotation_expires_announces_and_is_recorded(
    conn: Conn, epoch: UUID, register: Register, status_of: Callable[[UUID], str | None]
) -> None:
    old = register()
    row = epochs.rotate(conn, actor="ann", reason="drill", expected=str(epoch))
    assert row == {"old": epoch, "new": store.current_epoch(conn), "expired": 1, "drained": 0}
    assert status_of(old) == "dead"
    newest = epochs.history(conn)[0]
    assert (newest["actor"], newest["reason"], newest["previous_epoch"]) == ("ann", "drill", epoch)
    event = conn.execute("SELECT event_type, payload, dedupe_key FROM task_outbox").fetchone()
    assert event is not None
    assert event["event_type"] == "registry.epoch_rotated"
    assert event["payload"]["new"] == str(row["new"])
    assert event["dedupe_key"] == f"registry.epoch_rotated:{row['new']}"


def test_digits_of_the_expected_epoch_are_enough(conn: Conn, epoch: UUID) -> None:
    assert epochs.rotate(conn, actor="ann", expected=epoch.hex[:8])["old"] == epoch


@pytest.mark.parametrize("expected", ["0" * 8, str(UUID(int=0))])
def test_another_epoch_than_the_expected_one_changes_nothing(
    conn: Conn, epoch: UUID, expected: str
) -> None:
    with pytest.raises(Conflict) as caught:
        epochs.rotate(conn, actor="ann", expected=expected)
    assert str(epoch) in caught.value.message
    assert store.current_epoch(conn) == epoch
    assert conn.execute("SELECT FROM task_outbox").fetchone() is None


@pytest.mark.parametrize("expected", ["", "xyz", "12345", "0" * 33])
def test_what_is_no_epoch_is_refused(conn: Conn, epoch: UUID, expected: str) -> None:
    with pytest.raises(UsageError, match="is no epoch"):
        epochs.rotate(conn, actor="ann", expected=expected)


def test_the_current_epoch_is_no_new_one(conn: Conn, epoch: UUID) -> None:
    with pytest.raises(Conflict, match="current already"):
        epochs.rotate(conn, actor="ann", to=epoch)


@pytest.mark.parametrize("expected", [None, "abcdef12"])
def test_before_the_first_epoch_there_is_nothing_to_rotate(
    conn: Conn, expected: str | None
) -> None:
    with pytest.raises(NotFound, match="no epoch yet"):
        epochs.rotate(conn, actor="ann", expected=expected)
    assert epochs.show(conn) is None


def test_the_first_epoch_is_made_once(conn: Conn) -> None:
    first = epochs.init(conn, actor="ann")
    with pytest.raises(Conflict, match=str(first)):
        epochs.init(conn, uuid4(), actor="bob")
    assert [row["actor"] for row in epochs.history(conn)] == ["ann"]


def test_a_rehearsal_changes_nothing(
    conn: Conn, epoch: UUID, register: Register, status_of: Callable[[UUID], str | None]
) -> None:
    instance = register()
    assert epochs.rotate(conn, actor="ann", dry_run=True)["expired"] == 1
    assert store.current_epoch(conn) == epoch
    assert status_of(instance) == "alive"
    assert conn.execute("SELECT FROM task_outbox").fetchone() is None


def test_who_drains_in_time_is_counted(
    conn: Conn, epoch: UUID, register: Register, status_of: Callable[[UUID], str | None]
) -> None:
    slow = register()
    assert epochs.rotate(conn, actor="ann", drain_s=0.0)["drained"] == 0
    assert status_of(slow) == "dead"  # of the old epoch now


def test_of_many_rotations_with_one_expectation_one_wins(
    conn: Conn, database_url: str, epoch: UUID
) -> None:
    def rotate(_: int) -> str:
        with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as mine:
            try:
                epochs.rotate(mine, actor="ann", expected=str(epoch))
            except Conflict as error:
                return error.code
        return "won"

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(rotate, range(40)))
    assert sorted(answers) == ["registry.epoch_changed"] * 39 + ["won"]
    assert len(epochs.history(conn)) == 2
    held: Any = conn.execute(
        "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    assert held["n"] == 0
