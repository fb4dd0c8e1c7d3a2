"""Nodes of entities, function by function: asked for again, asked for wrongly, asked for by two at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.schema.database import code
from tests.integration.schema.graph.conftest import new_task, one
from tests.integration.schema.graph.test_node_map import BY_NAME, BY_UUID, entity, lookup, nodes

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]
Blocked = Callable[[Conn], None]
Add = Callable[..., Any]

ENSURE = "SELECT ensure_{}_node(%s)"
each_kind = pytest.mark.parametrize("kind", [*BY_UUID, *BY_NAME])


def bare(conn: Conn, add: Add, kind: str) -> UUID | str:
    """The key of an entity that has no node: one that exists, or a name that nothing has yet."""
    if kind in BY_NAME:
        return uuid4().hex
    with conn.transaction():
        conn.execute("SET LOCAL seedcore.skip_node_map = 'on'")
        return entity(conn, add, kind)


@each_kind
def test_a_node_that_is_there_is_found_without_writing(conn: Conn, add: Add, kind: str) -> None:
    key = bare(conn, add, kind)
    node = one(conn, ENSURE.format(kind), key)
    conn.read_only = True
    assert one(conn, ENSURE.format(kind), key) == node == lookup(conn, kind, key)
    assert one(conn, "SELECT ensure_entity_node(%s, %s)", kind, str(key)) == node


@each_kind
def test_two_that_ensure_one_node_at_once_get_one_row(
    conn: Conn, other: Conn, add: Add, aside: Aside, blocked: Blocked, kind: str
) -> None:
    key = bare(conn, add, kind)
    with conn.transaction():
        first = one(conn, ENSURE.format(kind), key)
        rival = aside(one, other, ENSURE.format(kind), key)
        blocked(other)
    assert rival.result(10) == first == lookup(conn, kind, key)
    assert nodes(conn, kind) == 1


@pytest.mark.parametrize("kind", BY_NAME)
def test_a_name_that_says_nothing_gets_no_node(conn: Conn, kind: str) -> None:
    for name in ("", None):
        with pytest.raises(psycopg.Error) as caught:
            conn.execute(ENSURE.format(kind).encode(), [name])
        assert code(caught.value) == ("SC422", "graph.bad_id")
    assert one(conn, f"SELECT count(*) FROM {BY_NAME[kind]}") == nodes(conn, kind) == 0


def test_an_entity_of_no_known_type_gets_no_node(conn: Conn) -> None:
    for call in ("ensure_entity_node('ghost', 'a')", "graph_nodes_add('ghost', '{a}')"):
        with pytest.raises(psycopg.Error, match='type of node "ghost"') as caught:
            conn.execute(f"SELECT {call}".encode())
        assert code(caught.value) == ("SC422", "graph.unknown_node_type")


def test_adding_nodes_counts_those_that_were_missing(conn: Conn) -> None:
    tasks = [str(new_task(conn)) for _ in range(3)]
    add_nodes = "SELECT graph_nodes_add('task', %s)"
    assert one(conn, add_nodes, [tasks[0], tasks[0], str(uuid4())]) == 1
    assert one(conn, add_nodes, tasks) == 2
    assert one(conn, add_nodes, []) == 0
    assert nodes(conn, "task") == 3


def test_two_that_add_nodes_at_once_add_each_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    tasks = sorted(str(new_task(conn)) for _ in range(3))
    add_nodes = "SELECT graph_nodes_add('task', %s)"
    with conn.transaction():
        assert one(conn, add_nodes, tasks[:2]) == 2
        rival = aside(one, other, add_nodes, tasks)
        blocked(other)
    assert rival.result(10) == 1
    assert nodes(conn, "task") == 3


@pytest.mark.parametrize(
    "call", ["backfill_task_nodes()", "sum(inserted) FROM backfill_nodes()", "graph_edges_map()"]
)
def test_two_that_map_all_at_once_map_each_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked, call: str
) -> None:
    src, dst = new_task(conn), new_task(conn)
    with conn.transaction():
        conn.execute("SET LOCAL seedcore.skip_node_map = 'on'")
        conn.execute(
            "INSERT INTO task_depends_on_task (src_task_id, dst_task_id) VALUES (%s, %s)",
            [src, dst],
        )
    with conn.transaction():
        assert one(conn, f"SELECT {call}") == 2
        rival = aside(one, other, f"SELECT {call}")
        blocked(other)
    assert rival.result(10) == 0
    assert nodes(conn, "task") == 2


def test_kinds_of_nodes_are_the_keys_of_their_tables(conn: Conn) -> None:
    found = conn.execute(
        "SELECT k.node_type, format_type(a.atttypid, NULL) = k.key_type AS typed,"
        " i.indkey::text = a.attnum::text AS is_key FROM graph_node_kinds() AS k"
        " LEFT JOIN pg_attribute AS a ON a.attrelid = to_regclass(k.ext_table) AND a.attname = k.key_column"
        " LEFT JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary"
    ).fetchall()
    assert {row["node_type"] for row in found} == {*BY_UUID, *BY_NAME}
    assert all(row["typed"] and row["is_key"] for row in found)


def test_an_entity_that_is_made_and_asked_for_at_once_has_one_node(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    with conn.transaction():
        conn.execute("INSERT INTO skill (skill_name) VALUES ('knots')")
        rival = aside(one, other, "SELECT ensure_skill_node('knots')")
        blocked(other)
    assert rival.result(10) == lookup(conn, "skill", "knots")
    assert nodes(conn, "skill") == 1


def test_edges_of_one_task_that_are_made_at_once_share_its_node(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    task = new_task(conn)
    for agent in ("ann", "bob"):
        one(conn, "SELECT ensure_agent_node(%s)", agent)
    insert = "INSERT INTO task_owned_by_agent (task_id, agent_id) VALUES (%s, %s)"
    with conn.transaction():
        conn.execute(insert, [task, "ann"])
        rival = aside(other.execute, insert, [task, "bob"])
        blocked(other)
    rival.result(10)
    assert nodes(conn, "task") == 1
    assert one(conn, "SELECT count(*) FROM hgnn_edges") == 2


def test_edges_of_a_bulk_load_make_no_nodes(conn: Conn) -> None:
    task = new_task(conn)
    one(conn, "SELECT ensure_agent_node('ann')")
    with conn.transaction():
        conn.execute("SET LOCAL seedcore.skip_node_map = 'on'")
        conn.execute(
            "INSERT INTO task_owned_by_agent (task_id, agent_id) VALUES (%s, 'ann')", [task]
        )
    assert nodes(conn, "task") == 0


def test_a_new_name_that_is_asked_for_at_once_is_the_renamed_node(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    node = one(conn, "SELECT ensure_agent_node('ann')")
    with conn.transaction():
        conn.execute("UPDATE agent_registry SET agent_id = 'anna'")
        rival = aside(one, other, "SELECT ensure_agent_node('anna')")
        blocked(other)
    assert rival.result(10) == node
    assert nodes(conn, "agent") == 1


def test_a_name_that_stays_and_a_name_that_is_taken_leave_the_node(conn: Conn) -> None:
    nodes_of = {name: one(conn, "SELECT ensure_agent_node(%s)", name) for name in ("ann", "bob")}
    conn.execute("UPDATE agent_registry SET agent_id = agent_id, display_name = 'x'")
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("UPDATE agent_registry SET agent_id = 'bob' WHERE agent_id = 'ann'")
    # Two names that change places with each other keep their nodes as well.
    with conn.transaction():
        for old, new in (("ann", "x"), ("bob", "ann"), ("x", "bob")):
            conn.execute("UPDATE agent_registry SET agent_id = %s WHERE agent_id = %s", [new, old])
    assert {name: lookup(conn, "agent", name) for name in nodes_of} == {
        "ann": nodes_of["bob"], "bob": nodes_of["ann"],
    }  # fmt: skip


def test_deleting_what_has_no_node_deletes_no_node(conn: Conn, add: Add) -> None:
    one(conn, "SELECT ensure_agent_node('ann')")
    key = bare(conn, add, "artifact")
    conn.execute("DELETE FROM artifact WHERE artifact_id = %s", [key])
    conn.execute("DELETE FROM agent_registry WHERE agent_id = 'nobody'")
    assert nodes(conn, "agent") == 1


GRAPH_TASKS = {
    "create_graph_embed_task": "ARRAY[1], {k}",
    "create_graph_embed_task_v2": "ARRAY[1], {k}",
    "create_graph_rag_task": "ARRAY[1], {k}, {top}",
    "create_graph_rag_task_v2": "ARRAY[1], {k}, {top}",
}


@pytest.mark.parametrize("name", GRAPH_TASKS)
def test_a_graph_task_goes_as_far_as_its_limits(conn: Conn, name: str) -> None:
    for k, top in ((0, 1), (4, 1000)):
        one(conn, f"SELECT {name}({GRAPH_TASKS[name].format(k=k, top=top)})")
    for k, top in ((-1, 1), (5, 1), (0, 0), (4, 1001)):
        if "embed" in name and k in (0, 4):
            continue
        with pytest.raises(psycopg.Error) as caught:
            conn.execute(f"SELECT {name}({GRAPH_TASKS[name].format(k=k, top=top)})".encode())
        assert caught.value.sqlstate == "SC422"
    assert one(conn, "SELECT count(*) FROM tasks") == 2


@pytest.mark.parametrize("name", GRAPH_TASKS)
def test_two_graph_tasks_for_a_new_agent_at_once_share_the_agent(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked, name: str
) -> None:
    call = f"SELECT {name}(ARRAY[1], p_agent_id => 'ada', p_organ_id => 'brain')"
    with conn.transaction():
        one(conn, call)
        rival = aside(one, other, call)
        blocked(other)
    assert rival.result(10)
    assert nodes(conn, "agent") == nodes(conn, "organ") == 1
    assert one(conn, "SELECT count(*) FROM hgnn_edges") == 4
