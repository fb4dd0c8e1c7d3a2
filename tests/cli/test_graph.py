"""`seedcore graph`: every command, what it prints, how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from seedcore.graph.model import EDGE_TYPES, KINDS
from tests.cli.conftest import Invoke
from tests.integration.task.worker import new

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def press(cli: Invoke, conn: Conn) -> dict[str, str]:
    """An organ with two agents, a skill, and a task of one of them that waits for another."""
    for kind, name in (
        ("organ", "press"),
        ("agent", "writer"),
        ("agent", "editor"),
        ("skill", "prose"),
    ):
        assert cli("graph", "add", kind, name).code == 0
    first = new(conn, description='say "hello" [red] & go')
    waiting = new(conn, description="print it", depends_on=(str(first),))
    for src, verb, dst in (
        ("agent:writer", "member_of", "organ:press"),
        ("agent:editor", "agent__member_of__organ", "organ:press"),
        ("organ:press", "provides", "skill:prose"),
        (f"task:{first}", "owned_by", "agent:writer"),
    ):
        assert cli("graph", "link", src, verb, dst, "-o", "json").json["outcome"] == "linked"
    return {"first": str(first), "waiting": str(waiting)}


def test_the_words_are_those_of_the_database(conn: Conn) -> None:
    kinds = conn.execute("SELECT * FROM graph_node_kinds()").fetchall()
    assert [(k.name, k.table, k.key, "uuid" if k.is_uuid else "text") for k in KINDS.values()] == [
        tuple(row.values()) for row in kinds
    ]
    source = conn.execute("SELECT pg_get_viewdef('hgnn_edges') AS text").fetchone()
    assert source is not None
    assert source["text"].count("UNION ALL") == len(EDGE_TYPES) - 1
    for one in EDGE_TYPES.values():
        assert f"'{one.name}'::text" in source["text"]
        conn.execute(f"SELECT {one.src}, {one.dst} FROM {one.table}".encode())


def test_the_graph_is_walked(cli: Invoke, press: dict[str, str], tmp_path: Path) -> None:
    nodes = cli("graph", "nodes", "--kind", "agent,skill", "-o", "json").json
    assert [(row["kind"], row["ext_id"], row["embedded"]) for row in nodes] == [
        ("agent", "writer", False), ("agent", "editor", False), ("skill", "prose", False),
    ]  # fmt: skip
    assert (
        cli("graph", "nodes", "--id", "agent:editor", "-o", "name").out
        == f"{nodes[1]['node_id']}\n"
    )
    out = cli("graph", "edges", "--src", "agent:writer", "--hops", "2", "-o", "json").json
    assert [(e["src"], e["edge_type"], e["dst"]) for e in out] == [
        ("agent:writer", "agent__member_of__organ", "organ:press"),
        ("organ:press", "organ__provides__skill", "skill:prose"),
    ]
    into = cli("graph", "edges", "--dst", "organ:press", "--rel", "member_of", "-o", "json").json
    assert {e["src"] for e in into} == {"agent:writer", "agent:editor"}
    assert len(cli("graph", "edges", "--limit", "0", "-o", "jsonl").rows) == 4
    shown = cli("graph", "show", "skill:prose", "--hops", "3", "-o", "json").json
    assert (shown["title"], shown["cut"]) == ("prose", False)
    assert {(n["kind"], n["hops"]) for n in shown["nodes"]} == {
        ("skill", 0), ("organ", 1), ("agent", 2), ("task", 3),
    }  # fmt: skip
    cut = cli("graph", "show", "organ:press", "--limit", "1", "-o", "json").json
    assert (len(cut["edges"]), cut["cut"]) == (1, True)
    drawn = cli("graph", "show", "agent:writer", "--hops", "1", "-o", "dot").out
    assert 'label="task: say \\"hello\\" [red] & go"' in drawn
    flow = cli("graph", "show", "agent:writer", "-o", "mermaid", "--picture", "p.svg")
    assert "task: say #34;hello#34; #91;red#93; #38; go" in flow.out
    assert "</svg>" in (tmp_path / "p.svg").read_text()
    stats = {row["kind"]: row for row in cli("graph", "stats", "-o", "json").json}
    assert stats["agent"] == {
        "kind": "agent", "nodes": 2, "edges": 3, "avg_degree": 1.5, "isolated": 0, "embedded_ratio": 0.0,
    }  # fmt: skip
    assert stats["policy"]["nodes"] == 0


def test_edges_are_drawn_and_taken_away(cli: Invoke, press: dict[str, str]) -> None:
    pair = ("agent:writer", "collab", "agent:editor")
    assert (
        cli("graph", "link", *pair, "--weight", "0.8", "--dry-run", "-o", "json").json["outcome"]
        == "linked"
    )
    for weight, outcome, stored in (
        ("0.8", "linked", 0.8),
        ("0.5", "updated", 0.5),
        (None, "unchanged", 0.5),
    ):
        words = [] if weight is None else ["--weight", weight]
        row = cli("graph", "link", *pair, *words, "-o", "json").json
        assert (row["outcome"], row["weight"]) == (outcome, stored)
    assert cli("graph", "unlink", *pair, "--dry-run", "-o", "json").json["outcome"] == "unlinked"
    for outcome in ("unlinked", "unchanged"):
        assert cli("graph", "unlink", *pair, "-o", "json").json["outcome"] == outcome
    first, waiting = press["first"], press["waiting"]
    circle = cli("graph", "link", f"task:{first}", "depends_on", f"task:{waiting}", "-o", "json")
    assert (circle.code, circle.error["code"]) == (5, "task.not_waiting")
    freed = cli("graph", "unlink", f"task:{waiting}", "depends_on", f"task:{first}", "-o", "json")
    assert freed.json["outcome"] == "unlinked"
    assert cli("task", "inspect", waiting, "-o", "json").json["status"] == "queued"


def test_nodes_are_added_once(cli: Invoke) -> None:
    for kind, name, words in (
        ("artifact", "s3://a/b.pdf", ["--sort", "report"]),
        ("capability", "print", ["--props", '{"speed": 3}']),
        ("memory_cell", "press/style", ["--cell-version", "2"]),
        ("model", "m", []),
    ):
        add = ("graph", "add", kind, name, *words, "-o", "json")
        rehearsed = cli(*add, "--dry-run").json
        assert (rehearsed["outcome"], rehearsed["node_id"]) == ("added", None)
        added = cli(*add).json
        again = cli(*add).json
        assert (added["outcome"], again["outcome"]) == ("added", "unchanged")
        assert added["node_id"] == again["node_id"]


def test_what_does_not_hold_together_is_found_and_mended(
    cli: Invoke, conn: Conn, press: dict[str, str]
) -> None:
    found = cli("graph", "check", "-o", "json")
    assert found.code == 3  # the queue makes no nodes for dependencies
    assert {row["check"]: row["found"] for row in found.json} == {
        "entities_without_node": 0, "edges_without_node": 1, "nodes_without_entity": 0, "task_cycles": 0,
    }  # fmt: skip
    conn.execute("SELECT ensure_node('agent', 'agent_registry', NULL, 'ghost')")
    gone = cli("graph", "link", "agent:ghost", "member_of", "organ:press", "-o", "json")
    assert (gone.code, gone.error["code"]) == (4, "graph.agent_not_found")
    mended = cli("graph", "check", "--mend", "-o", "json")
    assert (mended.code, sum(row["mended"] for row in mended.json)) == (0, 2)
    first, waiting = press["first"], press["waiting"]
    conn.execute(
        "INSERT INTO task_depends_on_task (src_task_id, dst_task_id) VALUES (%s, %s)",
        [first, waiting],
    )
    circle = cli("graph", "check", "-o", "json")
    assert circle.code == 3
    assert first in circle.json[-1]["detail"]
    assert waiting in circle.json[-1]["detail"]


BAD: list[tuple[list[str], int, str]] = [
    (["show", "7"], 4, "graph.node_not_found"),
    (["show", "99999999999999999999"], 2, "graph.bad_id"),
    (["show", "-1"], 2, "usage.arguments"),
    (["show", "writer"], 2, "graph.bad_id"),
    (["show", "robot:x"], 2, "graph.unknown_node_type"),
    (["show", "task:writer"], 2, "graph.bad_id"),
    (["show", "task:abc"], 2, "graph.bad_id"),
    (["show", "task:abcdef12"], 4, "graph.task_not_found"),
    (["show", "agent:abcdef12"], 4, "graph.agent_not_found"),
    (["nodes", "--kind", "robot"], 2, "graph.unknown_node_type"),
    (["edges", "--rel", "likes"], 2, "graph.unknown_relation"),
    (["edges", "--hops", "2"], 2, "usage.invalid"),
    (["link", "organ:press", "member_of", "agent:writer"], 2, "graph.wrong_kind"),
    (["link", "agent:writer", "collab", "agent:writer"], 2, "graph.self_edge"),
    (["link", "agent:writer", "member_of", "organ:press", "--weight", "2"], 2, "graph.no_weight"),
    (["link", "agent:writer", "collab", "agent:editor", "--weight=-1"], 2, "graph.bad_weight"),
    (["link", "agent:nobody", "member_of", "organ:press"], 4, "graph.agent_not_found"),
    (["fit"], 2, "graph.too_small"),
    (["fit", "--hops", "9"], 2, "usage.arguments"),
    (["add", "task", "x"], 2, "graph.added_elsewhere"),
    (["add", "agent", " "], 2, "graph.bad_id"),
    (["add", "agent", "a\udcff"], 2, "usage.not_utf8"),
    (["add", "memory_cell", "noslash"], 2, "graph.bad_id"),
    (["add", "skill", "x", "--sort", "y"], 2, "graph.bad_value"),
    (["add", "skill", "x", "--props", "[1]"], 2, "graph.bad_value"),
    (["show", "organ:press", "--picture", "p.txt"], 2, "usage.invalid"),
]  # fmt: skip


def test_bad_input_is_one_clear_line(cli: Invoke, press: dict[str, str]) -> None:
    for words, code, error in BAD:
        said = cli("graph", *words, "-o", "json")
        assert (said.code, said.out, said.error["code"]) == (code, "", error), words
        assert "\n" not in said.error["message"]


def test_a_hint_can_be_pasted_into_a_shell(cli: Invoke) -> None:
    said = cli("graph", "show", "agent:x; rm -r $(pwd)", "-o", "json")
    assert said.error["hint"] == "seedcore graph add agent 'x; rm -r $(pwd)'"


def test_the_graph_is_written_into_a_folder_from_one_snapshot(
    cli: Invoke, conn: Conn, press: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import parquet

    from seedcore.graph.exchange import export

    none = cli("graph", "export", "-f", "x", "--features", "-o", "json")
    assert (none.code, none.error["code"]) == (4, "graph.no_vectors")
    assert cli("embed", "graph").code == 0
    counted = export.fetch

    def later(*given: Any, **more: Any) -> Any:
        # Somebody adds nodes and edges all the time.
        conn.execute("INSERT INTO skill VALUES (gen_random_uuid()::text)")
        conn.execute(
            "INSERT INTO organ_provides_skill SELECT 'press', skill_name FROM skill ON CONFLICT DO NOTHING"
        )
        return counted(*given, **more)

    monkeypatch.setattr(export, "fetch", later)
    done = cli("graph", "export", "-f", "out", "--features", "-o", "json")
    assert (done.code, [row["file"] for row in done.json]) == (
        0,
        ["nodes.parquet", "edges.parquet", "manifest.json"],
    )
    nodes = parquet.read_table(tmp_path / "out" / "nodes.parquet").to_pylist()
    edges = parquet.read_table(tmp_path / "out" / "edges.parquet").to_pylist()
    assert (len(nodes), len(edges)) == (done.json[0]["rows"], done.json[1]["rows"])
    numbers = {row["node_id"] for row in nodes}
    assert all({row["src"], row["dst"]} <= numbers for row in edges)
    assert [len(row["features"]) for row in nodes if row["kind"] == "agent"] == [128, 128]
    assert cli("graph", "verify", "out").code == 0
    again = cli("graph", "export", "-f", "out", "-o", "json")
    assert (again.code, again.error["code"]) == (5, "graph.folder_not_empty")
    monkeypatch.setattr(export, "fetch", counted)
    conn.execute("DELETE FROM agent_registry WHERE agent_id = 'editor'")
    rehearsed = cli("graph", "import", "-f", "out", "--dry-run", "-o", "json").json
    assert {row["what"]: row["added"] for row in rehearsed if row["added"]} == {
        "agent": 1, "agent__member_of__organ": 1,
    }  # fmt: skip
    assert cli("graph", "import", "-f", "out", "-o", "json").json == [
        r | {"dry_run": False} for r in rehearsed
    ]
    assert cli("graph", "show", "agent:editor").code == 0
    conn.execute("DELETE FROM tasks WHERE id = %s", [press["first"]])
    partly = cli("graph", "import", "-f", "out", "-o", "json")
    assert (partly.code, sum(row["failed"] for row in partly.json)) == (7, 2)
    with (tmp_path / "out" / "edges.parquet").open("ab") as stream:
        stream.write(b"x")
    assert cli("graph", "verify", "out").code == 3
    assert cli("graph", "import", "-f", "out").code == 3
    dgl = cli("graph", "export", "-f", "dgl", "--format", "dgl", "--rel", "member_of", "-o", "json")
    assert {"nodes_agent.csv": 2, "edges_agent__member_of__organ.csv": 2}.items() <= {
        row["file"]: row["rows"] for row in dgl.json
    }.items()
    assert (
        (tmp_path / "dgl" / "edges_agent__member_of__organ.csv")
        .read_text()
        .startswith("src_id,dst_id,weight,")
    )
    assert cli("graph", "verify", "nowhere").code == 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
