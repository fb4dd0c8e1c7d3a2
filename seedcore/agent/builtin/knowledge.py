"""The tools that read and extend what is known: facts, memory, the graph, artifacts.

What a task adds or reads is linked to it, so that the graph shows where something comes from. A second
attempt at a call finds what the first one added.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import NAMESPACE_URL, uuid5

from pydantic import AwareDatetime, Field

from seedcore.agent.builtin.plainly import plainly
from seedcore.agent.context import ToolContext
from seedcore.agent.definition import tool
from seedcore.errors import NotFound, UsageError

if TYPE_CHECKING:
    import psycopg

    from seedcore.agent.definition import Tool
    from seedcore.config.settings import Settings

_STATEMENT_S = 30.0
_MOST_EDGES = 1000

Name = Annotated[str, Field(min_length=1)]
Tier = Literal["event_working", "knowledge_base", "world_memory"]
Direction = Literal["both", "out", "in"]


def knowledge_tools(settings: Settings) -> list[Tool[..., Any]]:
    """Return `fact.add`, `fact.search`, `memory.search`, `graph.neighbors` and `artifact.add`.

    Args:
        settings: Which database, and where the encoder is.
    """

    def connected(ctx: ToolContext, name: str) -> psycopg.Connection[Any]:
        from seedcore.db.connection import connect

        return connect(
            settings,
            application_name=f"seedcore tool {name}",
            statement_timeout_s=max(0.1, min(_STATEMENT_S, ctx.time_left())),
        )

    @tool("fact.add", idempotent=True)
    def fact_add(
        ctx: ToolContext,
        text: str | None = None,
        subject: Name | None = None,
        predicate: Name | None = None,
        object: Any = None,
        tags: list[str] | None = None,
        namespace: Name | None = None,
        valid_from: AwareDatetime | None = None,
        valid_to: AwareDatetime | None = None,
        meta: dict[str, Any] | None = None,
        supersede: bool = False,
    ) -> dict[str, Any]:
        """Add a fact, in words or as subject, predicate and object; the task is said to have produced it.

        Args:
            valid_from: First moment at which it holds. Default: now.
            valid_to: First moment at which it holds no more. Default: open.
            supersede: End the fact that says something else of the same, instead of failing.
        """
        from seedcore.fact.service import add, read_fact

        given = {
            "id": str(uuid5(NAMESPACE_URL, f"seedcore:fact:{ctx.idempotency_key}")),
            "text": text,
            "subject": subject,
            "predicate": predicate,
            "tags": tags,
            "namespace": namespace,
            "valid_from": None if valid_from is None else valid_from.isoformat(),
            "valid_to": None if valid_to is None else valid_to.isoformat(),
            "meta": meta,
        }
        document = {key: value for key, value in given.items() if value is not None}
        if subject is not None:
            document["object"] = object
        with connected(ctx, "fact.add") as conn:
            row = add(conn, read_fact(document), actor=_actor(ctx), supersede=supersede)
            _link(conn, ctx, "produces", "fact", [str(row["id"])])
        row = dict(row)
        return {"fact_id": str(row.pop("id")), **plainly(row)}

    @tool("fact.search", idempotent=True)
    def fact_search(
        ctx: ToolContext,
        query: Name | None = None,
        tags: list[str] | None = None,
        subject: Name | None = None,
        predicate: Name | None = None,
        namespace: Name | None = None,
        at: AwareDatetime | None = None,
        limit: Annotated[int, Field(ge=1, le=100)] = 10,
    ) -> dict[str, Any]:
        """Find facts by their words, best first, or the newest; the task is said to have read them.

        Args:
            at: Those that held at this moment. Default: those that hold now.
        """
        from seedcore.fact.service import Selection, search

        selection = Selection(
            namespace=namespace,
            subject=subject,
            predicate=predicate,
            tags=tuple(tags or ()),
            at=at,
            holding=at is None,
            limit=limit,
        )
        with connected(ctx, "fact.search") as conn:
            rows = search(conn, query, selection)
            _link(conn, ctx, "reads", "fact", [str(row["id"]) for row in rows])
        return {"facts": plainly(rows), "count": len(rows)}

    @tool("memory.search", idempotent=True)
    def memory_search(
        ctx: ToolContext,
        query: Name,
        tier: Tier | None = None,
        limit: Annotated[int, Field(ge=1, le=100)] = 10,
        threshold: Annotated[float, Field(ge=-1, le=1)] = 0.0,
        snapshot_id: int | None = None,
    ) -> dict[str, Any]:
        """Find events, tasks and entities that are about the same, best first.

        Args:
            tier: Only this tier of the memory.
            threshold: Least similarity.
            snapshot_id: Only what was made under this policy snapshot. Default: the task's.
        """
        from seedcore.memory.tiers import search_tiers

        with connected(ctx, "memory.search") as conn:
            hits, model = search_tiers(
                conn,
                settings,
                query,
                tier=tier,
                limit=limit,
                threshold=threshold,
                snapshot_id=ctx.snapshot_id if snapshot_id is None else snapshot_id,
            )
        return {"hits": plainly(hits), "model": model}

    @tool("graph.neighbors", idempotent=True)
    def neighbors(
        ctx: ToolContext,
        node_id: int | None = None,
        kind: Name | None = None,
        id: Name | None = None,
        hops: Annotated[int, Field(ge=1, le=3)] = 1,
        edge_types: list[str] | None = None,
        direction: Direction = "both",
        limit: Annotated[int, Field(ge=1, le=_MOST_EDGES)] = 100,
    ) -> dict[str, Any]:
        """Tell what lies around a node of the graph, nearest first.

        Args:
            node_id: The node, by its number.
            kind: Or by its kind, with `id`.
            edge_types: Only along these; types in full, or verbs such as `produces`.
            limit: At most so many edges.
        """
        from seedcore.graph.model import edge_types as types_of
        from seedcore.graph.reading import neighbourhood, resolve_node

        if (node_id is None) == (kind is None) or (kind is None) != (id is None):
            raise UsageError("give either node_id, or kind and id", code="graph.bad_ref")
        types = None
        if edge_types is not None:
            types = [one for word in edge_types for one in types_of(word)]
        with connected(ctx, "graph.neighbors") as conn:
            start = resolve_node(conn, str(node_id) if kind is None else f"{kind}:{id}")
            around = neighbourhood(
                conn, [start], hops=hops, types=types, direction=direction, limit=limit
            )
        return {
            "nodes": plainly(around.nodes),
            "edges": plainly(around.edges),
            "is_cut": around.is_cut,
        }

    @tool("artifact.add", idempotent=True)
    def artifact_add(
        ctx: ToolContext,
        uri: Name,
        sort: Name | None = None,
        props: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Tell of something that was made, by its address; the task is said to have produced it.

        Args:
            sort: What kind of thing it is, such as `report`.
        """
        from seedcore.graph.changing import NewNode, add
        from seedcore.graph.model import kind_of

        new = NewNode(kind=kind_of("artifact"), name=uri, sort=sort, props=props or {})
        with connected(ctx, "artifact.add") as conn:
            row = add(conn, new, actor=_actor(ctx))
            _link(conn, ctx, "produces", "artifact", [str(row["ext_id"])])
        return {
            "artifact_id": str(row["ext_id"]),
            "node_id": row["node_id"],
            "created": row["outcome"] == "added",
        }

    return [fact_add, fact_search, memory_search, neighbors, artifact_add]


def _actor(ctx: ToolContext) -> str:
    return f"task {ctx.task_id}"


def _link(
    conn: psycopg.Connection[Any], ctx: ToolContext, verb: str, kind: str, ids: Iterable[str]
) -> None:
    """Draw an edge from the task to each entity; a call without a stored task draws none."""
    from seedcore.db import set_actor
    from seedcore.db.errors import translated
    from seedcore.graph import store
    from seedcore.graph.model import edge_type_between, kind_of
    from seedcore.graph.reading import resolve

    try:
        task = resolve(conn, f"task:{ctx.task_id}")
    except (NotFound, UsageError):
        return
    edge = edge_type_between(kind_of("task"), verb, kind_of(kind))
    with translated(), conn.transaction():
        set_actor(conn, _actor(ctx))
        # In one order everywhere, so that tasks which read the same facts never wait for each other.
        for ext_id in sorted(ids):
            store.insert_edge(conn, edge, task.ext_id, ext_id, None)
