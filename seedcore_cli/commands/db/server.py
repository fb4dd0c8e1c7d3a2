"""Start, stop and watch the embedded server."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedcore_cli.commands.db.group import app, embedded_server, seconds
from seedcore_cli.options import Cli, Since, Yes, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seedcore.db.embedded import EmbeddedServer
    from seedcore.db.embedded.logs import Line

SERVER = (
    Column("state", id=True, colors={"ready": "green"}),
    Column("changed"),
    Column("pid"),
    Column("version"),
    Column("url"),
    Column("data_dir"),
    Column("seconds", align="right", format=seconds),
)
UPGRADE = (
    Column("from"),
    Column("to", id=True),
    Column("seconds", align="right", format=seconds),
    Column("kept"),
)
LOG = (Column("at"), Column("line"))


class StopMode(StrEnum):
    """How a server treats its clients when it stops."""

    SMART = "smart"
    FAST = "fast"
    IMMEDIATE = "immediate"


Wait = Annotated[
    float,
    typer.Option(
        "--wait", help="How long to wait until it is ready.", metavar="DUR", parser=parse_duration
    ),
]
Mode = Annotated[
    StopMode,
    typer.Option(
        "--mode",
        help="smart waits for the clients to leave; fast ends their sessions; immediate stops "
        "without a last checkpoint.",
        case_sensitive=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Home folder to use for this start instead of SEEDCORE_HOME.",
        metavar="DIR",
    ),
]


@app.command("start")
@common
def start(cli: Cli, *, data_dir: DataDir = None, wait: Wait = "30s") -> None:  # type: ignore[assignment]  # parsed like a given one, and shown so in --help
    """Start the embedded PostgreSQL, making it first if there is none.

    It listens on a private Unix socket only and stays up until 'seedcore db stop'. Every command
    that needs a database starts it by itself when no database URL is set, so this is rarely needed.

    Example: seedcore db start --wait 2m

    Exit codes: 5 a database URL is set, so there is nothing to start.
    """
    server = embedded_server(cli, "start", data_dir)
    before = server.status()
    began = datetime.now(UTC)
    status = server.ensure_running(wait_s=wait)
    _print_server(cli, server, changed=status.pid != before.pid, began=began)
    if data_dir is not None:
        cli.note(f"other commands find it with SEEDCORE_HOME={server.layout.home}")
    cli.hint("seedcore migrate up")


@app.command("stop")
@common(own_timeout=True)
def stop(cli: Cli, *, mode: Mode = StopMode.FAST) -> None:
    """Stop the embedded PostgreSQL and wait until it has ended.

    The next command that needs a database starts it again. --timeout says how long to wait
    (default: 30s).

    Example: seedcore db stop --mode smart --timeout 2m

    Exit codes: 5 a database URL is set, so it is not ours to stop; 6 it still runs.
    """
    server = embedded_server(cli, "stop")
    began = datetime.now(UTC)
    changed = server.stop(mode.value, 30.0 if cli.timeout_s is None else cli.timeout_s)
    _print_server(cli, server, changed=changed, began=began)
    if not changed:
        cli.note("it was not running")


@app.command("restart")
@common(own_timeout=True)
def restart(cli: Cli, *, mode: Mode = StopMode.FAST, wait: Wait = "30s") -> None:  # type: ignore[assignment]  # parsed like a given one, and shown so in --help
    """Stop the embedded PostgreSQL if it runs, and start it.

    Settings in postgres/local.conf of the home folder come into force.

    Example: seedcore db restart

    Exit codes: 5 a database URL is set, so it is not ours to restart; 6 it could not be stopped.
    """
    server = embedded_server(cli, "restart")
    began = datetime.now(UTC)
    server.stop(mode.value, 30.0 if cli.timeout_s is None else cli.timeout_s)
    server.ensure_running(wait_s=wait)
    _print_server(cli, server, changed=True, began=began)


@app.command("logs")
@common
def logs(
    cli: Cli,
    *,
    lines: Annotated[
        int, typer.Option("--lines", "-n", help="The last this many; 0 = all.", min=0)
    ] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with new lines as they come.")
    ] = False,
    since: Since = None,
) -> None:
    """Print the log of the embedded PostgreSQL. A week is kept.

    Example: seedcore db logs --since 2h -n 0

    Exit codes: 4 there is no embedded database yet; 5 a database URL is set.
    """
    from seedcore.db.embedded import logs as log
    from seedcore.errors import NotFound

    server = embedded_server(cli, "logs")
    if not server.layout.root.exists():
        raise NotFound(
            f"there is no embedded database in {server.layout.home} yet",
            code="db.not_initialised",
            hint="seedcore db start",
        )
    coming = log.follow(server.layout) if follow else None
    _print_lines(cli, log.tail(server.layout, lines, since=since))
    if coming is not None:
        _print_lines(cli, coming)


@app.command("upgrade")
@common
def upgrade(cli: Cli, *, yes: Yes = False) -> None:
    """Bring the embedded database to the version of PostgreSQL that this program runs.

    Needs as much free space as the database takes: the old data folder is kept beside the new one,
    to be removed by hand when all is well.

    Example: seedcore db upgrade --yes

    Exit codes: 4 there is no embedded database; 5 this version can't be upgraded; 10 not confirmed.
    """
    from seedcore.db.embedded.binaries import MAJOR
    from seedcore.db.embedded.upgrade import upgrade as run_upgrade

    server = embedded_server(cli, "upgrade")
    before = server.status().major
    if before not in (None, MAJOR):
        cli.confirm(level=1, summary=f"upgrade PostgreSQL {before} to {MAJOR}", yes=yes)
    done = run_upgrade(server)
    row = {
        "from": done.before,
        "to": done.after,
        "seconds": done.seconds,
        "kept": str(done.kept) if done.kept else None,
    }
    cli.printer.one(row, UPGRADE)
    if done.kept is None:
        cli.note("unchanged")
    else:
        cli.hint("seedcore db start")


def _print_server(cli: Cli, server: EmbeddedServer, *, changed: bool, began: datetime) -> None:
    from seedcore.db.connection import redact

    found = server.status()
    row = {
        "state": found.state,
        "changed": changed,
        "pid": found.pid,
        "version": found.major,
        "url": redact(server.conninfo()) if found.is_running else None,
        "data_dir": str(found.data_dir),
        "seconds": (datetime.now(UTC) - began).total_seconds(),
    }
    cli.printer.one(row, SERVER)


def _print_lines(cli: Cli, lines: Iterable[Line]) -> None:
    if cli.format in ("json", "jsonl", "yaml"):
        cli.printer.stream(({"at": line.at, "line": line.text} for line in lines), LOG)
        return
    for line in lines:
        cli.printer.text(line.text)
