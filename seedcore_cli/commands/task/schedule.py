"""`seedcore task schedule`: tasks that are submitted again and again."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from seedcore_cli.app import group
from seedcore_cli.commands.task.columns import STATUS_COLORS
from seedcore_cli.commands.task.group import app as task
from seedcore_cli.commands.task.submit import names_tools, read_params
from seedcore_cli.commands.task.tools import known_tools
from seedcore_cli.humanize import moment, seconds
from seedcore_cli.options import Cli, DryRun, Reason, Yes, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

app = group(
    """Submit tasks again and again, at the times of a cron line.

    The queue workers fire them, each time once, however many workers there are. A schedule is a name,
    a cron line with a time zone, and the task to submit.
    """
)
task.add_typer(app, name="schedule")

_OUTCOMES = {"submitted": "green", "failed": "red", "skipped": "yellow", "missed": "yellow"}

_NAME = Column("name", id=True)
_WHEN = (
    _NAME,
    Column("cron"),
    Column("timezone"),
    Column("next_run_at", header="NEXT", format=moment),
    Column("last_run_at", header="LAST", format=moment),
    Column("last_status", colors=STATUS_COLORS),
    Column("enabled", colors={"False": "yellow"}),
)
LIST = (*_WHEN, Column("type", wide=True), Column("last_error"))
CHANGED = (_NAME, Column("before"), Column("after"), Column("next_run_at", format=moment))
RUN = (_NAME, Column("id"))
UPCOMING = (Column("local", header="TIME"), Column("at", header="IN", format=moment))
FIRES = (
    Column("fire_at", header="TIME"),
    Column("outcome", colors=_OUTCOMES),
    Column("task_id", header="TASK"),
    Column("status", colors=STATUS_COLORS),
    Column("actor"),
    Column("error"),
)
_LISTS = {"upcoming": UPCOMING, "fires": FIRES}
_TOO_LATE_S = 30.0
"""A worker fires at the full minute; what is later than this has nobody to fire it."""


class MisfirePolicy(StrEnum):
    """What becomes of times that passed while no worker ran."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class OverlapPolicy(StrEnum):
    """Whether to fire while the task before has not ended."""

    ALLOW = "allow"
    SKIP = "skip"


Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the schedule.")]


