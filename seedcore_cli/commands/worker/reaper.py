"""`seedcore worker registry-reaper`: declare dead who is gone."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.worker.group import (
    LogFormatOption,
    MetricsTextfile,
    app,
    log_level,
    overlaid,
)
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

REAPED = (
    Column("expired", align="right"),
    Column("held_back", align="right"),
    Column("purged", align="right"),
    Column("seconds", align="right"),
)


@app.command("registry-reaper")
@common
def registry_reaper(
    cli: Cli,
    *,
    once: Annotated[bool, typer.Option("--once", help="Make one pass and end.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="DUR",
            help="Pause between passes. MAINTENANCE_INTERVAL_S, 15s.",
            parser=parse_duration,
        ),
    ] = None,
    stale_after: Annotated[
        float | None,
        typer.Option(
            "--stale-after",
            metavar="DUR",
            help="Silence that counts as death. RECONCILE_GRACE_S, 15s.",
            parser=parse_duration,
        ),
    ] = None,
    max_fraction: Annotated[
        float,
        typer.Option(
            "--max-fraction",
            min=0.0,
            max=1.0,
            help="Hold back for a while when a larger share of all is silent.",
        ),
    ] = 0.5,
    guard: Annotated[
        float,
        typer.Option(
            "--guard", metavar="DUR", help="How long to hold back.", parser=parse_duration
        ),
    ] = 30.0,
    metrics_textfile: MetricsTextfile = None,
    log_format: LogFormatOption = None,
) -> None:
    """Declare instances dead that fell silent, or whose epoch is over.

    Of several reapers one leads and the others stand by. When more than half of at least five
    instances fall silent together, the database or the network was away rather than they: it holds
    back for a while, and expires only those that stay silent.

    Examples:
      seedcore worker registry-reaper
      */1 * * * * seedcore worker registry-reaper --once -q

    Exit codes: 9 with --once, another reaper leads; 69 no database; 78 wrong configuration.
    """
    from seedcore.registry.reaper import Rules
    from seedcore.telemetry import logs
    from workers.registry_reaper import ReaperOptions, run, run_once

    settings = overlaid(
        cli.settings,
        maintenance_interval_s=interval,
        reconcile_grace_s=stale_after,
        log_format=None if log_format is None else log_format.value,
        log_level=log_level(cli),
    )
    for name, seconds in (
        ("--interval", settings.maintenance_interval_s),
        ("--stale-after", settings.reconcile_grace_s),
    ):
        if seconds <= 0:
            raise UsageError(f"{name} needs a time above 0")
    options = ReaperOptions(
        interval_s=settings.maintenance_interval_s,
        rules=Rules(stale_s=settings.reconcile_grace_s, max_fraction=max_fraction, guard_s=guard),
        metrics_textfile=None if metrics_textfile is None else str(metrics_textfile),
    )
    if once:
        cli.printer.one(run_once(settings, options), REAPED)
        return
    logs.configure(settings.log_level, settings.log_format)
    raise typer.Exit(run(settings, options))
