"""`seedcore dispatcher`: queue workers that live on a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import UsageError
from seedcore_cli.app import group
from seedcore_cli.humanize import count_of
from seedcore_cli.options import Cli, DryRun, Yes, common
from seedcore_cli.output import Column

if TYPE_CHECKING:
    from seedcore.runtime import Runtime

app = group(
    """Keep queue workers on a Ray cluster.

    A dispatcher is a named actor with a worker process on its machine. It outlives the command that started
    it, and is made anew elsewhere when its machine dies. RAY_ADDRESS says which cluster.
    """
)

_STATUS = Column(
    "status",
    colors={"healthy": "green", "draining": "yellow", "failing": "red", "silent": "red"},
)
STARTED = (
    Column("name", id=True),
    Column("created"),
    Column("state"),
    Column("machine"),
    Column("pid", align="right"),
    Column("node_id", wide=True),
)
LIST = (
    Column("name", id=True),
    _STATUS,
    Column("machine"),
    Column("pid", align="right"),
    Column("starts", align="right"),
    Column("inflight_tasks", header="RUNNING", align="right"),
    Column("tasks_claimed", header="CLAIMED", align="right"),
    Column("tasks_completed", header="COMPLETED", align="right"),
    Column("tasks_failed", header="FAILED", align="right"),
    Column("uptime_s", align="right"),
    Column("instance_id", wide=True),
    Column("node_id", wide=True),
    Column("error", wide=True),
)
STOPPED = (Column("name", id=True), Column("stopped"), Column("drained"), Column("error"))


@app.command("start")
@common(own_timeout=True)
def start(
    cli: Cli,
    *,
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, help="How many there are to be. DISPATCHER_COUNT, 1."),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            metavar="local|ray",
            help="local: tools run in the dispatcher's worker; ray: in actors on all machines.",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, help="Tasks at the same time in each."),
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--types", metavar="TYPE", help="Only these types.")
    ] = None,
    domains: Annotated[
        list[str] | None, typer.Option("--domains", metavar="DOMAIN", help="Only these domains.")
    ] = None,
) -> None:
    """Start dispatchers, as many as are missing, and wait until they work.

    Those that exist already stay as they are. The settings in force here travel with them, the
    database's address included, so it must be one that every machine reaches.

    Example: RAY_ADDRESS=auto seedcore dispatcher start --count 4

    Exit codes: 6 a machine had no room in time; 69 no cluster, or no database from there; 78 wrong configuration.
    """
    from seedcore_cli.commands.worker.group import overlaid
    from seedcore_cli.commands.worker.queue import words
    from workers import dispatchers
    from workers.options import Options

    if executor not in (None, "local", "ray"):
        raise UsageError(f"--executor is local or ray, not {executor!r}")
    settings = overlaid(
        cli.settings,
        dispatcher_count=count,
        dispatcher_executor=executor,
        dispatcher_concurrency=concurrency,
    )
    options = Options(types=words(types), domains=words(domains))
    runtime = _cluster(cli)
    rows = dispatchers.start(runtime, settings, options, timeout_s=cli.timeout_s or 60.0)
    cli.printer.many(rows, STARTED)
    more = len(dispatchers.names(runtime)) - len(rows)
    if more > 0:
        cli.hint(
            f"{count_of(more, 'more dispatcher')} on the cluster; see 'seedcore dispatcher list'"
        )


@app.command("list")
@common
def list_dispatchers(cli: Cli) -> None:
    """Show the dispatchers of the cluster, and how they do.

    Example: seedcore dispatcher list -o json

    Exit codes: 69 no cluster.
    """
    from workers import dispatchers

    rows = dispatchers.statuses(_cluster(cli))
    cli.printer.many(({**row, **(row.get("metrics") or {})} for row in rows), LIST)


@app.command("stop")
@common(own_timeout=True)
def stop(
    cli: Cli,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Their names, or only their numbers."),
    ] = None,
    *,
    all_of_them: Annotated[bool, typer.Option("--all", help="All of the cluster.")] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Do not drain: what runs is lost and claimed again.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Drain dispatchers and end them for good.

    They finish what they run, at most as long as their drain time-out (or --timeout), and give back the
    rest.

    Example: seedcore dispatcher stop 2 3

    Exit codes: 4 no such dispatcher; 10 not confirmed (--all, --now); 69 no cluster.
    """
    from workers import dispatchers

    if bool(names) == all_of_them:
        raise UsageError("name dispatchers, or write --all", hint="see 'seedcore dispatcher list'")
    runtime = _cluster(cli)
    chosen = (
        dispatchers.names(runtime) if all_of_them else dispatchers.resolve(runtime, names or ())
    )
    if dry_run:
        rows: list[dict[str, Any]] = [
            {"name": name, "stopped": False, "drained": None, "error": None} for name in chosen
        ]
        cli.printer.many(rows, STOPPED)
        return
    if chosen and (all_of_them or now):
        cli.confirm(level=1, summary=f"stop {count_of(len(chosen), 'dispatcher')}", yes=yes)
    cli.printer.many(dispatchers.stop(runtime, chosen, now=now, timeout_s=cli.timeout_s), STOPPED)


def _cluster(cli: Cli) -> Runtime:
    """Reach the cluster.

    Raises:
        ConfigError: RAY_ADDRESS names none.
        Unavailable: It can't be reached.
    """
    from seedcore.runtime import ray_session, runtime_of

    ray_session.resolve(cli.settings.ray_address)
    return runtime_of(cli.settings)
