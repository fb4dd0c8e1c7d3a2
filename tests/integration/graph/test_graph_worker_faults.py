"""The graph worker at its limits: many candidates, slow encoders, large results, a lost database, kill -9."""

from __future__ import annotations

import dataclasses
import signal
import threading
from typing import Any

import psycopg
import pytest
from psycopg import sql

from seedcore.config.settings import Settings
from seedcore.embed.graph_encoder.encoders import GraphMean
from seedcore.graph.tasks import operations
from seedcore.task.model import NewTask
from seedcore.task.submission import submit
from tests.program import Program
from tests.workers.conftest import until
from workers.graph import GraphOptions, run

Conn = psycopg.Connection[dict[str, Any]]
AGENTS = [f"a{n}" for n in range(60)]


@pytest.fixture
def agents(conn: Conn) -> None:
    """Sixty agents in six organs."""
    conn.execute(
        "INSERT INTO agent_registry (agent_id, display_name)"
        " SELECT 'a' || n, 'does ' || n FROM generate_series(0, 59) AS n"
    )
    conn.execute(
        "INSERT INTO organ_registry (organ_id) SELECT 'o' || n FROM generate_series(0, 5) AS n"
    )
    conn.execute(
        "INSERT INTO agent_member_of_organ SELECT 'a' || n, 'o' || n % 6 FROM generate_series(0, 59) AS n"
    )


def asked(conn: Conn, op: str, config: dict[str, Any] | None = None, **inputs: Any) -> str:
    params = {"graph_op": op, "graph": {"op": op, "inputs": inputs, "config": config or {}}}
    return str(submit(conn, NewTask(type="graph", params=params)).id)


def ended(conn: Conn, task: str) -> dict[str, Any]:
    row = conn.execute(
        "SELECT status::text, error, attempts, result, result #> '{payload,tool_results,0,value}' AS value"
        " FROM tasks WHERE id = %s",
        [task],
    ).fetchone()
    assert row is not None
    return row


def once(conn: Conn, settings: Settings, task: str) -> dict[str, Any]:
    run(settings, GraphOptions(once=True))
    return ended(conn, task)


@pytest.mark.usefixtures("agents")
def test_of_many_candidates_the_index_brings_the_nearest(
    conn: Conn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        once(conn, settings, asked(conn, "embed", start_agent_ids=AGENTS))["value"]["embedded"]
        == 60
    )
    config = {"topk": 8, "node_types": ["agent"]}

    def nearest() -> list[tuple[int, float]]:
        row = once(conn, settings, asked(conn, "rag_query", config, start_agent_ids=["a7"]))
        return [(n["node_id"], round(n["distance"], 5)) for n in row["value"]["neighbors"]]

    exact = nearest()
    monkeypatch.setattr(operations, "_EXACT_UP_TO", 2)
    # So few rows would be read one by one.
    for switch in ("enable_seqscan", "enable_sort"):
        alter = sql.SQL("ALTER DATABASE {} SET {} = off")
        conn.execute(alter.format(sql.Identifier(conn.info.dbname), sql.Identifier(switch)))
    by_index = nearest()
    assert [distance for _, distance in by_index] == [distance for _, distance in exact]
    until(
        lambda: conn.execute(
            "SELECT idx_scan FROM pg_stat_user_indexes"
            " WHERE indexrelname = 'idx_graph_embeddings_128_emb' AND idx_scan > 0"
        ).fetchone()
    )


