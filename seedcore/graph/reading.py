"""Look at the graph: nodes, edges, the neighbourhood of a node, its numbers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from seedcore.db import id_prefix
from seedcore.db.rows import Row, Statement, fetch, fetch_one
from seedcore.errors import NotFound, UsageError
from seedcore.graph import store
from seedcore.graph.model import EdgeType, Kind, NodeRef, kind_of, parse_ref
from seedcore.graph.store import Conn, queries

_PAGE = 1000
MOST_HOPS = 3
Direction = Literal["out", "in", "both"]

LOOK = "seedcore graph nodes"


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity that exists, and its node if it has one."""

    kind: Kind
    ext_id: str
    node_id: int | None

    @property
    def ref(self) -> str:
        """How commands name it: kind:id."""
        return f"{self.kind.name}:{self.ext_id}"


@dataclass(slots=True)
class Neighbourhood:
    """Nodes and edges around some nodes.

    Attributes:
        nodes: As `nodes` returns them, with `hops` from where it began.
        edges: Each edge once.
        is_cut: Whether there was more than the limit allowed.
    """

    nodes: list[Row] = field(default_factory=list[Row])
    edges: list[Row] = field(default_factory=list[Row])
    is_cut: bool = False


def resolve(conn: Conn, ref: str | NodeRef) -> Entity:
    """Return the entity that a person means.

    Args:
        conn: A connection.
        ref: A node's number, `kind:id`, or the first digits of an id that is a UUID.

    Raises:
        NotFound: There is no such node or entity.
        UsageError: It names no node, or several entities begin with it.
    """
    named = parse_ref(ref) if isinstance(ref, str) else ref
    if named.kind is None or named.ext_id is None:
        row = fetch_one(conn, queries.node_exists, {"node_id": named.node_id})
        if row is None:
            raise NotFound(
                f"there is no node {named.node_id}", code="graph.node_not_found", hint=LOOK
            )
        return Entity(kind_of(row["kind"]), row["ext_id"], row["node_id"])
    kind = named.kind
    if kind.is_uuid:
        ext_id = str(
            id_prefix.resolve(
                named.ext_id,
                lambda low, high: [UUID(one) for one in store.entities(conn, kind, low, high)],
                noun=kind.name,
                code="graph",
                bad_id_hint=f"give its id: {LOOK} --kind {kind.name}",
                look=f"{LOOK} --kind {kind.name}",
            )
        )
    else:
        ext_id = named.ext_id
        if not store.entities(conn, kind, ext_id, ext_id):
            raise NotFound(
                f"there is no {kind.name} {ext_id}",
                code=f"graph.{kind.name}_not_found",
                hint=f"seedcore graph add {kind.name} {shlex.quote(ext_id)}",
            )
    return Entity(kind, ext_id, store.node_of(conn, kind, ext_id))


def resolve_node(conn: Conn, ref: str) -> int:
    """Return the number of the node that a person means.

    Raises:
        NotFound: There is none, or the entity has no node yet.
        UsageError: As `resolve`.
    """
    found = resolve(conn, ref)
    if found.node_id is None:
        raise NotFound(
            f"{found.kind.name} {found.ext_id} has no node yet",
            code="graph.not_mapped",
            hint="seedcore graph check --mend",
        )
    return found.node_id


def nodes(
    conn: Conn,
    *,
    ids: Sequence[int] | None = None,
    kinds: Sequence[Kind] | None = None,
    is_missing_vector: bool = False,
    limit: int = 0,
) -> Iterator[Row]:
    """Yield nodes by number, page by page.

    Args:
        conn: A connection.
        ids: Only these.
        kinds: Only of these kinds.
        is_missing_vector: Only those without any 128-dimensional vector.
        limit: At most so many; 0 = all.

    Yields:
        node_id, kind, ext_id, snapshot_id, title, embedded, created_at.
    """
    after, left = -1, limit
    while True:
        page = min(_PAGE, left) if limit else _PAGE
        rows = fetch(
            conn,
            queries.nodes,
            {
                "after": after,
                "ids": None if ids is None else list(ids),
                "kinds": None if kinds is None else [kind.name for kind in kinds],
                "missing": is_missing_vector,
                "limit": page,
            },
        )
        yield from rows
        left -= len(rows)
        if len(rows) < page or (limit and left <= 0):
            return
        after = rows[-1]["node_id"]


