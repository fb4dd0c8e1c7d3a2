"""`seedcore embed`: from texts to vectors to answers, and what it refuses."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from seedcore.embed.index import advises_rebuilding
from seedcore.testing.embed_server import Behaviour, serving
from tests.cli.conftest import Invoke


@pytest.fixture
def texts(conn: psycopg.Connection[Any]) -> None:
    conn.execute(
        "INSERT INTO tasks (type, description) VALUES ('report', 'the pump in hall 3 leaks oil'),"
        " ('report', 'invoice 17 is overdue'), ('report', 'the camera of gate 2 went dark')"
    )
    conn.execute(
        "INSERT INTO facts (text, namespace) VALUES ('pumps are serviced every May', 'plant'),"
        " ('invoices are approved by Ada', 'office')"
    )


@pytest.mark.usefixtures("texts")
def test_texts_become_vectors_and_answers(cli: Invoke) -> None:
    dry = cli("embed", "tasks", "--dry-run", "-o", "json").json
    assert (dry["embedded"], dry["dry_run"]) == (3, True)
    assert {row["state"] for row in cli("embed", "status", "-o", "json").json} == {"none"}
    first = cli("embed", "tasks", "-o", "json").json
    assert (first["encoder"], first["embedded"], first["failed"]) == ("hash-v1", 3, 0)
    assert cli("embed", "status", "--fail-over", "missing>0").code == 3
    assert cli("embed", "facts").code == 0
    assert cli("embed", "status", "--fail-over", "missing>0").code == 0
    again = cli("embed", "tasks", "--all", "-o", "json").json
    assert (again["embedded"], again["unchanged"]) == (0, 3)
    rows = cli("embed", "status", "-o", "json").json
    assert [(r["kind"], r["total"], r["missing"], r["stale"]) for r in rows[:2]] == [
        ("tasks", 3, 0, 0),
        ("facts", 2, 0, 0),
    ]

    hits = cli("embed", "search", "leaking pumps", "-o", "json").json
    assert [hit["kind"] for hit in hits[:2]] == ["task", "fact"]
    assert hits[0]["text"] == "the pump in hall 3 leaks oil"
    assert hits[0]["similarity"] > hits[1]["similarity"] > hits[-1]["similarity"]
    only = cli("embed", "search", "pumps", "--namespace", "office", "-o", "json").json
    assert [hit["text"] for hit in only] == ["invoices are approved by Ada"]
    near = cli("embed", "search", "--like", hits[0]["id"], "--kind", "fact", "-o", "json").json
    assert near[0]["text"] == "pumps are serviced every May"
    plan = cli("embed", "search", "pump", "--explain", "-o", "json").json
    assert (plan["method"], plan["mode"], plan["candidates"]) == ("exact", "lexical", 5)
    assert len(plan["hits"]) == 5
    listed = cli("embed", "encoders", "-o", "json").json
    assert [(row["model"], row["vectors"]) for row in listed if row["vectors"]] == [("hash-v1", 5)]
    check = cli("embed", "index", "check", "--fail-under", "0.97", "-o", "json").json
    assert (check[0]["sample"], check[0]["recall"]) == (5, 1.0)


@pytest.mark.usefixtures("texts")
def test_a_retired_encoder_can_be_removed(cli: Invoke, conn: psycopg.Connection[Any]) -> None:
    cli("embed", "tasks")
    assert cli("embed", "encoders", "--remove", "hash-v1", "--yes", "-o", "json").error["code"] == (
        "embed.encoder_serves"
    )
    conn.execute("UPDATE encoder SET state = 'retired' WHERE name = 'hash'")
    dry = cli("embed", "encoders", "--remove", "hash-v1", "--dry-run", "-o", "json").json
    assert dry == {"model": "hash-v1", "vectors": 3, "dry_run": True}
    assert cli("embed", "encoders", "--remove", "hash-v1").code == 10
    done = cli("embed", "encoders", "--remove", "hash-v1", "--yes", "-o", "json").json
    assert done == {"model": "hash-v1", "vectors": 3}
    assert conn.execute("SELECT FROM graph_embeddings_1024").fetchall() == []
    assert cli("embed", "encoders", "--remove", "hash-v1", "--yes").code == 4


@pytest.mark.usefixtures("texts")
def test_what_is_due_can_be_left_to_a_worker(cli: Invoke, conn: psycopg.Connection[Any]) -> None:
    dry = cli("embed", "tasks", "--enqueue", "--dry-run", "-o", "json").json
    assert (dry["pending"], dry["task_id"]) == (3, None)
    done = cli("embed", "tasks", "--enqueue", "-o", "json").json
    assert done["pending"] == 3
    task = conn.execute(
        "SELECT type, params FROM tasks WHERE id = %s", (done["task_id"],)
    ).fetchone()
    assert task is not None
    assert task["type"] == "graph"
    assert task["params"]["graph"]["config"] == {"scope": "pending", "space": "1024"}
    # The task that embeds is none that is embedded, or each run would bring about the next.
    assert cli("embed", "tasks", "-o", "json").json["embedded"] == 3
    again = cli("embed", "tasks", "--enqueue", "-o", "json").json
    assert (again["pending"], again["task_id"]) == (0, None)


@pytest.mark.usefixtures("texts")
def test_an_endpoint_is_used_and_its_refusals_are_told(
    cli: Invoke, conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(_: int, body: Any) -> Any:
        bad = any("overdue" in text for text in body["input"])
        return (400, {}, b'{"detail": "no invoices"}') if bad else None

    monkeypatch.setenv("NIM_RETRIEVAL_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("NIM_RETRIEVAL_TIMEOUT_S", "5")
    monkeypatch.setattr("seedcore.embed.endpoint._SHORTEST_PAUSE_S", 0.001)
    down = cli("embed", "tasks", "-o", "json")
    assert (down.code, down.error["code"]) == (69, "embed.endpoint_unavailable")
    left = conn.execute("SELECT count(*) AS n FROM encoder WHERE name <> 'unspecified'").fetchone()
    assert left == {"n": 0}, "nothing is left of it"
    with serving(Behaviour(fault=fault)) as url:
        monkeypatch.setenv("NIM_RETRIEVAL_BASE_URL", url)
        some = cli("embed", "tasks", "-o", "json")
        assert (some.code, some.error["code"]) == (7, "embed.text_refused")
        assert "400: no invoices" in some.error["message"]
        assert (some.json["embedded"], some.json["failed"]) == (2, 1)
        hits = cli("embed", "search", "pump", "-k", "1", "-o", "json").json
        assert hits[0]["text"] == "the pump in hall 3 leaks oil"
        probe = cli("embed", "encoders", "--probe", "-o", "json").json
        assert probe["models"] == ["nvidia/nv-embedqa-e5-v5"]


BAD = [
    (["text", "  "], 2, "embed.empty_text"),
    (["text", "caf\udce9"], 2, "embed.binary_text"),
    (["search", "x" * 100_000], 2, "embed.text_too_long"),
    (["search", "pump", "--encoder", "word2vec"], 4, "embed.unknown_encoder"),
    (["search", "pump", "--encoder", "lsa"], 4, "embed.not_fitted"),
    (["search", "pump", "--dim", "384"], 2, "embed.bad_dimension"),
    (["search", "--like", "task:1234567"], 4, "embed.node_not_found"),
    (["search"], 2, "usage.invalid"),
    (["search", "pump", "--kind", "tsak"], 2, "graph.unknown_node_type"),
    (["index", "build", "--memory", "2097152"], 2, "usage.arguments"),
    (["tasks", "--dim", "128"], 2, "embed.bad_dimension"),
    (["tasks", "--encoder", "http"], 78, "embed.endpoint_missing"),
    (["tasks", "--id", "0197f3a2"], 4, "task.not_found"),
    (["facts", "--id", "zebra"], 2, "fact.bad_id"),
    (["fit"], 5, "embed.too_few_texts"),
    (["status", "--fail-over", "lost>0"], 2, "embed.bad_rule"),
    (["index", "drop", "idx_zebra"], 4, "embed.unknown_index"),
    (["index", "drop"], 10, "cli.confirmation_required"),
    (["index", "build", "--m", "1"], 2, "embed.bad_index"),
]


def test_bad_input_is_one_line_and_changes_nothing(
    cli: Invoke, conn: psycopg.Connection[Any]
) -> None:
    statement = (
        "SELECT (SELECT count(*) FROM encoder) AS e, (SELECT count(*) FROM graph_node_map) AS n,"
        " (SELECT count(*) FROM pg_class WHERE relname LIKE 'idx%emb%') AS i"
    )
    before = conn.execute(statement).fetchone()
    for words, code, error in BAD:
        result = cli("embed", *words, "-o", "json")
        assert (result.code, result.error["code"]) == (code, error), words
        assert "\n" not in result.error["message"]
        assert len(result.error["message"]) < 250
        assert result.out == ""
    assert conn.execute(statement).fetchone() == before


def test_nodes_are_embedded_from_their_surroundings(
    cli: Invoke, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("SELECT * FROM ensure_nodes('agent', ARRAY['ada', 'bob', 'cem'])")
    conn.execute("INSERT INTO agent_collab_agent (src_agent, dst_agent) VALUES ('ada', 'bob')")
    assert cli("embed", "graph", "--dry-run", "-o", "json").json["embedded"] == 3
    done = cli("embed", "graph", "-o", "json").json
    assert (done["encoder"], done["embedded"]) == ("graph-mean-v1", 3)
    again = cli("embed", "graph", "-o", "json").json
    assert (again["embedded"], again["unchanged"]) == (0, 3)
    near = cli("embed", "search", "--like", "agent:ada", "--dim", "128", "-o", "json").json
    assert [hit["id"] for hit in near] == ["bob", "cem"]
    left = cli("embed", "graph", "--id", "agent:cem", "--enqueue", "-o", "json").json
    assert (left["pending"], len(left["task_ids"])) == (1, 1)
    assert cli("embed", "graph", "--id", "agent:zoe").code == 4
    assert cli("embed", "graph", "--dim", "64").code == 2


def test_indexes_are_dropped_and_built_again(cli: Invoke, conn: psycopg.Connection[Any]) -> None:
    name = "idx_graph_embeddings_128_emb"
    definition = "SELECT pg_get_indexdef(%s::regclass) AS d, obj_description(%s::regclass) AS c"
    before = conn.execute(definition, (name, name)).fetchone()
    assert cli("embed", "index", "drop", name, "--yes", "-o", "json").json[0]["action"] == "dropped"
    states = {row["name"]: row["state"] for row in cli("embed", "index", "list", "-o", "json").json}
    assert states[name] == "missing"
    assert (
        cli("embed", "index", "drop", name, "--yes", "-o", "json").json[0]["action"] == "unchanged"
    )
    built = cli("embed", "index", "build", "-o", "json").json
    assert {row["name"]: row["action"] for row in built}[name] == "built"
    assert sorted(row["action"] for row in built) == ["built", *["unchanged"] * 3]
    assert conn.execute(definition, (name, name)).fetchone() == before
    wider = cli("embed", "index", "build", name, "--ef-construction", "128", "-o", "json").json
    assert wider[0]["action"] == "rebuilt"
    conn.execute("SELECT pg_advisory_lock(hashtextextended('seedcore.embed.index', 0))")
    assert cli("embed", "index", "build").code == 9


def test_a_large_load_may_leave_the_index_for_later(
    cli: Invoke, conn: psycopg.Connection[Any]
) -> None:
    name = "idx_graph_embeddings_128_emb"
    definition = "SELECT pg_get_indexdef(to_regclass(%s)) AS d"
    cli("embed", "index", "build", name, "--m", "8", "--ef-construction", "40")
    before = conn.execute(definition, (name,)).fetchone()
    conn.execute("SELECT * FROM ensure_nodes('agent', ARRAY['ada', 'bob', 'cem'])")
    assert cli("embed", "graph", "--rebuild-index", "-o", "json").json["embedded"] == 3
    assert conn.execute(definition, (name,)).fetchone() == before
    assert cli("embed", "graph", "--rebuild-index", "--enqueue").code == 2

    # Whatever stops it, a lock here, leaves the index away, which is told by whoever is asked.
    conn.execute("SELECT pg_advisory_lock(hashtextextended('seedcore.embed.index', 0))")
    stopped = cli("embed", "graph", "--rebuild-index")
    assert stopped.code == 9
    assert f"build them: seedcore embed index build {name}" in stopped.err
    states = {row["name"]: row["state"] for row in cli("embed", "index", "list", "-o", "json").json}
    assert states[name] == "missing"
    found = cli("doctor", "--only", "indexes", "-o", "json").out
    assert f"vector index {name} of graph_embeddings_128 is missing" in found
    conn.execute("SELECT pg_advisory_unlock(hashtextextended('seedcore.embed.index', 0))")
    assert cli("embed", "index", "build", name).code == 0
    assert "is missing" not in cli("doctor", "--only", "indexes", "-o", "json").out

    assert advises_rebuilding(conn, "graph_embeddings_1024", 60_000)
    assert not advises_rebuilding(conn, "graph_embeddings_1024", 50_000)
