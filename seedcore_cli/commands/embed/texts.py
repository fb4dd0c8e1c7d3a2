"""`seedcore embed tasks|facts`: give texts their vectors."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import PartialFailure, UsageError
from seedcore_cli.commands.embed.columns import ENQUEUED, RUN
from seedcore_cli.commands.embed.group import app
from seedcore_cli.commands.embed.rebuilding import TEXT_TABLE, RebuildIndex, advise, rebuilt
from seedcore_cli.options import Cli, DryRun, NoLimit, common
from seedcore_cli.progress import progress_bar

if TYPE_CHECKING:
    from seedcore.embed.run import Source, Wanted

Missing = Annotated[bool, typer.Option("--missing", help="Only what has no vector.")]
Stale = Annotated[bool, typer.Option("--stale", help="Only what has the vector of an older text.")]
All = Annotated[
    bool, typer.Option("--all", help="Also what is up to date; equal vectors aren't written.")
]
Ids = Annotated[
    list[str] | None, typer.Option("--id", help="Only this one; repeatable.", metavar="ID")
]
Encoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="http, lsa, hash, or a name of 'embed encoders'. Default: TEXT_ENCODER.",
        metavar="NAME",
    ),
]
Batch = Annotated[
    int, typer.Option("--batch", help="Texts embedded and stored together.", min=1, max=4096)
]
Dim = Annotated[int, typer.Option("--dim", help="Dimensions: 1024, as texts have.", metavar="N")]
Enqueue = Annotated[
    bool,
    typer.Option("--enqueue/--wait", help="Leave it to a graph worker, or do it here and now."),
]


class Space(StrEnum):
    """What of a task is embedded."""

    TEXT = "text"
    MULTIMODAL = "multimodal"


@app.command("tasks")
@common
def tasks(
    cli: Cli,
    *,
    missing: Missing = False,
    stale: Stale = False,
    all_: All = False,
    ids: Ids = None,
    space: Annotated[
        Space,
        typer.Option(
            "--space", help="The task's own text, or what its multimodal envelope says in words."
        ),
    ] = Space.TEXT,
    dim: Dim = 1024,
    encoder: Encoder = None,
    batch: Batch = 256,
    limit: NoLimit = None,
    rebuild_index: RebuildIndex = False,
    enqueue: Enqueue = False,
    dry_run: DryRun = False,
) -> None:
    """Embed the texts of tasks: what lacks a vector, and what has the vector of an older text.

    A run over unchanged tasks writes nothing. A new encoder answers no question before it has embedded
    everything that the one before it has.

    Examples:
      seedcore embed tasks
      seedcore embed tasks --space multimodal
      seedcore embed tasks --all --encoder hash --dry-run

    Exit codes: 4 no such task or encoder; 7 the encoder refuses some texts; 9 another run is under way.
    """
    from seedcore.embed.run import MULTIMODAL, TASKS

    _check_dim(dim)
    source = MULTIMODAL if space is Space.MULTIMODAL else TASKS
    if enqueue:
        _no_rebuilding(rebuild_index)
        _enqueue(cli, source, ids, encoder, limit, dry_run=dry_run)
        return
    wanted = _wanted(missing, stale, all_, batch, limit, dry_run)
    _run(cli, source, wanted, ids, encoder, rebuild=rebuild_index)


@app.command("facts")
@common
def facts(
    cli: Cli,
    *,
    missing: Missing = False,
    stale: Stale = False,
    all_: All = False,
    ids: Ids = None,
    dim: Dim = 1024,
    encoder: Encoder = None,
    batch: Batch = 256,
    limit: NoLimit = None,
    rebuild_index: RebuildIndex = False,
    enqueue: Enqueue = False,
    dry_run: DryRun = False,
) -> None:
    """Embed the texts of facts: what lacks a vector, and what has the vector of an older text.

    Example: seedcore embed facts --missing

    Exit codes: 4 no such fact or encoder; 7 the encoder refuses some texts; 9 another run is under way.
    """
    from seedcore.embed.run import FACTS

    _check_dim(dim)
    if enqueue:
        _no_rebuilding(rebuild_index)
        _enqueue(cli, FACTS, ids, encoder, limit, dry_run=dry_run)
        return
    wanted = _wanted(missing, stale, all_, batch, limit, dry_run)
    _run(cli, FACTS, wanted, ids, encoder, rebuild=rebuild_index)


def _no_rebuilding(rebuild: bool) -> None:
    if rebuild:
        raise UsageError("--rebuild-index is for a run that embeds here and now, not for --enqueue")


def _wanted(
    missing: bool, stale: bool, all_: bool, batch: int, limit: int | None, dry_run: bool
) -> Wanted:
    from seedcore.embed.run import Wanted

    either = missing or stale
    return Wanted(
        missing=missing or not either,
        stale=stale or not either,
        again=all_,
        batch=batch,
        limit=limit or 0,
        dry_run=dry_run,
    )


def _run(
    cli: Cli,
    source: Source,
    wanted: Wanted,
    ids: list[str] | None,
    encoder: str | None,
    *,
    rebuild: bool,
) -> None:
    from seedcore.embed import fitting
    from seedcore.embed.run import count_of, resolve_ids, run
    from seedcore.embed.selection import choose

    with cli.connect() as conn:
        if ids:
            wanted = dataclasses.replace(wanted, ids=resolve_ids(conn, source, ids))
        if encoder is None and not wanted.dry_run and (why := fitting.is_due(conn, cli.settings)):
            cli.note(f"fitting the offline encoder: {why}")
            fitting.fit(conn)
        choice = choose(conn, cli.settings, encoder, keep=False, prepare=True)
        cli.note(f"encoder: {choice.stored.identity.model} ({choice.why})")
        table = "task_multimodal_embeddings" if source.space == "multimodal" else TEXT_TABLE
        if not rebuild and wanted.ids is None:
            advise(cli, conn, table, count_of(conn, source))
        with (
            rebuilt(cli, table, rebuild and not wanted.dry_run),
            progress_bar(cli, f"embedding {source.kind}") as show,
        ):
            outcome = run(conn, choice, source, wanted, show)
    row: dict[str, Any] = dataclasses.asdict(outcome)
    if wanted.dry_run:
        row["dry_run"] = True
    cli.printer.one(row, RUN)
    if outcome.serves:
        cli.note(f"{outcome.encoder} has embedded everything and answers questions now")
    elif choice.stored.state == "preparing":
        cli.hint("seedcore embed facts" if source.kind == "tasks" else "seedcore embed tasks")
    if outcome.failures:
        first = outcome.failures[0]
        raise PartialFailure(
            f"{outcome.failed} of {source.kind} can't be embedded, such as {first['id']}: {first['error']}",
            code="embed.text_refused",
            details={"errors": outcome.failures},
        )


def _enqueue(
    cli: Cli,
    source: Source,
    ids: list[str] | None,
    encoder: str | None,
    limit: int | None,
    *,
    dry_run: bool,
) -> None:
    """Make what is due pending, and submit one graph task that embeds it."""
    from seedcore.embed.pending import enqueue
    from seedcore.embed.run import resolve_ids

    if encoder:
        raise UsageError("--enqueue leaves the encoder to the worker; --encoder says nothing to it")
    with cli.connect() as conn:
        chosen = resolve_ids(conn, source, ids) if ids else None
        row = enqueue(conn, cli.settings, source, chosen, limit, actor=cli.actor, dry_run=dry_run)
    cli.printer.one(row, ENQUEUED)
    if row["task_id"] is not None:
        cli.hint(f"seedcore task wait {row['task_id']}")


def _check_dim(dim: int) -> None:
    from seedcore.embed.model import check_dim

    if check_dim(dim) != 1024:
        raise UsageError(
            "texts are embedded in 1024 dimensions; 128 are those of the graph's shape",
            code="embed.bad_dimension",
            hint="seedcore embed graph",
        )
