"""`seedcore graph nodes|edges|show|stats`: look at the graph."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.graph.columns import AROUND, EDGES, NODES, STATS
from seedcore_cli.commands.graph.group import app
from seedcore_cli.options import Cli, Format, Limit, common
from seedcore_cli.session import MACHINE_FORMATS

Hops = Annotated[int, typer.Option("--hops", min=0, max=3, help="How far to go.")]
NodeRef = Annotated[
    str | None, typer.Option("--id", metavar="NODE", help="Only this: its number or kind:id.")
]


class ShowFormat(StrEnum):
    """How `show` prints: as any command does, or as a drawing."""

    TABLE = "table"
    WIDE = "wide"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    NAME = "name"
    DOT = "dot"
    MERMAID = "mermaid"


_DRAWN = (ShowFormat.DOT, ShowFormat.MERMAID)


@app.command("nodes")
@common
def nodes(
    cli: Cli,
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only of this kind; repeat it, or use commas."),
    ] = None,
    ref: NodeRef = None,
    missing_embedding: Annotated[
        bool, typer.Option("--missing-embedding", help="Only those without a 128-d vector.")
    ] = False,
    limit: Limit = 50,
) -> None:
    """List nodes by number.

    A task has a node only from when an edge or a vector needs one.

    Examples:
      seedcore graph nodes --kind agent --kind organ
      seedcore graph nodes --missing-embedding --limit 0 -o name

    Exit codes: 4 there is no node of that --id.
    """
    from seedcore.graph import reading

    with cli.connect() as conn:
        ids = None if ref is None else [reading.resolve_node(conn, ref)]
        rows = reading.nodes(
            conn, ids=ids, kinds=_kinds(kind), is_missing_vector=missing_embedding, limit=limit
        )
        cli.printer.many(rows, NODES)


@app.command("edges")
@common
def edges(
    cli: Cli,
    *,
    src: Annotated[
        str | None, typer.Option("--src", metavar="NODE", help="Only from this node.")
    ] = None,
    dst: Annotated[
        str | None, typer.Option("--dst", metavar="NODE", help="Only to this node.")
    ] = None,
    rel: Annotated[
        list[str] | None,
        typer.Option("--rel", metavar="TYPE", help="Only of this type or verb; repeat it."),
    ] = None,
    hops: Annotated[
        int,
        typer.Option(
            "--hops", min=1, max=3, help="Follow the edges from --src, or to --dst, so far."
        ),
    ] = 1,
    limit: Limit = 50,
) -> None:
    """List edges, or those on the way from or to a node.

    Examples:
      seedcore graph edges --src task:0197f3a2
      seedcore graph edges --dst agent:writer --hops 2 --rel depends_on --rel owned_by
      seedcore graph edges --limit 0 -o jsonl > edges.jsonl

    Exit codes: 4 there is no such node.
    """
    from seedcore.graph import reading
    from seedcore.graph.model import edge_types

    if hops > 1 and (src is None) == (dst is None):
        raise UsageError("--hops needs --src or --dst, and not both")
    types = None if rel is None else [one for word in _words(rel) for one in edge_types(word)]
    with cli.connect() as conn:
        first = None if src is None else reading.resolve_node(conn, src)
        last = None if dst is None else reading.resolve_node(conn, dst)
        if hops > 1:
            around = reading.neighbourhood(
                conn,
                [one for one in (first, last) if one is not None],
                hops=hops,
                types=types,
                direction="out" if last is None else "in",
                limit=limit or 2**31,
            )
            found: Any = iter(around.edges)
        else:
            found = reading.edges(conn, src=first, dst=last, types=types, limit=limit)
        # A cursor that is still open allows no other statement in between but in its transaction.
        cli.printer.many(reading.named(conn, found), EDGES)


@app.command("show")
@common
def show(
    cli: Cli,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Its number, or kind:id.")],
    *,
    hops: Hops = 1,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many edges.")] = 500,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture", metavar="FILE", help="Also draw it into this .svg, .png or .pdf file."
        ),
    ] = None,
    output: Annotated[
        ShowFormat | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FORMAT",
            help="As everywhere, or dot or mermaid: a drawing as text.",
        ),
    ] = None,
) -> None:
    """Show a node and what lies around it.

    Examples:
      seedcore graph show agent:writer --hops 2
      seedcore graph show 42 --hops 2 -o dot | dot -Tsvg > around.svg
      seedcore graph show organ:press --picture press.png

    Exit codes: 4 there is no such node; 69 --picture without the extra `export`.
    """
    from seedcore.graph import drawing, reading

    if output is not None and output not in _DRAWN:
        cli.options = dataclasses.replace(cli.options, output=Format(output.value))
    with cli.connect() as conn:
        found, around = reading.show(conn, node, hops=hops, limit=limit)
        if around.is_cut:
            cli.warn(f"there are more than {limit} edges; raise --limit to see them")
        if picture is not None:
            drawing.picture(around, picture)
            cli.note(f"drawn into {picture}")
        if output in _DRAWN:
            draw = drawing.dot if output is ShowFormat.DOT else drawing.mermaid
            cli.printer.lines(draw(around))
        elif cli.format in MACHINE_FORMATS:
            edges = list(reading.named(conn, iter(around.edges)))
            row = {**found, "nodes": around.nodes, "edges": edges, "cut": around.is_cut}
            cli.printer.one(row, AROUND)
        else:
            cli.printer.many(around.nodes, AROUND)


@app.command("stats")
@common
def stats(cli: Cli) -> None:
    """Count nodes and edges by kind, and how many have a vector.

    Example: seedcore graph stats -o json
    """
    from seedcore.graph import reading

    with cli.connect() as conn:
        cli.printer.many(reading.stats(conn), STATS)


def _kinds(given: list[str] | None) -> Any:
    from seedcore.graph.model import kind_of

    return None if given is None else [kind_of(word) for word in _words(given)]


def _words(given: list[str]) -> list[str]:
    return [word.strip() for text in given for word in text.split(",") if word.strip()]
