"""`seedcore config`: what is set, where it came from, what is wrong with it, and how to change it."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore_cli.app import group
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column

app = group("Show, check and change settings and profiles.")

SHOW = (
    Column("key", id=True),
    Column("value"),
    Column("origin"),
    Column("meaning", wide=True),
)


@app.command("show")
@common
def show(
    cli: Cli,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="Only these settings.")
    ] = None,
    *,
    origin: Annotated[
        bool, typer.Option("--origin", help="Where each value came from (tsv has it always).")
    ] = False,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Also settings that nobody changed.")
    ] = False,
) -> None:
    """List the settings in force. Passwords are masked.

    Example: seedcore config show --defaults --origin
    """
    from seedcore.config import describe

    rows = describe(cli.settings, keys or [], defaults=defaults)
    cli.printer.many(rows, SHOW)
