"""Policy acts on claimed tasks: child tasks, plan and record in one transaction, fenced by the lease."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from seedcore.config.settings import Settings
from seedcore.pkg import store
from seedcore.pkg.enactment import Asked, Enactor, Verdict
from seedcore.pkg.model import Env, Operator, Policy
from seedcore.pkg.plans import steps_of
from tests.unit.pkg.policies import fact, gate, orders, policy, rego, rule, signal, tag

Conn = psycopg.Connection[dict[str, Any]]

HOT = policy(
    rule(
        "hot",
        tag("climate"),
        signal("t", Operator.GT, 30),
        emits=("cool", orders("tell"), gate("log")),
    ),
    rule("quiet", tag("quiet"), metadata={"deny": True}),
    rule("open", fact("door", "is", "open"), emits=("shut",)),
    subtasks={
        "cool": {"degrees": 21, "executor": {"call": {"name": "cool", "args": {"fan": "low"}}}},
        "log": None,
        "shut": None,
        "tell": {"executor": {"specialization": "Speaker"}},
    },
)
SETTINGS = Settings(pkg_sample=1.0)


def activate(conn: Conn, content: Policy, version: str = "v1") -> int:
    with conn.transaction():
        snapshot = store.insert(conn, content, version=version, env=Env.PROD, actor="test")
        conn.execute("UPDATE pkg_snapshots SET is_active = (id = %s)", [snapshot.id])
    return snapshot.id


def claimed(conn: Conn, **params: Any) -> Asked:
    row = conn.execute(
        "SELECT id::text FROM task_submit('climate', p_params => %s, p_domain => 'home', p_priority => 8)",
        [Jsonb(params)],
    ).fetchone()
    assert row is not None
    conn.execute("SELECT id FROM tasks_claim('queue', 'me', 10, 60)")
    return Asked(
        id=row["id"], attempts=1, type="climate", domain="home", description=None, priority=8,
        drift_score=0.0, params=params,
    )  # fmt: skip


@pytest.fixture
def enactor(conn: Conn) -> Iterator[Enactor]:
    made = Enactor(SETTINGS, "me", conn)
    yield made
    made.close()


def rows(conn: Conn, query: str, *values: Any) -> list[dict[str, Any]]:
    return conn.execute(query, values).fetchall()  # type: ignore[arg-type]  # written here


def test_what_a_policy_calls_for_becomes_tasks_once(conn: Conn, enactor: Enactor) -> None:
    assert not enactor.is_active()
    hot = claimed(conn, tags=["climate"], signals={"t": 31}, correlation_id="c-1")
    assert enactor.decide([hot]) == [Verdict()]
    snapshot = activate(conn, HOT)
    assert enactor.is_active()

    cold = claimed(conn, tags=["climate"], signals={"t": 3})
    quiet = claimed(conn, tags=["climate", "quiet"], signals={"t": 31})
    broken = claimed(conn, tags="climate")
    verdicts = enactor.decide([hot, cold, quiet, broken])
    assert [(v.outcome, v.denied, v.matched, len(v.children)) for v in verdicts] == [
        ("ok", False, True, 3), ("ok", False, False, 0), ("ok", True, True, 0), ("error", False, False, 0),
    ]  # fmt: skip
    assert "/tags is a text" in (verdicts[3].error or "")

    steps = steps_of(conn, hot.id)
    assert [(s["step"], s["status"], s["rules"], s["waits_for"], s["snapshot"]) for s in steps] == [
        ("cool", "queued", ["hot"], [], "v1@prod"),
        ("tell", "created", ["hot"], ["cool"], "v1@prod"),
        ("log", "created", ["hot"], ["cool"], "v1@prod"),
    ]
    children = {
        row["type"]: row
        for row in rows(conn, "SELECT * FROM tasks WHERE params ? 'pkg' ORDER BY created_at")
    }
    cool, tell = children["cool"], children["tell"]
    assert cool["params"]["tool_calls"] == [{"name": "cool", "args": {"fan": "low", "degrees": 21}}]
    assert tell["params"]["routing"] == {"required_specialization": "Speaker"}
    for child in children.values():
        assert (child["snapshot_id"], child["domain"], child["priority"]) == (snapshot, "home", 8)
        assert child["params"]["correlation_id"] == "c-1"
        assert child["params"]["pkg"] == {
            "snapshot_id": snapshot, "rules": ["hot"], "parent_task_id": hot.id, "depth": 1,
        }  # fmt: skip
    kept = rows(conn, "SELECT * FROM pkg_evaluations ORDER BY id")
    assert {(str(r["task_id"]), r["outcome"], r["denied"]) for r in kept} == {
        (hot.id, "ok", False), (cold.id, "ok", False), (quiet.id, "ok", True), (broken.id, "error", False),
    }  # fmt: skip
    assert all(len(r["input_digest"]) == 64 and r["duration_ms"] >= 0 for r in kept)

    # An attempt after a crash, and under another policy: the plan stands.
    activate(conn, policy(rule("all", emits=("a",))), "v2")
    again = enactor.decide([replace(hot, attempts=2)])[0]
    assert (again.children, again.snapshot_id) == (verdicts[0].children, snapshot)
    assert len(rows(conn, "SELECT FROM tasks WHERE params ? 'pkg'")) == 3


def test_without_the_lease_nothing_is_stored(conn: Conn, enactor: Enactor) -> None:
    activate(conn, HOT)
    hot = claimed(conn, tags=["climate"], signals={"t": 31})
    conn.execute("SELECT tasks_cancel(ARRAY[%s]::uuid[], 'by hand')", [hot.id])
    assert enactor.decide([hot]) == [Verdict(holds=False)]
    for table in ("task_proto_plan", "pkg_evaluations"):
        assert rows(conn, f"SELECT FROM {table}") == []
    assert len(rows(conn, "SELECT FROM tasks")) == 1


def test_facts_count_while_they_hold(conn: Conn, enactor: Enactor) -> None:
    activate(conn, HOT)
    add = """INSERT INTO facts (text, subject, predicate, object_data, valid_from, valid_to)
             VALUES ('x', 'door', 'is', %s, now() - interval '2 days', now() + %s::interval)"""
    conn.execute(add, [Jsonb("open"), "-1 day"])
    asked = claimed(conn)
    assert not enactor.decide([asked])[0].matched
    conn.execute(add, [Jsonb("open"), "1 day"])
    assert len(enactor.decide([asked])[0].children) == 1
    assert steps_of(conn, asked.id)[0]["rules"] == ["open"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (policy(rule("many", emits=tuple("abc")), subtasks=dict.fromkeys("abc")), "plan_too_large"),
        (rego("package pkg\n\nimport rego.v1\n\ndenied := 1 / input.signals.drift_score\n"), "policy_error"),
        (rego("package pkg\n\nimport rego.v1\n\na if {\n"), "does_not_compile"),
        (
            policy(rule("bad", emits=("a",)), subtasks={"a": {"tool_calls": "none"}}),
            "TI204",
        ),
    ],
    ids=["large", "fails", "does not compile", "no valid task"],
)  # fmt: skip
def test_what_can_t_be_done_is_an_error_of_that_task_alone(
    conn: Conn, content: Policy, said: str
) -> None:
    enactor = Enactor(replace(SETTINGS, max_plan_steps=2), "me", conn)
    activate(conn, content)
    asked = claimed(conn, tags=["x"])
    verdict = enactor.decide([asked])[0]
    assert (verdict.outcome, verdict.children) == ("error", ())
    assert said in (verdict.error or "")
    kept = rows(conn, "SELECT outcome, output_digest IS NULL AS none FROM pkg_evaluations")
    assert kept[0]["outcome"] == "error"
    assert len(rows(conn, "SELECT FROM tasks")) == 1
    enactor.close()


def test_tasks_that_call_for_tasks_come_to_an_end(conn: Conn, enactor: Enactor) -> None:
    activate(conn, policy(rule("always", emits=("a",))))
    deep = claimed(conn, pkg={"depth": SETTINGS.max_plan_depth})
    assert "plan_too_deep" in (enactor.decide([deep])[0].error or "")


def test_evaluations_are_forgotten_when_they_are_old_enough(conn: Conn, enactor: Enactor) -> None:
    activate(conn, HOT)
    enactor.decide([claimed(conn), claimed(conn)])
    conn.execute(
        "UPDATE pkg_evaluations SET created_at = now() - interval '31 days'"
        " WHERE id = (SELECT min(id) FROM pkg_evaluations)"
    )
    assert [enactor.forget(), enactor.forget()] == [1, 0]
    assert len(rows(conn, "SELECT FROM pkg_evaluations")) == 1
