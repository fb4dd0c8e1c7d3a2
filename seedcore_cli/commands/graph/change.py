"""`seedcore graph add|link|unlink`: change the graph by hand."""

from __future__ import annotations

from typing import Annotated, Any, cast

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.graph.columns import ADDED, LINKED
from seedcore_cli.commands.graph.group import app
from seedcore_cli.options import Cli, DryRun, common
from seedcore_cli.params import read_json

Src = Annotated[str, typer.Argument(metavar="SRC", help="Where it begins: a number or kind:id.")]
Rel = Annotated[str, typer.Argument(metavar="REL", help="Its type, or the verb: depends_on.")]
Dst = Annotated[str, typer.Argument(metavar="DST", help="Where it ends.")]


@app.command("add")
@common
def add(
    cli: Cli,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="agent, organ, artifact, capability, memory_cell, model, policy, service or skill.",
        ),
    ],
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Its id or name; an artifact's address; a cell's SCOPE/KEY."
        ),
    ],
    *,
    title: Annotated[str | None, typer.Option("--title", help="What people call an agent.")] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", help="What kind of artifact or organ it is.")
    ] = None,
    version: Annotated[
        int | None, typer.Option("--cell-version", min=1, help="Of a memory cell. Default: 1.")
    ] = None,
    props: Annotated[
        str | None,
        typer.Option("--props", metavar="JSON", help="What else is known: JSON, @FILE or -."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Add an entity that no other command makes, with its node.

    What is there already stays as it is. Tasks, facts and instances have commands of their own.

    Examples:
      seedcore graph add agent writer --title "The writer"
      seedcore graph add artifact s3://reports/2031-05.pdf --sort report
      seedcore graph add memory_cell press/style-guide
    """
    from seedcore.graph import changing
    from seedcore.graph.model import kind_of

    document: Any = {} if props is None else read_json(props, "--props")
    if not isinstance(document, dict):
        raise UsageError("--props has to be a JSON object", code="graph.bad_value")
    new = changing.NewNode(
        kind=kind_of(kind),
        name=name,
        title=title,
        sort=sort,
        version=version,
        props=cast("dict[str, Any]", document),
    )
    with cli.connect() as conn:
        cli.printer.one(changing.add(conn, new, actor=cli.actor, dry_run=dry_run), ADDED)


@app.command("link")
@common
def link(
    cli: Cli,
    src: Src,
    rel: Rel,
    dst: Dst,
    *,
    weight: Annotated[
        float | None, typer.Option("--weight", help="How strongly; agents that collab only.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Draw an edge between two entities that exist.

    Examples:
      seedcore graph link agent:writer member_of organ:press
      seedcore graph link agent:writer collab agent:editor --weight 0.8
      seedcore graph link task:0197f3a2 depends_on task:0197f3b7

    Exit codes: 4 an end does not exist; 5 a cycle of dependencies, or the task has started.
    """
    from seedcore.graph import changing

    with cli.connect() as conn:
        row = changing.link(conn, src, rel, dst, actor=cli.actor, weight=weight, dry_run=dry_run)
    cli.printer.one(row, LINKED)


@app.command("unlink")
@common
def unlink(cli: Cli, src: Src, rel: Rel, dst: Dst, *, dry_run: DryRun = False) -> None:
    """Take an edge away.

    A task that waits for nothing else is queued then.

    Example: seedcore graph unlink agent:writer member_of organ:press

    Exit codes: 4 an end does not exist.
    """
    from seedcore.graph import changing

    with cli.connect() as conn:
        row = changing.unlink(conn, src, rel, dst, actor=cli.actor, dry_run=dry_run)
    cli.printer.one(row, LINKED)
