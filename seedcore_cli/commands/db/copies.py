"""Write the database to a file and back."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from seedcore_cli.commands.db.group import app, seconds
from seedcore_cli.options import Cli, Confirm, common
from seedcore_cli.output import Column

DUMP = (
    Column("file", id=True),
    Column("database"),
    Column("size_bytes", align="right"),
    Column("seconds", align="right", format=seconds),
)
SchemaOnly = Annotated[bool, typer.Option("--schema-only", help="Without the rows.")]
Jobs = Annotated[int, typer.Option("--jobs", help="Tables at the same time.", min=1, metavar="N")]


@app.command("dump")
@common
def dump(
    cli: Cli,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="Where to; - = standard output.")],
    *,
    schema_only: SchemaOnly = False,
    jobs: Jobs = 1,
) -> None:
    """Write everything in the database to a file that 'seedcore db restore' reads.

    The format is pg_dump's own, compressed. The file appears when it is complete; one of that name
    is replaced. With --jobs it is a folder.

    Example: seedcore db dump seedcore.dump --schema-only

    Exit codes: 5 a folder of that name exists.
    """
    from seedcore.db.address import parts
    from seedcore.db.connection import conninfo
    from seedcore.db.programs import dump as write_dump
    from seedcore.errors import UsageError

    began = datetime.now(UTC)
    if file == "-" and sys.stdout.isatty():
        raise UsageError("a dump is binary and standard output is a terminal", hint="name a file")
    target = None if file == "-" else Path(file)
    size = write_dump(cli.settings, target, schema_only=schema_only, jobs=jobs)
    if target is None:
        return
    row = {
        "file": str(target),
        "database": parts(conninfo(cli.settings)).get("dbname"),
        "size_bytes": size,
        "seconds": (datetime.now(UTC) - began).total_seconds(),
    }
    cli.printer.one(row, DUMP)
    cli.hint(f"seedcore db restore {file}")


@app.command("restore")
@common
def restore(
    cli: Cli,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A dump; - = standard input.")],
    *,
    schema_only: SchemaOnly = False,
    jobs: Jobs = 1,
    confirm: Confirm = None,
) -> None:
    """Replace everything in the database by a dump of 'seedcore db dump'.

    All in one transaction, so that a failure leaves the database as it was; with --jobs more than 1
    it is faster and a failure leaves it incomplete. Objects belong to the role that restores.

    Example: seedcore db restore seedcore.dump --confirm seedcore

    Exit codes: 4 there is no such file; 9 other sessions use the tables; 10 not confirmed.
    """
    from seedcore.db.programs import restore as read_dump
    from seedcore.errors import UsageError

    if file == "-" and sys.stdin.isatty():
        raise UsageError("standard input is a terminal", hint="seedcore db restore - < FILE")
    with cli.connect(check_schema=False) as conn:
        name = conn.info.dbname
    cli.confirm(level=2, summary=f"replace everything in database {name}", name=name, given=confirm)
    began = datetime.now(UTC)
    read_dump(cli.settings, None if file == "-" else Path(file), schema_only=schema_only, jobs=jobs)
    row = {
        "file": file,
        "database": name,
        "seconds": (datetime.now(UTC) - began).total_seconds(),
    }
    cli.printer.one(row, DUMP)
    cli.hint("seedcore migrate status")
