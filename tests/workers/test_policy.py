"""Policy in a real worker: what it calls for is done, what it forbids is not, and its failure is no licence."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.integration.pkg.test_enactment import activate
from tests.unit.pkg.policies import orders, policy, rego, rule, tag
from tests.workers.conftest import SHORT_LEASE, StartWorker, check_history, until

Conn = psycopg.Connection[dict[str, Any]]


def stored(conn: Conn, type_: str, params: dict[str, Any]) -> str:
    row = conn.execute(
        "SELECT id FROM task_submit(%s, p_params => %s, p_max_attempts => 1)",
        [type_, Jsonb(params)],
    ).fetchone()
    assert row is not None
    return str(row["id"])


NAP = {"executor": {"call": {"name": "test.nap", "args": {"seconds": 0}}}}


@pytest.mark.usefixtures("all_events")
def test_a_worker_does_what_policy_calls_for_in_its_order(
    start_worker: StartWorker, conn: Conn, task: Callable[[str], dict[str, Any]]
) -> None:
    activate(
        conn,
        policy(
            rule("walk", tag("walk"), emits=("first", orders("second"))),
            rule("plain", tag("plain")),
            rule("no", tag("no"), metadata={"deny": True}),
            subtasks={"first": NAP, "second": NAP},
        ),
    )
    ids = {name: stored(conn, name, {"tags": [name]}) for name in ("walk", "no", "other")}
    assert start_worker("--once", env={"PKG_MODE": "advisory", "PKG_SAMPLE": "1"}).end() == 0
    walk = task(ids["walk"])
    assert walk["status"] == "completed"
    assert walk["result"]["payload"]["plan_source"] == "pkg"
    children = conn.execute(
        "SELECT type, status::text, started_at, finished_at FROM tasks WHERE id = ANY (%s) ORDER BY id",
        [walk["result"]["payload"]["children"]],
    ).fetchall()
    assert [(c["type"], c["status"]) for c in children] == [
        ("first", "completed"), ("second", "completed"),
    ]  # fmt: skip
    assert children[0]["finished_at"] <= children[1]["started_at"]
    # In mode advisory a denial is recorded, and the task runs into what it would run into without.
    assert "no_executor" in task(ids["no"])["error"]
    denied = conn.execute("SELECT task_id FROM pkg_evaluations WHERE denied").fetchall()
    assert [str(row["task_id"]) for row in denied] == [ids["no"]]
    check_history(conn)


@pytest.mark.usefixtures("all_events")
def test_a_worker_killed_while_it_enacts_leaves_nothing_and_the_next_one_all(
    start_worker: StartWorker, conn: Conn, database_url: str, task: Callable[[str], dict[str, Any]]
) -> None:
    activate(
        conn,
        policy(
            rule("walk", tag("walk"), emits=("first", orders("second"))),
            subtasks={"first": NAP, "second": NAP},
        ),
    )
    parent = conn.execute(
        "SELECT id::text FROM task_submit('walk', p_params => %s)", [Jsonb({"tags": ["walk"]})]
    ).fetchone()
    assert parent is not None
    waiting = (
        " FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%pkg_evaluations%'"
        " AND datname = current_database() AND pid <> pg_backend_pid()"
    )
    stored_now = (
        "SELECT (SELECT count(*) FROM tasks WHERE jsonb_exists(params, 'pkg')) AS children,"
        " (SELECT count(*) FROM task_proto_plan) AS plans,"
        " (SELECT count(*) FROM pkg_evaluations WHERE task_id = %s) AS evaluations"
    )

    def counted() -> tuple[int, ...]:
        row = conn.execute(stored_now.encode(), [parent["id"]]).fetchone()
        assert row is not None
        return tuple(row.values())

    # The record is the transaction's last statement: its children and plan are written, and not yet there.
    with (
        # What servers do is looked at from outside: a transaction sees it as it was at its first look.
        psycopg.connect(database_url, autocommit=True) as other,
        conn.transaction(),
    ):
        conn.execute("LOCK TABLE pkg_evaluations IN SHARE MODE")
        worker = start_worker(env=SHORT_LEASE, wait=False)
        until(lambda: other.execute(("SELECT 1" + waiting).encode()).fetchone(), timeout=60)
        worker.signal(signal.SIGKILL)
        worker.end()
        # The server notices at its next word to the worker, which is gone either way.
        other.execute(("SELECT pg_terminate_backend(pid)" + waiting).encode())
        until(lambda: not other.execute(("SELECT 1" + waiting).encode()).fetchone())
        assert counted() == (0, 0, 0)
    assert counted() == (0, 0, 0)

    start_worker("--index", "2", env=SHORT_LEASE)
    until(lambda: task(parent["id"])["status"] == "completed", timeout=60)
    assert counted() == (2, 1, 1)
    assert task(parent["id"])["attempts"] >= 2
    check_history(conn)


def test_in_mode_control_nothing_runs_without_consent(
    start_worker: StartWorker, conn: Conn, task: Callable[[str], dict[str, Any]]
) -> None:
    activate(
        conn,
        rego(
            "package pkg\n\nimport rego.v1\n\ndefault denied := false\n\n"
            'denied if "no" in input.tags\n\nrules contains "ok" if "yes" in input.tags\n\n'
            'rules contains "broken" if {\n\t"boom" in input.tags\n\t1 / input.signals.drift_score > 0\n}\n'
        ),
    )

    calls = [{"name": "test.nap", "args": {"seconds": 0}}]
    ids = {
        word: stored(conn, "action", {"tags": [word], "tool_calls": calls})
        for word in ("yes", "no", "nothing", "boom")
    }
    assert start_worker("--once", env={"PKG_MODE": "control"}).end() == 0
    assert task(ids["yes"])["status"] == "completed"
    for word, said in (
        ("no", "policy_denied: policy denies it"),
        ("nothing", "policy_denied: no rule of policy allows it"),
        ("boom", "policy_error: policy could not be evaluated"),
    ):
        assert said in task(ids[word])["error"]
