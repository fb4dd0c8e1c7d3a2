"""`seedcore worker unit`: how an init system starts a daemon."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seedcore_cli.commands.worker.group import app
from seedcore_cli.options import Cli, common


class Daemon(StrEnum):
    """Daemons that have a unit."""

    QUEUE = "queue"
    GRAPH = "graph"
    REGISTRY_REAPER = "registry-reaper"


@app.command("unit")
@common
def unit(
    cli: Cli,
    daemon: Annotated[Daemon, typer.Argument(help="Which daemon.")],
    *,
    user: Annotated[
        bool, typer.Option("--user", help="For the systemd of the calling user, not of the system.")
    ] = False,
    env_file: Annotated[
        Path | None,
        typer.Option("--env-file", metavar="FILE", help="File with environment variables."),
    ] = None,
) -> None:
    """Print a systemd unit for a daemon.

    Those of the queue and the graph worker are templates: the part after @ numbers those of a host.

    Examples:
      seedcore worker unit queue > /etc/systemd/system/seedcore-queue@.service
      seedcore worker unit registry-reaper > /etc/systemd/system/seedcore-registry-reaper.service
    """
    import shutil

    from workers.unit import Request, graph_unit, queue_unit, reaper_unit

    program = Path(sys.argv[0])
    found = program if program.is_file() else Path(shutil.which("seedcore") or "/usr/bin/seedcore")
    request = Request(
        program=found.absolute(),
        for_user=user,
        env_file=None if env_file is None else env_file.absolute(),
    )
    if daemon is Daemon.QUEUE:
        text, name = queue_unit(cli.settings, request), "seedcore-queue@1"
    elif daemon is Daemon.GRAPH:
        text, name = graph_unit(cli.settings, request), "seedcore-graph@1"
    else:
        text, name = reaper_unit(cli.settings, request), "seedcore-registry-reaper"
    cli.printer.text(text)
    cli.hint(f"systemctl daemon-reload && systemctl enable --now {name}")
