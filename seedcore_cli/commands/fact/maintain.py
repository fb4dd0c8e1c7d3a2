"""Take facts out: cleanup, export."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seedcore_cli.commands.fact.columns import CLEANED
from seedcore_cli.commands.fact.group import app
from seedcore_cli.commands.fact.look import At
from seedcore_cli.commands.fact.selectors import Namespace, Predicate, Snapshot, Subject, Tags
from seedcore_cli.humanize import count_of
from seedcore_cli.options import Cli, Confirm, DryRun, NoLimit, Yes, common
from seedcore_cli.params import parse_duration


@app.command("cleanup")
@common
def cleanup(
    cli: Cli,
    *,
    expired_before: Annotated[
        float,
        typer.Option(
            "--expired-before",
            help="Ended at least so long ago.",
            metavar="DUR",
            parser=parse_duration,
        ),
    ] = 0.0,
    namespace: Namespace = None,
    hard: Annotated[
        bool, typer.Option("--hard", help="Also facts that a task found or read.")
    ] = False,
    batch: Annotated[
        int, typer.Option("--batch", help="Facts in a transaction.", min=1, max=100_000)
    ] = 1000,
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Delete facts that hold no more, in batches.

    Facts that a task found or read are kept, as the tasks' lineage; --hard deletes them, too, and has to be
    confirmed with the name of the namespace (or "facts").

    Examples:
      seedcore fact cleanup --expired-before 90d --dry-run
      seedcore fact cleanup --expired-before 90d --yes
      seedcore fact cleanup --hard --namespace trial --confirm trial

    Exit codes: 10 not confirmed.
    """
    from seedcore.fact import service

    options: dict[str, Any] = {
        "older_than_s": expired_before,
        "namespace": namespace,
        "hard": hard,
        "batch_size": batch,
    }
    with cli.connect() as conn:
        done = service.cleanup(conn, **options, dry_run=True)
        if not dry_run and done["deleted"]:
            summary = f"delete {count_of(done['deleted'], 'fact')}"
            if hard:
                cli.confirm(level=2, summary=summary, name=namespace or "facts", given=confirm)
            else:
                cli.confirm(level=1, summary=summary, yes=yes)
            done = service.cleanup(conn, **options)
    cli.printer.one(done | {"dry_run": True} if dry_run else done, CLEANED)
    if dry_run:
        cli.note("nothing was deleted")
    if done["linked"] and not hard:
        cli.note(f"{count_of(done['linked'], 'fact')} that tasks speak of stay")


@app.command("export")
@common
def export(
    cli: Cli,
    *,
    subject: Subject = None,
    predicate: Predicate = None,
    tag: Tags = None,
    namespace: Namespace = None,
    snapshot: Snapshot = None,
    at: At = None,
    limit: NoLimit = None,
) -> None:
    """Write facts as the lines that 'fact add -f' reads, in JSON whatever -o says.

    All of them, whenever they hold, unless --at says otherwise. Added again, they change nothing where
    they still are, because they keep their ids.

    Example: seedcore fact export --namespace hotel > hotel.ndjson

    Exit codes: 4 no such snapshot.
    """
    from seedcore.fact import service

    chosen = service.Selection(
        namespace=namespace,
        subject=subject,
        predicate=predicate,
        tags=tuple(tag or ()),
        snapshot=snapshot,
        at=at,
        limit=limit or 0,
    )
    with cli.connect() as conn:
        cli.printer.lines(service.export(conn, chosen))
