"""`seedcore registry register` and `beat`: keep a process in the registry that can't do it itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from seedcore.errors import Conflict, NotFound, Unavailable, UsageError
from seedcore_cli.commands.registry.columns import BEAT, REGISTERED
from seedcore_cli.commands.registry.group import app
from seedcore_cli.options import Cli, common
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from seedcore.registry.model import Beat


@app.command("register")
@common
def register(
    cli: Cli,
    *,
    logical_id: Annotated[
        str, typer.Option("--logical-id", metavar="L", help="The name that callers look for.")
    ],
    instance_id: Annotated[
        str | None, typer.Option("--instance-id", metavar="UUID", help="Default: a new id.")
    ] = None,
    epoch: Annotated[
        str | None,
        typer.Option(
            "--epoch", metavar="EPOCH", help="The epoch it belongs to. Default: the current one."
        ),
    ] = None,
    actor_name: Annotated[
        str | None, typer.Option("--actor-name", metavar="NAME", help="Name of its Ray actor.")
    ] = None,
    serve_route: Annotated[
        str | None, typer.Option("--serve-route", metavar="ROUTE", help="Where it answers.")
    ] = None,
    node_id: Annotated[
        str | None, typer.Option("--node-id", metavar="NODE", help="Default: this machine.")
    ] = None,
    ip: Annotated[
        str | None, typer.Option("--ip", metavar="ADDRESS", help="Default: this machine's.")
    ] = None,
    pid: Annotated[
        int | None, typer.Option("--pid", min=1, help="Default: the calling shell's process.")
    ] = None,
) -> None:
    """Register an instance as starting; `registry set-status ID alive` makes it findable.

    Example:
      id=$(seedcore registry register --logical-id importer -o name)
      seedcore registry set-status "$id" alive
      seedcore registry beat "$id" --every 5s --until-pid $$ &

    Exit codes: 4 there is no epoch yet; 5 the epoch given is not the current one.
    """
    import dataclasses

    from seedcore.registry import store
    from seedcore.registry.identity import of_this_process
    from seedcore.registry.model import epoch_id

    mine = of_this_process(
        cli.settings,
        logical_id,
        instance_id=_uuid(instance_id),
        actor_name=actor_name,
        serve_route=serve_route,
    )
    identity = dataclasses.replace(
        mine,
        node_id=node_id or mine.node_id,
        ip_address=_address(ip) or mine.ip_address,
        pid=pid or os.getppid(),
    )
    wanted = epoch or cli.settings.cluster_epoch
    with cli.connect() as conn:
        current = store.register(conn, identity, epoch_id(wanted) if wanted else None)
    cli.printer.one(
        {"instance_id": identity.instance_id, "epoch": current, "status": "starting"}, REGISTERED
    )


@app.command("beat")
@common(own_timeout=True)
def beat(
    cli: Cli,
    instance: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the first digits.")],
    *,
    every: Annotated[
        float | None,
        typer.Option(
            "--every", metavar="DUR", help="Go on beating, with this pause.", parser=parse_duration
        ),
    ] = None,
    until_pid: Annotated[
        int | None,
        typer.Option(
            "--until-pid",
            metavar="PID",
            min=1,
            help="Beat as long as this process lives, then declare the instance dead.",
        ),
    ] = None,
) -> None:
    """Give a sign of life for an instance: one, or one after the other.

    A database that is away is waited for. Whoever was declared dead, or belongs to an epoch that is
    over, has to register again.

    Example: seedcore registry beat 5f0c1b7a --every 5s --until-pid $$

    Exit codes: 4 there is no such instance; 5 it is dead, or its epoch is over.
    """
    from seedcore.registry import instances

    with cli.connect() as conn:
        found = instances.resolve(conn, instance)
    if every is None and until_pid is None:
        with cli.connect() as conn:
            cli.printer.one(_row(_beat(conn, found)), BEAT)
        return
    pause = every or cli.settings.registry_beat_sec
    if pause <= 0:
        raise UsageError("--every needs a time above 0")
    cli.printer.stream(_beats(cli, found, pause, until_pid), BEAT)


def _beats(cli: Cli, instance: UUID, pause: float, pid: int | None) -> Iterator[dict[str, Any]]:
    """Beat until the process is gone or the time is over; yield what changes."""
    from seedcore.registry import instances
    from seedcore.registry.model import InstanceStatus

    end = None if cli.timeout_s is None else time.monotonic() + cli.timeout_s
    said: tuple[Any, Any] | None = None
    is_away = False
    while pid is None or _is_alive(pid):
        try:
            # Opened for each beat: a companion costs the database no session of its own.
            with cli.connect() as conn:
                answer = _beat(conn, instance)
        except Unavailable as error:
            if not is_away:
                cli.warn(f"{error.message}; trying again")
            is_away = True
        else:
            is_away = False
            if (answer.status, answer.epoch_current) != said:
                said = (answer.status, answer.epoch_current)
                yield _row(answer)
        if end is not None and time.monotonic() + pause > end:
            return
        _sleep(pause, pid)
    with cli.connect() as conn:
        instances.set_status(conn, instance, InstanceStatus.DEAD)
    yield {"at": datetime.now(UTC), "status": "dead", "epoch_current": None}


def _sleep(pause: float, pid: int | None) -> None:
    """Sleep, but not past the end of the process."""
    end = time.monotonic() + pause
    while (left := end - time.monotonic()) > 0 and (pid is None or _is_alive(pid)):
        time.sleep(min(left, 0.5))


def _beat(conn: Any, instance: UUID) -> Beat:
    from seedcore.registry import store
    from seedcore.registry.model import InstanceStatus

    answer = store.beat(conn, instance)
    if answer.status is None:
        raise NotFound(f"there is no instance {instance}", code="registry.instance_not_found")
    again = "register again: seedcore registry register"
    if answer.status is InstanceStatus.DEAD:
        raise Conflict(f"instance {instance} is dead", code="registry.already_dead", hint=again)
    if not answer.epoch_current:
        raise Conflict(
            f"the epoch of instance {instance} is over", code="registry.epoch_changed", hint=again
        )
    return answer


def _row(answer: Beat) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC),
        "status": answer.status,
        "epoch_current": answer.epoch_current,
    }


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _uuid(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise UsageError(
            f'"{text}" is not an instance id; it has to be a UUID', code="registry.bad_id"
        ) from None


def _address(text: str | None) -> str | None:
    import ipaddress

    if text is None:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise UsageError(f'"{text}" is no IP address', code="registry.bad_address") from None
