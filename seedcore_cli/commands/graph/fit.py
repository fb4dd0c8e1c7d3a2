"""`seedcore graph fit`: learn from this graph how to embed its nodes."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore.errors import CheckFailed
from seedcore_cli.commands.graph.group import app
from seedcore_cli.options import Cli, DryRun, common
from seedcore_cli.output import Column

FITTED = (
    Column("model", id=True),
    Column("outcome"),
    Column("auc", align="right"),
    Column("mean_auc", align="right"),
    Column("hops", align="right"),
    Column("nodes", align="right"),
    Column("edges", align="right"),
    Column("weights_bytes", align="right"),
)

_STATEMENT_TIMEOUT_S = 600.0
"""The whole graph is read, which takes longer than what people usually wait for."""


@app.command("fit")
@common
def fit(
    cli: Cli,
    *,
    hops: Annotated[
        int, typer.Option("--hops", min=1, max=4, help="How far the encoder will look.")
    ] = 2,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Which edges are held out, and the projection.")
    ] = 0,
    no_serve: Annotated[
        bool,
        typer.Option("--no-serve", help="Keep it, but let the encoder before it answer."),
    ] = False,
    even_if_worse: Annotated[
        bool,
        typer.Option("--even-if-worse", help="Keep it also when graph-mean predicts as well."),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Learn from this graph how to embed its nodes, and keep what was learned as graph-head-v1, -v2, …

    A tenth of the edges is held out. `auc` is the chance that such an edge ranks above a pair that is
    not linked; `mean_auc` that of graph-mean, which needs no fit. A fit that is no better is not kept.
    Vectors of different encoders are never compared: embed the nodes anew after it.

    Example: seedcore graph fit --hops 2

    Exit codes: 2 the graph is too small; 3 it predicts no better than graph-mean, and is not kept.
    """
    from seedcore.graph.embedding import service

    limit = cli.options.statement_timeout
    with cli.connect(statement_timeout_s=_STATEMENT_TIMEOUT_S if limit is None else limit) as conn:
        done = service.fit_encoder(
            conn,
            actor=cli.actor,
            hops=hops,
            seed=seed,
            serve=not no_serve,
            even_if_worse=even_if_worse,
            dry_run=dry_run,
        )
    if dry_run:
        outcome = "would be kept" if done.fitted.auc > done.fitted.mean_auc else "no better"
    elif done.model is None:
        outcome = "no better"
    else:
        outcome = ("fitted" if done.is_new else "unchanged") + (
            ", serves" if done.is_serving else ""
        )
    cli.printer.one(
        {
            "model": done.model,
            "outcome": outcome,
            "auc": round(done.fitted.auc, 4),
            "mean_auc": round(done.fitted.mean_auc, 4),
            "tried": {name: round(value, 4) for name, value in done.fitted.tried.items()},
            "hops": hops,
            "nodes": done.nodes,
            "edges": done.edges,
            "weights_bytes": done.weights_bytes,
            "dry_run": dry_run,
        },
        FITTED,
    )
    if done.model is None and not dry_run:
        raise CheckFailed(
            "what was learned predicts no better than graph-mean, and is not kept",
            code="graph.fit_no_better",
            hint="--even-if-worse keeps it; a larger graph teaches more",
        )
    if done.is_serving:
        cli.hint("seedcore embed graph")
