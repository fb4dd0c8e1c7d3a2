"""`seedcore embed graph`: give nodes vectors of their place in the graph."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.embed.columns import ENQUEUED_NODES, RUN
from seedcore_cli.commands.embed.group import app
from seedcore_cli.commands.embed.rebuilding import GRAPH_TABLE, RebuildIndex, advise, rebuilt
from seedcore_cli.commands.embed.texts import Enqueue, Missing
from seedcore_cli.options import Cli, DryRun, NoLimit, common
from seedcore_cli.progress import progress_bar

_STATEMENT_TIMEOUT_S = 600.0
"""The whole graph may be read at once."""


@app.command("graph")
@common
def graph(
    cli: Cli,
    *,
    missing: Missing = False,
    ids: Annotated[
        list[str] | None,
        typer.Option(
            "--id", help="Only this node: its number or kind:id; repeatable.", metavar="NODE"
        ),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", help="Only nodes of it; repeatable.", metavar="KIND"),
    ] = None,
    hops: Annotated[
        int | None,
        typer.Option(
            "--hops", help="How far to look. Default: what suits the encoder.", min=0, max=4
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label", help="Label of the vectors. Default: GRAPH_EMBEDDING_DEFAULT_LABEL."
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="graph-mean, or a name of 'embed encoders'. Default: GRAPH_ENCODER.",
            metavar="NAME",
        ),
    ] = None,
    dim: Annotated[int, typer.Option("--dim", help="Dimensions: 128.", metavar="N")] = 128,
    limit: NoLimit = None,
    rebuild_index: RebuildIndex = False,
    enqueue: Enqueue = False,
    dry_run: DryRun = False,
) -> None:
    """Embed nodes of the graph from their surroundings; vectors that stay the same aren't written.

    A node's vector changes when its neighbours do, so all nodes are looked at unless --missing, --id or
    --kind says otherwise.

    Examples:
      seedcore embed graph
      seedcore embed graph --missing --kind agent

    Exit codes: 4 no such node or encoder.
    """
    from seedcore.embed.model import check_dim
    from seedcore.graph.embedding import service
    from seedcore.graph.model import kind_of
    from seedcore.graph.reading import resolve_node

    if check_dim(dim) != 128:
        raise UsageError(
            "the graph is embedded in 128 dimensions; 1024 are those of texts",
            code="embed.bad_dimension",
            hint="seedcore embed tasks",
        )
    if ids and (missing or kinds):
        raise UsageError("--id names the nodes; --missing and --kind choose among all")
    if enqueue and (encoder or label):
        raise UsageError("--enqueue leaves encoder and label to the worker")
    if enqueue and rebuild_index:
        raise UsageError("--rebuild-index is for a run that embeds here and now, not for --enqueue")
    label = label or cli.settings.graph_embedding_default_label
    of_kinds = [kind_of(name) for name in kinds] if kinds else None
    begun = time.perf_counter()
    with cli.connect(statement_timeout_s=_STATEMENT_TIMEOUT_S) as conn:
        given = [resolve_node(conn, ref) for ref in ids or []]
        ready = service.choose(conn, cli.settings, encoder)
        nodes = given or service.nodes_to_embed(
            conn, ready, label=label, kinds=of_kinds, only_missing=missing, limit=limit or None
        )
        if enqueue:
            tasks = service.enqueue(conn, nodes, k=2 if hops is None else hops, dry_run=dry_run)
            enqueued = {"kind": "graph", "pending": len(nodes), "task_ids": tasks}
            cli.printer.one(enqueued | {"dry_run": True} if dry_run else enqueued, ENQUEUED_NODES)
            return
        cli.note(f"encoder: {ready.model} ({ready.why})")
        seen = written = 0
        if not rebuild_index:
            advise(cli, conn, GRAPH_TABLE, len(nodes))
        with (
            rebuilt(cli, GRAPH_TABLE, rebuild_index and not dry_run),
            progress_bar(cli, "embedding graph") as show,
        ):
            for part in service.embed_nodes(
                conn, ready, nodes, label=label, k=hops, dry_run=dry_run
            ):
                seen += len(part.nodes)
                written += part.written
                show(seen, len(nodes))
    row = {
        "kind": "graph",
        "encoder": ready.stored.identity.model,
        "embedded": seen if dry_run else written,
        "unchanged": 0 if dry_run else seen - written,
        "skipped": 0,
        "failed": 0,
        "seconds": round(time.perf_counter() - begun, 3),
    }
    cli.printer.one(row | {"dry_run": True} if dry_run else row, RUN)
