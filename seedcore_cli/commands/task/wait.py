"""`seedcore task wait` and `watch`: until tasks end, or as they change."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.task.columns import CHANGES, WAITED
from seedcore_cli.commands.task.group import app
from seedcore_cli.commands.task.selectors import Conditions, selectors
from seedcore_cli.exit_codes import CHECK_FAILED
from seedcore_cli.options import Cli, common
from seedcore_cli.session import MACHINE_FORMATS

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
      id=$(seedcore task submit action --tool echo --args '{"value": "hi"}' -o name); seedcore task wait "$id"
      seedcore task wait --type action --status live --timeout 5m

    Exit codes: 3 one ended failed or cancelled; 4 no such task; 6 time-out; 8 not yet (--timeout 0).
    """
    from seedcore.task import service

    with cli.connect() as conn:
        waited = service.wait(
            conn, _ids(conn, ids, chosen), for_, any_=any_, timeout_s=cli.timeout_s
        )
    if not waited:
        cli.note("there is no such task")
    report(cli, waited, single=len(ids or ()) == 1, for_=for_, any_=any_)


def report(
    cli: Cli,
    rows: list[dict[str, Any]],
    *,
    single: bool,
    for_: str = "terminal",
    any_: bool = False,
) -> None:
    """Print what came of tasks.

    Args:
        cli: The command.
        rows: As `service.wait` returns them.
        single: Print one object, not a list.
        for_: What was waited for; a task that failed is a bad end unless that was it.
        any_: Whether one good end is enough.

    Raises:
        Exit: With 3 when one ended badly (with `any_`: when all did).
    """
    if single:
        cli.printer.one(rows[0], WAITED)
    else:
        cli.printer.many(rows, WAITED)
    bad = [
        row
        for row in rows
        if not row["reached"] or (for_ == "terminal" and row["status"] in ("failed", "cancelled"))
    ]
    if bad and not (any_ and len(bad) < len(rows)):
        cli.hint(f"seedcore task inspect {bad[0]['id']} --events")
        raise typer.Exit(CHECK_FAILED)


@app.command("watch")
@common(own_timeout=True)
@selectors
def watch(
    cli: Cli,
    ids: Ids = None,
    *,
    chosen: Conditions,
    for_: For = "terminal",
) -> None:
    """Print changes of tasks as they happen, until all of them have ended.

    First come all of them as they are. With conditions, tasks that begin to match are added, and it
    never ends before there was one. Machine formats print change events:
      {"type": "added|modified|removed", "object": {...}, "at": "..."}

    Examples:
      seedcore task watch 0198c7a12b3c
      seedcore task watch --type action --timeout 10m -o jsonl

    Exit codes: 4 no such task; 6 time-out.
    """
    from seedcore.task import service

    with cli.connect() as conn:
        changes = service.watch(
            conn, _selection(conn, ids, chosen), for_=for_, timeout_s=cli.timeout_s
        )
        if cli.format in MACHINE_FORMATS:
            cli.printer.stream(changes, CHANGES)
        else:
            cli.printer.stream(
                ({**c["object"], "at": c["at"], "change": c["type"]} for c in changes), CHANGES
            )


def _ids(conn: Any, ids: list[str] | None, chosen: Conditions) -> list[Any]:
    from seedcore.task import service

    if bool(ids) == bool(chosen):
        raise UsageError("give ids, or conditions such as --type and --status, and not both")
    if ids:
        return [service.resolve(conn, ref) for ref in ids]
    return service.ids_of(conn, chosen.selection(limit=0))


def _selection(conn: Any, ids: list[str] | None, chosen: Conditions) -> Any:
    from seedcore.task import service

    if bool(ids) == bool(chosen):
        raise UsageError("give ids, or conditions such as --type and --status, and not both")
    found = tuple(service.resolve(conn, ref) for ref in ids or ())
    return chosen.selection(limit=0, ids=found)
