"""`seedcore pkg report`: a page about a snapshot. `seedcore pkg check`: whether what is stored is sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedcore.errors import CheckFailed
from seedcore_cli.commands.pkg.arguments import Env, Version, find
from seedcore_cli.commands.pkg.columns import CHECKED, EXPORTED
from seedcore_cli.commands.pkg.group import app
from seedcore_cli.options import Cli, common


@app.command("report")
@common
def report(
    cli: Cli,
    version: Version,
    *,
    target: Annotated[
        str,
        typer.Option("-f", "--file", metavar="PATH", help="The page to write, or - for it here."),
    ],
    env: Env = None,
) -> None:
    """Write a page for a browser: rules, coverage by fixtures, validation, lanes, the rollout's time line.

    It is one file without scripts, and loads nothing from anywhere. A file that is there is replaced.

    Example: seedcore pkg report v2 -f v2.html

    Exit codes: 2 it can't be written; 3 the content is not what was stored; 4 there is no such snapshot.
    """
    import hashlib

    from seedcore.errors import UsageError
    from seedcore.pkg import page

    with cli.connect() as conn:
        found = find(conn, version, env, prefer="prod")
        text = page.render(conn, found)
    if target == "-":
        cli.printer.text(text)
        return
    content = text.encode("utf-8")
    try:
        Path(target).write_bytes(content)
    except OSError as error:
        raise UsageError(f"{target} can't be written: {error.strerror}") from None
    row = {"path": target, "version": found.version, "env": found.env.value}
    digest = hashlib.sha256(content).hexdigest()
    cli.printer.one(row | {"bytes": len(content), "sha256": digest}, EXPORTED)


@app.command("check")
@common
def check(cli: Cli, *, env: Env = None) -> None:
    """Verify every stored snapshot: its checksum, its files' hashes, and that its parts fit together.

    Example: seedcore pkg check

    Exit codes: 3 something is wrong.
    """
    from seedcore.pkg import snapshots

    with cli.connect() as conn:
        rows = snapshots.verify(conn, env=env.value if env else None)
    cli.printer.many(rows, CHECKED)
    wrong = sum(not row["ok"] for row in rows)
    if wrong:
        raise CheckFailed(f"{wrong} of {len(rows)} snapshots are not sound", code="pkg.integrity")
