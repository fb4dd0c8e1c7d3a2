"""`seedcore pkg init`: a policy to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedcore_cli.commands.pkg.columns import FILES
from seedcore_cli.commands.pkg.group import app
from seedcore_cli.options import Cli, common


@app.command("init")
@common
def init(
    cli: Cli,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
) -> None:
    """Write a policy that works, with its fixtures, to a new folder.

    Examples:
      seedcore pkg init house
      seedcore pkg snapshot create v1 --from house

    Exit codes: 2 the folder can't be written; 5 it is not empty.
    """
    from seedcore.pkg import example

    files = example.write(folder)
    rows = [{"path": str(folder / name), "bytes": len(body)} for name, body in files.items()]
    cli.printer.many(rows, FILES)
    cli.hint(f"seedcore pkg snapshot create v1 --from {folder}")
