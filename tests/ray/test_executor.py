"""`worker queue --executor ray`: the tools run on the machines of a cluster, one of which dies."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from seedcore.runtime import runtime_of
from tests.ray.conftest import RayCluster
from tests.workers.conftest import StartWorker, check_history, until

pytestmark = pytest.mark.ray

Task = Callable[[str], dict[str, Any]]


def _error_type(row: dict[str, Any]) -> str:
    return str(row["result"]["error_type"] if row["result"] else row["error"])


def _checkpoint(conn: psycopg.Connection[dict[str, Any]], task_id: str) -> Any:
    row = conn.execute(
        "SELECT checkpoint FROM task_progress WHERE task_id = %s", (task_id,)
    ).fetchone()
    return None if row is None else row["checkpoint"]


@pytest.mark.usefixtures("all_events")
def test_every_task_ends_exactly_once_though_a_machine_dies(
    ray_cluster: RayCluster,
    ray_environment: dict[str, str],
    start_worker: StartWorker,
    submit: Callable[..., str],
    task: Task,
    conn: psycopg.Connection[dict[str, Any]],
    database_url: str,
) -> None:
    doomed = ray_cluster.add_node()
    worker = start_worker(
        "--executor", "ray", env={**ray_environment, "DISPATCHER_RENEW_S": "0.3"}, wait=False
    )
    started = worker.wait_for("worker.started", timeout=30)
    assert started["executor"] == "ray"
    assert len(worker.events("host.ready")) == 3

    ended = [submit("ray.where") for _ in range(3)]
    settled = submit("ray.settle", url=database_url)
    until(lambda: all(task(one)["status"] == "completed" for one in [*ended, settled]))
    seen = {task(one)["result"]["payload"]["result"]["node"] for one in ended}
    assert doomed.node_id in seen
    assert task(settled)["result"]["payload"]["result"] == {"by": "the tool"}

    held = [submit("ray.hold") for _ in range(3)]
    once = [submit("ray.once") for _ in range(3)]
    until(lambda: all(_checkpoint(conn, one) for one in [*held, *once]))
    lost = [one for one in [*held, *once] if _checkpoint(conn, one) == doomed.node_id]
    assert len(lost) == 2
    ray_cluster.kill_node(doomed)
    until(lambda: all(task(one)["status"] != "running" for one in lost), timeout=30)
    worker.wait_for("host.lost")
    for one in lost:
        until(lambda one=one: task(one)["status"] in ("completed", "failed"))
        row = task(one)
        if one in held:
            assert row["status"] == "completed"
            assert row["result"]["payload"]["result"] == f"again, after {doomed.node_id}"
            assert row["lapses"] == 1
        else:
            assert row["status"] == "failed"
            assert row["error"].startswith("outcome_unknown")

    # What runs elsewhere has not noticed; an operator's cancel reaches it there.
    left = [one for one in [*held, *once] if one not in lost]
    conn.execute("SELECT tasks_cancel(%s::uuid[], 'enough')", (left,))
    worker.wait_running(0)
    check_history(conn)
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    runtime = runtime_of(ray_cluster.settings(ray_environment["RAY_NAMESPACE"]))
    assert runtime.list("seedcore_tools_") == []
