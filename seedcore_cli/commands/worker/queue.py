"""`seedcore worker queue`: claim tasks and run their tools."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.worker.group import (
    LogFormatOption,
    MetricsTextfile,
    app,
    log_level,
    overlaid,
)
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from seedcore.config import Settings
    from workers.options import Options
    from workers.queue import Ended


class ExecutorKind(StrEnum):
    """Where tools run."""

    LOCAL = "local"
    RAY = "ray"
    AGENTS = "agents"


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


@app.command("queue")
@common(own_timeout=True)
def queue(
    cli: Cli,
    *,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="End when nothing is due that is not paused, and nothing of its own runs.",
        ),
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
    executor: Annotated[
        ExecutorKind | None,
        typer.Option(
            "--executor",
            help="local: run the tools in this process; ray: on the cluster of RAY_ADDRESS; agents:"
            " in the agents there. DISPATCHER_EXECUTOR, local.",
        ),
    ] = None,
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
    metrics_textfile: MetricsTextfile = None,
    log_format: LogFormatOption = None,
) -> None:
    """Claim tasks and run their tools until told to stop.

    SIGTERM or Ctrl-C drains: running tasks get --drain-timeout to finish, the others go back unspent;
    a second one does not wait. With --once, --until-empty or --max-tasks it ends by itself and prints
    what it did.

    Example: seedcore worker queue --until-empty --timeout 5m --output json

    Exit codes: 0 drained; 1 the drain time-out passed and work was cancelled; 6 a run that
    ends by itself took longer than --timeout; 69 no database, or no Ray cluster; 75 a new epoch (--exit-on-epoch-change); 78 wrong
    configuration.
    """
    if cli.timeout_s is not None and not (once or until_empty or max_tasks):
        raise UsageError(
            "--timeout bounds a run that ends by itself", hint="add --until-empty or --once"
        )
    from workers.options import Options

    settings = overlaid(
        cli.settings,
        dispatcher_concurrency=concurrency,
        claim_batch_size=batch,
        dispatcher_poll_interval_s=poll,
        task_lease_s=lease,
        dispatcher_drain_s=drain_timeout,
        use_listen_notify=False if no_listen else None,
        dispatcher_count=count,
        dispatcher_executor=None if executor is None else executor.value,
        health_addr=health_addr,
        log_format=None if log_format is None else log_format.value,
    )
    options = Options(
        once=once,
        until_empty=until_empty,
        timeout_s=cli.timeout_s,
        max_tasks=max_tasks,
        types=words(types),
        domains=words(domains),
        exit_on_db_loss=exit_on_db_loss,
        exit_on_epoch_change=exit_on_epoch_change,
        startup_timeout_s=startup_timeout,
        metrics_textfile=None if metrics_textfile is None else str(metrics_textfile),
        index=index,
    )
    ended = _run(settings, options, log_level(cli))
    if (summary := ended.summary) is not None:
        cli.printer.one(summary, SUMMARY)
        if summary.get("left_due"):
            cli.note(f"{summary['left_due']} due tasks are left; 'seedcore queue status' shows why")
    if ended.is_stuck:
        from workers.queue import leave

        leave(ended.exit_code)
    raise typer.Exit(ended.exit_code)


def _run(settings: Settings, options: Options, log_level: str) -> Ended:
    from seedcore.errors import ConfigError
    from seedcore.telemetry import logs

    settings = overlaid(settings, log_level=log_level)
    try:
        logs.configure(settings.log_level, settings.log_format)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if settings.dispatcher_count > 1:
        from workers.supervisor import run as supervise

        return supervise(settings, options)
    from workers.queue import run

    return run(settings, options)


def words(given: list[str] | None) -> tuple[str, ...]:
    """Return the words of an option that may be repeated, or hold several with commas between."""
    words = [word.strip() for text in given or () for word in text.split(",")]
    return tuple(word for word in words if word)
