"""Graph tasks by a short call, and the view that shows them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.integration.schema.graph.conftest import one

Conn = psycopg.Connection[dict[str, Any]]


@pytest.mark.parametrize("name", ["create_graph_embed_task", "create_graph_embed_task_v2"])
def test_an_embed_task_is_queued_with_its_node(conn: Conn, name: str) -> None:
    task = one(conn, f"SELECT {name}(ARRAY[1, 2])")
    row = conn.execute("SELECT * FROM tasks WHERE id = %s", [task]).fetchone()
    assert row is not None
    assert (row["type"], row["status"], row["description"]) == ("graph", "queued", None)
    assert row["params"] == {
        "graph_op": "embed",
        "graph": {"op": "embed", "inputs": {"start_node_ids": [1, 2]}, "config": {"k": 2}},
    }
    assert one(conn, "SELECT ext_uuid FROM graph_node_map WHERE node_type = 'task'") == task
    assert one(conn, "SELECT id FROM tasks_claim('graph', 'w', 1)") == task


@pytest.mark.parametrize("name", ["create_graph_rag_task", "create_graph_rag_task_v2"])
def test_a_rag_task_is_tied_to_its_agent_and_organ(conn: Conn, name: str) -> None:
    task = one(
        conn,
        f"SELECT {name}(ARRAY[7], k_hops => 1, top_k => 5, description => 'who?',"
        " p_agent_id => 'ada', p_organ_id => 'brain')",
    )
    row = conn.execute("SELECT * FROM tasks WHERE id = %s", [task]).fetchone()
    assert row is not None
    assert row["description"] == "who?"
    assert row["params"]["graph"]["config"] == {"k": 1, "topk": 5}
    assert row["params"]["graph_op"] == row["params"]["graph"]["op"] == "rag_query"
    edges = conn.execute("SELECT edge_type FROM hgnn_edges ORDER BY 1").fetchall()
    assert [e["edge_type"] for e in edges] == ["task__executed_by__organ", "task__owned_by__agent"]
    assert one(conn, "SELECT agent_id FROM agent_registry") == "ada"
    assert one(conn, "SELECT organ_id FROM organ_registry") == "brain"


@pytest.mark.parametrize(
    "call",
    [
        "create_graph_embed_task('{}')",
        "create_graph_embed_task(NULL)",
        "create_graph_embed_task(ARRAY[1, NULL])",
        "create_graph_embed_task(ARRAY[1], 5)",
        "create_graph_embed_task(ARRAY[1], NULL)",
        "create_graph_rag_task(ARRAY[1], -1)",
        "create_graph_rag_task(ARRAY[1], 1, 0)",
        "create_graph_rag_task(ARRAY[1], 1, 1001)",
    ],
)
def test_a_graph_task_that_could_not_run_is_refused(conn: Conn, call: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(f"SELECT {call}".encode())
    assert caught.value.sqlstate == "SC422"
    assert one(conn, "SELECT count(*) FROM tasks") == 0


def test_each_call_fits_one_function_only(conn: Conn) -> None:
    rows = conn.execute(
        "SELECT proname, count(*) AS n FROM pg_proc WHERE proname LIKE 'create_graph_%' GROUP BY 1"
    ).fetchall()
    assert {r["proname"]: r["n"] for r in rows} == {
        "create_graph_embed_task": 1,
        "create_graph_embed_task_v2": 1,
        "create_graph_rag_task": 1,
        "create_graph_rag_task_v2": 1,
    }


def test_the_view_shows_graph_tasks_newest_change_first(conn: Conn) -> None:
    def task(type_: str, params: dict[str, Any], status: str, age: int) -> None:
        conn.execute(
            "INSERT INTO tasks (type, params, status, owner_id, updated_at)"
            " VALUES (%s, %s, %s, %s, now() - %s * interval '1 hour')",
            [type_, Jsonb(params), status, "w" if status == "running" else None, age],
        )

    task("graph", {"graph_op": "embed", "graph": {"op": "rag_query"}}, "queued", 3)
    task("graph", {"graph": {"op": "rag_query", "kind": "embed"}}, "running", 1)
    task("graph_fact_embed", {"graph": {"kind": "fact_embed"}}, "completed", 2)
    task("graph", {}, "failed", 4)
    task("graph", {}, "created", 5)
    task("graph", {}, "cancelled", 6)
    task("graph", {}, "retry", 7)
    task("chat", {"graph_op": "embed"}, "queued", 0)
    rows = conn.execute("SELECT graph_op, status, status_emoji FROM graph_tasks").fetchall()
    assert [tuple(r.values()) for r in rows] == [
        ("rag_query", "running", "🔄"),
        ("fact_embed", "completed", "✅"),
        ("embed", "queued", "⏳"),
        (None, "failed", "❌"),
        (None, "created", "📝"),
        (None, "cancelled", "🚫"),
        (None, "retry", "🔁"),
    ]
