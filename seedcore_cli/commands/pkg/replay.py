"""`seedcore pkg replay`: what another snapshot would have decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from seedcore.errors import CheckFailed
from seedcore_cli.commands.pkg.arguments import Env
from seedcore_cli.commands.pkg.group import app
from seedcore_cli.humanize import moment
from seedcore_cli.options import Cli, Limit, Since, common
from seedcore_cli.output import Column

REPLAYED = (
    Column("at", format=moment),
    Column("task_id", header="TASK", id=True),
    Column("from_version", header="FROM"),
    Column("changed", colors={"True": "yellow"}),
    Column("before"),
    Column("after"),
)


@app.command("replay")
@common
def replay(
    cli: Cli,
    *,
    against: Annotated[
        str, typer.Option("--against", metavar="VERSION", help="The snapshot to try.")
    ],
    env: Env = None,
    since: Since = None,
    limit: Limit = 1000,
    show_all: Annotated[
        bool, typer.Option("--all", help="Also list what would have been the same.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 3 when anything would have differed.")
    ] = False,
) -> None:
    """Decide again on what workers were asked, by another snapshot; nothing is run or stored.

    Inputs are kept of a share of the evaluations, see PKG_SAMPLE. Facts are those of then. Listed is
    what would have been different, newest first.

    Examples:
      seedcore pkg replay --since 7d --against v2
      seedcore pkg replay --since 1h --against v2 --all -o json

    Exit codes: 3 something differs and --exit-code was given, or a snapshot is damaged; 4 there is no
    such snapshot; 69 an engine is not installed.
    """
    from seedcore.pkg import sources
    from seedcore.pkg.replay import replay as run

    settings = cli.settings
    seen = changed = 0

    def shown(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        nonlocal seen, changed
        for row in rows:
            seen += 1
            changed += bool(row["changed"])
            if show_all or row["changed"]:
                yield row

    with cli.connect() as conn:
        policy = sources.policy_of(
            conn, against, env=env.value if env else None, prefer=settings.pkg_env
        )
        rows = run(
            conn,
            policy,
            env=env.value if env else None,
            since=since,
            limit=limit,
            timeout_s=settings.pkg_timeout_s,
        )
        cli.printer.many(shown(rows), REPLAYED)
    cli.note(f"{changed} of {seen} would have been different")
    if seen == 0:
        cli.hint("inputs are kept by workers with PKG_SAMPLE above 0")
    if exit_code and changed:
        raise CheckFailed(f"{changed} of {seen} decisions differ", code="pkg.different")
