"""`seedcore registry instances`: who is alive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from seedcore_cli.app import group
from seedcore_cli.commands.registry.columns import CHANGES, LIST, LOCATED, SHOWN
from seedcore_cli.commands.registry.group import app as parent
from seedcore_cli.commands.registry.selectors import (
    AllEpochs,
    LogicalId,
    Node,
    StaleAfter,
    Statuses,
)
from seedcore_cli.options import Cli, common
from seedcore_cli.session import MACHINE_FORMATS

if TYPE_CHECKING:
    from seedcore.registry.instances import Filter

app = group("List, watch and show instances.")
parent.add_typer(app, name="instances")


@app.command("list")
@common
def list_instances(
    cli: Cli,
    *,
    status: Statuses = None,
    logical_id: LogicalId = None,
    node: Node = None,
    all_epochs: AllEpochs = False,
    stale_after: StaleAfter = None,
) -> None:
    """List instances: those of the current epoch that are not dead, unless asked otherwise.

    Examples:
      seedcore registry instances list
      seedcore registry instances list --status dead --all-epochs
      seedcore registry instances list --stale-after 15s
    """
    from seedcore.registry import instances

    wanted = _filter(status, logical_id, node, all_epochs, stale_after)
    with cli.connect() as conn:
        cli.printer.many(instances.list_instances(conn, wanted), LIST)


@app.command("watch")
@common(own_timeout=True)
def watch(
    cli: Cli,
    *,
    status: Statuses = None,
    logical_id: LogicalId = None,
    node: Node = None,
    all_epochs: AllEpochs = False,
) -> None:
    """Print instances as they come, change and go.

    First come all of them as they are. Machine formats print change events:
      {"type": "added|modified|removed", "object": {...}, "at": "..."}

    Example: seedcore registry instances watch --logical-id queue@web1-1 --timeout 10m

    Exit codes: 6 time-out.
    """
    from seedcore.registry import instances

    wanted = _filter(status, logical_id, node, all_epochs, None)
    with cli.connect() as conn:
        changes = instances.watch(conn, wanted, timeout_s=cli.timeout_s)
        if cli.format in MACHINE_FORMATS:
            cli.printer.stream(changes, CHANGES)
        else:
            cli.printer.stream(
                ({**c["object"], "at": c["at"], "change": c["type"]} for c in changes), CHANGES
            )


@app.command("show")
@common
def show(
    cli: Cli,
    instance: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the first digits.")],
) -> None:
    """Show one instance, with the number of tasks it holds.

    Example: seedcore registry instances show 5f0c1b7a

    Exit codes: 4 there is no such instance.
    """
    from seedcore.registry import instances

    with cli.connect() as conn:
        cli.printer.one(instances.show(conn, instances.resolve(conn, instance)), SHOWN)


@parent.command("locate")
@common
def locate(
    cli: Cli,
    logical_id: Annotated[str, typer.Argument(metavar="LOGICAL_ID", help="The name to look for.")],
) -> None:
    """Find the best active instance of a logical id: the one that beat last.

    Example: seedcore registry locate queue@web1-1 --columns serve_route

    Exit codes: 4 none is active.
    """
    from seedcore.registry import instances

    with cli.connect() as conn:
        cli.printer.one(instances.locate(conn, logical_id), LOCATED)


def _filter(
    status: list[str] | None,
    logical_id: str | None,
    node: str | None,
    all_epochs: bool,
    stale_after: float | None,
) -> Filter:
    from seedcore.registry.instances import Filter
    from seedcore_cli.commands.registry.selectors import statuses

    return Filter(
        statuses=statuses(status),
        logical_id=logical_id,
        node_id=node,
        all_epochs=all_epochs,
        stale_s=stale_after,
    )
