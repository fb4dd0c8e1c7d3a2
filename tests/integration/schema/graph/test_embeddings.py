"""Vectors: which are refused, who made them, and the seeds' names for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.integration.schema.graph.conftest import new_task, one, vector

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]
Blocked = Callable[[Conn], None]

DIMS = (128, 1024)


@pytest.fixture
def node(conn: Conn) -> int:
    return one(conn, "SELECT ensure_agent_node('a')")


def insert(conn: Conn, dim: int, node: int, **values: Any) -> None:
    row = {"node_id": node, "emb": vector(dim, 1.0), **values}
    names, places = ", ".join(row), ", ".join(["%s"] * len(row))
    conn.execute(
        f"INSERT INTO graph_embeddings_{dim} ({names}) VALUES ({places})".encode(),
        list(row.values()),
    )


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"emb": "zero"}, errors.CheckViolation),
        ({"emb": "narrow"}, errors.DataException),
        ({"emb": None}, errors.NotNullViolation),
        ({"label": ""}, errors.CheckViolation),
        ({"content_sha256": "abc"}, errors.CheckViolation),
        ({"encoder_id": 99}, errors.ForeignKeyViolation),
        ({"node_id": -1}, errors.ForeignKeyViolation),
    ],
)
def test_what_can_not_be_searched_is_refused(
    conn: Conn, node: int, dim: int, values: dict[str, Any], error: type[psycopg.Error]
) -> None:
    special = {"zero": vector(dim), "narrow": vector(dim - 1, 1.0)}
    if values.get("emb") in special:
        values = {"emb": special[values["emb"]]}
    with pytest.raises(error):
        insert(conn, dim, node, **values)


@pytest.mark.parametrize("dim", DIMS)
def test_a_node_has_one_vector_per_label_and_encoder(conn: Conn, node: int, dim: int) -> None:
    encoder = one(conn, "SELECT encoder_ensure('lsa', %s, 3)", dim)
    insert(conn, dim, node)
    insert(conn, dim, node, label="task.output")
    insert(conn, dim, node, encoder_id=encoder)
    with pytest.raises(errors.UniqueViolation):
        insert(conn, dim, node)
    assert one(conn, f"SELECT count(*) FROM graph_embeddings_{dim}") == 3
    with pytest.raises((errors.ForeignKeyViolation, errors.RestrictViolation)):
        conn.execute("DELETE FROM encoder WHERE encoder_id = %s", [encoder])


@pytest.mark.parametrize("dim", DIMS)
def test_a_changed_vector_is_stamped(conn: Conn, node: int, dim: int) -> None:
    insert(conn, dim, node, created_at="2020-01-01Z", updated_at="2020-01-01Z")
    conn.execute(f"UPDATE graph_embeddings_{dim} SET emb = %s".encode(), [vector(dim, 2.0)])
    assert one(conn, f"SELECT updated_at > created_at FROM graph_embeddings_{dim}")


def test_the_single_table_of_the_seeds_is_a_view_that_takes_rows(conn: Conn, node: int) -> None:
    upsert = (
        "INSERT INTO graph_embeddings (node_id, label, props, emb) VALUES (%s, 'x', '{}', %s)"
        " ON CONFLICT (node_id, label, encoder_id) DO UPDATE SET emb = excluded.emb"
    )
    conn.execute(upsert, [node, vector(128, 1.0)])
    conn.execute(upsert, [node, vector(128, 0.0, 1.0)])
    (row,) = conn.execute("SELECT * FROM graph_embeddings").fetchall()
    assert (row["node_id"], row["label"], row["model"]) == (node, "x", "unspecified")
    assert row["emb"] == vector(128, 0, 1).replace(".0", "")
    with pytest.raises(errors.CheckViolation):
        conn.execute(upsert, [node, vector(128)])


def test_an_encoder_is_stored_once_and_named_in_one_word(conn: Conn) -> None:
    first = one(conn, "SELECT encoder_ensure('lsa', 1024, 3, p_native_dim => 256)")
    assert one(conn, "SELECT encoder_ensure('lsa', 1024, 3)") == first
    assert one(conn, "SELECT encoder_ensure('lsa', 1024, 4)") != first
    (row,) = conn.execute("SELECT * FROM encoder WHERE encoder_id = %s", [first]).fetchall()
    assert (row["model"], row["kind"], row["native_dim"]) == ("lsa-v3", "text", 256)
    plain = one(conn, "SELECT encoder_ensure('nv/e5-v5', 1024)")
    assert one(conn, "SELECT model FROM encoder WHERE encoder_id = %s", plain) == "nv/e5-v5"
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT encoder_ensure('lsa', 1024, 3, p_native_dim => 512)")
    assert caught.value.sqlstate == "SC409"


def test_two_that_ensure_the_same_encoder_at_once_get_the_same(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    with conn.transaction():
        first = one(conn, "SELECT encoder_ensure('lsa', 1024, 3)")
        rival = aside(one, other, "SELECT encoder_ensure('lsa', 1024, 3)")
        blocked(other)
    assert rival.result(10) == first


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"version": -1},
        {"kind": "smell"},
        {"dim": 0, "native_dim": 0},
        {"native_dim": 129},
        {"state": "asleep"},
        {"digest": "abc"},
        {"weights": b"w"},
        {"weights": b"w", "digest": "0" * 64},
    ],
)
def test_an_encoder_that_contradicts_itself_is_refused(conn: Conn, values: dict[str, Any]) -> None:
    row = {"name": "e", "kind": "graph", "dim": 128, "native_dim": 128, **values}
    query = (
        f"INSERT INTO encoder ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})".encode()
    )
    with pytest.raises(errors.CheckViolation):
        conn.execute(query, list(row.values()))
    digest = hashlib.sha256(b"w").hexdigest()
    conn.execute(
        "INSERT INTO encoder (name, kind, dim, native_dim, weights, digest) VALUES ('e', 'graph', 128, 64, 'w', %s)",
        [digest],
    )


@pytest.mark.parametrize(
    ("view", "dim"),
    [("task_embeddings", 128), ("task_embeddings_128", 128), ("task_embeddings_1024", 1024)],
)
def test_tasks_are_shown_with_their_vectors(conn: Conn, view: str, dim: int) -> None:
    task, bare = new_task(conn), new_task(conn)
    new_task(conn)
    nodes = [one(conn, "SELECT ensure_task_node(%s)", t) for t in (task, bare)]
    insert(
        conn,
        dim,
        nodes[0],
        label="task.primary",
        encoder_id=one(conn, "SELECT encoder_ensure('m', %s)", dim),
    )
    insert(conn, dim, one(conn, "SELECT ensure_agent_node('a')"))
    rows = {r["task_id"]: r for r in conn.execute(f"SELECT * FROM {view}".encode())}
    assert rows.keys() == {task, bare}
    assert (rows[task]["node_id"], rows[task]["label"], rows[task]["model"]) == (
        nodes[0],
        "task.primary",
        "m",
    )
    assert (rows[bare]["node_id"], rows[bare]["emb"], rows[bare]["model"]) == (nodes[1], None, None)
