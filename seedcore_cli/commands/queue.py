"""`seedcore queue`: hold lanes and domains back, slow them down, let domains take turns."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from seedcore.errors import ConfigError, LockBusy, UsageError, WaitTimeout
from seedcore_cli.app import group
from seedcore_cli.commands.task.columns import STATUS
from seedcore_cli.humanize import moment, seconds
from seedcore_cli.options import Cli, DryRun, Limit, Reason, Since, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_rate

app = group(
    """Hold lanes back, slow them down, and say in which order they are worked off.

    Tasks of the type graph are in the lane graph, all others in the lane queue. A lane, or one domain
    of it, can be paused, limited to tasks per second and to tasks at once; domains can take turns.
    What runs goes on in any case.
    """
)


def _decided(values: Any) -> str:
    """Return what was decided, as people read it: `paused true, rate_per_s 10`."""
    if values is None:
        return ""
    return ", ".join(f"{name} {json.dumps(value)}" for name, value in values.items())


_PAUSED = {"True": "yellow"}
_PLACE = (Column("lane", id=True), Column("domain"))
STATUS_OF_LANES = (
    *_PLACE,
    STATUS,
    Column("tasks", align="right"),
    Column("due", align="right"),
    Column("oldest_age_s", header="OLDEST", align="right", format=seconds),
    Column("paused", colors=_PAUSED),
    Column("limit"),
    Column("fair", wide=True),
    Column("reason", wide=True),
    Column("changed_by", wide=True),
    Column("changed_at", wide=True),
)
CHANGED = (*_PLACE, Column("before"), Column("after"))
HISTORY = (
    Column("at", format=moment),
    *_PLACE,
    Column("schedule"),
    Column("before", format=_decided),
    Column("after", format=_decided),
    Column("actor"),
    Column("reason"),
)

Lane = Annotated[str, typer.Argument(metavar="LANE", help="queue or graph.")]
Domain = Annotated[
    str | None,
    typer.Option("--domain", help="Only this domain of the lane.", metavar="NAME"),
]


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


@app.command("status")
@common
def status(
    cli: Cli,
    lane: Annotated[
        str | None, typer.Argument(metavar="[LANE]", help="Only this lane: queue or graph.")
    ] = None,
) -> None:
    """Show what waits and what runs, lane by lane, and what holds it back.

    A lane has a line for each status that its unfinished and failed tasks have, and so has each domain
    that is held back by itself.

    Examples:
      seedcore queue status
      seedcore queue status queue -o json

    Exit codes: 4 there is no such lane.
    """
    from seedcore.task import service

    with cli.connect() as conn:
        cli.printer.many(service.lane_status(conn, lane), STATUS_OF_LANES)


@app.command("pause")
@common
def pause(
    cli: Cli,
    lane: Lane,
    *,
    domain: Domain = None,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Let workers take no more tasks of a lane, or of one domain of it.

    What runs goes on, and what is submitted waits.

    Examples:
      seedcore queue pause queue --reason "database upgrade"
      seedcore queue pause queue --domain billing

    Exit codes: 4 there is no such lane.
    """
    from seedcore.task import service

    def act(conn: Any) -> None:
        service.pause_lane(conn, lane, domain=domain, actor=cli.actor, reason=reason)

    if _change(
        cli, lane, domain, act, reason=reason, dry_run=dry_run, by_domain=domain is not None
    ):
        cli.hint(f"seedcore queue resume {_words(lane, domain)}")


