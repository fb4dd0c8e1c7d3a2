"""Take tasks out: export, prune."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seedcore_cli.commands.task.group import app
from seedcore_cli.commands.task.selectors import Conditions, Statuses, read_statuses, selectors
from seedcore_cli.humanize import count_of
from seedcore_cli.options import Cli, DryRun, NoLimit, Yes, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

PRUNED = (Column("deleted"), Column("events"))


@app.command("export")
@common
@selectors
def export(
    cli: Cli,
    *,
    chosen: Conditions,
    limit: NoLimit = None,
    no_ids: Annotated[
        bool,
        typer.Option(
            "--no-ids", help="Leave ids out: lines that make new tasks, waiting for none."
        ),
    ] = False,
) -> None:
    """Write tasks as the lines that 'task submit -f' reads, in JSON whatever -o says.

    A submission of the lines leaves tasks alone that are still there, because they keep their ids.

    Examples:
      seedcore task export --status failed --since 1d > failed.ndjson
      seedcore task export --domain lab | seedcore --profile other task submit -f -
    """
    from seedcore.task import service

    with cli.connect() as conn:
        selection = chosen.selection(limit=limit or 0, sort="created_at")
        cli.printer.lines(service.export(conn, selection, ids=not no_ids))


@app.command("prune")
@common
def prune(
    cli: Cli,
    *,
    older_than: Annotated[
        float,
        typer.Option(
            "--older-than", help="Ended at least so long ago.", metavar="DUR", parser=parse_duration
        ),
    ],
    status: Statuses = None,
    events_older_than: Annotated[
        float | None,
        typer.Option(
            "--events-older-than",
            help="Also delete recorded transitions so old.",
            metavar="DUR",
            parser=parse_duration,
        ),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete tasks that ended long ago, in batches.

    Only completed, failed and cancelled tasks are deleted, and none that an unfinished one waits
    for. Without --status all three.

    Examples:
      seedcore task prune --older-than 30d --dry-run
      seedcore task prune --older-than 7d --status completed --yes

    Exit codes: 10 not confirmed.
    """
    from seedcore.task import service
    from seedcore.task.model import FINAL

    statuses = read_statuses(status) or FINAL
    options: dict[str, Any] = {"older_than_s": older_than, "statuses": statuses}
    with cli.connect() as conn:
        done = service.prune(conn, **options, dry_run=True)
        if not dry_run and (done["tasks"] or events_older_than is not None):
            cli.confirm(level=1, summary=f"delete {count_of(done['tasks'])}", yes=yes)
            done = service.prune(conn, **options, events_older_than_s=events_older_than)
    row: dict[str, Any] = {"deleted": done["tasks"], "events": done["events"]}
    cli.printer.one(row | {"dry_run": True} if dry_run else row, PRUNED)
    if dry_run:
        cli.note("nothing was deleted")
