"""`seedcore pkg deployments`, `coverage` and `devices`: what is served where, and who runs it."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore.errors import CheckFailed, NotFound, UsageError
from seedcore_cli.app import group
from seedcore_cli.commands.pkg.arguments import Environment
from seedcore_cli.commands.pkg.columns import COVERAGE, DEPLOYMENTS, DEVICES
from seedcore_cli.commands.pkg.group import app as parent
from seedcore_cli.options import Cli, Limit, common

devices = group("Record which version each device runs, and list them.")
parent.add_typer(devices, name="devices")

Target = Annotated[
    str | None, typer.Option("--target", metavar="TARGET", help="Only of this target.")
]
Region = Annotated[
    str | None, typer.Option("--region", metavar="REGION", help="Only of this region.")
]


@parent.command("deployments")
@common
def deployments(cli: Cli, *, target: Target = None, region: Region = None) -> None:
    """List the lanes: which snapshot serves what share of a target in a region.

    Example: seedcore pkg deployments --target router
    """
    from seedcore.pkg import canary

    with cli.connect() as conn:
        cli.printer.many(canary.deployments(conn, target=target, region=region), DEPLOYMENTS)


@parent.command("coverage")
@common
def coverage(
    cli: Cli,
    *,
    target: Target = None,
    region: Region = None,
    least: Annotated[
        float | None,
        typer.Option(
            "--min", metavar="SHARE", help="Exit with 3 when a lane has less, such as 0.95."
        ),
    ] = None,
) -> None:
    """Show how many devices of each lane run its snapshot.

    Devices that said nothing for long (the database's setting device_window_s, by default a day) are
    counted as stale and nowhere else.

    Example: seedcore pkg coverage --target edge:door --min 0.95

    Exit codes: 3 a lane is below --min; 4 with --min, there is no such lane.
    """
    from seedcore.pkg import devices as core

    if least is not None and not 0 <= least <= 1:
        raise UsageError("--min is a share from 0 to 1", hint="--min 0.95")
    with cli.connect() as conn:
        rows = core.coverage(conn, target=target, region=region)
    cli.printer.many(rows, COVERAGE)
    if least is not None and not rows:
        where = " ".join(["", *filter(None, (target, region))])
        raise NotFound(
            f"there is no lane{where} whose coverage could be judged",
            code="pkg.lane_not_found",
            hint="seedcore pkg deployments",
        )
    low = [row for row in rows if least is not None and (row["ratio"] or 0) < least]
    if low:
        names = ", ".join(f"{row['target']} in {row['region']}" for row in low)
        raise CheckFailed(f"below {least:.0%}: {names}", code="pkg.coverage_low")


@devices.command("report")
@common
def report(
    cli: Cli,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Its id.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="What it runs.")],
    *,
    device_type: Annotated[
        str,
        typer.Option("--type", metavar="TYPE", help="Such as door; a lane edge:door counts it."),
    ],
    region: Annotated[
        str, typer.Option("--region", metavar="REGION", help="Where it stands.")
    ] = "global",
    env: Annotated[
        Environment, typer.Option("--env", metavar="ENV", help="Whose snapshots these are.")
    ] = Environment.PROD,
) -> None:
    """Record what a device runs. It says so again and again: that is how it is known to live.

    Example: seedcore pkg devices report door-17 v2 --type door --region eu
    """
    from seedcore.pkg import devices as core

    with cli.connect() as conn:
        row = core.report(
            conn, device, version, device_type=device_type, region=region, env=env.value,
            actor=cli.actor,
        )  # fmt: skip
    cli.printer.one(row, DEVICES)


@devices.command("list")
@common
def list_(
    cli: Cli,
    *,
    device_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only of this type.")
    ] = None,
    region: Region = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Only with this version.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List devices, the most recently seen first.

    Example: seedcore pkg devices list --type door --region eu
    """
    from seedcore.pkg import devices as core

    with cli.connect() as conn:
        rows = core.listed(
            conn, device_type=device_type, region=region, version=version, limit=limit
        )
        cli.printer.many(rows, DEVICES)
