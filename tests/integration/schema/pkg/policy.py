"""Policies for the tests: a snapshot with one rule that emits one subtask, and runs of its fixtures."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from tests.integration.schema.database import Conn, value

PROMOTE = "SELECT pkg_promote_snapshot(%s, %s, %s, %s, %s)"


def insert(conn: Conn, table: str, **fields: Any) -> Any:
    """Insert a row; return what its first column became."""
    columns, marks = ", ".join(fields), ", ".join("%s" for _ in fields)
    statement = f"INSERT INTO {table} AS t ({columns}) VALUES ({marks}) RETURNING t.*"
    row = conn.execute(
        statement.encode(),
        [Jsonb(v) if isinstance(v, dict | list) else v for v in fields.values()],
    ).fetchone()
    assert row is not None
    return next(iter(row.values()))


def snapshot(conn: Conn, version: str, env: str = "prod", *, checksum: str | None = None) -> int:
    """A snapshot with nothing in it."""
    digest = hashlib.sha256(f"{version} {env}".encode()).hexdigest()
    return insert(conn, "pkg_snapshots", version=version, env=env, checksum=checksum or digest)


def subtask_type(conn: Conn, snapshot_id: int, name: str = "inspect") -> UUID:
    return insert(
        conn, "pkg_subtask_types", snapshot_id=snapshot_id, name=name, default_params={"n": 1}
    )


def rule(conn: Conn, snapshot_id: int, name: str = "r1", **more: Any) -> UUID:
    return insert(
        conn, "pkg_policy_rules",
        snapshot_id=snapshot_id, rule_name=name, rule_source="{}", engine="native", **more,
    )  # fmt: skip


def condition(conn: Conn, rule_id: UUID, kind: str = "TAG", key: str = "vip", **more: Any) -> int:
    return insert(
        conn, "pkg_rule_conditions",
        rule_id=rule_id, condition_type=kind, condition_key=key, **more,
    )  # fmt: skip


def emission(conn: Conn, rule_id: UUID, type_id: UUID, **more: Any) -> int:
    return insert(conn, "pkg_rule_emissions", rule_id=rule_id, subtask_type_id=type_id, **more)


def artifact(conn: Conn, snapshot_id: int, kind: str = "wasm_pack", content: bytes = b"x") -> None:
    insert(
        conn, "pkg_snapshot_artifacts",
        snapshot_id=snapshot_id, artifact_type=kind, artifact_bytes=content,
        sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip


def fixture(conn: Conn, snapshot_id: int, name: str = "f1") -> int:
    return insert(
        conn, "pkg_validation_fixtures",
        snapshot_id=snapshot_id, name=name, input={"tags": ["vip"]}, expect={"subtasks": ["inspect"]},
    )  # fmt: skip


def whole(conn: Conn, version: str, env: str = "prod") -> int:
    """A snapshot that has one of everything."""
    found = snapshot(conn, version, env)
    rule_id = rule(conn, found)
    condition(conn, rule_id)
    emission(conn, rule_id, subtask_type(conn, found))
    artifact(conn, found)
    fixture(conn, found)
    return found


def validate(conn: Conn, snapshot_id: int, *, total: int = 1, failed: int = 0) -> int:
    """Store a finished run over the snapshot as it is now."""
    return value(
        conn,
        "INSERT INTO pkg_validation_runs (snapshot_id, started_at, finished_at, success,"
        " subject_digest, cases_total, cases_failed)"
        " VALUES (%s, clock_timestamp(), clock_timestamp(), %s, pkg_snapshot_digest(%s), %s, %s)"
        " RETURNING id",
        [snapshot_id, failed == 0, snapshot_id, total, failed],
    )


def green(conn: Conn, version: str, env: str = "prod") -> int:
    """A snapshot that may be promoted."""
    found = whole(conn, version, env)
    validate(conn, found)
    return found


def promote(conn: Conn, snapshot_id: int, env: str = "prod") -> int:
    return value(conn, PROMOTE, [snapshot_id, env, "ann", None, False])


def active(conn: Conn, env: str = "prod") -> int | None:
    return value(conn, "SELECT pkg_active_snapshot_id(%s)", [env])


def lane(conn: Conn, snapshot_id: int, percent: int, region: str = "global", **more: Any) -> int:
    return insert(
        conn, "pkg_deployments",
        **{"target": "router", "region": region, "snapshot_id": snapshot_id, "percent": percent} | more,
    )  # fmt: skip


def effective(
    conn: Conn,
    subject: str | None,
    region: str | None = "eu",
    env: str = "prod",
    target: str = "router",
) -> int | None:
    return value(
        conn, "SELECT pkg_effective_snapshot(%s, %s, %s, %s)", [target, region, subject, env]
    )


def plan(
    conn: Conn, snapshot_id: int, *percents: int, gates: list[Any] | None = None,
    lasting: str = "0", **more: Any,
) -> int:  # fmt: skip
    """A planned rollout to the lane router in global."""
    found = insert(
        conn, "pkg_rollout_plans",
        **{"target": "router", "snapshot_id": snapshot_id, "created_by": "ann"} | more,
    )  # fmt: skip
    for number, percent in enumerate(percents or (5, 50, 100), 1):
        insert(
            conn, "pkg_rollout_steps",
            plan_id=found, step_no=number, percent=percent, gates=gates or [], min_duration=lasting,
        )  # fmt: skip
    return found


def measure(conn: Conn, plan_id: int, step: int, gate: str, reading: float, *, ok: bool) -> None:
    insert(
        conn, "pkg_rollout_gate_results",
        plan_id=plan_id, step_no=step, gate=gate, value=reading, threshold=1.0, passed=ok,
    )  # fmt: skip


def start(conn: Conn, plan_id: int) -> int:
    return value(conn, "SELECT pkg_rollout_start(%s, 'ann')", [plan_id])


def advance(conn: Conn, plan_id: int, **more: Any) -> int:
    arguments = "".join(f", p_{name} => %s" for name in more)
    return value(
        conn,
        f"SELECT pkg_rollout_advance(%s, 'ann'{arguments})".encode(),
        [plan_id, *more.values()],
    )


def abort(conn: Conn, plan_id: int) -> None:
    conn.execute("SELECT pkg_rollout_abort(%s, 'bob', 'too slow')", [plan_id])


def served(conn: Conn) -> tuple[int, int, bool] | None:
    """Snapshot, percent and activity of the lane router in global."""
    row = conn.execute(
        "SELECT snapshot_id, percent, is_active FROM pkg_deployments"
        " WHERE target = 'router' AND region = 'global'"
    ).fetchone()
    return None if row is None else (row["snapshot_id"], row["percent"], row["is_active"])
