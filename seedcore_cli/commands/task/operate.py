"""Change tasks by hand: cancel, retry, requeue-stale, release."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.task.columns import CHANGED, STALE
from seedcore_cli.commands.task.group import app
from seedcore_cli.commands.task.selectors import Conditions, Types, selectors
from seedcore_cli.exit_codes import PARTIAL
from seedcore_cli.options import Cli, DryRun, NoLimit, Reason, Yes, common
from seedcore_cli.params import parse_duration

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids, or unique beginnings.")]


@app.command("cancel")
@common
@selectors
def cancel(
    cli: Cli,
    ids: Ids = None,
    *,
    chosen: Conditions,
    limit: NoLimit = None,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """End unfinished tasks at once.

    A running task is cancelled in the database; its worker stops at the next renewal and its late
    result is discarded. What waits for a cancelled task is cancelled with it.

    Examples:
      seedcore task cancel 0198c7a12b3c --reason "sent twice"
      seedcore task cancel --type echo --status live --dry-run

    Exit codes: 4 no such task; 5 it has ended already; 7 some of several had; 10 not confirmed.
    """
    from seedcore.task import service

    _change(
        cli,
        service.cancel,
        ids,
        chosen,
        "cancel",
        limit=limit,
        reason=reason,
        yes=yes,
        dry_run=dry_run,
    )


@app.command("retry")
@common
@selectors
def retry(
    cli: Cli,
    ids: Ids = None,
    *,
    chosen: Conditions,
    limit: NoLimit = None,
    attempts: Annotated[
        int | None,
        typer.Option("--attempts", help="How many more attempts; default 3.", metavar="N", min=1),
    ] = None,
    in_: Annotated[
        float | None,
        typer.Option(
            "--in", help="Not before so long from now.", metavar="DUR", parser=parse_duration
        ),
    ] = None,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Queue failed and cancelled tasks again; a task that waits for its retry becomes due.

    Examples:
      seedcore task retry 0198c7a12b3c --reason "encoder is back"
      seedcore task retry --status failed --since 1h --yes

    Exit codes: 4 no such task; 5 it is in no such state; 7 some of several were not; 10 not confirmed.
    """
    from seedcore.task import service

    _change(
        cli,
        service.retry,
        ids,
        chosen,
        "retry",
        limit=limit,
        reason=reason,
        yes=yes,
        dry_run=dry_run,
        extra=attempts,
        delay_s=in_,
    )


@app.command("release")
@common
@selectors
def release(
    cli: Cli,
    ids: Ids = None,
    *,
    chosen: Conditions,
    limit: NoLimit = None,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Let held tasks run (those submitted with --hold).

    Example: seedcore task release 0198c7a12b3c

    Exit codes: 4 no such task; 5 it is not held; 7 some of several were not; 10 not confirmed.
    """
    from seedcore.task import service

    _change(
        cli,
        service.release,
        ids,
        chosen,
        "release",
        limit=limit,
        reason=reason,
        yes=yes,
        dry_run=dry_run,
    )


@app.command("requeue-stale")
@common
def requeue_stale(
    cli: Cli,
    ids: Ids = None,
    *,
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than",
            help="Silent for so long; default: the lease is past.",
            metavar="DUR",
            parser=parse_duration,
        ),
    ] = None,
    type_: Types = None,
    limit: NoLimit = None,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Take leases back from owners that have fallen silent, so that their tasks run again.

    Workers do this by themselves every WATCHDOG_INTERVAL. With ids it takes back just those, also
    before their lease is past; the former owner's result will be discarded.

    Examples:
      seedcore task requeue-stale --dry-run
      seedcore task requeue-stale 0198c7a12b3c --reason "host is gone"

    Exit codes: 4 no such task; 5 it is not running; 10 not confirmed.
    """
    from seedcore.task import service

    with cli.connect() as conn:
        options: dict[str, Any] = {
            "ids": [service.resolve(conn, ref) for ref in ids or ()],
            "older_than_s": older_than,
            "types": type_ or [],
            "limit": limit,
            "actor": cli.actor,
            "reason": reason,
            "settings": cli.settings,
        }
        rows = service.requeue_stale(conn, dry_run=True, **options)
        if not dry_run and rows:
            if len(ids or ()) != 1:
                cli.confirm(level=1, summary=f"requeue {_count(len(rows))}", yes=yes)
            rows = service.requeue_stale(conn, dry_run=False, **options)
    cli.printer.many([row | {"dry_run": True} if dry_run else row for row in rows], STALE)
    _tell(cli, "requeued", len(rows), dry_run=dry_run)


def _change(
    cli: Cli,
    service_function: Callable[..., list[dict[str, Any]]],
    ids: list[str] | None,
    chosen: Conditions,
    verb: str,
    *,
    limit: int | None,
    reason: str | None,
    yes: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Change named tasks at once, or those that conditions choose after a question."""
    from seedcore.task import service

    if bool(ids) == bool(chosen):
        raise UsageError(
            "give ids, or conditions such as --type and --status, and not both",
            hint=f"{cli.command} --help",
        )
    with cli.connect() as conn:
        if ids:
            target: Any = [service.resolve(conn, ref) for ref in ids]
        else:
            target = chosen.selection(limit=limit or 0)
        options |= {"actor": cli.actor, "reason": reason}
        if not ids and not dry_run and not yes:
            count = len(service_function(conn, target, dry_run=True, **options))
            if count:
                cli.confirm(level=1, summary=f"{verb} {_count(count)}")
        rows = service_function(conn, target, dry_run=dry_run, **options)
    cli.printer.many([row | {"dry_run": True} if dry_run else row for row in rows], CHANGED)
    refused = [row for row in rows if row.get("error")]
    _tell(cli, _DONE[verb], len(rows) - len(refused), dry_run=dry_run)
    if refused:
        raise typer.Exit(PARTIAL)


_DONE = {"cancel": "cancelled", "retry": "queued", "release": "released"}


def _count(number: int) -> str:
    return f"{number} task" if number == 1 else f"{number} tasks"


def _tell(cli: Cli, done: str, number: int, *, dry_run: bool) -> None:
    if dry_run:
        cli.note(f"would have {done} {_count(number)}; nothing was changed")
    elif number:
        cli.note(f"{done} {_count(number)}")
        cli.hint("seedcore task stats")
    else:
        cli.note("unchanged: there was no such task")
