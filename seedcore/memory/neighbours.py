"""What lies a few edges away from the best hits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from seedcore.memory.model import HOP_DECAY, Hit, Scope
from seedcore.memory.store import Row, fetch, queries, scoped

PER_NODE: Final = 20
"""Edges that are followed from a node in a direction: a hub would bring in everything."""

PER_HOP: Final = 200
"""Nodes that are followed further."""


def find_nodes(conn: psycopg.Connection[Any], hits: Sequence[Hit]) -> None:
    """Fill in the nodes of hits; a task that nothing is linked to has none."""
    wanted = [hit for hit in hits if hit.node_id is None]
    parameters = {"kinds": [hit.kind for hit in wanted], "ids": [hit.id for hit in wanted]}
    for row in fetch(conn, queries.nodes_of, parameters) if wanted else []:
        wanted[row["ord"] - 1].node_id = row["node_id"]


def expand(
    conn: psycopg.Connection[Any], seeds: Sequence[Hit], hops: int, scope: Scope
) -> list[Hit]:
    """Return what can be reached from hits, each by its best way.

    A neighbour scores half of what it was reached from. Breadth first, so the first way to a node is a
    shortest one; the seeds come best first, so of several shortest ones it starts at the best. Filters
    hold for what is returned, but not for what lies between: two tasks are neighbours through their agent.

    Args:
        conn: A connection.
        seeds: The best hits, best first.
        hops: How many edges at most.
        scope: What may be returned.
    """
    find_nodes(conn, seeds)
    reached: dict[int, Hit] = {}
    starts = {hit.node_id: hit for hit in seeds if hit.node_id is not None}
    root = {node: node for node in starts}
    edge = dict(starts)
    for hop in range(1, hops + 1):
        rows = fetch(conn, queries.one_hop, {"nodes": list(edge)[:PER_HOP], "most": PER_NODE})
        found: dict[int, Hit] = {}
        for row in rows:
            node, origin = row["node_id"], root[row["start"]]
            if node in reached or node in found or node == origin:
                continue
            found[node] = _neighbour(edge[row["start"]], row, hop)
            root.setdefault(node, origin)
        reached |= found
        # From the other hits the search has begun already.
        edge = {node: hit for node, hit in found.items() if node not in starts}
        if not edge:
            break
    return _known(conn, reached, scope)


def _neighbour(origin: Hit, row: Row, hop: int) -> Hit:
    arrow = f"-{row['edge_type']}->" if row["forwards"] else f"<-{row['edge_type']}-"
    way = origin.why[-1] if hop > 1 else f"graph: {origin.kind} {origin.id[:8]}"
    return Hit(
        kind="",
        id="",
        score=origin.score * HOP_DECAY,
        why=[f"{way} {arrow}"],
        node_id=row["node_id"],
        hops=hop,
    )


def _known(conn: psycopg.Connection[Any], reached: dict[int, Hit], scope: Scope) -> list[Hit]:
    """Say what the nodes are, and leave out what is not in scope.

    Entities belong to no namespace; the edge to something that does brings them in.
    """
    rows = fetch(conn, queries.of_nodes, scoped(scope, nodes=list(reached)))
    if scope.namespace is not None and not scope.filter:
        anywhere = Scope(snapshot_id=scope.snapshot_id, at=scope.at)
        entities = fetch(conn, queries.of_nodes, scoped(anywhere, nodes=list(reached)))
        rows += [row for row in entities if row["kind"] not in ("task", "fact")]
    for row in rows:
        hit = reached[row["node_id"]]
        hit.kind, hit.id = row["kind"], row["id"]
    return [hit for hit in reached.values() if hit.kind]
