"""`seedcore capability`: what a policy can ask for, who does it, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore_cli.app import group
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from seedcore.capability.registry import CapabilityRegistry

app = group("See what the policy can ask for, who does it, and with what.")


def _listed(names: Any) -> str:
    return ", ".join(names or ())


LIST = (
    Column("name", id=True),
    Column("specialization"),
    Column("behaviors", format=_listed),
    Column("tools", format=_listed),
    Column("tags", format=_listed),
    Column("skills", wide=True),
)
SHOWN = (
    *LIST,
    Column("behavior_config"),
    Column("zone_affinity", format=_listed),
    Column("environment_constraints"),
    Column("default_params"),
)
CHANGES = (
    Column("change", colors={"added": "green", "removed": "red", "updated": "yellow"}),
    Column("version"),
    *LIST,
)

Snapshot = Annotated[
    str | None,
    typer.Option(
        "--snapshot", metavar="VERSION", help="Of this snapshot. Default: what PKG_ENV serves."
    ),
]


@app.command("list")
@common
def list_(cli: Cli, *, snapshot: Snapshot = None) -> None:
    """List the subtask types of the policy, with what each declares.

    Examples:
      seedcore capability list
      seedcore capability list --snapshot v2@staging -o json

    Exit codes: 4 no snapshot is active, or there is none of that version; 5 two of them spell a
    specialization differently.
    """
    cli.printer.many((one.row() for one in _registry(cli, snapshot)), LIST)


@app.command("show")
@common
def show(
    cli: Cli,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A subtask type.")],
    *,
    snapshot: Snapshot = None,
) -> None:
    """Show one capability in full.

    Example: seedcore capability show cool_room

    Exit codes: 4 there is no such capability, or no snapshot.
    """
    cli.printer.one(_registry(cli, snapshot).get(name).row(), SHOWN)


@app.command("watch")
@common(own_timeout=True)
def watch(
    cli: Cli,
    *,
    interval: Annotated[
        float,
        typer.Option(
            "--interval", metavar="DUR", parser=parse_duration, help="Pause between looks."
        ),
    ] = 1.0,
) -> None:
    """Print the capabilities that PKG_ENV serves, and each one that comes, changes or goes.

    Example: seedcore capability watch --timeout 10m -o jsonl
    """
    from seedcore.capability.registry import CapabilityMonitor, CapabilityRegistry

    monitor = CapabilityMonitor(CapabilityRegistry(), cli.settings.pkg_env)
    with cli.connect() as conn:
        changes = monitor.watch(conn, interval_s=max(interval, 0.05), timeout_s=cli.timeout_s)
        cli.printer.stream(changes, CHANGES)


def _registry(cli: Cli, snapshot: str | None) -> CapabilityRegistry:
    from seedcore.capability.registry import CapabilityRegistry
    from seedcore.pkg import sources

    registry = CapabilityRegistry()
    with cli.connect() as conn:
        found = sources.snapshot_of(conn, snapshot, prefer=cli.settings.pkg_env)
        registry.refresh(conn, found.id)
    return registry
