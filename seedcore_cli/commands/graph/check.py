"""`seedcore graph check`: whether the graph holds together."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore.errors import CheckFailed
from seedcore_cli.commands.graph.columns import CHECKS
from seedcore_cli.commands.graph.group import app
from seedcore_cli.options import Cli, common


@app.command("check")
@common
def check(
    cli: Cli,
    *,
    mend: Annotated[
        bool,
        typer.Option(
            "--mend", help="Make nodes that are missing, and remove those whose entity is gone."
        ),
    ] = False,
) -> None:
    """Look for edges without nodes, nodes without entities, and tasks that wait in circles.

    Example: seedcore graph check --mend

    Exit codes: 3 something is wrong.
    """
    from seedcore.graph import checking

    with cli.connect() as conn:
        rows = checking.check(conn, mend=mend)
    cli.printer.many(rows, CHECKS)
    wrong = [row["check"] for row in rows if not row["ok"]]
    if wrong:
        raise CheckFailed(
            f"the graph does not hold together: {', '.join(wrong)}",
            code="graph.inconsistent",
            hint=None if mend or wrong == ["task_cycles"] else "seedcore graph check --mend",
        )
