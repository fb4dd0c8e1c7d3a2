"""Edges: seventeen kinds, each pair once, shown in one view that only reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from tests.integration.schema.graph.conftest import new_task, one

Conn = psycopg.Connection[dict[str, Any]]
Add = Callable[..., Any]

# edge type, table, columns of both ends, what a deleted target does to the edge
EDGES = [
    ("task__depends_on__task", "task_depends_on_task", "src_task_id", "dst_task_id", "cascade"),
    ("task__produces__artifact", "task_produces_artifact", "task_id", "artifact_id", "cascade"),
    ("task__uses__capability", "task_uses_capability", "task_id", "capability_id", "restrict"),
    ("task__reads__memory_cell", "task_reads_memory", "task_id", "memory_cell_id", "restrict"),
    ("task__writes__memory_cell", "task_writes_memory", "task_id", "memory_cell_id", "restrict"),
    ("task__executed_by__organ", "task_executed_by_organ", "task_id", "organ_id", "cascade"),
    ("task__owned_by__agent", "task_owned_by_agent", "task_id", "agent_id", "cascade"),
    ("organ__provides__capability", "organ_provides_capability", "organ_id", "capability_id", "cascade"),
    ("agent__owns__memory_cell", "agent_owns_memory_cell", "agent_id", "memory_cell_id", "cascade"),
    ("agent__member_of__organ", "agent_member_of_organ", "agent_id", "organ_id", "cascade"),
    ("agent__collab__agent", "agent_collab_agent", "src_agent", "dst_agent", "cascade"),
    ("organ__provides__skill", "organ_provides_skill", "organ_id", "skill_name", "cascade"),
    ("organ__uses__service", "organ_uses_service", "organ_id", "service_name", "cascade"),
    ("organ__governed_by__policy", "organ_governed_by_policy", "organ_id", "policy_name", "cascade"),
    ("agent__uses__model", "agent_uses_model", "agent_id", "model_name", "cascade"),
    ("task__reads__fact", "task_reads_fact", "task_id", "fact_id", "cascade"),
    ("task__produces__fact", "task_produces_fact", "task_id", "fact_id", "cascade"),
]  # fmt: skip

each_edge = pytest.mark.parametrize(("kind", "table", "src", "dst", "rule"), EDGES)


def make(conn: Conn, add: Add, kind: str) -> Any:
    if kind == "task":
        return new_task(conn)
    if kind in ("agent", "organ"):
        return add(f"{kind}_registry", **{f"{kind}_id": uuid4().hex})
    if kind in ("skill", "service", "policy", "model"):
        return add(kind, **{f"{kind}_name": uuid4().hex})
    values = {
        "artifact": {"uri": "u"},
        "capability": {"name": uuid4().hex},
        "memory_cell": {"scope": "s", "mkey": uuid4().hex},
        "fact": {"text": "t"},
    }
    return add("facts" if kind == "fact" else kind, **values[kind])


@pytest.fixture
def edge(conn: Conn, add: Add) -> Callable[[str], tuple[Any, Any]]:
    """Make two entities and the edge of that type between them."""

    def insert(kind: str) -> tuple[Any, Any]:
        _, table, src, dst, _ = next(e for e in EDGES if e[0] == kind)
        ends = make(conn, add, kind.split("__")[0]), make(conn, add, kind.split("__")[2])
        conn.execute(f"INSERT INTO {table} ({src}, {dst}) VALUES (%s, %s)".encode(), ends)
        return ends

    return insert


@each_edge
def test_an_edge_is_seen_with_its_ends(
    conn: Conn, edge: Any, kind: str, table: str, src: str, dst: str, rule: str
) -> None:
    ends = edge(kind)
    (row,) = conn.execute(
        "SELECT e.edge_type, e.weight, coalesce(s.ext_uuid::text, s.ext_text_id) AS src, s.node_type AS src_type,"
        " coalesce(d.ext_uuid::text, d.ext_text_id) AS dst, d.node_type AS dst_type"
        " FROM hgnn_edges e JOIN graph_node_map s ON s.node_id = e.src_node_id"
        " JOIN graph_node_map d ON d.node_id = e.dst_node_id"
    ).fetchall()
    assert row == {
        "edge_type": kind,
        "weight": 0.5 if table == "agent_collab_agent" else 1.0,
        "src": str(ends[0]),
        "dst": str(ends[1]),
        "src_type": kind.split("__")[0],
        "dst_type": kind.split("__")[2],
    }
    assert conn.execute("SELECT * FROM hgnn_edges_unmapped").fetchall() == []


@each_edge
def test_a_pair_is_tied_once_and_to_what_exists(
    conn: Conn, edge: Any, kind: str, table: str, src: str, dst: str, rule: str
) -> None:
    a, b = edge(kind)
    insert = f"INSERT INTO {table} ({src}, {dst}) VALUES (%s, %s)".encode()
    with pytest.raises(errors.UniqueViolation):
        conn.execute(insert, (a, b))
    for ends in (
        (uuid4() if isinstance(a, UUID) else "x", b),
        (a, uuid4() if isinstance(b, UUID) else "x"),
    ):
        with pytest.raises(errors.ForeignKeyViolation):
            conn.execute(insert, ends)


@each_edge
def test_an_edge_goes_with_its_source_and_its_target_as_the_rule_says(
    conn: Conn, edge: Any, kind: str, table: str, src: str, dst: str, rule: str
) -> None:
    kinds = {
        r["node_type"]: (r["ext_table"], r["key_column"])
        for r in conn.execute("SELECT * FROM graph_node_kinds()")
    }

    def delete(end: str, key: Any) -> None:
        name, column = kinds[end]
        conn.execute(f"DELETE FROM {name} WHERE {column} = %s".encode(), [key])

    a, b = edge(kind)
    edge(kind)
    if rule == "restrict":
        with pytest.raises((errors.RestrictViolation, errors.ForeignKeyViolation)):
            delete(kind.split("__")[2], b)
        delete(kind.split("__")[0], a)
    else:
        delete(kind.split("__")[2], b)
    assert one(conn, f"SELECT count(*) FROM {table}") == 1
    a, b = edge(kind)
    delete(kind.split("__")[0], a)
    assert one(conn, f"SELECT count(*) FROM {table}") == 1


def test_nothing_is_tied_to_itself(conn: Conn, add: Add) -> None:
    task = new_task(conn)
    with pytest.raises(errors.CheckViolation, match="ck_task_depends_on_task_self"):
        conn.execute(
            "INSERT INTO task_depends_on_task (src_task_id, dst_task_id) VALUES (%s, %s)",
            [task, task],
        )
    add("agent_registry", agent_id="a")
    with pytest.raises(errors.CheckViolation, match="ck_agent_collab_agent_self"):
        conn.execute("INSERT INTO agent_collab_agent (src_agent, dst_agent) VALUES ('a', 'a')")


@pytest.mark.parametrize("weight", [-0.1, "NaN", "Infinity"])
def test_collaboration_has_a_weight_that_can_be_reckoned_with(
    conn: Conn, add: Add, weight: float | str
) -> None:
    add("agent_registry", agent_id="a")
    add("agent_registry", agent_id="b")
    insert = "INSERT INTO agent_collab_agent (src_agent, dst_agent, weight) VALUES ('a', 'b', %s)"
    with pytest.raises(errors.CheckViolation, match="ck_agent_collab_agent_weight"):
        conn.execute(insert, [weight])
    conn.execute(insert, [0.25])
    assert one(conn, "SELECT weight FROM hgnn_edges") == 0.25


def test_all_edges_can_be_read_in_a_read_only_transaction(conn: Conn, edge: Any) -> None:
    for kind, *_ in EDGES:
        edge(kind)
    conn.read_only = True
    rows = conn.execute("SELECT edge_type FROM hgnn_edges").fetchall()
    assert sorted(row["edge_type"] for row in rows) == sorted(kind for kind, *_ in EDGES)
    assert conn.execute("SELECT * FROM hgnn_edges_unmapped").fetchall() == []


def test_edges_without_nodes_are_listed_and_can_be_mapped(conn: Conn, edge: Any) -> None:
    with conn.transaction():
        conn.execute("SET LOCAL seedcore.skip_node_map = 'on'")
        ends = {kind: edge(kind) for kind, *_ in EDGES}
    assert one(conn, "SELECT count(*) FROM hgnn_edges") == 0
    rows = conn.execute("SELECT * FROM hgnn_edges_unmapped").fetchall()
    assert {(r["edge_type"], r["src_ext_id"], r["dst_ext_id"]) for r in rows} == {
        (kind, str(a), str(b)) for kind, (a, b) in ends.items()
    }
    assert {r["missing"] for r in rows} == {"both"}
    task = ends["task__owned_by__agent"][0]
    one(conn, "SELECT ensure_task_node(%s)", task)
    agent = ends["agent__uses__model"][1]
    one(conn, "SELECT ensure_model_node(%s)", agent)
    missing = {
        r["edge_type"]: r["missing"] for r in conn.execute("SELECT * FROM hgnn_edges_unmapped")
    }
    assert missing["task__owned_by__agent"] == "dst"
    assert missing["agent__uses__model"] == "src"
    assert one(conn, "SELECT graph_edges_map()") == 2 * len(EDGES) - 2
    assert one(conn, "SELECT graph_edges_map()") == 0
    assert one(conn, "SELECT count(*) FROM hgnn_edges") == len(EDGES)


def test_mapping_edges_keeps_to_its_limit(conn: Conn, edge: Any) -> None:
    with conn.transaction():
        conn.execute("SET LOCAL seedcore.skip_node_map = 'on'")
        for _ in range(3):
            edge("task__owned_by__agent")
    assert [one(conn, "SELECT graph_edges_map(2)") for _ in range(3)] == [4, 2, 0]


def test_the_queue_stores_dependencies_without_making_nodes(conn: Conn) -> None:
    first = new_task(conn)
    second = one(conn, "SELECT id FROM task_submit('echo', p_depends_on => ARRAY[%s])", first)
    (row,) = conn.execute("SELECT * FROM hgnn_edges_unmapped").fetchall()
    assert (row["src_ext_id"], row["dst_ext_id"], row["missing"]) == (
        str(second),
        str(first),
        "both",
    )
    assert one(conn, "SELECT graph_edges_map()") == 2


def test_entities_keep_their_rules(conn: Conn, add: Add) -> None:
    add("memory_cell", scope="s", mkey="k", version=1)
    with pytest.raises(errors.UniqueViolation):
        add("memory_cell", scope="s", mkey="k", version=1)
    with pytest.raises(errors.CheckViolation):
        add("memory_cell", scope="s", mkey="k", version=0)
    add("capability", name="c")
    with pytest.raises(errors.UniqueViolation):
        add("capability", name="c")
    with pytest.raises(errors.ForeignKeyViolation):
        add("organ_registry", organ_id="o", agent_id="nobody")
    add("agent_registry", agent_id="a")
    add("organ_registry", organ_id="o", agent_id="a")
    conn.execute("DELETE FROM agent_registry")
    assert one(conn, "SELECT agent_id FROM organ_registry") is None


@pytest.mark.parametrize(
    ("table", "values", "change"),
    [
        ("agent_registry", {"agent_id": "a"}, "display_name = 'A'"),
        ("organ_registry", {"organ_id": "a"}, "kind = 'A'"),
        ("artifact", {"uri": "a"}, "kind = 'A'"),
        ("capability", {"name": "a"}, "name = 'A'"),
        ("memory_cell", {"scope": "a", "mkey": "k"}, "scope = 'A'"),
        ("model", {"model_name": "a"}, "meta = '{\"a\": 1}'"),
        ("policy", {"policy_name": "a"}, "meta = '{\"a\": 1}'"),
        ("service", {"service_name": "a"}, "meta = '{\"a\": 1}'"),
        ("skill", {"skill_name": "a"}, "meta = '{\"a\": 1}'"),
    ],
)
def test_a_change_is_stamped(
    conn: Conn, add: Add, table: str, values: dict[str, str], change: str
) -> None:
    add(table, **values, created_at="2020-01-01Z", updated_at="2020-01-01Z")
    conn.execute(f"UPDATE {table} SET {change}".encode())
    assert one(conn, f"SELECT updated_at > created_at + interval '1 year' FROM {table}")