@pytest.mark.usefixtures("agents")
def test_slow_and_absent_encoders_are_tried_again_and_large_results_are_cut(
    conn: Conn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = dataclasses.replace(settings, result_max_bytes=600)
    row = once(conn, small, asked(conn, "embed", start_agent_ids=AGENTS))
    assert row["status"] == "completed"
    assert row["value"]["_truncated"]
    assert row["value"]["original_size"] > 600

    free = threading.Event()

    def slowly(*_: object) -> None:
        free.wait(20)

    with monkeypatch.context() as patch:
        patch.setattr(GraphMean, "encode", slowly)
        hasty = dataclasses.replace(settings, graph_embed_timeout_s=0.1)
        row = once(conn, hasty, asked(conn, "embed", {"k": 1}, start_agent_ids=AGENTS))
        free.set()
    assert (row["status"], row["error"]) == (
        "retry",
        "timeout: the encoder took longer than 0.1 s",
    )

    monkeypatch.setattr("seedcore.embed.endpoint._SHORTEST_PAUSE_S", 0.001)
    away = dataclasses.replace(
        settings,
        text_encoder="http",
        nim_retrieval_base_url="http://127.0.0.1:1",
        nim_retrieval_timeout_s=0.2,
    )
    row = once(conn, away, asked(conn, "nim_embed", start_agent_ids=["a1"]))
    assert (row["status"], row["error"].split(":")[0]) == ("retry", "encoder_unavailable")
    assert conn.execute("SELECT FROM graph_embeddings_1024").fetchone() is None


def test_a_lost_database_costs_neither_the_lease_nor_the_work(
    conn: Conn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = dataclasses.replace(settings, graph_heartbeat_ping_s=0.05)
    performed = operations.perform
    cuts: list[int] = []

    def cut_off(work: operations.Work, operation: str) -> dict[str, Any]:
        value = performed(work, operation)
        cuts.extend(
            row["pid"]
            for row in conn.execute(
                "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        cut_at = conn.execute("SELECT clock_timestamp() AS now").fetchone()
        assert cut_at is not None
        until(
            lambda: conn.execute(
                "SELECT attempts FROM tasks WHERE last_heartbeat > %s", [cut_at["now"]]
            ).fetchone()
        )
        work.checkpoint()
        return value

    monkeypatch.setattr(operations, "perform", cut_off)
    task = asked(conn, "sync_nodes")
    row = once(conn, quick, task)
    assert (row["status"], row["attempts"]) == ("completed", 1)
    assert cuts, "connections were cut"


@pytest.mark.usefixtures("agents")
def test_a_killed_worker_leaves_whole_vectors_and_its_task_to_the_next(
    conn: Conn, settings: Settings, seedcore: Program
) -> None:
    task = asked(conn, "embed", start_agent_ids=AGENTS)
    # A lock on the last node's vector holds it in the middle of the work.
    with psycopg.connect(conn.info.dsn, password=conn.info.password) as other:
        last = conn.execute(
            "SELECT max(node_id) AS id FROM graph_node_map WHERE node_type = 'agent'"
        )
        found = last.fetchone()
        assert found is not None
        other.execute("SELECT FROM graph_node_map WHERE node_id = %s FOR UPDATE", [found["id"]])
        worker = seedcore.start(
            "worker", "graph", "--once",
            env={"GRAPH_EMBED_BATCH_CHUNK": "10", "GRAPH_UPSERT_CHUNK_SIZE": "5"},
        )  # fmt: skip
        until(lambda: counted(conn) == 55, timeout=20)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert ended(conn, task)["status"] == "running"
    conn.execute(
        "UPDATE tasks SET lease_expires_at = now() - interval '1 hour',"
        " last_heartbeat = now() - interval '1 hour' WHERE id = %s",
        [task],
    )
    conn.execute("SELECT tasks_reap_expired(p_grace_s => 1)")
    assert ended(conn, task)["status"] == "retry"
    conn.execute("UPDATE tasks SET run_after = now() WHERE id = %s", [task])
    row = once(conn, settings, task)
    assert (row["status"], row["attempts"]) == ("completed", 2)
    assert row["value"]["embedded"] == 5, "what was written before is not written again"
    assert counted(conn) == 60


def counted(conn: Conn) -> int:
    row = conn.execute(
        "SELECT count(*) AS n FROM graph_embeddings_128 WHERE abs(vector_norm(emb) - 1) < 1e-3"
    ).fetchone()
    assert row is not None
    return row["n"]
