"""`seedcore embed index`: the vector indexes."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore.errors import CheckFailed
from seedcore_cli.app import group
from seedcore_cli.commands.embed.columns import CHANGED, CHECK, INDEXES
from seedcore_cli.commands.embed.group import app as parent
from seedcore_cli.options import Cli, DryRun, Yes, common
from seedcore_cli.progress import progress_bar

app = group("List, build, drop and check the indexes that find near vectors.")
parent.add_typer(app, name="index")

# maintenance_work_mem counts kB in a 32-bit integer.
_MOST_MEMORY_MB = 2_097_151

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Which. Default: all of them.")
]
Concurrently = Annotated[
    bool, typer.Option("--concurrently/--blocking", help="Let writers go on meanwhile.")
]


@app.command("list")
@common
def list_indexes(cli: Cli) -> None:
    """List the vector indexes with their state and size.

    Example: seedcore embed index list
    """
    from seedcore.embed import index

    with cli.connect() as conn:
        cli.printer.many(index.list_indexes(conn), INDEXES)


@app.command("build")
@common
def build(
    cli: Cli,
    names: Names = None,
    *,
    m: Annotated[int, typer.Option("--m", help="Neighbours that each vector keeps.")] = 16,
    ef_construction: Annotated[
        int, typer.Option("--ef-construction", help="Length of the list they are chosen from.")
    ] = 64,
    memory: Annotated[
        int | None,
        typer.Option(
            "--memory",
            help="maintenance_work_mem for it; an index that fits is built several times faster.",
            metavar="MB",
            min=16,
            max=_MOST_MEMORY_MB,
        ),
    ] = None,
    concurrently: Concurrently = True,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Also what is valid already.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Build what is missing, invalid or has other parameters; the old index serves until then.

    Examples:
      seedcore embed index build
      seedcore embed index build idx_graph_embeddings_128_emb --ef-construction 128 --memory 512

    Exit codes: 4 no such index; 9 another build is under way.
    """
    from seedcore.embed import index

    wanted = index.chosen(names or [])
    with (
        cli.connect(statement_timeout_s=0) as conn,
        cli.connect() as watcher,
        progress_bar(cli, "building") as show,
    ):
        rows = index.build(
            conn,
            watcher,
            wanted,
            m=m,
            ef_construction=ef_construction,
            concurrently=concurrently,
            memory_mb=memory,
            again=rebuild,
            dry_run=dry_run,
            progress=lambda _phase, done, total: show(done, total),
        )
    cli.printer.many([row | {"dry_run": True} if dry_run else row for row in rows], CHANGED)


@app.command("drop")
@common
def drop(
    cli: Cli,
    names: Names = None,
    *,
    concurrently: Concurrently = True,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Drop vector indexes, as before a bulk load; searches compare all vectors until they are built.

    Example: seedcore embed index drop --yes

    Exit codes: 4 no such index; 10 not confirmed.
    """
    from seedcore.embed import index

    wanted = index.chosen(names or [])
    with cli.connect(statement_timeout_s=0) as conn:
        if not dry_run:
            summary = f"drop {len(wanted)} vector {'index' if len(wanted) == 1 else 'indexes'}"
            cli.confirm(level=1, summary=summary, yes=yes)
        rows = index.drop(conn, wanted, concurrently=concurrently, dry_run=dry_run)
    cli.printer.many([row | {"dry_run": True} if dry_run else row for row in rows], CHANGED)
    if not dry_run:
        cli.hint("seedcore embed index build")


@app.command("check")
@common
def check(
    cli: Cli,
    *,
    dim: Annotated[int, typer.Option("--dim", help="128 or 1024.")] = 1024,
    label: Annotated[
        str | None,
        typer.Option("--label", help="Only vectors of this label.", metavar="LABEL"),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Neighbours compared.", min=1, max=100)] = 10,
    sample: Annotated[int, typer.Option("--sample", help="Vectors asked for.", min=1)] = 50,
    ef_search: Annotated[
        int,
        typer.Option("--ef-search", help="Length of the index's search list.", min=10, max=1000),
    ] = 320,  # EF_SEARCH of seedcore.embed.search, which is too heavy to be imported here
    fail_under: Annotated[
        float | None,
        typer.Option("--fail-under", help="Exit 3 below this recall.", min=0.0, max=1.0),
    ] = None,
) -> None:
    """Compare what the index finds with what is nearest, for a sample of stored vectors.

    Example: seedcore embed index check --fail-under 0.97

    Exit codes: 3 the recall is too low.
    """
    from seedcore.embed import index
    from seedcore.embed.model import check_dim

    with cli.connect() as conn:
        rows = [
            index.check(conn, stored, label=label, k=k, sample=sample, ef_search=ef_search)
            for stored in index.encoders_with_vectors(conn, check_dim(dim))
        ]
    cli.printer.many(rows, CHECK)
    if not rows:
        cli.note(f"there are no vectors of {dim} dimensions")
    low = [row for row in rows if fail_under is not None and (row["recall"] or 0) < fail_under]
    if low:
        raise CheckFailed(
            f"recall of {low[0]['encoder']} is {low[0]['recall']}",
            code="embed.low_recall",
            hint="raise --ef-search, or: seedcore embed index build --rebuild",
        )
