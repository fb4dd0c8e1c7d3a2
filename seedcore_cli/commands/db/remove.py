"""Throw the embedded database away."""

from __future__ import annotations

from typing import Any

from seedcore_cli.commands.db.group import app, embedded_server
from seedcore_cli.options import Cli, Confirm, DryRun, common
from seedcore_cli.output import Column

DESTROY = (Column("data_dir", id=True), Column("destroyed"))


@app.command("destroy")
@common
def destroy(cli: Cli, *, confirm: Confirm = None, dry_run: DryRun = False) -> None:
    """Stop the embedded PostgreSQL and remove its data for good.

    Example: seedcore db destroy --dry-run

    Exit codes: 5 a database URL is set, so it is not ours to remove; 10 not confirmed.
    """
    from seedcore.db.embedded.provision import DATABASE

    server = embedded_server(cli, "destroy")
    row: dict[str, Any] = {"data_dir": str(server.layout.data)}
    if dry_run:
        row |= {"destroyed": server.status().state != "absent", "dry_run": True}
        cli.printer.one(row, DESTROY)
        return
    if server.layout.root.exists():
        summary = f"remove {server.layout.root} with all data"
        cli.confirm(level=2, summary=summary, name=DATABASE, given=confirm)
    cli.printer.one(row | {"destroyed": server.destroy()}, DESTROY)
