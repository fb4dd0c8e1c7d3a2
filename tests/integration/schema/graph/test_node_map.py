"""Every entity has one number, whoever asks for it first, and loses it when it goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from tests.integration.schema.graph.conftest import new_task, one, vector

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]
Blocked = Callable[[Conn], None]
Add = Callable[..., Any]

BY_UUID = ("task", "artifact", "capability", "memory_cell", "fact", "instance")
BY_NAME = {
    "agent": "agent_registry",
    "organ": "organ_registry",
    "model": "model",
    "policy": "policy",
    "service": "service",
    "skill": "skill",
}


def entity(conn: Conn, add: Add, kind: str) -> UUID:
    if kind == "task":
        return new_task(conn)
    if kind == "instance":
        return add("registry_instance", instance_id=uuid4(), logical_id="x", cluster_epoch=uuid4())
    values: dict[str, dict[str, Any]] = {
        "artifact": {"uri": "file:a"},
        "capability": {"name": "sum"},
        "memory_cell": {"scope": "s", "mkey": "k"},
        "fact": {"text": "a fact"},
    }
    return add("facts" if kind == "fact" else kind, **values[kind])


def nodes(conn: Conn, kind: str) -> int:
    return one(conn, "SELECT count(*) FROM graph_node_map WHERE node_type = %s", kind)


def lookup(conn: Conn, kind: str, ext: Any) -> int | None:
    rows = conn.execute(
        "SELECT node_id FROM graph_node_map WHERE node_type = %s"
        " AND coalesce(ext_uuid::text, ext_text_id) = %s",
        [kind, str(ext)],
    ).fetchall()
    return rows[0]["node_id"] if rows else None


@pytest.mark.parametrize("kind", BY_UUID)
def test_an_entity_has_one_node(conn: Conn, add: Add, kind: str) -> None:
    key = entity(conn, add, kind)
    node = one(conn, f"SELECT ensure_{kind}_node(%s)", key)
    assert node == one(conn, f"SELECT ensure_{kind}_node(%s)", key) == lookup(conn, kind, key)
    assert nodes(conn, kind) == 1


@pytest.mark.parametrize("kind", BY_UUID)
def test_what_does_not_exist_gets_no_node(conn: Conn, kind: str) -> None:
    with pytest.raises(errors.ForeignKeyViolation, match="there is no"):
        conn.execute(f"SELECT ensure_{kind}_node(%s)".encode(), [uuid4()])
    assert nodes(conn, kind) == 0


@pytest.mark.parametrize("kind", BY_NAME)
def test_what_has_a_name_is_made_with_its_node(conn: Conn, kind: str) -> None:
    node = one(conn, f"SELECT ensure_{kind}_node(%s)", "Ada")
    assert node == one(conn, f"SELECT ensure_{kind}_node(%s)", "Ada") == lookup(conn, kind, "Ada")
    assert one(conn, f"SELECT count(*) FROM {BY_NAME[kind]}") == 1


@pytest.mark.parametrize("name", ["", None])
def test_a_name_must_say_something(conn: Conn, name: str | None) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT ensure_agent_node(%s)", [name])
    assert caught.value.sqlstate == "SC422"


def test_ensure_node_needs_exactly_one_id(conn: Conn) -> None:
    for uuid, text in ((None, None), (uuid4(), "a")):
        with pytest.raises(errors.CheckViolation, match="ck_node_map_one_id"):
            conn.execute("SELECT ensure_node('x', 'y', %s, %s)", [uuid, text])


def test_the_same_entity_is_refused_a_second_node(conn: Conn) -> None:
    insert = "INSERT INTO graph_node_map (node_type, ext_table, ext_uuid, ext_text_id) VALUES ('x', 'y', %s, %s)"
    key = uuid4()
    for values in ((key, None), (None, "a")):
        conn.execute(insert, values)
        with pytest.raises(errors.UniqueViolation):
            conn.execute(insert, values)


def test_two_that_ensure_the_same_node_at_once_get_the_same(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    key = uuid4()
    query = "SELECT ensure_node('artifact', 'artifact', %s, NULL)"
    with conn.transaction():
        first = one(conn, query, key)
        rival = aside(one, other, query, key)
        blocked(other)
    assert rival.result(10) == first
    assert nodes(conn, "artifact") == 1


def test_one_that_waited_for_a_node_that_was_taken_back_makes_it(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    key = uuid4()
    query = "SELECT ensure_node('artifact', 'artifact', %s, NULL)"
    with conn.transaction(force_rollback=True):
        first = one(conn, query, key)
        rival = aside(one, other, query, key)
        blocked(other)
    assert rival.result(10) != first
    assert lookup(conn, "artifact", key) == rival.result()


def test_two_that_ensure_the_same_agent_at_once_get_the_same(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    with conn.transaction():
        first = one(conn, "SELECT ensure_agent_node('a')")
        rival = aside(one, other, "SELECT ensure_agent_node('a')")
        blocked(other)
    assert rival.result(10) == first


def test_a_task_that_is_being_mapped_can_not_be_deleted_under_its_node(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    task = new_task(conn)
    with conn.transaction():
        one(conn, "SELECT ensure_task_node(%s)", task)
        deleted = aside(other.execute, "DELETE FROM tasks WHERE id = %s", [task])
        blocked(other)
    deleted.result(10)
    assert nodes(conn, "task") == 0


def test_asking_for_a_node_that_is_there_writes_nothing(conn: Conn) -> None:
    task = new_task(conn)
    node = one(conn, "SELECT ensure_task_node(%s)", task)
    conn.read_only = True
    assert one(conn, "SELECT ensure_task_node(%s)", task) == node
    assert one(conn, "SELECT node_id FROM ensure_nodes('task', %s)", [str(task)]) == node
    assert one(conn, "SELECT ensure_node('task', 'tasks', %s, NULL)", task) == node


def test_many_nodes_come_in_the_order_of_their_ids(conn: Conn) -> None:
    tasks = [str(new_task(conn)) for _ in range(3)]
    unknown = str(uuid4())
    rows = conn.execute(
        "SELECT * FROM ensure_nodes('task', %s)", [[tasks[2], unknown, tasks[0], tasks[2]]]
    ).fetchall()
    assert [row["ext_id"] for row in rows] == [tasks[2], unknown, tasks[0]]
    assert [row["node_id"] for row in rows] == [
        lookup(conn, "task", tasks[2]), None, lookup(conn, "task", tasks[0])
    ]  # fmt: skip
    assert nodes(conn, "task") == 2
    named = conn.execute("SELECT * FROM ensure_nodes('skill', '{b,a}')").fetchall()
    assert [row["ext_id"] for row in named] == ["b", "a"]
    assert all(row["node_id"] for row in named)
    assert conn.execute("SELECT * FROM ensure_nodes('skill', '{}')").fetchall() == []


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("SELECT * FROM ensure_nodes('ghost', '{a}')", "SC422"),
        ("SELECT * FROM ensure_nodes('skill', ARRAY['a', NULL])", "SC422"),
        ("SELECT * FROM ensure_nodes('task', '{no-uuid}')", "22P02"),
        ("SELECT * FROM backfill_nodes('ghost')", "SC422"),
        ("SELECT * FROM backfill_nodes('task', 0)", "SC422"),
        ("SELECT graph_edges_map(0)", "SC422"),
    ],
)
def test_nonsense_is_refused(conn: Conn, query: str, state: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(query.encode())
    assert caught.value.sqlstate == state


def test_two_that_map_the_same_tasks_at_once_map_each_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    tasks = [str(new_task(conn)) for _ in range(4)]
    query = "SELECT count(node_id) FROM ensure_nodes('task', %s)"
    with conn.transaction():
        assert one(conn, query, tasks) == 4
        rival = aside(one, other, query, tasks[::-1])
        blocked(other)
    assert rival.result(10) == 4
    assert nodes(conn, "task") == 4


def test_tasks_get_no_node_when_they_are_stored(conn: Conn) -> None:
    new_task(conn)
    assert nodes(conn, "task") == 0


def test_backfill_maps_what_is_unmapped_and_says_how_much(conn: Conn, add: Add) -> None:
    tasks = [new_task(conn) for _ in range(5)]
    one(conn, "SELECT ensure_task_node(%s)", tasks[2])
    assert one(conn, "SELECT backfill_task_nodes()") == 4
    assert one(conn, "SELECT backfill_task_nodes()") == 0
    with conn.transaction():
        conn.execute("SET LOCAL seedcore.skip_node_map = 'on'")
        add("artifact", uri="file:a")
        add("agent_registry", agent_id="a")
    assert nodes(conn, "artifact") == nodes(conn, "agent") == 0
    found = {r["node_type"]: r["inserted"] for r in conn.execute("SELECT * FROM backfill_nodes()")}
    assert {k for k, n in found.items() if n} == {"artifact", "agent"}
    assert len(found) == 12


def test_backfill_stops_at_its_limit_and_goes_on(conn: Conn) -> None:
    # More than one page, with mapped rows in between.
    conn.execute(
        "INSERT INTO tasks (type, status, finished_at)"
        " SELECT 'echo', 'completed', now() FROM generate_series(1, 20500)"
    )
    conn.execute(
        "SELECT ensure_nodes('task', ARRAY(SELECT id::text FROM tasks ORDER BY id LIMIT 300))"
    )
    conn.execute("INSERT INTO artifact (uri) SELECT n::text FROM generate_series(1, 5) AS n")
    conn.execute("DELETE FROM graph_node_map WHERE node_type = 'artifact'")
    query = "SELECT sum(inserted) FROM backfill_nodes(NULL, %s)"
    started = time.monotonic()
    assert one(conn, query, 12000) == 12000
    assert one(conn, query, 12000) == 8205
    # Nothing is analysed yet. Each id compared with all nodes so far is 200 million comparisons.
    assert time.monotonic() - started < 15
    assert one(conn, query, 12000) == 0
    assert nodes(conn, "task") == 20500


@pytest.mark.parametrize("kind", [k for k in BY_UUID if k != "task"])
def test_a_new_entity_gets_its_node_and_a_deleted_one_loses_it(
    conn: Conn, add: Add, kind: str
) -> None:
    key = entity(conn, add, kind)
    node = lookup(conn, kind, key)
    assert node is not None
    conn.execute(
        "INSERT INTO graph_embeddings_128 (node_id, emb) VALUES (%s, %s)", [node, vector(128, 1)]
    )
    conn.execute(
        "INSERT INTO graph_embeddings_1024 (node_id, emb) VALUES (%s, %s)", [node, vector(1024, 1)]
    )
    table, column = next(
        (r["ext_table"], r["key_column"])
        for r in conn.execute("SELECT * FROM graph_node_kinds() WHERE node_type = %s", [kind])
    )
    conn.execute(f"DELETE FROM {table} WHERE {column} = %s".encode(), [key])
    assert nodes(conn, kind) == 0
    assert one(conn, "SELECT count(*) FROM graph_embeddings_128") == 0
    assert one(conn, "SELECT count(*) FROM graph_embeddings_1024") == 0


@pytest.mark.parametrize("kind", BY_NAME)
def test_a_named_entity_keeps_its_node_under_another_name_and_loses_it_when_deleted(
    conn: Conn, add: Add, kind: str
) -> None:
    table = BY_NAME[kind]
    column = f"{kind}_id" if kind in ("agent", "organ") else f"{kind}_name"
    add(table, **{column: "old"})
    add(table, **{column: "bystander"})
    node = lookup(conn, kind, "old")
    assert node is not None
    conn.execute(f"UPDATE {table} SET {column} = 'new' WHERE {column} = 'old'".encode())
    assert lookup(conn, kind, "new") == node
    assert lookup(conn, kind, "old") is None
    conn.execute(f"DELETE FROM {table} WHERE {column} = 'new'".encode())
    assert lookup(conn, kind, "new") is None
    assert lookup(conn, kind, "bystander") is not None


def test_deleted_tasks_take_their_nodes_and_vectors_along(conn: Conn) -> None:
    gone, kept = new_task(conn), new_task(conn)
    for task in (gone, kept):
        conn.execute(
            "INSERT INTO graph_embeddings_128 (node_id, emb) VALUES (ensure_task_node(%s), %s)",
            [task, vector(128, 1)],
        )
    conn.execute("DELETE FROM tasks WHERE id = %s", [gone])
    assert lookup(conn, "task", gone) is None
    assert one(conn, "SELECT node_id FROM graph_embeddings_128") == lookup(conn, "task", kept)
