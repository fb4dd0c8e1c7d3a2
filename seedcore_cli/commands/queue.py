"""`seedcore queue`: hold lanes and domains back, slow them down, let domains take turns."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from seedcore.errors import ConfigError, LockBusy, UsageError, WaitTimeout
from seedcore_cli.app import group
from seedcore_cli.commands.task.columns import STATUS
from seedcore_cli.humanize import seconds
from seedcore_cli.options import Cli, Reason, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_rate

app = group(
    """Hold lanes back, slow them down, and say in which order they are worked off.

    Tasks of the type graph are in the lane graph, all others in the lane queue. A lane, or one domain
    of it, can be paused, limited to tasks per second and to tasks at once; domains can take turns.
    What runs goes on in any case.
    """
)

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
def pause(cli: Cli, lane: Lane, *, domain: Domain = None, reason: Reason = None) -> None:
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

    _change(cli, lane, domain, act, by_domain=domain is not None)
    cli.hint(f"seedcore queue resume {_words(lane, domain)}")


@app.command("resume")
@common
def resume(cli: Cli, lane: Lane, *, domain: Domain = None) -> None:
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

    _change(cli, lane, domain, act)


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

    _change(cli, lane, domain, act, by_domain=domain is not None and not off)
    cli.hint(
        "seedcore queue status" if off else f"seedcore queue limit {_words(lane, domain)} --off"
    )


@app.command("fair")
@common
def fair(
    cli: Cli,
    lane: Lane,
    switch: Annotated[Switch, typer.Argument(metavar="on|off", help="on or off.")],
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

    _change(cli, lane, None, act, by_domain=is_fair)


def _change(
    cli: Cli,
    lane: str,
    domain: str | None,
    act: Callable[[Any], None],
    *,
    by_domain: bool = False,
) -> None:
    """Change a lane and show what held it back before and after.

    Args:
        cli: The command's surroundings.
        lane: The lane.
        domain: One domain of it, or None.
        act: What changes it.
        by_domain: Whether claims go from domain to domain afterwards, for which there is an index.
    """
    from seedcore.task import service

    if domain == "":
        raise UsageError("--domain is empty; leave it out for the whole lane")
    with cli.connect() as conn:
        with conn.transaction():
            before = service.control_of(conn, lane, domain)
            act(conn)
            after = service.control_of(conn, lane, domain)
        row = {"lane": lane, "domain": domain}
        row |= {"before": service.described(before), "after": service.described(after)}
        cli.printer.one(row, CHANGED)
        if before == after:
            cli.note("unchanged")
        if by_domain:
            _ensure_turns_index(cli, conn)


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
