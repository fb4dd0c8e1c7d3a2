"""`seedcore task wait` and `watch`: until tasks end, or as they change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.task.columns import EVENTS, WAITED
from seedcore_cli.commands.task.group import app
from seedcore_cli.commands.task.selectors import Conditions, selectors
from seedcore_cli.exit_codes import CHECK_FAILED
from seedcore_cli.options import Cli, common

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids, or unique beginnings.")]
For = Annotated[
    str,
    typer.Option("--for", help="completed, terminal (any end) or a state.", metavar="STATE"),
]


@app.command("wait")
@common(own_timeout=True)
@selectors
def wait(
    cli: Cli,
    ids: Ids = None,
    *,
    chosen: Conditions,
    for_: For = "terminal",
    any_: Annotated[bool, typer.Option("--any", help="Until one is there, not all.")] = False,
) -> None:
    """Return when tasks have ended, and print what came of them.

    Without --timeout it waits for ever; --timeout 0 only looks.

    Examples:
      id=$(seedcore task submit echo --params '{"text": "hi"}' -o name); seedcore task wait "$id"
      seedcore task wait --type echo --status live --timeout 5m

    Exit codes: 3 one ended failed or cancelled; 4 no such task; 6 time-out; 8 not yet (--timeout 0).
    """
    from seedcore.task import service

    with cli.connect() as conn:
        waited = service.wait(
            conn, _ids(conn, ids, chosen), for_=for_, any_=any_, timeout_s=cli.timeout_s
        )
        report(cli, waited, single=len(ids or ()) == 1)


def report(cli: Cli, rows: Iterable[dict[str, Any]], *, single: bool) -> None:
    """Print what came of tasks.

    Raises:
        Exit: With 3 when one of them failed or was cancelled.
    """
    found = list(rows)
    if single:
        cli.printer.one(found[0], WAITED)
    else:
        cli.printer.many(found, WAITED)
    bad = [row for row in found if row["status"] in ("failed", "cancelled")]
    for row in bad[:1]:
        cli.hint(f"seedcore task inspect {row['id']} --events")
    if bad:
        raise typer.Exit(CHECK_FAILED)


@app.command("watch")
@common(own_timeout=True)
@selectors
def watch(
    cli: Cli,
    ids: Ids = None,
    *,
    chosen: Conditions,
    for_: Annotated[
        str | None,
        typer.Option("--for", help="Stop when all are in this state.", metavar="STATE"),
    ] = None,
) -> None:
    """Print changes of tasks as they happen, until all of them have ended.

    Machine formats print change events: {"type": "added|modified|removed", "object": {...}, "at": ...}.

    Examples:
      seedcore task watch 0198c7a12b3c
      seedcore task watch --type echo --timeout 10m -o jsonl

    Exit codes: 4 no such task; 6 time-out.
    """
    from seedcore.task import service

    with cli.connect() as conn:
        changes = service.watch(
            conn, _selection(conn, ids, chosen), for_=for_, timeout_s=cli.timeout_s
        )
        cli.printer.stream(changes, EVENTS)


def _ids(conn: Any, ids: list[str] | None, chosen: Conditions) -> list[Any]:
    from seedcore.task import service

    if bool(ids) == bool(chosen):
        raise UsageError("give ids, or conditions such as --type and --status, and not both")
    if ids:
        return [service.resolve(conn, ref) for ref in ids]
    return [row["id"] for row in service.list_tasks(conn, chosen.selection(limit=0))]


def _selection(conn: Any, ids: list[str] | None, chosen: Conditions) -> Any:
    from seedcore.task import service

    if ids and chosen:
        raise UsageError("give ids, or conditions such as --type and --status, and not both")
    found = tuple(service.resolve(conn, ref) for ref in ids or ())
    return chosen.selection(limit=0, ids=found)
