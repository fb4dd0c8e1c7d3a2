"""The text of a task and its hash, and which vectors are due, under way, done or given up."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.integration.schema.cortex.test_search import QUERY, event, known
from tests.integration.schema.database import code, row, value

Conn = psycopg.Connection[dict[str, Any]]


def task(conn: Conn, description: str | None = "a text", params: Any = None) -> UUID:
    return value(
        conn,
        "INSERT INTO tasks (type, description, params) VALUES ('echo', %s, %s) RETURNING id",
        [description, Jsonb(params or {})],
    )


def claim(conn: Conn, owner: str = "a", limit: int = 10, space: str = "1024") -> list[Any]:
    return conn.execute(
        "SELECT * FROM embedding_claim(%s, %s, %s)", [space, owner, limit]
    ).fetchall()


def finish(conn: Conn, id_: UUID, owner: str = "a", state: str = "done", **more: Any) -> bool:
    return value(
        conn,
        "SELECT embedding_finish(%s, '1024', 'task.primary', %s, %s, p_error => %s)",
        [id_, owner, state, more.get("error")],
    )


def state(conn: Conn, id_: UUID) -> str | None:
    found = row(conn, "SELECT state FROM task_embedding_status WHERE task_id = %s", [id_])
    return None if found is None else found["state"]


def make_due(conn: Conn) -> None:
    conn.execute("UPDATE task_embedding_status SET next_try_at = now() - interval '1 s'")


def enqueue(conn: Conn, id_: UUID, space: str = "1024") -> bool:
    return value(conn, "SELECT embedding_enqueue(%s, %s)", [id_, space])


def missing(conn: Conn, space: str = "1024", limit: int = 250) -> int:
    return value(conn, "SELECT embedding_enqueue_missing(%s, %s)", [space, limit])


@pytest.mark.parametrize(
    ("description", "type_", "params", "text"),
    [
        (" hi \n", "echo", {"b": 1, "a": [2]}, 'hi\necho\n{"a": [2], "b": 1}'),
        (None, "echo", {}, "echo"),
        ("", "echo", {"_router": {"x": 1}}, "echo"),
        ("\t ", " e ", None, "e"),
        ("x" * 20_000, "echo", {}, "x" * 16_000),
        ("ü", "e", [1], "ü\ne\n[1]"),
    ],
)
def test_the_text_of_a_task(
    conn: Conn, description: str | None, type_: str, params: Any, text: str
) -> None:
    arguments = [description, type_, None if params is None else Jsonb(params)]
    assert value(conn, "SELECT task_content_text(%s, %s, %s)", arguments) == text
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert value(conn, "SELECT task_content_sha256(%s, %s, %s)", arguments) == expected


@pytest.mark.parametrize("dim", [128, 1024])
def test_a_vector_is_stale_when_the_text_changed_and_only_then(conn: Conn, dim: int) -> None:
    id_ = task(conn, "first", {"z": 1.50, "a": "ü"})
    conn.execute(
        f"INSERT INTO graph_embeddings_{dim} (node_id, label, emb, content_sha256)"
        f" SELECT ensure_task_node(id), 'task.primary', (SELECT array_agg(1.0)::vector({dim})"
        f" FROM generate_series(1, {dim})), task_content_sha256(description, type, params)"
        " FROM tasks".encode()
    )
    stale = f"SELECT * FROM task_embeddings_stale_{dim}".encode()
    # A round trip through a client, and what the system writes, change nothing.
    stored = value(conn, "SELECT params FROM tasks")
    conn.execute("UPDATE tasks SET params = %s", [Jsonb(stored | {"_router": {"route": "fast"}})])
    assert conn.execute(stale).fetchall() == []
    conn.execute("UPDATE tasks SET description = 'second'")
    (found,) = conn.execute(stale).fetchall()
    assert (found["task_id"], found["label"]) == (id_, "task.primary")
    assert found["stored_sha256"] != found["current_sha256"]
    assert missing(conn, str(dim)) == 1
    shown = row(conn, f"SELECT * FROM task_embeddings_primary_{dim}".encode())
    assert shown is not None
    assert (shown["task_id"], shown["model"]) == (id_, "unspecified")


def test_what_is_missing_names_each_task(conn: Conn) -> None:
    plain, seen, both = task(conn), task(conn, None, {"multimodal": {}}), task(conn)
    conn.execute("UPDATE tasks SET params = '{\"multimodal\": {}}' WHERE id = %s", [both])
    known(conn, seen)
    found = {
        r["task_id"]: r["missing_type"]
        for r in conn.execute("SELECT * FROM tasks_missing_any_embedding_1024")
    }
    assert found == {plain: "graph", seen: "multimodal", both: "both"}
    event(conn, seen)
    known(conn, plain)
    found = [r["task_id"] for r in conn.execute("SELECT * FROM tasks_missing_any_embedding_1024")]
    assert found == [both]
    assert value(conn, "SELECT task_id FROM tasks_missing_embeddings_1024") == both


def test_what_has_nothing_to_embed_is_not_missing(conn: Conn) -> None:
    id_ = task(conn)
    assert missing(conn) == 1
    claim(conn)
    assert finish(conn, id_, state="skipped")
    assert value(conn, "SELECT count(*) FROM tasks_missing_embeddings_1024") == 0
    assert missing(conn) == 0
    conn.execute("UPDATE tasks SET description = 'now there is'")
    assert missing(conn) == 1


def test_enqueuing_is_idempotent_until_the_text_changes(conn: Conn) -> None:
    id_ = task(conn)
    assert enqueue(conn, id_)
    assert enqueue(conn, id_)
    (got,) = claim(conn)
    assert (got["task_id"], got["label"], got["content"]) == (id_, "task.primary", "a text\necho")
    assert enqueue(conn, id_)
    assert state(conn, id_) == "running"
    assert finish(conn, id_)
    assert not enqueue(conn, id_)
    assert state(conn, id_) == "done"
    conn.execute("UPDATE tasks SET description = 'another'")
    assert enqueue(conn, id_)
    assert state(conn, id_) == "pending"


def test_missing_rows_are_enqueued_up_to_the_limit(conn: Conn) -> None:
    for _ in range(5):
        task(conn)
    assert [missing(conn, limit=3), missing(conn, limit=3), missing(conn, limit=3)] == [3, 2, 0]


def test_multimodal_text_is_what_was_seen_or_said(conn: Conn) -> None:
    seen = task(conn, None, {"multimodal": {"scene_description": " a door ", "transcription": "x"}})
    said = task(conn, None, {"multimodal": {"transcription": "open it"}})
    task(conn, None, {"multimodal": {"source": "sensor"}})
    assert missing(conn, "multimodal") == 2
    got = {r["task_id"]: r["content"] for r in claim(conn, space="multimodal")}
    assert got == {seen: "a door", said: "open it"}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT embedding_enqueue(%s)", ("SC404", "task.not_found")),
        ("SELECT embedding_enqueue(%s, '64')", ("SC422", "embed.bad_space")),
        ("SELECT embedding_enqueue_missing(left(%s::text, 2))", ("SC422", "embed.bad_space")),
        ("SELECT embedding_claim('1024', left(%s::text, 0), 1)", ("SC422", "embed.owner_required")),
        (
            "SELECT embedding_finish(%s, '1024', 'task.primary', 'a', 'pending')",
            ("SC422", "embed.bad_state"),
        ),
    ],
)
def test_what_makes_no_sense_is_refused(conn: Conn, statement: str, said: tuple[str, str]) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(statement.encode(), [uuid4()])
    assert code(caught.value) == said


def test_two_owners_never_get_the_same_vector_and_none_waits(conn: Conn, other: Conn) -> None:
    for _ in range(6):
        enqueue(conn, task(conn))
    with conn.transaction():
        first = {r["task_id"] for r in claim(conn, "a", 4)}
        second = {r["task_id"] for r in claim(other, "b", 4)}
    assert (len(first), len(second)) == (4, 2)
    assert not first & second
    assert claim(other, "b") == []


def test_only_the_owner_finishes_and_only_once(conn: Conn) -> None:
    id_ = task(conn)
    enqueue(conn, id_)
    claim(conn)
    assert not finish(conn, id_, "b")
    assert finish(conn, id_)
    assert not finish(conn, id_)


def test_a_lapsed_lease_goes_to_the_next_owner(conn: Conn) -> None:
    id_ = task(conn)
    enqueue(conn, id_)
    claim(conn)
    make_due(conn)
    assert [r["task_id"] for r in claim(conn, "b")] == [id_]
    assert not finish(conn, id_)
    assert finish(conn, id_, "b")


@pytest.mark.parametrize("dies", [True, False])
def test_a_vector_that_fails_five_times_is_given_up(conn: Conn, *, dies: bool) -> None:
    id_ = task(conn)
    enqueue(conn, id_)
    for attempt in range(1, 6):
        assert len(claim(conn)) == 1
        if not dies:
            assert finish(conn, id_, state="failed", error="boom")
            due = "SELECT next_try_at > now() + interval '20 s' FROM task_embedding_status"
            assert attempt == 5 or value(conn, due)
        make_due(conn)
    assert claim(conn) == []
    assert state(conn, id_) == "failed"
    error = value(conn, "SELECT last_error FROM task_embedding_status")
    assert error == ("lease_expired" if dies else "boom")
    # Not again by itself, before its text changes or someone asks.
    assert missing(conn) == 0
    assert enqueue(conn, id_)
    assert len(claim(conn)) == 1


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("space", "64"),
        ("label", ""),
        ("state", "lost"),
        ("state", "running"),
        ("content_sha256", "abc"),
        ("attempts", -1),
    ],
)
def test_a_status_that_means_nothing_is_refused(conn: Conn, column: str, bad: Any) -> None:
    enqueue(conn, task(conn))
    with pytest.raises(psycopg.errors.CheckViolation):
        conn.execute(f"UPDATE task_embedding_status SET {column} = %s".encode(), [bad])


def test_a_new_vector_is_missing_again_when_it_is_deleted(conn: Conn) -> None:
    id_ = task(conn)
    enqueue(conn, id_)
    claim(conn)
    known(conn, id_, QUERY)
    finish(conn, id_)
    assert missing(conn, limit=0) == 0
    conn.execute("DELETE FROM graph_embeddings_1024")
    assert missing(conn) == 1
