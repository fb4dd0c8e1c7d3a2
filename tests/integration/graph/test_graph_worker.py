"""The graph worker: its six operations on a real database, what it refuses, and how its attempts end."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from seedcore.config.settings import Settings
from seedcore.embed.pending import backfill, enqueue
from seedcore.embed.run import FACTS
from seedcore.graph.tasks import operations
from seedcore.task.model import NewTask
from seedcore.task.submission import submit
from tests.workers.conftest import until
from workers.graph import GraphOptions, run

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def ask(conn: Conn, settings: Settings) -> Callable[..., dict[str, Any]]:
    """Submit a graph task, let a worker run it, and return its row."""

    def asked(op: str, more: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
        params = {"graph_op": op, "graph": {"op": op, "inputs": inputs, "config": more or {}}}
        task = submitted(conn, params)
        summary, code = run(settings, GraphOptions(once=True))
        assert code == 0
        assert summary is not None
        return ended(conn, task)

    return asked


def submitted(conn: Conn, params: dict[str, Any], **more: Any) -> str:
    return str(submit(conn, NewTask(type="graph", params=params, **more)).id)


def ended(conn: Conn, task: str) -> dict[str, Any]:
    row = conn.execute(
        "SELECT status::text, error, attempts, owner_id, result,"
        " result #> '{payload,tool_results,0,value}' AS value FROM tasks WHERE id = %s", [task]
    ).fetchone()  # fmt: skip
    assert row is not None
    return row


@pytest.fixture
def people(conn: Conn) -> dict[str, Any]:
    """Agents, an organ, two facts and a task, with some edges."""
    conn.execute(
        "INSERT INTO agent_registry (agent_id, display_name) VALUES ('a', 'prints books'),"
        " ('b', 'prints papers'), ('c', 'sails ships')"
    )
    conn.execute("INSERT INTO organ_registry (organ_id) VALUES ('press')")
    conn.execute("INSERT INTO agent_member_of_organ VALUES ('a', 'press'), ('b', 'press')")
    facts = conn.execute(
        "INSERT INTO facts (text) VALUES ('ink dries in air'), ('paper drinks ink') RETURNING id::text"
    ).fetchall()
    task = submit(conn, NewTask(type="query", description="how does ink dry", hold=True)).id
    return {"facts": [row["id"] for row in facts], "task": str(task)}


def test_every_operation(
    conn: Conn, ask: Callable[..., dict[str, Any]], people: dict[str, Any]
) -> None:
    fact, task = people["facts"][0], people["task"]
    done = ask("embed", start_agent_ids=["a", "b", "a", "nobody", 7], start_task_ids=[task, "x"])
    assert (done["status"], done["error"]) == ("completed", None)
    value = done["value"]
    assert (value["embedded"], value["start_node_count"], value["model"], value["k"]) == (
        3,
        3,
        "graph-mean-v1",
        2,
    )
    assert value["start_debug"] == {
        "sources": {"start_task_ids": 2, "start_agent_ids": 5},
        "node_count": 3,
        "unknown": {"start_agent_ids": ["nobody"]},
        "invalid": {"start_task_ids": ["x"], "start_agent_ids": [7]},
    }
    assert [(row["node_type"], row["ext_id"]) for row in value["node_meta"]] == [
        ("task", task), ("agent", "a"), ("agent", "b"),
    ]  # fmt: skip
    assert conn.execute("SELECT count(*) AS n FROM agent_registry").fetchone() == {"n": 3}
    ask("embed", start_organ_ids="press", start_agent_ids=["c"])
    found = ask("rag", {"topk": 2, "k": 2}, start_agent_ids=["a"])["value"]
    assert found["neighbors"][0]["ext_id"] in ("b", "press")
    assert (found["neighbor_count"], found["seed_count"], found["centroid_computed"]) == (
        2,
        1,
        True,
    )
    best = found["neighbors"][0]
    assert best["score"] == pytest.approx(1 - best["distance"])
    assert best["score"] >= found["neighbors"][1]["score"]
    itself = ask("rag_query", {"topk": 1, "include_seeds": True}, start_agent_ids=["a"])["value"]
    assert (itself["neighbors"][0]["ext_id"], itself["neighbors"][0]["distance"]) == (
        "a",
        pytest.approx(0, abs=1e-6),
    )
    typed = ask("rag_query", {"node_types": ["task"]}, start_agent_ids=["a"])["value"]
    assert {n["node_type"] for n in typed["neighbors"]} == {"task"}
    assert (
        ask("fact_embed", start_fact_ids=people["facts"])["value"]["operation_type"] == "fact_embed"
    )
    near = ask("fact_query", start_fact_ids=[fact])["value"]
    assert [n["ext_id"] for n in near["neighbors"]] == [people["facts"][1]]
    nim = ask("nim_embed", start_task_ids=[task], start_fact_ids=[fact], start_agent_ids=["a"])[
        "value"
    ]
    assert (nim["embedded"], nim["task_count"], nim["failed"], nim["model"]) == (3, 3, 0, "hash-v1")
    again = ask(
        "nim_task_embed", start_task_ids=[task], start_fact_ids=[fact], start_agent_ids=["a"]
    )
    assert again["value"]["embedded"] == 0
    submit(conn, NewTask(type="query", description="which ink", hold=True))
    assert ask("nim_embed", {"scope": "missing"})["value"]["embedded"] == 1
    synced = ask("sync")["value"]
    assert synced["backfill_task_nodes"] > 0
    assert ask("sync_nodes")["value"]["backfill"]["agent"] == 0


def test_what_can_not_be_done_fails_for_good_and_says_why(
    conn: Conn, ask: Callable[..., dict[str, Any]], people: dict[str, Any]
) -> None:
    cases: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
        ("embed", {}, {}, "no_start_nodes: no id is named"),
        ("embed", {}, {"start_agent_ids": ["nobody"]}, "no_start_nodes: none of the ids"),
        ("embed", {"strict": True}, {"start_agent_ids": ["a", "nobody"]}, "bad_payload: strict, and unknown"),
        ("embed", {"k": 5}, {"start_agent_ids": ["a"]}, "bad_payload: k is a whole number from 0 to 4"),
        ("embed", {"encoder": "magic"}, {"start_agent_ids": ["a"]}, 'bad_payload: there is no encoder "magic"'),
        ("embed", {"as_of": "soon"}, {"start_agent_ids": ["a"]}, "bad_payload: as_of is no time"),
        ("embed", {}, {"start_node_ids": {"a": 1}}, "bad_payload: start_node_ids has to be a list"),
        ("rag_query", {"topk": 0}, {"start_agent_ids": ["a"]}, "bad_payload: topk is a whole number"),
        ("rag_query", {"node_types": ["robot"]}, {"start_agent_ids": ["a"]}, "bad_payload: there is no kind"),
        ("fact_query", {}, {"start_agent_ids": ["a"]}, "no_start_nodes: none of the nodes is a fact"),
        ("nim_embed", {"scope": "all"}, {}, "bad_payload: scope is one of"),
    ]  # fmt: skip
    tasks = [
        submitted(conn, {"graph_op": op, "graph": {"op": op, "inputs": inputs, "config": config}})
        for op, config, inputs, _ in cases
    ]
    # The linter refuses it at submit; older rows may have it all the same.
    conn.execute('UPDATE tasks SET params = \'{"graph_op": "dance"}\' WHERE id = %s', [tasks[0]])
    assert ask("embed", start_agent_ids=["a"])["status"] == "completed"
    said = [ended(conn, task) for task in tasks]
    assert (
        'unknown_graph_op: "dance" is no graph operation; known are embed, rag_query'
        in said[0]["error"]
    )
    for row, case in zip(said[1:], cases[1:], strict=True):
        assert (row["status"], row["attempts"]) == ("failed", 1), case
        assert row["error"].startswith(case[3])
    assert said[1]["value"]["start_debug"]["unknown"] == {"start_agent_ids": ["nobody"]}
    assert conn.execute("SELECT count(*) AS n FROM agent_registry").fetchone() == {"n": 3}


def test_a_lost_lease_a_cancellation_and_a_drain_stop_the_work_between_chunks(
    conn: Conn, settings: Settings, people: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = dataclasses.replace(settings, graph_heartbeat_ping_s=0.05, dispatcher_drain_s=0.0)
    began = threading.Event()

    def slowly(work: operations.Work, operation: str) -> dict[str, Any]:
        began.set()
        while True:
            work.checkpoint()
            time.sleep(0.005)

    monkeypatch.setattr(operations, "perform", slowly)
    ways: list[tuple[Callable[[str], Any], str, int]] = [
        (lambda task: conn.execute("SELECT tasks_cancel(%s::uuid[], 'enough')", [[task]]), "cancelled", 0),
        (lambda task: conn.execute("SELECT tasks_requeue_stale(%s::uuid[])", [[task]]), "retry", 0),
        (lambda task: os.kill(os.getpid(), signal.SIGTERM), "retry", 1),
    ]  # fmt: skip
    for interfere, status, code in ways:
        began.clear()
        task = submitted(conn, {"graph_op": "sync_nodes"}, idempotency_key=uuid4().hex)

        def meddle(task: str = task, interfere: Callable[[str], Any] = interfere) -> None:
            began.wait(20)
            interfere(task)

        meddler = threading.Thread(target=meddle)
        meddler.start()
        summary, exit_code = run(quick, GraphOptions(max_tasks=1))
        meddler.join()
        assert summary is not None
        assert (exit_code, summary["completed"], summary["failed"]) == (code, 0, 0)
        row = ended(conn, task)
        assert row["status"] == status
        assert row["owner_id"] is None
        # What was given back may be tried once more than others.
        spare = conn.execute("SELECT max_attempts FROM tasks WHERE id = %s", [task]).fetchone()
        assert (spare == {"max_attempts": 4}) == (status == "retry")
        conn.execute("SELECT tasks_cancel(%s::uuid[], 'done')", [[task]])


def test_an_idle_worker_is_called_and_tells_how_it_is(
    conn: Conn, settings: Settings, people: dict[str, Any]
) -> None:
    from workers import address, probe

    slow = dataclasses.replace(settings, graph_task_poll_interval_s=60.0)
    ends: list[Any] = []

    def work_with_it() -> None:
        try:
            until(
                lambda: conn.execute(
                    "SELECT lane FROM queue_waiters WHERE lane = 'graph'"
                ).fetchone()
            )
            said = probe.statuses(address.run_folder(slow))[0]
            ends.append((said["name"].startswith("graph@"), said["status"], said["not_ready"]))
            task = submitted(conn, {"graph_op": "embed", "graph": {"inputs": {"start_ids": [1]}}})
            until(lambda: ended(conn, task)["status"] == "completed")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    helper = threading.Thread(target=work_with_it)
    helper.start()
    assert run(slow, GraphOptions()) == (None, 0)
    helper.join()
    assert ends == [(True, "healthy", None)]
    assert conn.execute("SELECT lane FROM queue_waiters").fetchone() is None


def test_texts_without_a_vector_are_found_and_embedded(
    conn: Conn, settings: Settings, people: dict[str, Any], ask: Callable[..., dict[str, Any]]
) -> None:
    few = dataclasses.replace(
        settings, task_embed_backfill_batch=2, task_embed_backfill_interval_s=0.01
    )
    for word in ("press", "ship"):
        submit(conn, NewTask(type="query", description=word, hold=True))

    def labels() -> list[tuple[str, int]]:
        rows = conn.execute(
            "SELECT label, count(*) AS n FROM graph_embeddings_1024 GROUP BY label ORDER BY label"
        ).fetchall()
        return [(row["label"], row["n"]) for row in rows]

    with psycopg.connect(conn.info.dsn, password=conn.info.password) as other:
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('seedcore.embed.backfill', 0))"
        )
        assert backfill(conn, few, "me") is None, "another worker is at it"
    first = backfill(conn, few, "me")
    assert first is not None
    assert (first["pending"], first["task_id"] is None) == (2, False)
    assert backfill(conn, few, "me") == {"pending": 1, "task_id": None}, "one task for all"
    assert backfill(conn, few, "me") == {"pending": 0, "task_id": None}
    run(settings, GraphOptions(once=True))
    assert labels() == [("task.primary", 3)]
    assert backfill(conn, few, "me") == {"pending": 0, "task_id": None}, "nothing for ever"

    # A worker does it by itself; another text, and what stays out of its way.
    conn.execute("UPDATE tasks SET description = 'yacht' WHERE description = 'ship'")
    conn.execute("UPDATE tasks SET priority = 3 WHERE description = 'press'")
    conn.execute(
        "INSERT INTO task_embedding_status (task_id, space, state, model, content_sha256)"
        " SELECT id, '1024', 'failed', 'hash-v1', task_content_sha256(description, type, params)"
        " FROM tasks WHERE description = 'press'"
        " ON CONFLICT (task_id, space, label) DO UPDATE SET state = 'failed'"
    )
    before = conn.execute("SELECT max(updated_at) AS at FROM graph_embeddings_1024").fetchone()

    def is_new() -> bool:
        now = conn.execute("SELECT max(updated_at) AS at FROM graph_embeddings_1024").fetchone()
        return now != before

    def wait() -> None:
        try:
            until(is_new)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    helper = threading.Thread(target=wait)
    helper.start()
    assert run(few, GraphOptions()) == (None, 0)
    helper.join()
    assert labels() == [("task.primary", 3)]
    states = conn.execute(
        "SELECT t.description, s.state FROM task_embedding_status AS s JOIN tasks AS t ON t.id = s.task_id"
    ).fetchall()
    assert {row["description"]: row["state"] for row in states} == {
        "how does ink dry": "done",
        "yacht": "done",
        "press": "failed",
    }

    # What workers died of has no model, and is not tried for ever either.
    conn.execute("UPDATE task_embedding_status SET model = NULL WHERE state = 'failed'")
    assert backfill(conn, few, "me") == {"pending": 0, "task_id": None}
    conn.execute("UPDATE task_embedding_status SET model = 'older' WHERE state = 'failed'")
    assert (backfill(conn, few, "me") or {})["pending"] == 1, "another encoder may read it"

    # Under a label of its own, and facts when asked.
    mine = dataclasses.replace(settings, task_embed_label="task.mine")
    assert (backfill(conn, mine, "me") or {})["pending"] == 3
    row = enqueue(conn, settings, FACTS)
    assert (row["pending"], row["task_id"] is None) == (2, False)
    some = enqueue(conn, settings, FACTS, [people["facts"][0]])
    run(mine, GraphOptions(once=True))
    assert labels() == [("fact.primary", 2), ("task.mine", 3), ("task.primary", 3)]
    assert ended(conn, some["task_id"])["value"]["embedded"] == 0
    assert enqueue(conn, settings, FACTS) == {"kind": "facts", "pending": 0, "task_id": None}
    assert ask("nim_embed", {"scope": "missing", "kind": "agents"})["error"].startswith(
        "bad_payload: kind is tasks or facts"
    )