@app.command("resume")
@common
def resume(
    cli: Cli,
    lane: Lane,
    *,
    domain: Domain = None,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Let workers take tasks of a lane, or of one domain of it, again.

    Limits stay as they are.

    Examples:
      seedcore queue resume queue
      seedcore queue resume queue --domain billing

    Exit codes: 4 there is no such lane; 5 it is not paused.
    """
    from seedcore.task import service

    def act(conn: Any) -> None:
        service.resume_lane(conn, lane, domain=domain, actor=cli.actor)

    _change(cli, lane, domain, act, reason=reason, dry_run=dry_run)


@app.command("limit")
@common
def limit(
    cli: Cli,
    lane: Lane,
    *,
    domain: Domain = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            help="Tasks taken per second (10/s), minute (600/m) or hour (100/h), over time.",
            metavar="N/UNIT",
            parser=parse_rate,
        ),
    ] = None,
    burst: Annotated[
        float | None,
        typer.Option(
            "--burst",
            help="Tasks taken at once after a quiet time; default: those of one second, at least 1.",
            metavar="N",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", help="Tasks that may run at once.", metavar="N"),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Lift the limits.")] = False,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Limit how fast workers take tasks of a lane, or of one domain of it, and how many run at once.

    All workers together keep the limit. What is not given stays as it is.

    Examples:
      seedcore queue limit queue --rate 50/s
      seedcore queue limit queue --domain mail --rate 600/m --burst 100 --concurrency 4
      seedcore queue limit queue --domain mail --off

    Exit codes: 4 there is no such lane; 5 there is no limit to lift.
    """
    from seedcore.task import service

    given = [
        n
        for n, v in (("--rate", rate), ("--burst", burst), ("--concurrency", concurrency))
        if v is not None
    ]
    if off and given:
        raise UsageError(f"--off and {given[0]} exclude each other")
    if not off and rate is None and concurrency is None:
        raise UsageError(
            "give --rate, --concurrency or --off", hint="seedcore queue limit queue --rate 50/s"
        )

    def act(conn: Any) -> None:
        if off:
            service.unlimit_lane(conn, lane, domain=domain, actor=cli.actor)
            return
        service.limit_lane(
            conn,
            lane,
            domain=domain,
            rate_per_s=rate,
            burst=burst,
            concurrency=concurrency,
            actor=cli.actor,
            reason=reason,
        )

    by_domain = domain is not None and not off
    if _change(cli, lane, domain, act, reason=reason, dry_run=dry_run, by_domain=by_domain):
        cli.hint(
            "seedcore queue status" if off else f"seedcore queue limit {_words(lane, domain)} --off"
        )


@app.command("fair")
@common
def fair(
    cli: Cli,
    lane: Lane,
    switch: Annotated[Switch, typer.Argument(metavar="on|off", help="on or off.")],
    *,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Let the domains of a lane take turns inside each priority, or go by time alone.

    With turns, the backlog of one domain does not delay the first task of another. Tasks without a
    domain count as one. While a single domain is paused or limited, the domains take turns as well.

    Examples:
      seedcore queue fair queue on

    Exit codes: 4 there is no such lane.
    """
    from seedcore.task import service

    is_fair = switch is Switch.ON

    def act(conn: Any) -> None:
        service.set_fair(conn, lane, is_fair, actor=cli.actor)

    _change(cli, lane, None, act, reason=reason, dry_run=dry_run, by_domain=is_fair)


@app.command("history")
@common
def history(
    cli: Cli,
    lane: Annotated[
        str | None, typer.Argument(metavar="[LANE]", help="Only this lane: queue or graph.")
    ] = None,
    *,
    domain: Domain = None,
    schedule: Annotated[
        str | None, typer.Option("--schedule", help="Only this schedule.", metavar="NAME")
    ] = None,
    since: Since = None,
    limit: Limit = 50,
) -> None:
    """Show who changed lanes, their domains and schedules, when and why, latest first.

    Whatever way it was done: by a command, a function or plain SQL.

    Examples:
      seedcore queue history --since 1d
      seedcore queue history --schedule nightly

    Exit codes: 2 a lane and a schedule exclude each other; 4 there is no such lane.
    """
    from seedcore.task import service

    if schedule is not None and (lane or domain):
        raise UsageError("--schedule excludes a lane and --domain: schedules have none")
    with cli.connect() as conn:
        rows = service.changes(
            conn, lane=lane, domain=domain, schedule=schedule, since=since, limit=limit
        )
        cli.printer.many(rows, HISTORY)


def _change(
    cli: Cli,
    lane: str,
    domain: str | None,
    act: Callable[[Any], None],
    *,
    reason: str | None,
    dry_run: bool,
    by_domain: bool = False,
) -> bool:
    """Change a lane and show what held it back before and after.

    Args:
        cli: The command's surroundings.
        lane: The lane.
        domain: One domain of it, or None.
        act: What changes it.
        reason: Why, for the record.
        dry_run: Only show what would change.
        by_domain: Whether claims go from domain to domain afterwards, for which there is an index.

    Returns:
        Whether it was really done.
    """
    from seedcore.db import set_actor
    from seedcore.task import service

    if domain == "":
        raise UsageError("--domain is empty; leave it out for the whole lane")
    with cli.connect() as conn:
        with conn.transaction(force_rollback=dry_run):
            set_actor(conn, cli.actor, reason)
            before = service.control_of(conn, lane, domain)
            act(conn)
            after = service.control_of(conn, lane, domain)
        row = {"lane": lane, "domain": domain}
        row |= {"before": service.described(before), "after": service.described(after)}
        cli.printer.one(row | {"dry_run": True} if dry_run else row, CHANGED)
        if before == after:
            cli.note("unchanged")
        elif dry_run:
            cli.note("nothing was changed")
        if by_domain and not dry_run:
            _ensure_turns_index(cli, conn)
    return not dry_run


def _ensure_turns_index(cli: Cli, conn: Any) -> None:
    """Build the index of turns after the change: that must not wait for other people's transactions."""
    from seedcore.task import service

    name = service.TURNS_INDEX
    try:
        if service.ensure_turns_index(conn):
            cli.note(f"built the index {name}, by which claims tell domains apart")
    except ConfigError as error:
        cli.warn(f"without the index {name} claims are slow: {error.message}")
    except (LockBusy, WaitTimeout) as error:
        cli.warn(
            f"without the index {name} claims are slow, and it could not be built now:"
            f" {error.message}; once long transactions have ended, give the same command again"
            " with --statement-timeout 0"
        )


def _words(lane: str, domain: str | None) -> str:
    return f"{lane} --domain {domain}" if domain else lane
