"""What is kept of routing decisions and plans, and what is refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.integration.schema.database import Conn, row, value

SIX = [0.5] * 6


@pytest.fixture
def task(conn: Conn) -> UUID:
    return value(conn, "INSERT INTO tasks (type) VALUES ('echo') RETURNING id")


def decide(conn: Conn, task: UUID, **columns: Any) -> None:
    given = {
        "surprise_score": 0.5,
        "x_vector": Jsonb(SIX),
        "weights": Jsonb(SIX),
        "chosen_route": "fast",
        "created_at": "now",
    } | columns
    conn.execute(
        f"INSERT INTO task_router_telemetry (task_id, {', '.join(given)})"
        f" VALUES (%s{', %s' * len(given)})".encode(),
        [task, *given.values()],
    )


def test_a_decision_of_nothing_but_its_task_is_unknown(conn: Conn, task: UUID) -> None:
    conn.execute("INSERT INTO task_router_telemetry (task_id) VALUES (%s)", [task])
    found = row(conn, "SELECT chosen_route, x_vector, surprise_score FROM task_router_telemetry")
    assert found == {"chosen_route": "unknown", "x_vector": [], "surprise_score": 0}


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"surprise_score": -0.1}, "surprise"),
        ({"surprise_score": "NaN"}, "surprise"),
        ({"surprise_score": "Infinity"}, "surprise"),
        ({"chosen_route": "slow"}, "route"),
        ({"x_vector": Jsonb([1] * 5)}, "vectors"),
        ({"weights": Jsonb([1] * 7)}, "vectors"),
        ({"weights": Jsonb([])}, "vectors"),
        ({"x_vector": Jsonb({"a": 1})}, "vectors"),
        ({"weights": Jsonb(None)}, "vectors"),
        ({"x_vector": Jsonb([]), "weights": Jsonb([])}, "vectors"),
    ],
)
def test_a_decision_that_says_nothing_is_refused(
    conn: Conn, task: UUID, columns: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(
        psycopg.errors.CheckViolation, match=f"ck_task_router_telemetry_{constraint}"
    ):
        decide(conn, task, **columns)


def test_six_signals_may_lead_nowhere(conn: Conn, task: UUID) -> None:
    decide(conn, task, chosen_route="unknown")


def test_decisions_and_plans_belong_to_a_task_and_go_with_it(conn: Conn, task: UUID) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        decide(conn, uuid4())
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        conn.execute("INSERT INTO task_proto_plan (task_id) VALUES (%s)", [uuid4()])
    decide(conn, task)
    conn.execute("INSERT INTO task_proto_plan (task_id) VALUES (%s)", [task])
    conn.execute("DELETE FROM tasks")
    assert value(conn, "SELECT count(*) FROM task_router_telemetry") == 0
    assert value(conn, "SELECT count(*) FROM task_proto_plan") == 0


def test_routes_are_counted_by_hour(conn: Conn, task: UUID) -> None:
    for minute, score in ((0, 0.0), (30, 0.5), (59, 1.0)):
        decide(conn, task, surprise_score=score, created_at=f"2026-01-01 10:{minute:02}:59+00")
    decide(conn, task, chosen_route="planner", created_at="2026-01-01 11:00+00")
    # Half an hour off, where hours of the session would be other ones.
    conn.execute("SET timezone = 'Asia/Kolkata'")
    rows = conn.execute(
        "SELECT hour AT TIME ZONE 'UTC' AS hour, chosen_route, decisions, avg_surprise,"
        " round(p95_surprise::numeric, 4)::float8 AS p95"
        " FROM task_router_route_stats ORDER BY hour"
    ).fetchall()
    assert [(r["hour"].hour, *list(r.values())[1:]) for r in rows] == [
        (10, "fast", 3, 0.5, 0.95),
        (11, "planner", 1, 0.5, 0.5),
    ]


def test_a_task_has_one_plan(conn: Conn, task: UUID) -> None:
    plan = "INSERT INTO task_proto_plan (task_id, route, source) VALUES (%s, 'planner', 'pkg')"
    conn.execute(plan, [task])
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_task_proto_plan_task"):
        conn.execute(plan, [task])


def test_a_plan_has_a_known_route_and_a_bounded_size(conn: Conn, task: UUID) -> None:
    insert = "INSERT INTO task_proto_plan (task_id, route, proto_plan) VALUES (%s, %s, %s)"
    with pytest.raises(psycopg.errors.CheckViolation, match="ck_task_proto_plan_route"):
        conn.execute(insert, [task, "slow", Jsonb({})])
    # {"a": "…"} has nine characters around the text.
    with pytest.raises(psycopg.errors.CheckViolation, match="ck_task_proto_plan_size"):
        conn.execute(insert, [task, "fast", Jsonb({"a": "x" * (262144 - 8)})])
    conn.execute(insert, [task, "fast", Jsonb({"a": "x" * (262144 - 9)})])


def test_a_snapshot_that_a_plan_was_made_under_is_kept(conn: Conn, task: UUID) -> None:
    snapshot = value(
        conn,
        "INSERT INTO pkg_snapshots (version, checksum) VALUES ('v1', repeat('0', 64)) RETURNING id",
    )
    conn.execute(
        "INSERT INTO task_proto_plan (task_id, snapshot_id) VALUES (%s, %s)", [task, snapshot]
    )
    with pytest.raises(psycopg.IntegrityError):
        conn.execute("DELETE FROM pkg_snapshots")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        conn.execute("UPDATE task_proto_plan SET snapshot_id = -1")


def test_a_change_stamps_a_plan(conn: Conn, task: UUID) -> None:
    conn.execute("INSERT INTO task_proto_plan (task_id) VALUES (%s)", [task])
    before = value(conn, "SELECT updated_at FROM task_proto_plan")
    conn.execute("UPDATE task_proto_plan SET truncated = true")
    assert value(conn, "SELECT updated_at FROM task_proto_plan") > before