@app.command("add")
@common
def add(
    cli: Cli,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Letters, digits, '.', '_' and '-'; at most 63.")
    ],
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="What kind of task to submit.")],
    *,
    cron: Annotated[
        str,
        typer.Option(
            "--cron",
            help="MINUTE HOUR DAY MONTH WEEKDAY, or @hourly, @daily, @weekly, @monthly, @yearly.",
            metavar="LINE",
        ),
    ],
    tz: Annotated[
        str, typer.Option("--tz", help="Whose clock the line speaks of.", metavar="ZONE")
    ] = "UTC",
    params: Annotated[
        str | None,
        typer.Option(
            "--params", help="A JSON object, @FILE, or - for standard input.", metavar="JSON"
        ),
    ] = None,
    tool: Annotated[
        str | None,
        typer.Option("--tool", help="A tool to call; short for params.tool_calls.", metavar="NAME"),
    ] = None,
    args: Annotated[
        str | None,
        typer.Option("--args", help="Its arguments: a JSON object, @FILE or -.", metavar="JSON"),
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", help="What to do, in words.", metavar="TEXT")
    ] = None,
    domain: Annotated[
        str | None, typer.Option("--domain", help="Namespace.", metavar="NAME")
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option("--priority", help="10 is first; default 5.", metavar="N", min=0, max=10),
    ] = None,
    max_attempts: Annotated[
        int | None,
        typer.Option(
            "--max-attempts", help="Attempts before a task counts as failed.", metavar="N", min=1
        ),
    ] = None,
    ttl: Annotated[
        float | None,
        typer.Option(
            "--ttl",
            help="A task that has not started so long after its time is cancelled.",
            metavar="DUR",
            parser=parse_duration,
        ),
    ] = None,
    misfire: Annotated[
        MisfirePolicy,
        typer.Option(
            "--misfire",
            help="Times that passed while no worker ran: skip them, fire once for the latest, or "
            "fire all.",
            metavar="HOW",
        ),
    ] = MisfirePolicy.ONCE,
    overlap: Annotated[
        OverlapPolicy,
        typer.Option(
            "--overlap",
            help="allow or skip a time while the task of the one before has not ended.",
            metavar="HOW",
        ),
    ] = OverlapPolicy.ALLOW,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Add a schedule; a worker fires it from its next time on.

    With --dry-run it shows the next five times and adds nothing.

    A cron line has five fields: minute 0-59, hour 0-23, day of month 1-31, month 1-12 or JAN-DEC, day
    of week 0-7 or SUN-SAT. Each takes * A-B A,B */N A-B/N; days also L (last day), LW (last weekday),
    FRI#2 (second Friday) and FRIL (last Friday). When both days are given, either is enough.

    When the clock is changed, a time such as '30 2' that is skipped fires as soon as the clock has
    jumped, and one that comes twice fires once. Lines that begin with * in minute or hour follow the
    clock as it shows.

    Examples:
      seedcore task schedule add nightly report --cron '30 2 * * *' --tz Europe/Berlin
      seedcore task schedule add hello action --cron '*/15 9-17 * * MON-FRI' --tool echo --args '{"value": 1}'
      seedcore task schedule add nightly report --cron @daily --misfire skip --overlap skip --dry-run

    Exit codes: 2 a bad cron line (says where), no such zone; 5 there is one of that name.
    """
    from seedcore.errors import UsageError
    from seedcore.task.schedule import service
    from seedcore.task.schedule.model import Misfire, NewSchedule, Overlap

    if ttl is not None and ttl < 1:
        raise UsageError("--ttl is less than a second", hint="--ttl 10m")
    new = NewSchedule(
        name=name,
        cron=cron,
        timezone=tz,
        type=type_,
        params=read_params(params, tool, args),
        description=description,
        domain=domain,
        priority=priority,
        max_attempts=max_attempts,
        ttl_s=None if ttl is None else round(ttl),
        misfire=Misfire(misfire.value),
        overlap=Overlap(overlap.value),
    )
    settings = cli.settings
    for finding in service.check(
        new,
        lint_mode=settings.task_lint_mode,
        params_max_bytes=settings.params_max_bytes,
        known_tools=known_tools(cli) if names_tools(dict(new.params)) else None,
    ):
        if settings.task_lint_mode != "off":
            cli.warn(str(finding))
    with cli.connect() as conn:
        row = service.add(conn, new, actor=cli.actor, reason=reason, dry_run=dry_run)
    _one(cli, row | {"dry_run": True} if dry_run else row)
    if dry_run:
        cli.note("nothing was added")
    else:
        cli.hint(f"seedcore task schedule show {name}")


@app.command("list")
@common
def list_schedules(cli: Cli) -> None:
    """Show every schedule: when it fires next, when it did last, and what went wrong.

    It says so when times have passed and no worker has fired them.

    Example: seedcore task schedule list
    """
    from seedcore.task.schedule import service

    with cli.connect() as conn:
        rows = service.list_all(conn)
    cli.printer.many(rows, LIST)
    _tell_late(cli, rows)


@app.command("show")
@common
def show(
    cli: Cli,
    name: Name,
    *,
    fires: Annotated[
        int, typer.Option("--fires", help="How many past times.", metavar="N", min=0, max=1000)
    ] = 10,
) -> None:
    """Show one schedule in full, with its next times and what became of the last ones.

    Example: seedcore task schedule show nightly -o json

    Exit codes: 4 there is none of that name.
    """
    from seedcore.task.schedule import service

    with cli.connect() as conn:
        row = service.show(conn, name, fires=fires)
    _one(cli, row)
    _tell_late(cli, [row])


@app.command("pause")
@common
def pause(cli: Cli, name: Name, *, reason: Reason = None, dry_run: DryRun = False) -> None:
    """Stop firing a schedule; what comes due meanwhile is left out.

    Example: seedcore task schedule pause nightly --reason "moving house"

    Exit codes: 4 there is none of that name.
    """
    _switch(cli, name, "paused", reason=reason, dry_run=dry_run)


@app.command("resume")
@common
def resume(cli: Cli, name: Name, *, reason: Reason = None, dry_run: DryRun = False) -> None:
    """Fire a paused schedule again, from its next time on.

    Example: seedcore task schedule resume nightly

    Exit codes: 4 there is none of that name.
    """
    _switch(cli, name, "enabled", reason=reason, dry_run=dry_run)


@app.command("remove")
@common
def remove(
    cli: Cli, name: Name, *, reason: Reason = None, yes: Yes = False, dry_run: DryRun = False
) -> None:
    """Delete a schedule and the history of its times; its tasks stay.

    Who removed it, why, and what it said stays in 'seedcore queue history'.

    Example: seedcore task schedule remove nightly --yes

    Exit codes: 4 there is none of that name; 10 not confirmed.
    """
    from seedcore.task.schedule import service

    with cli.connect() as conn:
        row = service.show(conn, name, fires=0)
        if not dry_run:
            cli.confirm(level=1, summary=f"remove the schedule {name}", yes=yes)
            service.remove(conn, name, actor=cli.actor, reason=reason)
    before = _state(row)
    done = {"name": name, "before": before, "after": None, "next_run_at": None}
    cli.printer.one(done | {"dry_run": True} if dry_run else done, CHANGED)
    cli.note("nothing was removed" if dry_run else f"removed {name}")


@app.command("run")
@common
def run(cli: Cli, name: Name, *, reason: Reason = None, dry_run: DryRun = False) -> None:
    """Submit the task of a schedule now, beside its times; also while it is paused.

    Example: seedcore task schedule run nightly

    Exit codes: 4 there is none of that name; 5 its last task has not ended and --overlap is skip.
    """
    from seedcore.task.schedule import service

    with cli.connect() as conn:
        row = service.run(conn, name, actor=cli.actor, reason=reason, dry_run=dry_run)
    cli.printer.one(row | {"dry_run": True} if dry_run else row, RUN)
    if dry_run:
        cli.note("nothing was submitted")
    else:
        cli.hint(f"seedcore task wait {row['id']}")


def _switch(cli: Cli, name: str, goal: str, *, reason: str | None, dry_run: bool) -> None:
    from seedcore.task.schedule import service

    act = service.pause if goal == "paused" else service.resume
    with cli.connect() as conn:
        before = _state(service.show(conn, name, fires=0))
        with conn.transaction(force_rollback=dry_run):
            changed = act(conn, name, actor=cli.actor, reason=reason)
            row = service.show(conn, name, fires=0)
    done = {
        "name": name,
        "before": before,
        "after": _state(row),
        "next_run_at": row["next_run_at"],
    }
    cli.printer.one(done | {"dry_run": True} if dry_run else done, CHANGED)
    if not changed:
        cli.note(f"unchanged: it was {goal} already")
    elif dry_run:
        cli.note("nothing was changed")
    else:
        cli.hint(f"seedcore task schedule show {name}")


def _state(row: dict[str, Any]) -> str:
    return "enabled" if row["enabled"] else "paused"


def _one(cli: Cli, row: dict[str, Any]) -> None:
    """Print one schedule; in a table its times stand below it."""
    if cli.format not in ("table", "wide"):
        columns = [Column(key, id=key == "name") for key in row]
        cli.printer.one(row, columns)
        return
    shown = [
        Column(key, id=key == "name", format=seconds if key.endswith("_s") else None)
        for key, value in row.items()
        if value not in (None, "", [], {}, 0) and key not in _LISTS
    ]
    cli.printer.one(row, shown)
    for key, columns in _LISTS.items():
        if row.get(key):
            cli.printer.text(f"\n{key}:\n")
            cli.printer.many(row[key], columns)


def _tell_late(cli: Cli, rows: list[dict[str, Any]]) -> None:
    late = [row for row in rows if row["enabled"] and row["late_s"] > _TOO_LATE_S]
    if late:
        since: datetime = min(row["next_run_at"] for row in late)
        cli.warn(f"no worker has fired due schedules since {since:%Y-%m-%dT%H:%M:%SZ}")
        cli.hint("seedcore worker queue")
