"""Dispatchers: queue workers on the cluster that outlive whoever started them, and their own death."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from seedcore.config.settings import Settings
from seedcore.errors import NotFound
from seedcore.runtime import runtime_of
from tests.program import Program
from tests.workers.conftest import QUICK, until
from workers import dispatchers
from workers.options import Options

pytestmark = pytest.mark.ray


@pytest.mark.usefixtures("ray_cluster")
def test_dispatchers_are_started_found_made_anew_and_drained(
    ray_environment: dict[str, str],
    ray_settings: Settings,
    database_url: str,
    seedcore: Program,
    submit: Callable[..., str],
    task: Callable[[str], dict[str, Any]],
    conn: psycopg.Connection[dict[str, Any]],
) -> None:
    settings = replace(ray_settings, database_url=database_url)
    environment = {**QUICK, **ray_environment, "DISPATCHER_COUNT": "2"}

    def rows(*words: str) -> list[dict[str, Any]]:
        said = seedcore("dispatcher", *words, "-o", "json", env=environment)
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)

    started = rows("start")
    names = ["seedcore_dispatcher_1", "seedcore_dispatcher_2"]
    assert [row["name"] for row in started] == names
    assert all(row["created"] and row["state"] == "healthy" for row in started)
    registered = conn.execute(
        "SELECT logical_id, actor_name, node_id FROM active_instances ORDER BY 1"
    ).fetchall()
    assert [row["logical_id"] for row in registered] == names
    assert [row["actor_name"] for row in registered] == names
    assert {row["node_id"] for row in registered} == {row["node_id"] for row in started}

    # Whoever started them is gone, and they work. Of one the worker dies, of the other the actor.
    first = submit("ray.where")
    until(lambda: task(first)["status"] == "completed")
    runtime = runtime_of(ray_settings)
    os.kill(started[0]["pid"], signal.SIGKILL)
    os.kill(parent_of(started[1]["pid"]), signal.SIGKILL)

    def are_back() -> bool:
        said = dispatchers.statuses(runtime)
        before = {row["pid"] for row in started}
        return all(row["status"] == "healthy" and row["pid"] not in before for row in said)

    until(are_back, timeout=60, what="both at work again")
    assert [row["starts"] for row in dispatchers.statuses(runtime)] == [2, 1]
    with pytest.raises(NotFound, match="there is no dispatcher '7' on the cluster"):
        dispatchers.resolve(runtime, ["7"])
    # In the actor's place another one stands; its worker had noticed, and drained.
    assert [row["created"] for row in dispatchers.start(runtime, settings, Options())] == [False]
    assert rows("stop", "--all", "--yes") == [
        {"name": name, "stopped": True, "drained": True, "error": None} for name in names
    ]
    assert dispatchers.statuses(runtime) == []
    # But for the worker that was killed, which nobody could say good-bye for.
    alive = "SELECT pid FROM active_instances WHERE pid <> %s"
    until(lambda: not conn.execute(alive, (started[0]["pid"],)).fetchall())


def parent_of(pid: int) -> int:
    """Return the id of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
