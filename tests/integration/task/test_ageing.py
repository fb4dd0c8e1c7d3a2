"""Waiting raises the priority."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest

from seedcore.testing import age
from tests.integration.task.worker import Worker, new, task

Conn = psycopg.Connection[dict[str, Any]]


def grow(conn: Conn, age_s: float = 60, limit: int = 1000) -> int:
    row = conn.execute("SELECT tasks_age(%s, %s) AS n", [age_s, limit]).fetchone()
    assert row is not None
    return row["n"]


def level(conn: Conn, task_id: UUID) -> tuple[int, int]:
    row = task(conn, task_id)
    return row["priority"], row["aged"]


@pytest.mark.parametrize(
    "fields",
    [{}, {"type_": "graph", "params": {"graph_op": "sync_nodes"}}, {"concurrency_key": "k"}],
    ids=["queue", "graph", "keyed"],
)
def test_a_task_rises_one_level_per_age(conn: Conn, fields: dict[str, Any]) -> None:
    one = new(conn, priority=3, **fields)
    assert grow(conn) == 0
    age(conn, one, "61s")
    assert grow(conn) == 1
    assert grow(conn) == 0
    assert level(conn, one) == (4, 1)
    age(conn, one, "60s")
    assert grow(conn) == 1
    assert level(conn, one) == (5, 2)


def test_ten_is_never_reached_by_waiting(conn: Conn) -> None:
    tasks = [new(conn, priority=p) for p in (8, 9, 10)]
    age(conn, tasks, "10h")
    assert [grow(conn) for _ in range(2)] == [1, 0]
    assert [level(conn, t)[0] for t in tasks] == [9, 9, 10]


def test_only_what_is_due_and_waits_grows_older(conn: Conn, worker: Worker) -> None:
    future, held, running = new(conn, in_s=9 * 3600), new(conn, hold=True), new(conn)
    worker.claim()
    age(conn, [future, held, running], "1h")
    assert grow(conn) == 0


def test_those_that_wait_longest_come_first(conn: Conn) -> None:
    young, old = new(conn), new(conn)
    age(conn, young, "2m")
    age(conn, old, "3m")
    assert grow(conn, limit=1) == 1
    assert level(conn, old) == (6, 1)
    assert level(conn, young) == (5, 0)


def test_an_aged_task_overtakes(conn: Conn, worker: Worker) -> None:
    patient = new(conn, priority=4)
    age(conn, patient, "2h")
    for _ in range(2):
        grow(conn)
    new(conn, priority=5)
    assert worker.claim()[0]["id"] == patient


def test_a_row_that_others_lock_is_left_alone(conn: Conn, other: Conn) -> None:
    one = new(conn)
    age(conn, one, "1h")
    with other.transaction():
        other.execute("SELECT FROM tasks FOR UPDATE")
        assert grow(conn) == 0
    assert grow(conn) == 1


@pytest.mark.parametrize("age_s", [0, -1, float("nan"), float("inf")])
def test_an_age_must_be_a_time(conn: Conn, age_s: float) -> None:
    with pytest.raises(psycopg.Error, match="tasks can't age by"):
        grow(conn, age_s)
