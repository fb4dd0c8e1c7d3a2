"""Tasks and facts are embedded once, again when their text changes, and by one encoder at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pytest

from seedcore.config.settings import Settings
from seedcore.embed import encoders, fitting
from seedcore.embed.model import Purpose, SomeRefused
from seedcore.embed.run import (
    FACTS,
    MULTIMODAL,
    TASKS,
    Wanted,
    embed_due,
    resolve_ids,
    run,
)
from seedcore.embed.search import Scope, described, search
from seedcore.embed.selection import Choice, choose, for_questions
from seedcore.errors import ConfigError, Conflict, LockBusy, NotFound

OFFLINE = Settings()

SUBJECTS = ("pump", "invoice", "camera", "valve", "contract", "router", "battery", "sensor")
STATES = (
    "leaks oil",
    "is overdue",
    "went dark",
    "was replaced",
    "needs approval",
    "restarts often",
)


def fill(conn: psycopg.Connection[Any], tasks: int = 0, facts: int = 0) -> None:
    words = [
        f"{SUBJECTS[i % 8]} {i % 7} {STATES[i % 6]} in hall {i % 5}" for i in range(tasks + facts)
    ]
    conn.execute(
        "INSERT INTO tasks (type, description) SELECT 'report', w FROM unnest(%s::text[]) AS w",
        (words[:tasks],),
    )
    conn.execute("INSERT INTO facts (text) SELECT w FROM unnest(%s::text[]) AS w", (words[tasks:],))


def snapshot(conn: psycopg.Connection[Any]) -> list[Any]:
    return conn.execute(
        "SELECT 'v' AS what, node_id::text AS id, label, xmin::text, xmax::text FROM graph_embeddings_1024"
        " UNION ALL SELECT 'm', task_id::text, source_modality, xmin::text, xmax::text"
        " FROM task_multimodal_embeddings"
        " UNION ALL SELECT 's', task_id::text, state, xmin::text, xmax::text FROM task_embedding_status"
        " UNION ALL SELECT 'n', node_id::text, node_type, xmin::text, '' FROM graph_node_map"
        " UNION ALL SELECT 'e', model, state, xmin::text, xmax::text FROM encoder ORDER BY 1, 2, 3"
    ).fetchall()


def test_what_is_up_to_date_is_not_touched(conn: psycopg.Connection[Any]) -> None:
    fill(conn, tasks=20, facts=5)
    conn.execute("INSERT INTO tasks (type, description, params) VALUES ('', '', '{}')")
    conn.execute(
        "INSERT INTO tasks (type, params) VALUES ('see', %s)",
        ('{"multimodal": {"source": "vision", "scene_description": "a fox in the yard"}}',),
    )
    choice = choose(conn, OFFLINE)
    assert choice.stored.identity.model == "hash-v1"
    assert "nothing is fitted yet" in choice.why
    dry = run(conn, choice, TASKS, Wanted(dry_run=True))
    first = run(conn, choice, TASKS, Wanted(batch=7))
    assert (first.embedded, first.skipped, first.failed) == (21, 1, 0)
    assert (dry.embedded, dry.skipped) == (21, 1)
    assert run(conn, choice, FACTS, Wanted()).embedded == 5
    assert run(conn, choice, MULTIMODAL, Wanted()).embedded == 1
    before = snapshot(conn)
    for source in (TASKS, FACTS, MULTIMODAL):
        for wanted in (Wanted(), Wanted(again=True)):
            assert run(conn, choice, source, wanted).embedded == 0
    assert snapshot(conn) == before, "not a row was written, nor locked"

    conn.execute("UPDATE tasks SET description = 'the fox left' WHERE type = 'see'")
    conn.execute("UPDATE facts SET text = 'foxes are shy' WHERE text LIKE 'battery%'")
    assert run(conn, choice, TASKS, Wanted(stale=False)).embedded == 0
    assert run(conn, choice, TASKS, Wanted(missing=False)).embedded == 1
    changed = run(conn, choice, FACTS, Wanted())
    assert changed.embedded == 1
    question = choice.encoder.encode(["shy foxes"], Purpose.QUERY)[0]
    hits = described(conn, search(conn, choice.stored, question, Scope(kinds=["fact"]), k=1).hits)
    assert hits[0]["text"] == "foxes are shy"
    memory = conn.execute(
        "SELECT memory_tier, content FROM unified_cortex_semantic_search("
        "(SELECT emb FROM graph_embeddings_1024 WHERE label = 'fact.primary' ORDER BY emb <=> %s LIMIT 1),"
        " NULL, 0.99, 1)",
        (str(question.tolist()),),
    ).fetchone()
    assert memory == {"memory_tier": "world_memory", "content": "foxes are shy"}


def test_ids_choose_and_unknown_ones_are_named(conn: psycopg.Connection[Any]) -> None:
    fill(conn, tasks=3)
    choice = choose(conn, OFFLINE)
    one = str(conn.execute("SELECT id FROM tasks LIMIT 1").fetchall()[0]["id"])
    ids = resolve_ids(conn, TASKS, [one, one])
    assert run(conn, choice, TASKS, Wanted(ids=ids)).embedded == 1
    with pytest.raises(NotFound):
        resolve_ids(conn, TASKS, ["00000000-0000-0000-0000-000000000001"])
    assert run(conn, choice, TASKS, Wanted(limit=1)).embedded == 1


def test_a_refused_text_fails_alone_and_is_noted(conn: psycopg.Connection[Any]) -> None:
    fill(conn, tasks=4)
    plain = choose(conn, OFFLINE)

    class Picky:
        identity = plain.stored.identity
        is_lexical = True

        def encode(self, texts: Any, purpose: Any) -> Any:
            vectors = plain.encoder.encode(texts, purpose)
            refused = {i: "too rude" for i, text in enumerate(texts) if text.startswith("pump")}
            vectors[list(refused)] = 0
            raise SomeRefused(vectors, refused)

    outcome = run(conn, Choice(Picky(), plain.stored, ""), TASKS, Wanted())
    assert (outcome.embedded, outcome.failed) == (3, 1)
    assert outcome.failures[0]["error"] == "too rude"
    states = conn.execute("SELECT state, last_error FROM task_embedding_status").fetchall()
    assert states == [{"state": "failed", "last_error": "too rude"}]


def test_two_runs_do_not_do_the_same_work(conn: psycopg.Connection[Any], database_url: str) -> None:
    choice = choose(conn, OFFLINE)
    with psycopg.connect(database_url, autocommit=True) as other:
        name = "seedcore.embed:tasks:hash-v1"
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
        with pytest.raises(LockBusy):
            run(conn, choice, TASKS, Wanted())
    assert run(conn, choice, FACTS, Wanted()).embedded == 0


def test_a_worker_embeds_what_is_pending(conn: psycopg.Connection[Any]) -> None:
    fill(conn, tasks=3)
    conn.execute("INSERT INTO tasks (type, description) VALUES ('', '')")
    assert conn.execute("SELECT embedding_enqueue_missing('1024') AS n").fetchone() == {"n": 4}
    choice = choose(conn, OFFLINE)
    outcome = embed_due(conn, choice, "worker-1")
    assert (outcome.embedded, outcome.skipped) == (3, 1)
    assert embed_due(conn, choice, "worker-1").embedded == 0
    rows = conn.execute(
        "SELECT state, model, count(*) AS n FROM task_embedding_status GROUP BY 1, 2 ORDER BY 1"
    ).fetchall()
    assert [(row["state"], row["model"], row["n"]) for row in rows] == [
        ("done", "hash-v1", 3),
        ("skipped", "hash-v1", 1),
    ]
    assert run(conn, choice, TASKS, Wanted()).embedded == 0


def test_a_fitted_encoder_takes_over_when_it_has_embedded_everything(
    conn: psycopg.Connection[Any],
) -> None:
    fill(conn, tasks=100)
    assert fitting.is_due(conn, OFFLINE) is None
    with pytest.raises(Conflict, match="at least 300"):
        fitting.fit(conn)
    old = choose(conn, OFFLINE)
    run(conn, old, TASKS, Wanted())
    fill(conn, tasks=150, facts=60)
    assert "nothing is fitted" in (fitting.is_due(conn, OFFLINE) or "")
    fitted = fitting.fit(conn)
    assert (fitted["model"], fitted["state"], fitted["new"]) == ("lsa-v1", "preparing", True)
    assert fitting.is_due(conn, OFFLINE) is None
    again = fitting.fit(conn)
    assert (again["model"], again["new"]) == ("lsa-v1", False)

    assert choose(conn, OFFLINE).stored.identity.model == "hash-v1", "for single texts of a worker"
    new = choose(conn, OFFLINE, prepare=True)
    assert new.stored.identity.model == "lsa-v1"
    assert for_questions(conn, OFFLINE).stored.identity.model == "hash-v1"
    assert not run(conn, new, TASKS, Wanted(limit=10)).serves
    assert for_questions(conn, OFFLINE).stored.identity.model == "hash-v1"
    assert run(conn, new, TASKS, Wanted()).serves
    asked = for_questions(conn, OFFLINE)
    assert asked.stored.identity.model == "lsa-v1"
    assert encoders.get(conn, "hash-v1", 1024).state == "retired"
    # The same weights, loaded again, give the same vectors.
    assert np.array_equal(
        asked.encoder.encode(["pump"], Purpose.QUERY), new.encoder.encode(["pump"], Purpose.QUERY)
    )
    with pytest.raises(NotFound, match="known: hash-v1, lsa-v1"):
        choose(conn, OFFLINE, "word2vec")


def test_an_endpoint_that_went_away_is_named(conn: psycopg.Connection[Any]) -> None:
    with_endpoint = Settings(nim_retrieval_base_url="http://127.0.0.1:1")
    assert choose(conn, with_endpoint).stored.identity.model == "nvidia/nv-embedqa-e5-v5"
    with pytest.raises(ConfigError, match="nvidia/nv-embedqa-e5-v5") as caught:
        for_questions(conn, OFFLINE)
    assert caught.value.code == "embed.endpoint_missing"
    with pytest.raises(ConfigError):
        choose(conn, Settings(text_encoder="http"))
