"""`seedcore pkg promote`, `rollback` and `history`: what an environment serves."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.pkg.arguments import Env, Environment, Version, find
from seedcore_cli.commands.pkg.columns import HISTORY, PROMOTED
from seedcore_cli.commands.pkg.group import app
from seedcore_cli.options import Cli, DryRun, Limit, Reason, Yes, common

_ENV = typer.Option("--env", metavar="ENV", help="The environment: prod, staging or dev.")
_EXPECT = typer.Option(
    "--expect-version",
    metavar="VERSION",
    help="Go on only if this version is active; '' = none is.",
)


@app.command("promote")
@common
def promote(
    cli: Cli,
    version: Version,
    *,
    env: Annotated[Environment, _ENV] = Environment.PROD,
    expect: Annotated[str | None, _EXPECT] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Without a green validation run; takes a --reason."),
    ] = False,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="TARGET", help="Serve it to all of this lane too."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option("--region", metavar="REGION", help="The lane's region. Default: global."),
    ] = None,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Make a snapshot the active one of its environment, at once and for everybody.

    It takes a green validation run of exactly this content. Lanes stay as they are, but for one that is
    named; 'seedcore pkg canary' changes them step by step. Of several promotions at once with the same
    --expect-version one wins; without it each replaces the one before.

    Examples:
      seedcore pkg promote v2 --env prod --expect-version v1 --yes
      seedcore pkg promote v2 --force --reason "the old one is dangerous" --yes

    Exit codes: 3 its content is not what was stored, or it lacks the signature that PKG_VERIFY_KEY asks
    for; 4 there is no such snapshot; 5 another version is
    active, it is of another environment, or not validated, or a canary is under way on the lane; 10 not
    confirmed.
    """
    from seedcore.pkg import model, promotion, signature
    from seedcore.pkg.canary import Lane

    if region and not target:
        raise UsageError("--region speaks of a lane; name its --target too")
    with cli.connect() as conn:
        found = find(conn, version, None, prefer=env.value)
        if not dry_run:
            cli.confirm(level=1, summary=f"make {found.version} active in {env.value}", yes=yes)
        row = promotion.promote(
            conn,
            found,
            model.Env(env.value),
            actor=cli.actor,
            reason=reason,
            force=force,
            expected=expect,
            lane=Lane(target, region or "global") if target else None,
            key=signature.required_key(cli.settings),
            dry_run=dry_run,
        )
    cli.printer.one(row, PROMOTED)
    if row["changed"] and not dry_run:
        cli.hint(f"to take it back: seedcore pkg rollback --env {env.value}")


@app.command("rollback")
@common
def rollback(
    cli: Cli,
    *,
    env: Annotated[Environment, _ENV] = Environment.PROD,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="VERSION", help="Default: what was active before."),
    ] = None,
    expect: Annotated[str | None, _EXPECT] = None,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Make the snapshot active again that was active before; repeated, the one before that.

    There is no gate: what served once may serve again.

    Examples:
      seedcore pkg rollback --env prod --reason "v2 denies everything" --yes
      seedcore pkg rollback --env prod --to v1 --dry-run

    Exit codes: 3 its content is not what was stored, or lacks the signature that PKG_VERIFY_KEY asks for;
    4 there is nothing to go back to; 5 another version is active, or it is active already; 10 not confirmed.
    """
    from seedcore.pkg import model, promotion, signature

    with cli.connect() as conn:
        found = None if to is None else find(conn, to, None, prefer=env.value)
        if not dry_run:
            goal = f"to {to}" if to else "to what was active before"
            cli.confirm(level=1, summary=f"take {env.value} back {goal}", yes=yes)
        row = promotion.rollback(
            conn,
            model.Env(env.value),
            actor=cli.actor,
            reason=reason,
            to=found,
            expected=expect,
            key=signature.required_key(cli.settings),
            dry_run=dry_run,
        )
    cli.printer.one(row, PROMOTED)


@app.command("history")
@common
def history(
    cli: Cli,
    *,
    env: Env = None,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="TARGET", help="Only changes of this target's lanes."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option("--region", metavar="REGION", help="Of lanes: only of this region."),
    ] = None,
    limit: Limit = 20,
) -> None:
    """List promotions, rollbacks and changes of lanes, newest first: from, to, by whom, why.

    Example: seedcore pkg history --env prod --limit 5
    """
    from seedcore.pkg import promotion

    with cli.connect() as conn:
        rows = promotion.history(
            conn, env=env.value if env else None, target=target, region=region, limit=limit
        )
        cli.printer.many(rows, HISTORY)
