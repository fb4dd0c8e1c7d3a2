"""`seedcore task inspect`: everything about single tasks."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from seedcore_cli.commands.task.columns import EVENTS, STATUS_COLORS
from seedcore_cli.commands.task.group import app
from seedcore_cli.humanize import seconds
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column

_FINAL = ("completed", "failed", "cancelled")

_GRAPH = (
    Column("id"),
    Column("status", colors=STATUS_COLORS),
    Column("type"),
    Column("required"),
)
_LISTS = {"depends_on": _GRAPH, "dependants": _GRAPH, "events": EVENTS[:1] + EVENTS[2:]}
_COLORED = {"status": STATUS_COLORS}


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
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again on every change until it ends.")
    ] = False,
) -> None:
    """Show tasks in full: fields, lease, attempts, times, result.

    One id is printed as one object, several as a list. A field that is empty is left out of the
    table; machine formats have all of them.

    Examples:
      seedcore task inspect 0198c7a12b3c
      seedcore task inspect 0198c7a12b3c --events --graph -o json

    Exit codes: 4 there is no such task.
    """
    from seedcore.task.service import inspect as look

    with cli.connect() as conn:
        found = [look(conn, ref, events=events, graph=graph) for ref in ids]
        _show(cli, found, single=len(ids) == 1)
        while watch and any(task["status"] not in _FINAL for task in found):
            time.sleep(1.0)
            before, found = (
                found,
                [look(conn, str(task["id"]), events=events, graph=graph) for task in found],
            )
            changed = [new for old, new in zip(before, found, strict=True) if _differs(old, new)]
            if changed:
                _show(cli, changed, single=len(ids) == 1)


def _differs(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return (old["status"], old["updated_at"]) != (new["status"], new["updated_at"])


def _show(cli: Cli, found: list[dict[str, Any]], *, single: bool) -> None:
    if cli.format not in ("table", "wide"):
        columns = [Column(key, id=key == "id") for key in (found[0] if found else {"id": None})]
        if single and found:
            cli.printer.one(found[0], columns)
        else:
            cli.printer.many(found, columns)
        return
    for number, task in enumerate(found):
        if number:
            cli.printer.text("\n")
        cli.printer.one(task, _columns(task))
        for key, columns in _LISTS.items():
            if rows := task.get(key):
                cli.printer.text(f"\n{key.replace('_', ' ')}:\n")
                cli.printer.many(rows, columns)


def _columns(task: dict[str, Any]) -> list[Column]:
    """All fields that say something; lists have tables of their own."""
    return [
        Column(
            key,
            id=key == "id",
            format=seconds if key.endswith("_s") else None,
            colors=_COLORED.get(key),
        )
        for key, value in task.items()
        if value not in (None, "", [], {}) and key not in _LISTS
    ]
