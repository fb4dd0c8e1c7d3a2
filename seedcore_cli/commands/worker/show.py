"""`seedcore worker list` and `status`: how daemons on this machine are doing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seedcore.errors import CheckFailed, NotFound, UsageError
from seedcore_cli.commands.worker.group import app
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column

LIST = (
    Column("name", id=True),
    Column("status", colors={"healthy": "green", "draining": "yellow", "pool_issue": "red"}),
    Column("inflight_tasks", header="RUNNING", align="right"),
    Column("held_tasks", header="HELD", align="right"),
    Column("tasks_claimed", header="CLAIMED", align="right"),
    Column("tasks_completed", header="COMPLETED", align="right"),
    Column("tasks_failed", header="FAILED", align="right"),
    Column("uptime_s", align="right"),
    Column("instance_id", wide=True),
    Column("socket", wide=True),
)
STATUS = (
    Column("name", id=True),
    Column("instance_id"),
    Column("status"),
    Column("not_ready"),
    Column("dsn"),
    Column("pool"),
    Column("inflight_tasks"),
    Column("held_tasks"),
    Column("last_heartbeat"),
    Column("router_type"),
    Column("breakers"),
    Column("uptime_s"),
    Column("epoch"),
    Column("metrics"),
    Column("tasks"),
    Column("socket"),
)


@app.command("list")
@common
def list_workers(cli: Cli) -> None:
    """Show the workers of this machine that listen in this home.

    Example: seedcore worker list --output json
    """
    from workers import address, probe

    found = probe.statuses(address.run_folder(cli.settings))
    cli.printer.many(({**said, **said["metrics"]} for said in found), LIST)


@app.command("status")
@common
def status(
    cli: Cli,
    name: Annotated[
        str | None,
        typer.Argument(help="Its name or instance id, or the start of one. Default: the only one."),
    ] = None,
    *,
    socket: Annotated[
        Path | None, typer.Option("--socket", metavar="PATH", help="Ask this health socket.")
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 3 unless it is ready for work.")
    ] = False,
) -> None:
    """Ask one worker of this machine how it is doing.

    Example: seedcore worker status --exit-code

    Exit codes: 3 not ready, with --exit-code; 4 there is no such worker; 69 it does not answer.
    """
    from workers import address, probe

    if socket is not None:
        said = probe.status(socket)
    else:
        said = _only(probe.statuses(address.run_folder(cli.settings)), name)
    cli.printer.one(said, STATUS)
    if exit_code and said.get("not_ready"):
        raise CheckFailed(f"{said['name']} is not ready: {said['not_ready']}")


def _only(found: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    chosen = [
        said
        for said in found
        if name is None
        or str(said["name"]).startswith(name)
        or str(said["instance_id"]).startswith(name)
    ]
    if not chosen:
        raise NotFound(
            "no worker answers here" if name is None else f"no worker here is called {name!r}",
            code="worker.not_found",
            hint="seedcore worker list",
        )
    if len(chosen) > 1:
        raise UsageError(
            "several workers match: " + ", ".join(str(said["instance_id"]) for said in chosen),
            code="worker.ambiguous",
            hint="name one of them",
        )
    return chosen[0]
