"""`seedcore pkg diff`: what changes from one version to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedcore.errors import CheckFailed, UsageError
from seedcore_cli.commands.pkg.arguments import Env, Version, find
from seedcore_cli.commands.pkg.columns import DIFF
from seedcore_cli.commands.pkg.group import app
from seedcore_cli.options import Cli, common


@app.command("diff")
@common
def diff(
    cli: Cli,
    before: Version,
    after: Annotated[
        str | None, typer.Argument(metavar="[OTHER]", help="The version to compare it with.")
    ] = None,
    *,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Compare with a folder, or a tar of one."),
    ] = None,
    env: Env = None,
    emissions: Annotated[
        bool, typer.Option("--emissions", help="Only what changes what rules emit or deny.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 3 when something differs.")
    ] = False,
) -> None:
    """Show which rules, subtask types, fixtures and artifacts change.

    Examples:
      seedcore pkg diff v1 v2
      seedcore pkg diff v1 --from house --exit-code
      seedcore pkg diff v1@prod v1@staging

    Exit codes: 3 they differ (with --exit-code), or the folder is invalid; 4 there is no such snapshot.
    """
    from seedcore.pkg import snapshots, store
    from seedcore.pkg.difference import difference

    if (after is None) == (source is None):
        raise UsageError("name another version, or a folder with --from")
    policy = None if source is None else snapshots.read(source)
    with cli.connect() as conn:
        one = store.load(conn, find(conn, before, env).id)
        other = policy or store.load(conn, find(conn, after or "", env).id)
    rows = difference(one, other, emissions_only=emissions)
    cli.printer.many(rows, DIFF)
    if exit_code and rows:
        raise CheckFailed(f"{len(rows)} differences", code="pkg.different")
