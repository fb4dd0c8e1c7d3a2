"""`seedcore worker graph`: do what tasks of type graph ask for."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.worker.group import LogFormatOption, app, log_level, overlaid
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

SUMMARY = tuple(
    Column(key, align="right")
    for key in ("claimed", "completed", "failed", "retried", "cancelled", "seconds", "left")
)


@app.command("graph")
@common(own_timeout=True)
def graph(
    cli: Cli,
    *,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is due.")] = False,
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
    domains: Annotated[
        list[str] | None,
        typer.Option(
            "--domains", metavar="DOMAIN", help="Only these domains; repeat it, or use commas."
        ),
    ] = None,
    poll: Annotated[
        float | None,
        typer.Option(
            "--poll",
            metavar="DUR",
            parser=parse_duration,
            help="Longest pause after an empty claim. GRAPH_TASK_POLL_INTERVAL_S, 1s.",
        ),
    ] = None,
    lease: Annotated[
        float | None,
        typer.Option(
            "--lease",
            metavar="DUR",
            parser=parse_duration,
            help="Lease of a claim or heartbeat. GRAPH_LEASE_EXTENSION_S, 600s.",
        ),
    ] = None,
    chunk: Annotated[
        int | None,
        typer.Option(
            "--chunk",
            min=0,
            help="Nodes embedded together; 0 = as many as it likes. GRAPH_EMBED_BATCH_CHUNK.",
        ),
    ] = None,
    drain_timeout: Annotated[
        float | None,
        typer.Option(
            "--drain-timeout",
            metavar="DUR",
            parser=parse_duration,
            help="Time to finish the running task on SIGTERM. DISPATCHER_DRAIN_S, 30s.",
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
    exit_on_epoch_change: Annotated[
        bool,
        typer.Option(
            "--exit-on-epoch-change", help="Drain and exit 75 instead of following a new epoch."
        ),
    ] = False,
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
    log_format: LogFormatOption = None,
) -> None:
    """Claim tasks of type graph, one at a time, and do what they ask for.

    They embed nodes from their surroundings, look for similar ones, embed texts, or fill the node map:
    embed, rag_query, fact_embed, fact_query, nim_embed, sync_nodes. SIGTERM or Ctrl-C drains; a second
    one does not wait. With --once, --until-empty or --max-tasks it ends by itself and prints what it
    did.

    Examples:
      seedcore worker graph
      seedcore worker graph --once --timeout 5m --output json

    Exit codes: 0 drained; 1 the drain time-out passed and the task went back; 6 a bounded run took
    longer than --timeout; 69 no database; 75 a new epoch (--exit-on-epoch-change); 78 wrong
    configuration.
    """
    if cli.timeout_s is not None and not (once or until_empty or max_tasks):
        raise UsageError(
            "--timeout bounds a run that ends by itself", hint="add --until-empty or --once"
        )
    if once and until_empty:
        raise UsageError(
            "--once and --until-empty exclude each other",
            hint="--until-empty also waits for delayed tasks and for those of other workers",
        )
    from seedcore.telemetry import logs
    from workers.graph import GraphOptions, run

    settings = overlaid(
        cli.settings,
        graph_task_poll_interval_s=poll,
        graph_lease_extension_s=lease,
        graph_embed_batch_chunk=chunk,
        dispatcher_drain_s=drain_timeout,
        health_addr=health_addr,
        log_format=None if log_format is None else log_format.value,
        log_level=log_level(cli),
    )
    for name, seconds in (
        ("--poll", settings.graph_task_poll_interval_s),
        ("--lease", settings.graph_lease_extension_s),
    ):
        if seconds <= 0:
            raise UsageError(f"{name} needs a time above 0")
    logs.configure(settings.log_level, settings.log_format)
    options = GraphOptions(
        once=once,
        until_empty=until_empty,
        max_tasks=max_tasks,
        timeout_s=cli.timeout_s,
        domains=tuple(w.strip() for text in domains or () for w in text.split(",") if w.strip()),
        index=index,
        startup_timeout_s=startup_timeout,
        exit_on_epoch_change=exit_on_epoch_change,
    )
    summary, code = run(settings, options)
    if summary is not None:
        cli.printer.one(summary, SUMMARY)
    raise typer.Exit(code)
