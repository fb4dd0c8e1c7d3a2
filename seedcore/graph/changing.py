"""Change the graph by hand: add a node, draw an edge, take one away."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.errors import Conflict, NotFound, UsageError
from seedcore.graph import store
from seedcore.graph.model import DEPENDS_ON, EdgeType, Kind, edge_type_between
from seedcore.graph.reading import Entity, resolve
from seedcore.graph.store import Conn, queries

_ELSEWHERE = {
    "task": "seedcore task submit",
    "fact": "seedcore fact add",
    "instance": "seedcore registry register",
}
"""Kinds that have a command of their own, because there is more to them than a name."""

MOST_NAME = 2000
"""Longest name or address, in characters; it stands in an index."""


@dataclass(frozen=True, kw_only=True)
class NewNode:
    """An entity to be added.

    Attributes:
        kind: Its kind.
        name: Its id or name; of an artifact the address, of a memory cell scope/key.
        title: What people call an agent.
        sort: The kind of an artifact or organ, in the caller's words.
        version: Of a memory cell.
        props: What else is known.
    """

    kind: Kind
    name: str
    title: str | None = None
    sort: str | None = None
    version: int | None = None
    props: Mapping[str, Any] = field(default_factory=dict[str, Any])


def add(conn: Conn, new: NewNode, *, actor: str, dry_run: bool = False) -> Row:
    """Store an entity with its node, unless it is there already.

    Returns:
        node_id, kind, ext_id, outcome (added or unchanged), dry_run.

    Raises:
        UsageError: Such nodes come from another command, or a value does not fit the kind.
    """
    values = _checked(new)
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor)
        if new.kind.name == "artifact":
            conn.execute(queries.lock_artifact, values)
        row = fetch_one(conn, getattr(queries, f"add_{new.kind.name}"), values)
        outcome = "unchanged" if row is None else "added"
        row = row or fetch(conn, getattr(queries, f"find_{new.kind.name}"), values)[0]
        ext_id = row["ext_id"]
        node = fetch(conn, queries.ensure_node, {"kind": new.kind.name, "ext_id": ext_id})[0]
    is_made = outcome == "added"
    return {
        # What a rehearsal made is gone again, and its ids with it.
        "node_id": None if dry_run and is_made else node["node_id"],
        "kind": new.kind.name,
        "ext_id": None if dry_run and is_made and new.kind.is_uuid else ext_id,
        "outcome": outcome,
        "dry_run": dry_run,
    }


def _checked(new: NewNode) -> dict[str, Any]:
    kind = new.kind.name
    if kind in _ELSEWHERE:
        raise UsageError(
            f"a {kind} is not added by name alone",
            code="graph.added_elsewhere",
            hint=_ELSEWHERE[kind],
        )
    if not new.name.strip() or len(new.name) > MOST_NAME or "\0" in new.name:
        raise UsageError(
            f"a name (of kind {kind}) has 1 to {MOST_NAME} characters and no NUL",
            code="graph.bad_id",
        )
    for word, value, kinds in (
        ("--title", new.title, ("agent",)),
        ("--sort", new.sort, ("artifact", "organ")),
        ("--version", new.version, ("memory_cell",)),
    ):
        if value is not None and kind not in kinds:
            raise UsageError(
                f"{word} is for {' and '.join(kinds)} only, not for {kind}", code="graph.bad_value"
            )
    values = {
        "name": new.name,
        "title": new.title,
        "kind": new.sort,
        "props": json.dumps(dict(new.props)),
    }
    if kind == "memory_cell":
        scope, slash, key = new.name.partition("/")
        if not (slash and scope and key):
            raise UsageError(
                f'"{new.name}" names no memory cell', code="graph.bad_id", hint="write SCOPE/KEY"
            )
        if new.version is not None and not 1 <= new.version < 2**31:
            raise UsageError("a version is 1 or more", code="graph.bad_value")
        values |= {"scope": scope, "name": key, "version": new.version or 1}
    return values


@dataclass(frozen=True, slots=True)
class _Edge:
    """An edge that somebody asked for, with ends that exist."""

    type: EdgeType
    src: Entity
    dst: Entity


def link(
    conn: Conn,
    src: str,
    relation: str,
    dst: str,
    *,
    actor: str,
    weight: float | None = None,
    dry_run: bool = False,
) -> Row:
    """Draw an edge between two entities that exist.

    Args:
        conn: A connection in autocommit.
        src: Where it begins; see `resolve`.
        relation: Its type in full, or the verb.
        dst: Where it ends.
        actor: Who.
        weight: For edges that have one; of an edge that is there it replaces the old one.
        dry_run: Only say what would change.

    Returns:
        src, edge_type, dst, weight, outcome (linked, updated or unchanged), dry_run.

    Raises:
        NotFound: An end does not exist.
        UsageError: The relation does not lead from the one to the other, or has no weight.
        Conflict: It would be a cycle of dependencies, or the task has started.
    """
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor)
        edge = _resolve(conn, src, relation, dst)
        _check_weight(edge.type, weight)
        ids = (edge.src.ext_id, edge.dst.ext_id)
        if edge.type.name == DEPENDS_ON:
            is_new = is_changed = False
            # What is there is there, also when the task has started since.
            if store.edge_of(conn, edge.type, *ids) is None:
                asked = {"src": ids[0], "dst": ids[1]}
                is_new = fetch(conn, queries.depend, asked)[0]["added"]
        else:
            is_new, is_changed = store.insert_edge(conn, edge.type, *ids, weight)
        stored = store.edge_of(conn, edge.type, *ids)
        if stored is None:
            raise Conflict("somebody else is taking that edge away", code="graph.edge_lost")
    outcome = "linked" if is_new else "updated" if is_changed else "unchanged"
    return _said(edge, stored["weight"], outcome, dry_run=dry_run)


def unlink(
    conn: Conn, src: str, relation: str, dst: str, *, actor: str, dry_run: bool = False
) -> Row:
    """Take an edge away; a task that waited for nothing else is queued.

    Returns:
        src, edge_type, dst, weight, outcome (unlinked or unchanged), dry_run.

    Raises:
        NotFound: An end does not exist.
        UsageError: The relation does not lead from the one to the other.
    """
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor)
        edge = _resolve(conn, src, relation, dst)
        ids = (edge.src.ext_id, edge.dst.ext_id)
        stored = store.edge_of(conn, edge.type, *ids)
        if edge.type.name == DEPENDS_ON:
            is_gone = fetch(conn, queries.undepend, {"src": ids[0], "dst": ids[1]})[0]["removed"]
        else:
            is_gone = store.delete_edge(conn, edge.type, *ids)
    weight = None if stored is None else stored["weight"]
    return _said(edge, weight, "unlinked" if is_gone else "unchanged", dry_run=dry_run)


def _resolve(conn: Conn, src: str, relation: str, dst: str) -> _Edge:
    first, second = resolve(conn, src), resolve(conn, dst)
    for one in (first, second):
        # A node's number may outlive its entity where triggers were off; an edge to it would not hold.
        if one.node_id is not None and not store.entities(conn, one.kind, one.ext_id, one.ext_id):
            raise NotFound(
                f"node {one.node_id} stands for {one.ref}, which is gone",
                code="graph.dangling_node",
                hint="seedcore graph check --mend",
            )
    kind = edge_type_between(first.kind, relation, second.kind)
    if first.ref == second.ref:
        raise UsageError(f"{first.ref} can't be linked to itself", code="graph.self_edge")
    return _Edge(kind, first, second)


def _check_weight(edge: EdgeType, weight: float | None) -> None:
    if weight is None:
        return
    if not edge.has_weight:
        raise UsageError(f"an edge {edge.name} has no weight of its own", code="graph.no_weight")
    # The column is a real, whose largest number is 3.4e38.
    if not math.isfinite(weight) or not 0 <= weight <= 3e38:
        raise UsageError(f"a weight is a number from 0 on, not {weight}", code="graph.bad_weight")


def _said(edge: _Edge, weight: float | None, outcome: str, *, dry_run: bool) -> Row:
    return {
        "src": edge.src.ref,
        "edge_type": edge.type.name,
        "dst": edge.dst.ref,
        # As many digits as the column, a real, holds: 0.8 and not 0.800000011920929.
        "weight": None if weight is None else float(f"{weight:.7g}"),
        "outcome": outcome,
        "dry_run": dry_run,
    }
