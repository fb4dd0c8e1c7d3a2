"""`seedcore registry epoch`: which incarnation of the cluster is current."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from seedcore.errors import CheckFailed, UsageError
from seedcore_cli.app import group
from seedcore_cli.commands.registry.columns import EPOCH, HISTORY, ROTATED
from seedcore_cli.commands.registry.group import app as parent
from seedcore_cli.options import Cli, DryRun, Limit, Reason, Yes, common
from seedcore_cli.params import parse_duration

app = group("Show the current epoch, and begin new ones.")
parent.add_typer(app, name="epoch")

_TO = typer.Option("--to", metavar="UUID", help="The new epoch. Default: a new id.")


@app.command("show")
@common
def show(cli: Cli) -> None:
    """Show the current epoch and how many live in it.

    Example: seedcore registry epoch show -o name

    Exit codes: 3 there is no epoch yet.
    """
    from seedcore.registry import epoch

    with cli.connect() as conn:
        row = epoch.show(conn)
    if row is None:
        raise CheckFailed(
            "there is no epoch yet", code="registry.no_epoch", hint="seedcore registry epoch init"
        )
    cli.printer.one(row, EPOCH)


@app.command("init")
@common
def init(
    cli: Cli,
    *,
    epoch: Annotated[
        str | None, typer.Option("--epoch", metavar="UUID", help="Default: a new id.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Make the first epoch. Daemons do that by themselves unless SEEDCORE_AUTO_EPOCH is 0.

    Example: seedcore registry epoch init

    Exit codes: 5 there is one already.
    """
    from seedcore.registry import epoch as epochs

    wanted = _uuid(epoch)
    with cli.connect() as conn:
        epochs.init(conn, wanted, actor=cli.actor, reason=reason)
        row = epochs.show(conn)
    cli.printer.one(row or {}, EPOCH)


@app.command("rotate")
@common
def rotate(
    cli: Cli,
    *,
    expect_epoch: Annotated[
        str | None,
        typer.Option(
            "--expect-epoch",
            metavar="EPOCH",
            help="Go on only if this epoch (an id or its first digits) is current.",
        ),
    ] = None,
    to: Annotated[str | None, _TO] = None,
    drain: Annotated[
        float | None,
        typer.Option(
            "--drain",
            metavar="DUR",
            help="First ask all instances to drain, and wait so long for them.",
            parser=parse_duration,
        ),
    ] = None,
    expire_old: Annotated[
        bool,
        typer.Option(
            "--expire-old/--no-expire-old", help="Declare the old epoch's instances dead."
        ),
    ] = True,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Begin a new epoch, in one transaction.

    Instances that live register for it at their next beat; what is left of the old epoch is no longer
    found by anybody. With --expect-epoch only one of several rotations at once wins.

    Examples:
      epoch=$(seedcore registry epoch show -o name)
      seedcore registry epoch rotate --expect-epoch "$epoch" --yes
      seedcore registry epoch rotate --drain 30s --reason "new release" --yes

    Exit codes: 4 there is no epoch yet; 5 another epoch is current; 9 another rotation takes too long;
    10 not confirmed.
    """
    from seedcore.registry import epoch

    wanted = _uuid(to)
    with cli.connect() as conn:
        if not dry_run:
            cli.confirm(level=1, summary="begin a new epoch", yes=yes)
        row = epoch.rotate(
            conn,
            actor=cli.actor,
            reason=reason,
            expected=expect_epoch,
            to=wanted,
            expire_old=expire_old,
            drain_s=drain,
            dry_run=dry_run,
        )
    cli.printer.one(row, ROTATED)


@app.command("history")
@common
def history(cli: Cli, *, limit: Limit = 20) -> None:
    """List the rotations, newest first: from, to, when, by whom, why.

    Example: seedcore registry epoch history --limit 5
    """
    from seedcore.registry import epoch

    with cli.connect() as conn:
        cli.printer.many(epoch.history(conn, limit), HISTORY)


def _uuid(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise UsageError(
            f'"{text}" is no epoch; it has to be a UUID', code="registry.bad_epoch"
        ) from None
