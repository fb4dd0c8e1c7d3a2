"""Take tasks out: export, prune."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore_cli.commands.task.group import app
from seedcore_cli.commands.task.selectors import Conditions, Statuses, selectors
from seedcore_cli.options import Cli, DryRun, NoLimit, Yes, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration


@app.command("export")
@common
@selectors
def export(cli: Cli, *, chosen: Conditions, limit: NoLimit = None) -> None:
    """Write tasks as the lines that 'task submit -f' reads, in JSON whatever -o says.

    A submission of the lines leaves tasks alone that are still there, because they keep their ids.

    Examples:
      seedcore task export --status failed --since 1d > failed.ndjson
      seedcore task export --domain lab | seedcore --profile other task submit -f -
    """
    from seedcore.task import service
    from seedcore_cli.output import Printer

    with cli.connect() as conn:
        lines = service.export(conn, chosen.selection(limit=limit or 0, sort="created_at"))
        Printer("jsonl").many(lines, (Column("id", id=True),))


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
    events: Annotated[
        bool, typer.Option("--events", help="Recorded transitions of that age as well.")
    ] = False,
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
    from seedcore_cli.commands.task.selectors import final_statuses

    statuses = final_statuses(status)
    with cli.connect() as conn:
        would = service.prune(conn, older_than_s=older_than, statuses=statuses, dry_run=True)
        row = {"deleted": would}
        if not dry_run and (would or events):
            cli.confirm(level=1, summary=f"delete {would} tasks", yes=yes)
            row = {
                "deleted": service.prune(
                    conn, older_than_s=older_than, statuses=statuses, events=events
                )
            }
    cli.printer.one(row | {"dry_run": True} if dry_run else row, (Column("deleted", id=True),))
