"""`seedcore pkg diff`: what changes from one version to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from seedcore.errors import CheckFailed, UsageError
from seedcore_cli.commands.pkg.arguments import Env, Version, find
from seedcore_cli.commands.pkg.columns import DIFF
from seedcore_cli.commands.pkg.group import app
from seedcore_cli.options import Cli, Limit, Since, common


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
    decisions: Annotated[
        bool,
        typer.Option(
            "--decisions", help="Instead: inputs that workers recorded and both decide differently."
        ),
    ] = False,
    inputs: Annotated[
        Path | None,
        typer.Option(
            "--inputs",
            metavar="FILE",
            help="As --decisions, on inputs of one's own: lines of JSON.",
        ),
    ] = None,
    since: Since = None,
    limit: Limit = 1000,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 3 when something differs.")
    ] = False,
) -> None:
    """Show which rules, subtask types, fixtures and artifacts change, or which decisions.

    With --decisions both policies are asked about each distinct input that was recorded, newest first
    (at most --limit, from --since on), or about those of --inputs.

    Examples:
      seedcore pkg diff v1 v2
      seedcore pkg diff v1 v2 --decisions --since 7d
      seedcore pkg diff v1 --from house --exit-code
      seedcore pkg diff v1@prod v1@staging

    Exit codes: 2 an input can't be read; 3 they differ (with --exit-code), or the folder is invalid; 4
    there is no such snapshot; 69 an engine is not installed.
    """
    from seedcore.pkg import decisions as deciding, snapshots, store
    from seedcore.pkg.difference import difference

    if (after is None) == (source is None):
        raise UsageError("name another version, or a folder with --from")
    policy = None if source is None else snapshots.read(source)
    with cli.connect() as conn:
        one = store.load(conn, find(conn, before, env).id)
        other = policy or store.load(conn, find(conn, after or "", env).id)
        if decisions or inputs:
            given = (
                deciding.from_file(inputs)
                if inputs
                else deciding.recorded(conn, since=since, limit=limit)
            )
            rows = deciding.compare(one, other, given, timeout_s=cli.settings.pkg_timeout_s)
        else:
            rows = iter(difference(one, other, emissions_only=emissions))
        count = 0

        def counted() -> Iterator[dict[str, Any]]:
            nonlocal count
            for row in rows:
                count += 1
                yield row

        cli.printer.many(counted(), DIFF)
    if exit_code and count:
        raise CheckFailed(f"{count} differences", code="pkg.different")
