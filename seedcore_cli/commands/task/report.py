"""Numbers and history: stats, events."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.task.columns import EVENTS, STATS
from seedcore_cli.commands.task.group import app
from seedcore_cli.exit_codes import CHECK_FAILED
from seedcore_cli.options import Cli, Limit, Since, Until, common

_CONDITION = re.compile(r"\s*([a-z0-9_]+)\s*(>=|<=|>|<)\s*([0-9.]+)\s*")


@app.command("stats")
@common
def stats(
    cli: Cli,
    *,
    by: Annotated[
        str, typer.Option("--by", help="status, type, domain, owner or all.", metavar="FIELD")
    ] = "status",
    since: Since = None,
    percentiles: Annotated[
        bool, typer.Option("--percentiles", help="Also waits and run times, median and 95 %.")
    ] = False,
    fail_over: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-over",
            help="Exit with 3 when a row is over this, such as 'oldest_age_s>600'.",
            metavar="COND",
        ),
    ] = None,
) -> None:
    """Count tasks: how many, how old the oldest is, how many per second, how many failed.

    Examples:
      seedcore task stats
      seedcore task stats --by type --since 1h --percentiles
      seedcore task stats --fail-over 'oldest_age_s>600' -q

    Exit codes: 3 a row is over a --fail-over.
    """
    from seedcore.task import service

    conditions = [_condition(text) for text in fail_over or ()]
    with cli.connect() as conn:
        rows = service.stats(conn, by=by, since=since, percentiles=percentiles)
    shown = [c for c in STATS if percentiles or not c.key.endswith(("p50_s", "p95_s"))]
    cli.printer.many(rows, shown)
    over = [
        f"{row['key']}: {name} is {row[name]}"
        for row in rows
        for name, is_over in conditions
        if row.get(name) is not None and is_over(float(row[name]))
    ]
    for line in over:
        cli.note(line)
    if over:
        raise typer.Exit(CHECK_FAILED)


def _condition(text: str) -> tuple[str, Callable[[float], bool]]:
    match = _CONDITION.fullmatch(text)
    numbers = [c.key for c in STATS[1:]]
    if match is None or match.group(1) not in numbers:
        raise UsageError(
            f"{text!r} is not a condition",
            hint=f"write 'oldest_age_s>600'; fields: {', '.join(numbers)}",
        )
    name, sign, number = match.group(1), match.group(2), float(match.group(3))
    tests: dict[str, Callable[[float], bool]] = {
        ">": lambda value: value > number,
        "<": lambda value: value < number,
        ">=": lambda value: value >= number,
        "<=": lambda value: value <= number,
    }
    return name, tests[sign]


@app.command("events")
@common
def events(
    cli: Cli,
    id_: Annotated[
        str | None, typer.Argument(metavar="ID", help="One task; else all since --since.")
    ] = None,
    *,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
) -> None:
    """Show recorded transitions, oldest first: when, from which state to which, by whom and why.

    By default only ends and what operators did are recorded; 'seedcore config set --database
    task_event_level all' keeps every transition.

    Examples:
      seedcore task events 0198c7a12b3c
      seedcore task events --since 15m --limit 0 -o jsonl

    Exit codes: 4 there is no such task; 2 neither a task nor --since.
    """
    from seedcore.task import service

    with cli.connect() as conn:
        rows = service.events(conn, id_, since=since, until=until, limit=limit)
        cli.printer.many(rows, EVENTS)
