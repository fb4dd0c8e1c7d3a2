"""What a graph task starts from: ids of nodes and entities, of which only those that exist count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from psycopg import sql

from seedcore.db.rows import Row, fetch
from seedcore.db.sql import Queries
from seedcore.graph.model import KINDS, MOST_NODE_ID, Kind, as_uuid
from seedcore.graph.store import Conn
from seedcore.graph.tasks.failure import GraphTaskFailed

queries = Queries("seedcore.graph.tasks")

NUMBER_KEYS: Final = ("start_node_ids", "start_ids")
ENTITY_KEYS: Final = {
    f"start_{kind}_ids": KINDS[kind]
    for kind in (
        "task", "fact", "artifact", "capability", "memory_cell",
        "agent", "organ", "model", "policy", "service", "skill",
    )
}  # fmt: skip
MOST_IDS: Final = 100_000
"""Ids that one task may name."""

MOST_META: Final = 64


@dataclass(slots=True)
class Start:
    """Where an operation begins.

    Attributes:
        nodes: Numbers of nodes that exist, each once, as they were named.
        rows: node_id, node_type, ext_table and ext_id of each.
        sources: How many ids each key named.
        unknown: Ids of the right form that stand for nothing, by key.
        invalid: What is no such id, by key.
    """

    nodes: list[int] = field(default_factory=list[int])
    rows: dict[int, Row] = field(default_factory=dict[int, Row])
    sources: dict[str, int] = field(default_factory=dict[str, int])
    unknown: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    invalid: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])

    def debug(self) -> dict[str, Any]:
        """Return what results say about it."""
        return {
            "sources": self.sources,
            "node_count": len(self.nodes),
            "unknown": self.unknown,
            "invalid": self.invalid,
        }

    def meta(self) -> list[Row]:
        """Return what the first nodes stand for."""
        return [self.rows[node] for node in self.nodes[:MOST_META]]


def graph_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the envelope `params.graph`, empty where there is none.

    Raises:
        GraphTaskFailed: It is no object.
    """
    return _object(params.get("graph"), "params.graph")


def config_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return `params.graph.config` over what stands beside it: what is deeper wins.

    Raises:
        GraphTaskFailed: It is no object.
    """
    graph = graph_of(params)
    return {**params, **graph, **_object(graph.get("config"), "params.graph.config")}


def _object(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise GraphTaskFailed("bad_payload", f"{where} has to be an object")
    return cast("dict[str, Any]", value)


def resolve(conn: Conn, params: Mapping[str, Any], *, strict: bool = False) -> Start:
    """Find the nodes that a task names: in params, in params.graph.inputs, in params.graph, in this order.

    One statement for each kind that is named. Of ids of entities only those that exist get a node.

    Raises:
        GraphTaskFailed: None is left, or `strict` and one is unknown or no id.
    """
    graph = graph_of(params)
    places = [params, _object(graph.get("inputs"), "params.graph.inputs"), graph]
    start = Start()
    found: list[tuple[str, Any]] = []
    for place in places:
        for key in (*NUMBER_KEYS, *ENTITY_KEYS):
            if place.get(key) is not None:
                ids = _list(place[key], key)
                start.sources[key] = start.sources.get(key, 0) + len(ids)
                found += [(key, one) for one in ids]
    if len(found) > MOST_IDS:
        raise GraphTaskFailed(
            "too_large", f"{len(found):,} ids are named; a task starts from at most {MOST_IDS:,}"
        )
    nodes = _nodes(conn, start, found)
    for key, one in found:
        node = nodes.get((key, _canonical(key, one)))
        if node is not None and node["node_id"] not in start.rows:
            start.rows[node["node_id"]] = node
            start.nodes.append(node["node_id"])
    details = {"start_debug": start.debug()}
    if strict and (start.unknown or start.invalid):
        wrong = {**start.unknown, **start.invalid}
        said = "; ".join(f"{key}: {', '.join(map(str, ids[:3]))}" for key, ids in wrong.items())
        raise GraphTaskFailed("bad_payload", f"strict, and unknown are {said}", details=details)
    if not start.nodes:
        raise GraphTaskFailed(
            "no_start_nodes", "none of the ids stands for a node" if found else "no id is named",
            details=details,
        )  # fmt: skip
    return start


def _list(value: Any, key: str) -> list[Any]:
    if isinstance(value, list):
        return cast("list[Any]", value)
    if isinstance(value, str | int) and not isinstance(value, bool):
        return [value]
    raise GraphTaskFailed("bad_payload", f"{key} has to be a list of ids")


def _canonical(key: str, one: Any) -> Any:
    """Return an id in the one form in which it is looked up, or None when it is none of that kind."""
    if key in NUMBER_KEYS:
        if isinstance(one, str) and one.isascii() and one.isdigit():
            one = int(one[:20])
        if not isinstance(one, int) or isinstance(one, bool):
            return None
        return one if 0 <= one <= MOST_NODE_ID else None
    if ENTITY_KEYS[key].is_uuid:
        found = as_uuid(one)
        return None if found is None else str(found)
    return one if isinstance(one, str) and one and "\0" not in one else None


def _nodes(conn: Conn, start: Start, found: list[tuple[str, Any]]) -> dict[tuple[str, Any], Row]:
    """Look the ids up, one statement for each kind; note those that are unknown or no ids."""
    by_key: dict[str, dict[Any, None]] = {}
    for key, one in found:
        canonical = _canonical(key, one)
        if canonical is None:
            start.invalid.setdefault(key, []).append(
                one if isinstance(one, str | int) else str(one)
            )
        else:
            by_key.setdefault(key, {})[canonical] = None
    nodes: dict[tuple[str, Any], Row] = {}
    for key, ids in by_key.items():
        if key in NUMBER_KEYS:
            rows = fetch(conn, queries.existing_nodes, {"ids": list(ids)})
            known = {row["node_id"]: row for row in rows}
        else:
            known = _entities(conn, ENTITY_KEYS[key], list(ids))
        for one in ids:
            if one in known:
                nodes[key, one] = known[one]
            else:
                start.unknown.setdefault(key, []).append(one)
    return nodes


def _entities(conn: Conn, kind: Kind, ids: list[str]) -> dict[str, Row]:
    exists = sql.SQL(
        "SELECT e.{key}::text AS ext_id FROM {table} AS e WHERE e.{key} = ANY (%(ids)s::{type}[])"
    ).format(
        key=sql.Identifier(kind.key),
        table=sql.Identifier(kind.table),
        type=sql.SQL("uuid" if kind.is_uuid else "text"),
    )
    there = [row["ext_id"] for row in fetch(conn, exists, {"ids": ids})]
    if not there:
        return {}
    mapped = fetch(conn, queries.map_known, {"kind": kind.name, "ids": there})
    return {
        row["ext_id"]: {
            "node_id": row["node_id"],
            "node_type": kind.name,
            "ext_table": kind.table,
            "ext_id": row["ext_id"],
        }
        for row in mapped
        if row["node_id"] is not None
    }
