"""Does the graph hold together: nodes without entities, edges without nodes, tasks that wait in circles."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch
from seedcore.graph import store
from seedcore.graph.model import KINDS
from seedcore.graph.store import Conn, queries

_PART = 10_000


def check(conn: Conn, *, mend: bool = False) -> list[Row]:
    """Run every check.

    Args:
        conn: A connection in autocommit.
        mend: Make nodes that are missing and take away those whose entity is gone, first.

    Returns:
        check, ok, found (how many offend), mended, and detail.
    """
    mended = _mend(conn) if mend else {}
    entities = {
        kind.name: store.unmapped_entities(conn, kind)
        for kind in KINDS.values()
        # A task has a node only when something needs it.
        if kind.name != "task"
    }
    unmapped = {row["edge_type"]: row["edges"] for row in fetch(conn, queries.unmapped)}
    dangling = {
        kind.name: store.dangling_nodes(conn, kind, remove=False) for kind in KINDS.values()
    }
    circles = dependency_cycles(conn)
    return [
        _row("entities_without_node", entities, mended),
        _row("edges_without_node", unmapped, mended),
        _row("nodes_without_entity", dangling, mended),
        {
            "check": "task_cycles",
            "ok": not circles,
            "found": len(circles),
            "mended": 0,
            "detail": "; ".join(_circle(one) for one in circles[:5]) or None,
        },
    ]


def _row(name: str, counts: dict[str, int], mended: dict[str, int]) -> Row:
    offending = {kind: n for kind, n in counts.items() if n}
    return {
        "check": name,
        "ok": not offending,
        "found": sum(offending.values()),
        "mended": mended.get(name, 0),
        "detail": ", ".join(f"{kind} {n}" for kind, n in offending.items()) or None,
    }


def _circle(tasks: list[str]) -> str:
    shown = ", ".join(tasks[:3])
    return f"{len(tasks)} tasks ({shown}{', …' if len(tasks) > 3 else ''})"


def _mend(conn: Conn) -> dict[str, int]:
    gone = entities = edges = 0
    with translated():
        for kind in KINDS.values():
            gone += store.dangling_nodes(conn, kind, remove=True)
            if kind.name != "task":
                added = fetch(conn, queries.map_entities, {"kind": kind.name})
                entities += sum(row["inserted"] for row in added)
        while part := fetch(conn, queries.map_edges, {"limit": _PART})[0]["added"]:
            edges += part
    return {
        "nodes_without_entity": gone,
        "entities_without_node": entities,
        "edges_without_node": edges,
    }


def dependency_cycles(conn: Conn) -> list[list[str]]:
    """Return the groups of tasks that wait for each other in circles, largest first.

    These are the strongly connected components of more than one task (Pearce's algorithm, as scipy has
    it): linear in the edges, where following every path would not end.
    """
    import numpy as np
    from scipy.sparse import coo_array, csgraph

    ends: list[bytes] = []
    for row in store.stream(conn, queries.dependencies, None, name="graph_dependencies"):
        ends += (row["src_task_id"].bytes, row["dst_task_id"].bytes)
    if not ends:
        return []
    # Not dtype S16, which drops zero bytes at the end of an id.
    raw: Any = np.frombuffer(b"".join(ends), dtype=np.dtype((np.void, 16)))
    ids, numbers = np.unique(raw, return_inverse=True)
    pairs = numbers.reshape(-1, 2)
    graph = coo_array(
        (np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])),
        shape=(len(ids), len(ids)),
    )
    grouped: Any = csgraph
    component = grouped.connected_components(graph, directed=True, connection="strong")[1]
    sizes = np.bincount(component)
    circles: list[list[str]] = []
    for number in sorted(np.flatnonzero(sizes > 1), key=lambda n: (-int(sizes[n]), int(n))):
        members = ids[component == number]
        circles.append([str(UUID(bytes=bytes(one))) for one in members])
    return circles
