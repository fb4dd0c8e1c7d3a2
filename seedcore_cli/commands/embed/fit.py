"""`seedcore embed fit`: learn from the texts that are here."""

from __future__ import annotations

from seedcore_cli.commands.embed.columns import FIT
from seedcore_cli.commands.embed.group import app
from seedcore_cli.options import Cli, DryRun, common


@app.command("fit")
@common
def fit(cli: Cli, *, dry_run: DryRun = False) -> None:
    """Fit the offline encoder on the tasks and facts that are here, as a new version.

    It happens by itself in 'embed tasks' and 'embed facts' once there are 300 texts, and again when there
    are four times as many. The encoder that serves goes on until the new one has embedded everything.

    Example: seedcore embed fit

    Exit codes: 5 there are too few texts; 9 another fit is under way.
    """
    from seedcore.embed import fitting

    with cli.connect(statement_timeout_s=0) as conn:
        row = fitting.fit(conn, dry_run=dry_run)
    if dry_run:
        row["dry_run"] = True
    cli.printer.one(row, FIT)
    if row["state"] == "preparing" and not dry_run:
        cli.hint("seedcore embed tasks && seedcore embed facts")
