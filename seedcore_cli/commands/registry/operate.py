"""Change instances by hand: set-status, drain, expire."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from seedcore.errors import NotFound, UsageError
from seedcore_cli.commands.registry.columns import DRAINED, EXPIRED, MOVED
from seedcore_cli.commands.registry.group import app
from seedcore_cli.commands.registry.selectors import LogicalId, Node, statuses
from seedcore_cli.humanize import count_of
from seedcore_cli.options import Cli, DryRun, Yes, common
from seedcore_cli.params import parse_duration

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids, or their first digits.")]


@app.command("set-status")
@common
def set_status(
    cli: Cli,
    instance: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the first digits.")],
    status: Annotated[
        str, typer.Argument(metavar="STATUS", help="starting, alive, draining or dead.")
    ],
) -> None:
    """Move an instance on: starting, alive, draining, dead, in this order.

    Example: seedcore registry set-status 5f0c1b7a alive

    Exit codes: 4 there is no such instance; 5 that would lead back.
    """
    from seedcore.registry import instances

    wanted = (statuses([status]) or [None])[0]
    if wanted is None:
        raise UsageError("name a status", code="registry.bad_status")
    with cli.connect() as conn:
        found = instances.resolve(conn, instance)
        before, after = instances.set_status(conn, found, wanted)
    cli.printer.one({"instance_id": found, "before": before, "after": after}, MOVED)


@app.command("drain")
@common(own_timeout=True)
def drain(
    cli: Cli,
    ids: Ids = None,
    *,
    logical_id: LogicalId = None,
    node: Node = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until they have ended.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Ask instances to finish what they hold, take nothing new, and end; on any machine.

    They learn it at their next beat. An instance that falls silent meanwhile, holding nothing, is
    declared dead.

    Examples:
      seedcore registry drain 5f0c1b7a --wait --timeout 5m --yes
      seedcore registry drain --node web1 --wait --yes

    Exit codes: 4 no such instance; 5 one is dead already; 6 time-out; 10 not confirmed.
    """
    from seedcore.registry import instances

    with cli.connect() as conn:
        chosen = _chosen(conn, ids, logical_id, node)
        if dry_run:
            rows = instances.list_instances(conn, instances.Filter(ids=chosen))
            cli.printer.many(rows, DRAINED)
            return
        summary = f"drain {count_of(len(chosen), 'instance')}"
        cli.confirm(level=1, summary=summary, yes=yes)
        rows = instances.drain(conn, chosen)
        if wait:
            instances.wait_drained(conn, chosen, timeout_s=cli.timeout_s)
            rows = [row | {"status": "dead", "leases": 0} for row in rows]
    cli.printer.many(rows, DRAINED)


@app.command("expire")
@common
def expire(
    cli: Cli,
    *,
    stale_after: Annotated[
        float | None,
        typer.Option(
            "--stale-after",
            metavar="DUR",
            help="Silence that counts. Default: RECONCILE_GRACE_S.",
            parser=parse_duration,
        ),
    ] = None,
    old_epochs: Annotated[
        bool, typer.Option("--old-epochs", help="Also instances of epochs that are over.")
    ] = False,
    max_: Annotated[
        int | None, typer.Option("--max", min=1, help="At most so many, longest silent first.")
    ] = None,
    max_fraction: Annotated[
        float,
        typer.Option(
            "--max-fraction",
            min=0.0,
            max=1.0,
            help="Refuse, without --yes, when a larger share of all is silent.",
        ),
    ] = 0.5,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Declare instances dead that fell silent. `worker registry-reaper` does it all the time.

    When more than half of at least five are silent at once, the reason is hardly theirs: it refuses,
    unless --yes says that they are really gone.

    Example: seedcore registry expire --stale-after 1m --dry-run

    Exit codes: 10 too many are silent at once.
    """
    from seedcore.registry import reaper

    rules = reaper.Rules(
        stale_s=cli.settings.reconcile_grace_s if stale_after is None else stale_after,
        max_fraction=max_fraction,
        old_epochs=old_epochs,
    )
    if rules.stale_s <= 0:
        raise UsageError("--stale-after needs a time above 0")
    with cli.connect() as conn:
        rows = reaper.expire_by_hand(conn, rules, is_sure=yes, most=max_, dry_run=dry_run)
    cli.printer.many(rows, EXPIRED)


def _chosen(
    conn: Any, ids: list[str] | None, logical_id: str | None, node: str | None
) -> list[UUID]:
    from seedcore.registry import instances
    from seedcore.registry.model import InstanceStatus

    if bool(ids) == bool(logical_id or node):
        raise UsageError("give ids, or --logical-id or --node, and not both")
    if ids:
        return [instances.resolve(conn, ref) for ref in ids]
    live = [InstanceStatus.STARTING, InstanceStatus.ALIVE, InstanceStatus.DRAINING]
    wanted = instances.Filter(statuses=live, logical_id=logical_id, node_id=node, all_epochs=True)
    found = [row["instance_id"] for row in instances.list_instances(conn, wanted)]
    if not found:
        name = logical_id or node
        raise NotFound(
            f'no live instance matches "{name}"',
            code="registry.instance_not_found",
            hint="seedcore registry instances list --all-epochs",
        )
    return found
