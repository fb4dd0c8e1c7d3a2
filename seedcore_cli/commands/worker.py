"""`seedcore worker`: the daemons, how they are doing, and how an init system starts them."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import CheckFailed, NotFound, UsageError
from seedcore_cli.app import group
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from seedcore.config import Settings
    from workers.options import Options

app = group("Run the daemons that do the work.")


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class Daemon(StrEnum):
    """Daemons that have a unit."""

    QUEUE = "queue"
    REGISTRY_REAPER = "registry-reaper"


SUMMARY = tuple(
    Column(key, align="right")
    for key in (
        "claimed",
        "completed",
        "failed",
        "retried",
        "cancelled",
        "seconds",
        "rate_per_s",
        "left",
    )
) + tuple(
    Column(key, align="right", wide=True)
    for key in ("left_due", "left_delayed", "left_running", "left_created")
)
REAPED = (
    Column("expired", align="right"),
    Column("held_back", align="right"),
    Column("purged", align="right"),
    Column("seconds", align="right"),
)
LIST = (
    Column("name", id=True),
    Column("status", colors={"healthy": "green", "draining": "yellow", "pool_issue": "red"}),
    Column("inflight_tasks", header="RUNNING", align="right"),
    Column("held_tasks", header="HELD", align="right"),
    Column("tasks_claimed", header="CLAIMED", align="right"),
    Column("tasks_completed", header="COMPLETED", align="right"),
    Column("tasks_failed", header="FAILED", align="right"),
    Column("uptime_s", align="right"),
    Column("instance_id", wide=True),
    Column("socket", wide=True),
)
STATUS = (
    Column("name", id=True),
    Column("instance_id"),
    Column("status"),
    Column("not_ready"),
    Column("dsn"),
    Column("pool"),
    Column("inflight_tasks"),
    Column("held_tasks"),
    Column("last_heartbeat"),
    Column("router_type"),
    Column("breakers"),
    Column("uptime_s"),
    Column("epoch"),
    Column("metrics"),
    Column("tasks"),
    Column("socket"),
)


@app.command("queue")
@common(own_timeout=True)
def queue(
    cli: Cli,
    *,
    once: Annotated[
        bool,
        typer.Option("--once", help="End when nothing is due and nothing of its own runs."),
    ] = False,
    until_empty: Annotated[
        bool,
        typer.Option(
            "--until-empty",
            help="End when nothing is due, delayed or running; at most --timeout.",
        ),
    ] = False,
    max_tasks: Annotated[
        int, typer.Option("--max-tasks", min=0, help="End after so many claims; 0 = no limit.")
    ] = 0,
    types: Annotated[
        list[str] | None,
        typer.Option("--types", metavar="TYPE", help="Only these types; repeat it, or use commas."),
    ] = None,
    domains: Annotated[
        list[str] | None,
        typer.Option("--domains", metavar="DOMAIN", help="Only these domains; likewise."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", min=1, help="Tasks at the same time. DISPATCHER_CONCURRENCY, 16."
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="Least tasks in one claim. CLAIM_BATCH_SIZE, 8."),
    ] = None,
    poll: Annotated[
        float | None,
        typer.Option(
            "--poll",
            metavar="DUR",
            parser=parse_duration,
            help="Longest pause after an empty claim. DISPATCHER_POLL_INTERVAL_S, 5s.",
        ),
    ] = None,
    lease: Annotated[
        float | None,
        typer.Option(
            "--lease",
            metavar="DUR",
            parser=parse_duration,
            help="Lease of a claim or renewal. TASK_LEASE_S, 600s.",
        ),
    ] = None,
    no_listen: Annotated[
        bool,
        typer.Option(
            "--no-listen",
            help="Poll only; for a pooler in transaction mode. USE_LISTEN_NOTIFY=0.",
        ),
    ] = False,
    drain_timeout: Annotated[
        float | None,
        typer.Option(
            "--drain-timeout",
            metavar="DUR",
            parser=parse_duration,
            help="Time to finish running tasks on SIGTERM. DISPATCHER_DRAIN_S, 30s.",
        ),
    ] = None,
    startup_timeout: Annotated[
        float,
        typer.Option(
            "--startup-timeout",
            metavar="DUR",
            parser=parse_duration,
            help="How long to wait for the database at the start.",
        ),
    ] = 30.0,
    exit_on_db_loss: Annotated[
        bool,
        typer.Option("--exit-on-db-loss", help="Exit 69 instead of waiting for the database."),
    ] = False,
    exit_on_epoch_change: Annotated[
        bool,
        typer.Option(
            "--exit-on-epoch-change", help="Drain and exit 75 instead of following a new epoch."
        ),
    ] = False,
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, help="Worker processes. DISPATCHER_COUNT, 1."),
    ] = None,
    index: Annotated[
        int, typer.Option("--index", min=0, help="This worker's number on its host.")
    ] = 1,
    health_addr: Annotated[
        str | None,
        typer.Option(
            "--health-addr",
            metavar="ADDR",
            help="HOST:PORT or unix:PATH for /livez /readyz /metrics /status. "
            "SEEDCORE_HEALTH_ADDR; default: a socket in the home's run folder.",
        ),
    ] = None,
    metrics_textfile: Annotated[
        Path | None,
        typer.Option(
            "--metrics-textfile", metavar="FILE", help="Also leave the metrics in this file."
        ),
    ] = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option("--log-format", help="auto, text or json. SEEDCORE_LOG_FORMAT."),
    ] = None,
) -> None:
    """Claim tasks and run their tools until told to stop.

    SIGTERM or Ctrl-C drains: running tasks get --drain-timeout to finish, the others go back unspent;
    a second one does not wait. With --once, --until-empty or --max-tasks it ends by itself and prints
    what it did.

    Example: seedcore worker queue --until-empty --timeout 5m --output json

    Exit codes: 0 drained; 1 the drain time-out passed and work was cancelled; 6 --until-empty took
    longer than --timeout; 69 no database; 75 a new epoch (--exit-on-epoch-change); 78 wrong
    configuration.
    """
    if cli.timeout_s is not None and not (once or until_empty or max_tasks):
        raise UsageError(
            "--timeout bounds a run that ends by itself", hint="add --until-empty or --once"
        )
    from workers.options import Options

    settings = _overlaid(
        cli.settings,
        dispatcher_concurrency=concurrency,
        claim_batch_size=batch,
        dispatcher_poll_interval_s=poll,
        task_lease_s=lease,
        dispatcher_drain_s=drain_timeout,
        use_listen_notify=False if no_listen else None,
        dispatcher_count=count,
        health_addr=health_addr,
        log_format=None if log_format is None else log_format.value,
    )
    options = Options(
        once=once,
        until_empty=until_empty,
        timeout_s=cli.timeout_s,
        max_tasks=max_tasks,
        types=_words(types),
        domains=_words(domains),
        exit_on_db_loss=exit_on_db_loss,
        exit_on_epoch_change=exit_on_epoch_change,
        startup_timeout_s=startup_timeout,
        metrics_textfile=None if metrics_textfile is None else str(metrics_textfile),
        index=index,
    )
    summary, code = _run(settings, options, _log_level(cli))
    if summary is not None:
        cli.printer.one(summary, SUMMARY)
    raise typer.Exit(code)


@app.command("registry-reaper")
@common
def registry_reaper(
    cli: Cli,
    *,
    once: Annotated[bool, typer.Option("--once", help="Make one pass and end.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="DUR",
            help="Pause between passes. MAINTENANCE_INTERVAL_S, 15s.",
            parser=parse_duration,
        ),
    ] = None,
    stale_after: Annotated[
        float | None,
        typer.Option(
            "--stale-after",
            metavar="DUR",
            help="Silence that counts as death. RECONCILE_GRACE_S, 15s.",
            parser=parse_duration,
        ),
    ] = None,
    max_fraction: Annotated[
        float,
        typer.Option(
            "--max-fraction",
            min=0.0,
            max=1.0,
            help="Hold back for a while when a larger share of all is silent.",
        ),
    ] = 0.5,
    guard: Annotated[
        float,
        typer.Option(
            "--guard", metavar="DUR", help="How long to hold back.", parser=parse_duration
        ),
    ] = 30.0,
    metrics_textfile: Annotated[
        Path | None,
        typer.Option(
            "--metrics-textfile", metavar="FILE", help="Also leave the metrics in this file."
        ),
    ] = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option("--log-format", help="auto, text or json. SEEDCORE_LOG_FORMAT."),
    ] = None,
) -> None:
    """Declare instances dead that fell silent, or whose epoch is over.

    Of several reapers one leads and the others stand by. When more than half of at least five
    instances fall silent together, the database or the network was away rather than they: it holds
    back for a while, and expires only those that stay silent.

    Examples:
      seedcore worker registry-reaper
      */1 * * * * seedcore worker registry-reaper --once -q

    Exit codes: 9 with --once, another reaper leads; 69 no database; 78 wrong configuration.
    """
    from seedcore.registry.reaper import Rules
    from seedcore.telemetry import logs
    from workers.registry_reaper import ReaperOptions, run, run_once

    settings = _overlaid(
        cli.settings,
        maintenance_interval_s=interval,
        reconcile_grace_s=stale_after,
        log_format=None if log_format is None else log_format.value,
        log_level=_log_level(cli),
    )
    for name, seconds in (
        ("--interval", settings.maintenance_interval_s),
        ("--stale-after", settings.reconcile_grace_s),
    ):
        if seconds <= 0:
            raise UsageError(f"{name} needs a time above 0")
    options = ReaperOptions(
        interval_s=settings.maintenance_interval_s,
        rules=Rules(stale_s=settings.reconcile_grace_s, max_fraction=max_fraction, guard_s=guard),
        metrics_textfile=None if metrics_textfile is None else str(metrics_textfile),
    )
    if once:
        cli.printer.one(run_once(settings, options), REAPED)
        return
    logs.configure(settings.log_level, settings.log_format)
    raise typer.Exit(run(settings, options))


@app.command("list")
@common
def list_workers(cli: Cli) -> None:
    """Show the workers of this machine that listen in this home.

    Example: seedcore worker list --output json
    """
    from workers import address, probe

    found = probe.statuses(address.run_folder(cli.settings))
    cli.printer.many(({**said, **said["metrics"]} for said in found), LIST)


@app.command("status")
@common
def status(
    cli: Cli,
    name: Annotated[
        str | None,
        typer.Argument(help="Its name or instance id, or the start of one. Default: the only one."),
    ] = None,
    *,
    socket: Annotated[
        Path | None, typer.Option("--socket", metavar="PATH", help="Ask this health socket.")
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 3 unless it is ready for work.")
    ] = False,
) -> None:
    """Ask one worker of this machine how it is doing.

    Example: seedcore worker status --exit-code

    Exit codes: 3 not ready, with --exit-code; 4 there is no such worker; 69 it does not answer.
    """
    from workers import address, probe

    if socket is not None:
        said = probe.status(socket)
    else:
        said = _only(probe.statuses(address.run_folder(cli.settings)), name)
    cli.printer.one(said, STATUS)
    if exit_code and said.get("not_ready"):
        raise CheckFailed(f"{said['name']} is not ready: {said['not_ready']}")


@app.command("unit")
@common
def unit(
    cli: Cli,
    daemon: Annotated[Daemon, typer.Argument(help="Which daemon.")],
    *,
    user: Annotated[
        bool, typer.Option("--user", help="For the systemd of the calling user, not of the system.")
    ] = False,
    env_file: Annotated[
        Path | None,
        typer.Option("--env-file", metavar="FILE", help="File with environment variables."),
    ] = None,
) -> None:
    """Print a systemd unit for a daemon.

    That of the queue worker is a template: the part after @ numbers the workers of a host.

    Examples:
      seedcore worker unit queue > /etc/systemd/system/seedcore-queue@.service
      seedcore worker unit registry-reaper > /etc/systemd/system/seedcore-registry-reaper.service
    """
    import shutil

    from workers.unit import Request, queue_unit, reaper_unit

    program = Path(sys.argv[0])
    found = program if program.is_file() else Path(shutil.which("seedcore") or "/usr/bin/seedcore")
    request = Request(
        program=found.absolute(),
        for_user=user,
        env_file=None if env_file is None else env_file.absolute(),
    )
    if daemon is Daemon.QUEUE:
        text, name = queue_unit(cli.settings, request), "seedcore-queue@1"
    else:
        text, name = reaper_unit(cli.settings, request), "seedcore-registry-reaper"
    cli.printer.text(text)
    cli.hint(f"systemctl daemon-reload && systemctl enable --now {name}")


def _overlaid(settings: Settings, **values: Any) -> Settings:
    """Return the settings with the options that were given on top."""
    import dataclasses

    given = {name: value for name, value in values.items() if value is not None}
    origins = {**settings.origins, **dict.fromkeys(given, "flag")}
    return dataclasses.replace(settings, **given, origins=origins)


def _log_level(cli: Cli) -> str:
    """Return the level of the settings, unless -q or -v ask for less or more."""
    if cli.options.verbose:
        return "DEBUG"
    level = cli.settings.log_level
    return "WARNING" if cli.options.quiet and level in ("DEBUG", "INFO") else level


def _run(settings: Settings, options: Options, log_level: str) -> tuple[dict[str, Any] | None, int]:
    from seedcore.errors import ConfigError
    from seedcore.telemetry import logs

    settings = _overlaid(settings, log_level=log_level)
    try:
        logs.configure(settings.log_level, settings.log_format)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if settings.dispatcher_count > 1:
        from workers.supervisor import run as supervise

        ended = supervise(settings, options)
    else:
        from workers.queue import run

        ended = run(settings, options)
    return ended.summary, ended.exit_code


def _words(given: list[str] | None) -> tuple[str, ...]:
    words = [word.strip() for text in given or () for word in text.split(",")]
    return tuple(word for word in words if word)


def _only(found: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    chosen = [
        said
        for said in found
        if name is None
        or str(said["name"]).startswith(name)
        or str(said["instance_id"]).startswith(name)
    ]
    if not chosen:
        raise NotFound(
            "no worker answers here" if name is None else f"no worker here is called {name!r}",
            code="worker.not_found",
            hint="seedcore worker list",
        )
    if len(chosen) > 1:
        raise UsageError(
            "several workers match: " + ", ".join(str(said["instance_id"]) for said in chosen),
            code="worker.ambiguous",
            hint="name one of them",
        )
    return chosen[0]
