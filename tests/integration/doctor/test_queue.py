"""The queue as its users see it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from seedcore.agent.registry import ToolRegistry
from seedcore.config import Loaded
from seedcore.config.settings import Settings
from seedcore.doctor import Limits, claim, examine, queue
from seedcore.testing import age
from tests.integration.task.worker import Worker

Conn = psycopg.Connection[dict[str, Any]]


def submit(conn: Conn, task_type: str = "echo", params: str = "{}") -> Any:
    row = conn.execute(
        "SELECT id FROM task_submit(p_type => %s, p_params => %s)", [task_type, params]
    ).fetchone()
    assert row is not None
    return row["id"]


def test_tasks_of_a_dead_owner_are_taken_back(conn: Conn, settings: Settings) -> None:
    task = submit(conn)
    Worker(conn).claim(1, lease_s=60)
    (fine,) = queue.stale(conn, settings, actor="test")
    assert fine.status == "ok"
    age(conn, task, "3m")
    (finding,) = queue.stale(conn, settings, actor="test")
    assert (finding.status, finding.evidence["ids"]) == ("warn", [task])
    assert finding.hint == "seedcore task requeue-stale"
    found = list(examine(Loaded(settings), only=("stale",), fix=True))
    assert [f.repaired for f in found if f.repaired] == ["took back 1 tasks"]
    row = conn.execute("SELECT status::text FROM tasks").fetchone()
    assert row == {"status": "queued"} or row == {"status": "retry"}


def test_due_work_without_a_worker_is_a_fault(
    conn: Conn, settings: Settings, database_url: str
) -> None:
    task = submit(conn)
    found = {f.evidence["lane"]: f for f in queue.backlog(conn, settings)}
    assert {f.status for f in found.values()} == {"ok"}
    age(conn, task, "5m")
    found = {f.evidence["lane"]: f for f in queue.backlog(conn, settings)}
    assert (found["queue"].status, found["graph"].status) == ("fail", "ok")
    assert found["queue"].hint == "seedcore worker queue"
    with psycopg.connect(database_url, application_name="seedcore worker queue@here-1"):
        found = {f.evidence["lane"]: f for f in queue.backlog(conn, settings)}
        assert found["queue"].status == "ok"
        late = {f.evidence["lane"]: f for f in queue.backlog(conn, settings, Limits(due_fail=60))}
        assert late["queue"].status == "warn"


def test_a_paused_lane_is_named_with_who_and_why(conn: Conn, settings: Settings) -> None:
    task = submit(conn)
    age(conn, task, "5m")
    conn.execute("SELECT queue_pause('queue', 'ann', 'moving house')")
    conn.execute(
        "INSERT INTO queue_controls (lane, domain, paused) VALUES ('queue', 'two words', true)"
    )
    finding, of_domain = queue.lanes(conn)
    assert of_domain.hint == "seedcore queue resume queue --domain 'two words'"
    assert finding.status == "warn"
    assert "by ann: moving house" in finding.detail
    found = {f.evidence["lane"]: f for f in queue.backlog(conn, settings)}
    assert found["queue"].status == "ok"


def test_what_no_tool_serves_is_named(conn: Conn, settings: Settings) -> None:
    submit(conn, "painting")
    submit(conn, "any", '{"tool_calls": [{"name": "ecko", "args": {}}]}')
    submit(conn, "any", '{"tool_calls": [{"name": "echo", "args": {"value": 1}}]}')
    found = list(queue.tools(conn, settings))
    assert [f.status for f in found] == ["warn", "warn"]
    assert "type 'painting'" in found[0].detail
    assert "'ecko'" in found[1].detail
    assert found[1].hint == "did you mean echo?"


def test_tools_that_cannot_be_loaded_are_a_fault(conn: Conn, settings: Settings) -> None:
    from seedcore.errors import ConfigError

    def broken(_: Settings) -> ToolRegistry:
        raise ConfigError("plugin 'x' can't be imported", hint="pip install x")

    (finding,) = queue.tools(conn, settings, load_tools=broken)
    assert (finding.status, finding.hint) == ("fail", "pip install x")


@pytest.mark.parametrize("name", ["ix_tasks_claim_queue", "ix_tasks_claim_graph"])
def test_a_claim_without_its_index_is_a_fault(conn: Conn, name: str) -> None:
    assert [f.status for f in claim.check(conn)] == ["ok"]
    conn.execute(psycopg.sql.SQL("DROP INDEX {}").format(psycopg.sql.Identifier(name)))
    found = [f for f in claim.check(conn) if f.status == "fail"]
    assert any(name in f.detail for f in found)
