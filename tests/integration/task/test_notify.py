"""Notifications: only to lanes in which somebody waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from seedcore.testing import age
from tests.integration.task.worker import Worker, new

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def heard(other: Conn) -> Callable[[], list[str]]:
    """What has been notified on the channel since the last call."""
    other.execute("LISTEN tasks_new")

    def listen() -> list[str]:
        other.execute("SELECT 1")  # brings what is pending
        return [note.payload for note in other.notifies(timeout=0.05)]

    return listen


@pytest.fixture
def waits(conn: Conn) -> None:
    conn.execute("INSERT INTO queue_waiters (lane, worker) VALUES ('queue', 'w9'), ('queue', 'w8')")


def test_nobody_waits_nobody_is_told(conn: Conn, heard: Callable[[], list[str]]) -> None:
    new(conn)
    conn.execute("INSERT INTO tasks (type, status) VALUES ('a', 'queued')")
    assert heard() == []


@pytest.mark.usefixtures("waits")
def test_whatever_queues_a_task_wakes_its_lane(
    conn: Conn, worker: Worker, heard: Callable[[], list[str]]
) -> None:
    first = new(conn)
    assert heard() == ["queue"]
    child = new(conn, depends_on=(str(first),))
    new(conn, "graph", params={"graph_op": "embed", "graph": {"op": "embed"}})
    assert heard() == []  # one waits for another task, one is of a lane without a waiter
    worker.claim()
    assert heard() == []
    worker.complete(first)
    assert heard() == ["queue"]
    worker.claim()
    worker.fail(child, delay_s=0)
    assert heard() == ["queue"]
    worker.claim()
    worker.give_back(child)
    assert heard() == ["queue"]
    worker.claim()
    age(conn, child, "1h")
    conn.execute("SELECT tasks_reap_expired()")
    assert heard() == ["queue"]
    conn.execute("SELECT tasks_cancel(%s, 'x')", [[child]])
    assert heard() == []
    conn.execute("SELECT tasks_requeue(%s)", [[child]])
    assert heard() == ["queue"]
    conn.execute("SELECT queue_pause('queue', 'ann')")
    assert heard() == []
    conn.execute("SELECT queue_resume('queue', 'ann')")
    assert heard() == ["queue"]


@pytest.mark.usefixtures("waits")
def test_one_statement_tells_a_lane_once(conn: Conn, heard: Callable[[], list[str]]) -> None:
    conn.execute(
        "INSERT INTO tasks (type, status) SELECT 'a', 'queued' FROM generate_series(1, 100)"
    )
    assert heard() == ["queue"]


@pytest.mark.usefixtures("waits")
def test_notifications_can_be_switched_off_and_moved(
    conn: Conn, other: Conn, heard: Callable[[], list[str]]
) -> None:
    conn.execute("INSERT INTO seedcore_settings (name, value) VALUES ('notify_enabled', 'off')")
    new(conn)
    assert heard() == []
    conn.execute("UPDATE seedcore_settings SET value = 'on'")
    conn.execute(
        "INSERT INTO seedcore_settings (name, value) VALUES ('notify_channel', 'elsewhere')"
    )
    other.execute("LISTEN elsewhere")
    new(conn)
    assert heard() == ["queue"]
