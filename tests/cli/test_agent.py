"""`seedcore agent` on this machine: agents that take tasks, what they tell, how they end."""

from __future__ import annotations

import json
import signal
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Invoke
from tests.program import Program
from tests.workers.conftest import until

Conn = psycopg.Connection[dict[str, Any]]
QUICK = {"REGISTRY_BEAT_SEC": "0.1", "DISPATCHER_POLL_INTERVAL_S": "0.5"}
NO_CLUSTER = "127.0.0.1:1"


BAD: list[tuple[list[str], int, str]] = [
    (["show", "no such"], 2, "'no such' can't be the id of an agent"),
    (["show", "nobody"], 4, "there is no agent nobody"),
    (["stop", "nobody"], 4, "there is no agent nobody"),
    (["stop"], 2, "give ids, or --organ, and not both"),
    (["stop", "--organ", "empty", "--yes"], 4, "no agent of organ empty runs"),
    (["start", "a" * 121], 2, "can't be the id of an agent"),
    (["start", "seedcore_reaper"], 2, "are SeedCore's own"),
    (["start", "a", "--organ", "-"], 2, "can't be the id of an organ"),
    (["start", "a", "--specialization", "a\nb"], 2, "can't be the id of a specialization"),
    (["start", "a", "--tools", "fa*"], 78, "'fa*' is no pattern for tool names"),
    (["start", "a", "--timeout", "5s"], 2, "--timeout bounds a run that ends by itself"),
    (["start", "a", "--on", "ray"], 78, "RAY_ADDRESS names no cluster"),
    (["start", "a", "--on", "ray", "--types", "x"], 2, "take tasks themselves"),
]


def rows(cli: Invoke, *words: str) -> list[dict[str, Any]]:
    return cli("agent", *words, "-o", "json").json


def statuses(cli: Invoke, *words: str) -> list[str]:
    return [row["status"] for row in rows(cli, "list", *words)]


def test_agents_live_work_and_are_stopped_one_by_one(
    seedcore: Program, cli: Invoke, conn: Conn
) -> None:
    process = seedcore.start(
        "agent", "start", "fern", "moss", "--organ", "garden", "--tools", "echo", env=QUICK
    )
    until(lambda: statuses(cli) == ["alive", "alive"])
    again = cli("agent", "start", "fern")
    assert (again.code, "agent fern lives already: local" in again.err) == (5, True)

    call = json.dumps({"tool_calls": [{"name": "echo", "args": {"value": 1}}]})
    task = cli("task", "submit", "action", "--params", call, "-o", "name").out.strip()
    assert cli("task", "wait", task, "--timeout", "10s").code == 0
    row = conn.execute("SELECT result -> 'meta' -> 'routing_decision' AS r FROM tasks").fetchone()
    assert row is not None
    assert row["r"]["selected_organ_id"] == "garden"
    who = row["r"]["selected_agent_id"]
    shown = cli("agent", "show", who, "-o", "json").json
    assert (shown["where"], shown["tasks_processed"]) == ("local", 1)
    assert shown["heartbeat"]["tools"] == ["echo"]

    # One goes, the other one and its process stay; with the last one the process ends.
    other = {"fern": "moss", "moss": "fern"}[who]
    assert cli("agent", "stop", who).code == 0
    assert [row["agent_id"] for row in rows(cli, "list")] == [other]
    assert process.poll() is None
    assert cli("agent", "stop", "--organ", "garden", "-o", "json").code == 10
    stopped = cli("agent", "stop", "--organ", "garden", "--yes", "-o", "json")
    assert [row["status"] for row in stopped.json] == ["dead"]
    assert process.wait(10) == 0
    assert statuses(cli) == []
    assert statuses(cli, "--all") == ["dead", "dead"]


def test_a_killed_agent_is_silent_and_can_be_stopped(
    seedcore: Program, conn: Conn, cli: Invoke
) -> None:
    process = seedcore.start("agent", "start", "fern", env=QUICK)
    until(lambda: statuses(cli) == ["alive"])
    process.send_signal(signal.SIGKILL)
    process.wait()
    conn.execute("UPDATE registry_instance SET last_heartbeat = now() - interval '1 minute'")
    shown = cli("agent", "show", "fern", "-o", "json").json
    assert (shown["status"], shown["heartbeat"]) == ("silent", None)
    preview = cli("agent", "stop", "fern", "--dry-run", "-o", "json").json
    assert preview[0]["status"] == "silent"
    assert cli("agent", "stop", "fern", "--timeout", "5s").code == 0
    assert cli("agent", "stop", "fern").code == 4


def test_bad_input_gets_one_line_and_changes_nothing(cli: Invoke, conn: Conn) -> None:
    for words, code, says in BAD:
        refused = cli("agent", *words)
        assert (refused.code, refused.out, says in refused.err) == (code, "", True), words
        as_json = cli("agent", *words, "-o", "json")
        assert (as_json.code, says in as_json.error["message"]) == (code, True), words
    assert conn.execute("SELECT FROM agent_registry").fetchone() is None
    assert conn.execute("SELECT FROM registry_instance").fetchone() is None


def test_a_cluster_that_is_not_there_is_said_at_once(
    cli: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", NO_CLUSTER)
    assert cli("agent", "list").code == 0  # the registry knows
    monkeypatch.setenv("TIER0_DISCOVERY", "ray")
    for words in (["start", "a"], ["list"], ["show", "a"], ["stop", "a"]):
        refused = cli("agent", *words, "-o", "json")
        assert (refused.code, refused.error["code"]) == (69, "ray.unavailable")
