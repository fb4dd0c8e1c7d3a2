"""`seedcore task inspect`: everything about single tasks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from typing import Annotated, Any

import typer

from seedcore_cli.commands.task.columns import EVENTS, STATUS_COLORS, WATCHED
from seedcore_cli.commands.task.group import app
from seedcore_cli.humanize import progress, seconds
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column, Printer
from seedcore_cli.screen import Screen

_FINAL = ("completed", "failed", "cancelled")

_GRAPH = (
    Column("id"),
    Column("status", colors=STATUS_COLORS),
    Column("type"),
    Column("required"),
)
_PLAN = (
    Column("step", id=True),
    Column("task_id", header="TASK"),
    Column("status", colors=STATUS_COLORS),
    Column("rules", format=lambda names: ", ".join(names)),
    Column("waits_for", format=lambda names: ", ".join(names)),
    Column("snapshot"),
)
_LISTS = {
    "depends_on": _GRAPH,
    "dependants": _GRAPH,
    "events": EVENTS[:1] + EVENTS[2:],
    "plan": _PLAN,
}
_COLORED = {"status": STATUS_COLORS}
_FORMATS = {"progress": progress}
_INTERVAL_S = 0.5


@app.command("inspect")
@common
def inspect(
    cli: Cli,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids, or unique beginnings.")],
    *,
    events: Annotated[
        bool, typer.Option("--events", help="Also its recorded transitions.")
    ] = False,
    graph: Annotated[
        bool, typer.Option("--graph", help="Also what it waits for, and what waits for it.")
    ] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Also the tasks that policy called for, and by which rules."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow its changes and progress until it ends.")
    ] = False,
) -> None:
    """Show tasks in full: fields, lease, attempts, times, result.

    One id is printed as one object, several as a list. A field that is empty is left out of the
    table; machine formats have all of them. With --watch a table on a terminal is drawn again in
    place; other output gets one line for each change.

    Examples:
      seedcore task inspect 0198c7a12b3c
      seedcore task inspect 0198c7a12b3c --events --graph -o json
      seedcore task inspect 0198c7a12b3c --plan
      seedcore task inspect 0198c7a12b3c --watch

    Exit codes: 4 there is no such task.
    """
    from seedcore.pkg.plans import steps_of
    from seedcore.task.service import inspect as look

    with cli.connect() as conn:

        def read() -> list[dict[str, Any]]:
            found = [look(conn, ref, events=events, graph=graph) for ref in ids]
            if plan:
                for task in found:
                    task["plan"] = steps_of(conn, task["id"])
            return found

        if not watch:
            _show(cli, cli.printer, read(), single=len(ids) == 1)
        elif cli.format in ("table", "wide") and sys.stdout.isatty():
            _draw(cli, read, single=len(ids) == 1)
        else:
            cli.printer.stream(_changes(read), WATCHED)


def _draw(cli: Cli, read: Callable[[], list[dict[str, Any]]], *, single: bool) -> None:
    """Show tasks in place until they have ended; what is above on the screen stays."""
    screen = Screen(sys.stdout)
    while True:
        found = read()
        with screen.frame() as frame:
            _show(cli, cli.printer_on(frame), found, single=single)
        if _are_over(found):
            return
        time.sleep(_INTERVAL_S)


def _changes(read: Callable[[], list[dict[str, Any]]]) -> Generator[dict[str, Any]]:
    """Yield each task as it is, and again whenever something about it has changed."""
    before: dict[Any, Any] = {}
    while True:
        found = read()
        for task in found:
            said = task["progress"]
            # Not updated_at: a lease that is renewed is no news.
            now = (
                task["status"], task["attempts"], task["owner_id"], task["error"], said,
                task["members"],
            )  # fmt: skip
            if before.get(task["id"]) != now:
                before[task["id"]] = now
                at = max(task["updated_at"], said["at"]) if said else task["updated_at"]
                yield {"changed_at": at, **task}
        if _are_over(found):
            return
        time.sleep(_INTERVAL_S)


def _are_over(found: list[dict[str, Any]]) -> bool:
    return all(task["status"] in _FINAL for task in found)


def _show(cli: Cli, printer: Printer, found: list[dict[str, Any]], *, single: bool) -> None:
    if cli.format not in ("table", "wide"):
        columns = [Column(key, id=key == "id") for key in (found[0] if found else {"id": None})]
        if single and found:
            printer.one(found[0], columns)
        else:
            printer.many(found, columns)
        return
    for number, task in enumerate(found):
        if number:
            printer.text("\n")
        printer.one(task, _columns(task))
        for key, columns in _LISTS.items():
            if rows := task.get(key):
                printer.text(f"\n{key.replace('_', ' ')}:\n")
                printer.many(rows, columns)


def _columns(task: dict[str, Any]) -> list[Column]:
    """All fields that say something; lists have tables of their own."""
    return [
        Column(
            key,
            id=key == "id",
            format=_FORMATS.get(key, seconds if key.endswith("_s") else None),
            colors=_COLORED.get(key),
        )
        for key, value in task.items()
        if value not in (None, "", [], {}) and key not in _LISTS
    ]
