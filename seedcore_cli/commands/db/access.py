"""Look at the database, connect to it, wait for it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from seedcore_cli.commands.db.group import app
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column

STATUS = (
    Column("running", colors={"true": "green", "false": "red"}),
    Column("state", id=True),
    Column("embedded"),
    Column("pid"),
    Column("uptime_s", align="right", format=lambda s: "" if s is None else f"{s:.0f}"),
    Column("version"),
    Column("host"),
    Column("port"),
    Column("database"),
    Column("size_bytes", align="right"),
    Column("extensions", format=lambda names: ", ".join(names or ())),
    Column("connections", align="right"),
    Column("schema_revision"),
    Column("data_dir"),
    Column("reason"),
)


class Goal(StrEnum):
    """What `db wait` waits for."""

    READY = "ready"
    MIGRATED = "migrated"
    WRITABLE = "writable"


class Driver(StrEnum):
    """Whom a URL is for."""

    PSYCOPG = "psycopg"
    SQLALCHEMY = "sqlalchemy"


@app.command("status")
@common
def status(
    cli: Cli,
    *,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 3 when it is down.")
    ] = False,
) -> None:
    """Show whether the database runs, and what is in it. Nothing is started.

    Example: seedcore db status --exit-code

    Exit codes: 3 it is down (with --exit-code).
    """
    from seedcore.db.overview import overview

    row = overview(cli.settings)
    cli.printer.one(row, STATUS)
    if not row["running"] and row["embedded"]:
        cli.hint("seedcore db start")
    if exit_code and not row["running"]:
        raise typer.Exit(3)


@app.command("url")
@common
def url(
    cli: Cli,
    *,
    show_password: Annotated[
        bool, typer.Option("--show-password", help="Print the password instead of ***.")
    ] = False,
    driver: Annotated[
        Driver, typer.Option("--driver", help="Whom it is for.", case_sensitive=False)
    ] = Driver.PSYCOPG,
) -> None:
    """Print the URL of the database. Nothing is started.

    Examples:
      seedcore db url
      psql "$(seedcore db url --show-password)"

    Exit codes: 4 no URL is set and there is no embedded database yet.
    """
    from seedcore.db.address import as_url
    from seedcore.db.connection import configured, redact
    from seedcore.db.overview import server
    from seedcore.errors import NotFound

    text = configured(cli.settings)
    if text is None:
        embedded = server(cli.settings)
        if embedded.status().state == "absent":
            raise NotFound(
                f"no database URL is set, and there is no embedded database in "
                f"{embedded.layout.home} yet",
                code="db.not_initialised",
                hint="seedcore db start",
            )
        text = embedded.conninfo()
    address = as_url(text, driver=driver.value)
    shown = address if show_password else redact(address)
    if cli.format in ("json", "jsonl", "yaml"):
        cli.printer.one({"url": shown}, (Column("url", id=True),))
    else:
        cli.printer.text(shown)


@app.command("psql", context_settings={"ignore_unknown_options": False})
@common(own_timeout=True)
def psql(
    cli: Cli,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGS]", help="Arguments of psql, after two dashes."),
    ] = None,
    *,
    command: Annotated[
        str | None, typer.Option("--command", "-c", help="SQL to run, read-only.", metavar="SQL")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Let --command write.")] = False,
) -> None:
    """Open psql on the database, or run one piece of SQL with it.

    SQL given with -c can't change anything by accident: transactions are read-only unless --write
    is given. A session without -c is psql as it is.

    Examples:
      seedcore db psql -c 'SELECT status, count(*) FROM tasks GROUP BY status'
      seedcore db psql -- --csv -f report.sql

    Exit codes: psql's own; 69 there is no psql, or no database.
    """
    from seedcore.db.programs import exec_psql

    exec_psql(cli.settings, arguments or [], command=command, write=write, name="seedcore db psql")


@app.command("wait")
@common(own_timeout=True)
def wait(
    cli: Cli,
    *,
    for_: Annotated[
        Goal,
        typer.Option("--for", help="ready, migrated or writable.", case_sensitive=False),
    ] = Goal.READY,
) -> None:
    """Wait until the database takes connections, has the schema of this program, or can be written.

    An embedded database is started. --timeout says how long to wait (default: 60s).

    Example: seedcore db wait --for ready --timeout 5m

    Exit codes: 6 not in time.
    """
    from seedcore.db.overview import wait as wait_for

    wait_for(cli.settings, for_.value, timeout_s=60.0 if cli.timeout_s is None else cli.timeout_s)
    cli.note(f"the database is {for_.value}")
