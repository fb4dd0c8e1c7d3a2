"""The tools of facts, memory, graph and artifacts: what they find, add and link, also the second time."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from seedcore.agent.builtin.knowledge import knowledge_tools
from seedcore.agent.context import ToolContext
from seedcore.config.settings import Settings
from seedcore.embed.run import FACTS, Wanted, run
from seedcore.embed.selection import choose
from seedcore.errors import Conflict, NotFound, UsageError
from seedcore.task.model import NewTask
from seedcore.task.submission import submit

Conn = psycopg.Connection[dict[str, Any]]


def test_what_a_task_learns_is_kept_and_linked(conn: Conn, settings: Settings) -> None:
    tools = {each.name: each for each in knowledge_tools(settings)}
    task = str(submit(conn, NewTask(type="query", description="read the meters", hold=True)).id)

    def call(name: str, task_id: str = task, **arguments: Any) -> dict[str, Any]:
        value = tools[name](ToolContext.for_test(task_id=task_id), **arguments)
        assert json.loads(json.dumps(value)) == value
        return value

    meter: dict[str, Any] = {"subject": "meter 7", "predicate": "shows", "object": {"kwh": 12.5}}
    added = call("fact.add", **meter, tags=["meters"])
    assert added["created"]
    again = call("fact.add", **meter, tags=["meters"])
    assert (again["fact_id"], again["created"]) == (added["fact_id"], False)
    other = str(submit(conn, NewTask(type="query", hold=True)).id)
    with pytest.raises(Conflict):
        call("fact.add", other, **meter | {"object": 13})
    newer = call("fact.add", other, **meter | {"object": 13}, supersede=True)
    assert newer["superseded"] == [added["fact_id"]]
    with pytest.raises(UsageError):
        call("fact.add", other, subject="meter 7")

    found = call("fact.search", query="meter", subject="meter 7")
    assert [fact["id"] for fact in found["facts"]] == [newer["fact_id"]]
    assert call("fact.search", query="zebra") == {"facts": [], "count": 0}
    assert call("memory.search", query="meter")["hits"] == [], "nothing is embedded yet"
    run(conn, choose(conn, settings), FACTS, Wanted())
    hits = call("memory.search", query="what does the meter show", tier="world_memory", limit=2)
    assert hits["hits"][0]["content"] == "meter 7 shows 13"
    assert hits["model"] == "hash-v1"

    report = call("artifact.add", uri="s3://reports/7.pdf", sort="report")
    assert report["created"]
    assert not call("artifact.add", uri="s3://reports/7.pdf", sort="report")["created"]
    around = call("graph.neighbors", kind="task", id=task)
    assert sorted((edge["edge_type"]) for edge in around["edges"]) == [
        "task__produces__artifact",
        "task__produces__fact",
        "task__reads__fact",
    ]
    only = call(
        "graph.neighbors", node_id=report["node_id"], edge_types=["produces"], hops=2, limit=1
    )
    assert (len(only["edges"]), only["is_cut"]) == (1, True)
    wrongs: list[dict[str, Any]] = [
        {},
        {"node_id": 1, "kind": "task", "id": task},
        {"kind": "task"},
    ]
    for wrong in wrongs:
        with pytest.raises(UsageError, match="either node_id"):
            call("graph.neighbors", **wrong)
    with pytest.raises(NotFound):
        call("graph.neighbors", node_id=10**9)

    # Without a stored task nothing is linked, and everything else works.
    loose = "00000000-0000-7000-8000-000000000000"
    assert call("fact.add", loose, text="water is wet")["created"]