def edges(
    conn: Conn,
    *,
    src: int | None = None,
    dst: int | None = None,
    types: Sequence[EdgeType] | None = None,
    limit: int = 0,
) -> Iterator[Row]:
    """Yield edges, in bounded memory.

    Args:
        conn: A connection.
        src: Only from this node.
        dst: Only to this node.
        types: Only of these types.
        limit: At most so many, the lowest source first; 0 = all, as they come.

    Yields:
        src_node_id, dst_node_id, edge_type, weight, created_at.
    """
    names = None if types is None else [one.name for one in types]
    if limit or src is not None or dst is not None:
        given = {"src": src, "dst": dst, "types": names, "limit": limit or None}
        yield from fetch(conn, queries.edges, given)
    else:
        yield from store.stream(conn, queries.all_edges, {"types": names}, name="graph_edges")


def named(conn: Conn, rows: Iterator[Row]) -> Iterator[Row]:
    """Add to edges how their ends are named (`src`, `dst` as kind:id), page by page."""
    page: list[Row] = []
    for row in rows:
        page.append(row)
        if len(page) == _PAGE:
            yield from _named(conn, page)
            page = []
    yield from _named(conn, page)


def _named(conn: Conn, page: list[Row]) -> Iterator[Row]:
    refs = references(conn, store.ids_of(page)) if page else {}
    for row in page:
        yield {
            "src": refs.get(row["src_node_id"]),
            "edge_type": row["edge_type"],
            "dst": refs.get(row["dst_node_id"]),
            **row,
        }


def references(conn: Conn, ids: Sequence[int]) -> dict[int, str]:
    """Return how commands name nodes, kind:id, by number."""
    rows = fetch(conn, queries.references, {"ids": list(ids)})
    return {row["node_id"]: row["ref"] for row in rows}


def neighbourhood(
    conn: Conn,
    start: Sequence[int],
    *,
    hops: int = 1,
    types: Sequence[EdgeType] | None = None,
    direction: Direction = "both",
    limit: int = 500,
) -> Neighbourhood:
    """Return what lies around nodes, breadth first: one look per hop and direction.

    Args:
        conn: A connection.
        start: Numbers of the nodes to begin with.
        hops: How far, 0 to 3.
        types: Only along edges of these types.
        direction: Along edges, against them, or both.
        limit: At most so many edges; what is nearer comes first.

    Raises:
        UsageError: So many hops are not allowed.
    """
    if not 0 <= hops <= MOST_HOPS:
        raise UsageError(f"hops can be 0 to {MOST_HOPS}, not {hops}", code="graph.bad_hops")
    statements: dict[Direction, list[Statement]] = {
        "out": [queries.edges_of],
        "in": [queries.edges_to],
        "both": [queries.edges_of, queries.edges_to],
    }
    names = None if types is None else [one.name for one in types]
    far = dict.fromkeys(start, 0)
    found: dict[tuple[int, str, int], Row] = {}
    is_cut = False
    front = list(far)
    for hop in range(1, hops + 1):
        reached: set[int] = set()
        for statement in statements[direction]:
            left = limit - len(found)
            # What is known already may come again, so as much more is asked for.
            asked = {"ids": front, "types": names, "limit": left + len(found) + 1}
            for row in fetch(conn, statement, asked):
                key = (row["src_node_id"], row["edge_type"], row["dst_node_id"])
                if key in found:
                    continue
                if len(found) >= limit:
                    is_cut = True
                    break
                found[key] = row
                reached.update((row["src_node_id"], row["dst_node_id"]))
        front = sorted(reached - far.keys())
        far.update(dict.fromkeys(front, hop))
        if not front:
            break
    rows = [row | {"hops": far[row["node_id"]]} for row in nodes(conn, ids=list(far))]
    rows.sort(key=lambda row: (row["hops"], row["node_id"]))
    return Neighbourhood(rows, list(found.values()), is_cut)


def stats(conn: Conn) -> list[Row]:
    """Return for each kind: nodes, edges, avg_degree, isolated, embedded_ratio."""
    return fetch(conn, queries.stats)


def show(conn: Conn, ref: str, *, hops: int, limit: int) -> tuple[Row, Neighbourhood]:
    """Return one node and what lies around it.

    Raises:
        NotFound: There is no such node.
        UsageError: As `resolve` and `neighbourhood`.
    """
    node_id = resolve_node(conn, ref)
    around = neighbourhood(conn, [node_id], hops=hops, limit=limit)
    node: dict[str, Any] = next(row for row in around.nodes if row["node_id"] == node_id)
    return node, around
