"""`seedcore top`: the queue as it is now, again and again."""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import Unavailable
from seedcore_cli.app import single
from seedcore_cli.color import wants_color
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedcore.task.frame import Frame

command = single()

FRAME = tuple(
    Column(name) for name in ("at", "lanes", "rates", "waits", "running", "workers", "failures")
)
_LONGEST_SAMPLE_S = 1.0
_STATEMENT_TIMEOUT_S = 10.0
_PLAIN_WIDTH = 160
_SHORTEST_S = 0.1


@command.command("top")
@common
def top(
    cli: Cli,
    *,
    interval: Annotated[
        float,
        typer.Option(
            "--interval", help="Time between frames.", metavar="DUR", parser=parse_duration
        ),
    ] = "2s",  # type: ignore[assignment]  # parsed like a given one, and shown so in --help
    once: Annotated[
        bool, typer.Option("--once", help="Print one plain frame and end; so without a terminal.")
    ] = False,
    type_: Annotated[
        str, typer.Option("--type", help="Only tasks whose type begins so.", metavar="PREFIX")
    ] = "",
) -> None:
    """Watch lanes, rates, running tasks with their leases, workers and failures in the terminal.

    Keys: up and down select, enter inspects, c cancels a running task, r retries a failed one, p pauses
    or resumes a lane, / filters by type, q quits. What changes something asks first. Without a terminal
    one frame is printed; -o json gives its data, -o jsonl one line per frame until interrupted.

    Counts stop at 200 and are estimates beyond (~). Rates come from the server's counters, which it
    brings up to date about once a second.

    Examples:
      seedcore top --interval 1s
      seedcore top --once --output json

    Exit codes: 130 ended by Ctrl-C.
    """
    interval = max(interval, _SHORTEST_S)
    is_machine = cli.format not in ("table", "wide") or cli.options.output is not None
    if cli.options.output is None and not _is_terminal():
        once, is_machine = True, False
    if is_machine and cli.format == "jsonl" and not once:
        cli.printer.stream(_frames(cli, interval), FRAME)
    elif is_machine and cli.format not in ("table", "wide"):
        cli.printer.one(_once(cli, interval).row(), FRAME)
    elif once:
        _print_plain(cli, _once(cli, interval), type_)
    else:
        from seedcore_cli.top.loop import Top

        Top(
            lambda: _connect(cli),
            actor=cli.actor,
            target=cli.target,
            interval=interval,
            color=wants_color(sys.stdout, str(cli.options.color or cli.settings.color)),
            type_prefix=type_,
        ).run()


def _is_terminal() -> bool:
    able = os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return able and all(s is not None and s.isatty() for s in (sys.stdin, sys.stdout))


def _connect(cli: Cli) -> AbstractContextManager[Any]:
    """Connect; an embedded server that somebody stopped while we looked stays stopped."""
    from seedcore.db.connection import is_embedded

    if is_embedded(cli.settings):
        from seedcore.db.overview import server

        status = server(cli.settings).status()
        if not status.is_running:
            raise Unavailable(
                "the embedded server is not running", code="db.stopped", hint="seedcore db start"
            )
    return cli.connect(statement_timeout_s=_STATEMENT_TIMEOUT_S)


def _once(cli: Cli, interval: float) -> Frame:
    """Take two frames a moment apart, because rates need two."""
    from seedcore.task.frame import take

    with _connect(cli) as conn:
        first = take(conn)
        time.sleep(min(interval, _LONGEST_SAMPLE_S))
        return take(conn, first.counters)


def _frames(cli: Cli, interval: float) -> Iterator[dict[str, Any]]:
    from seedcore.task.frame import take

    counters = None
    with _connect(cli) as conn:
        while True:
            frame = take(conn, counters)
            counters = frame.counters
            yield frame.row()
            time.sleep(interval)


def _print_plain(cli: Cli, frame: Frame, prefix: str) -> None:
    from seedcore_cli.top.view import Look, lines

    look = Look(target=cli.target, filter=prefix, plain=True)
    for line in lines(frame, look, _PLAIN_WIDTH, 0):
        cli.printer.text(line.plain.rstrip())
