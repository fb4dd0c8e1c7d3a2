"""`seedcore agent`: those who run tasks, in a process of ours or on a Ray cluster."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import NotFound, SeedcoreError, UsageError
from seedcore_cli.app import group
from seedcore_cli.humanize import count_of, seconds
from seedcore_cli.options import Cli, DryRun, Yes, common
from seedcore_cli.output import Column

if TYPE_CHECKING:
    from seedcore.agent.placing import AgentSpec
    from seedcore.agent.tier0 import Tier0MemoryManager
    from seedcore.config import Settings

app = group(
    """Start agents, here or on a Ray cluster, see how they do, stop them.

    An agent runs tasks by their tools and learns how well it does. Here it is a process that takes
    tasks from the queue; on a cluster it is a named actor that 'worker queue --executor agents' gives
    tasks to.
    """
)

_STATUS = Column(
    "status",
    colors={"alive": "green", "starting": "cyan", "draining": "yellow", "silent": "red"},
)
_AGENT = Column("agent_id", header="AGENT", id=True)


def _share(value: Any) -> str:
    return "" if value is None else f"{value:.2f}"


LIST = (
    _AGENT,
    Column("organ"),
    Column("specialization"),
    Column("lifecycle"),
    Column("c", align="right", format=_share),
    Column("mem_util", align="right", format=_share),
    Column("load", align="right", format=_share),
    Column("where"),
    _STATUS,
    Column("tasks_processed", header="TASKS", align="right", wide=True),
    Column("heartbeat_age_s", header="SILENT", align="right", format=seconds, wide=True),
    Column("node_id", header="NODE", wide=True),
    Column("pid", align="right", wide=True),
)
SHOWN = (
    _AGENT,
    Column("organ"),
    Column("specialization"),
    Column("lifecycle"),
    _STATUS,
    Column("where"),
    Column("c", format=_share),
    Column("mem_util", format=_share),
    Column("load", format=_share),
    Column("capacity"),
    Column("tasks_processed"),
    Column("successful_tasks"),
    Column("role_probs"),
    Column("skill_deltas"),
    Column("instance_id"),
    Column("node_id"),
    Column("ip_address"),
    Column("pid"),
    Column("actor_name"),
    Column("serve_route"),
    Column("heartbeat_age_s", header="SILENT", format=seconds),
    Column("heartbeat"),
)
STARTED = (_AGENT, Column("organ"), Column("specialization"), Column("where"), Column("created"))
STOPPED = (_AGENT, Column("where"), Column("before", wide=True), _STATUS, Column("instance_id"))


class Where(StrEnum):
    """Where agents live."""

    LOCAL = "local"
    RAY = "ray"


Organ = Annotated[str | None, typer.Option("--organ", help="The organ that agents belong to.")]
On = Annotated[
    Where | None,
    typer.Option("--on", help="local or ray.", metavar="local|ray", show_default=False),
]


@app.command("start")
@common(own_timeout=True)
def start(
    cli: Cli,
    agents: Annotated[list[str], typer.Argument(metavar="AGENT", help="Their ids.")],
    *,
    organ: Organ = None,
    specialization: Annotated[
        str, typer.Option("--specialization", help="What they are for; tasks may require it.")
    ] = "generalist",
    capacity: Annotated[
        int | None,
        typer.Option(
            "--capacity", min=1, help="Tasks of one agent at the same time. DISPATCHER_CONCURRENCY."
        ),
    ] = None,
    tools: Annotated[
        str | None,
        typer.Option(
            "--tools",
            metavar="PATTERNS",
            help="Tools that they may call, of those granted; such as 'fact.*,echo'.",
        ),
    ] = None,
    on: On = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--types", metavar="TYPE", help="Local ones: only tasks of these types."),
    ] = None,
    until_empty: Annotated[
        bool,
        typer.Option("--until-empty", help="Local ones: end when nothing is left to do."),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Start agents, here unless --on or RAY_ADDRESS say otherwise.

    Here: this process becomes the agents. It takes tasks from the queue, gives each to the agent that
    suits it best, and drains on SIGTERM, Ctrl-C or 'seedcore agent stop'. On a cluster they become
    detached actors that outlive this command; one that lives there already is left as it is.

    Examples:
      seedcore agent start scout-1 --organ garden
      seedcore agent start w1 w2 w3 --on ray --capacity 4 --tools 'fact.*,echo'

    Exit codes: 1 the drain time-out passed and work was cancelled; 5 one lives already, elsewhere; 6
    --until-empty took longer than --timeout; 69 no database, or no cluster; 78 wrong configuration.
    """
    from seedcore.agent.placing import AgentSpec

    where = on or (Where.RAY if cli.settings.ray_address else Where.LOCAL)
    specs = [
        AgentSpec(agent_id, organ, specialization, capacity, tools)
        for agent_id in dict.fromkeys(agents)
    ]
    for spec in specs:
        spec.check()
    if where is Where.RAY:
        if types or until_empty:
            raise UsageError("--types and --until-empty are for agents that take tasks themselves")
        _start_on_ray(cli, specs, dry_run=dry_run)
        return
    if cli.timeout_s is not None and not until_empty:
        raise UsageError("--timeout bounds a run that ends by itself", hint="add --until-empty")
    _require_free(cli, specs)
    if dry_run:
        cli.printer.many([_started(spec, where, created=True) for spec in specs], STARTED)
        return
    _work(cli, specs, types or [], until_empty=until_empty)


@app.command("list")
@common
def list_agents(
    cli: Cli,
    *,
    organ: Organ = None,
    on: On = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that do not run.")] = False,
) -> None:
    """Show the agents that live, as they were at their last sign of life.

    They are read from the database. With ENABLE_RUNTIME_REGISTRY=false, or TIER0_DISCOVERY=ray, the
    cluster of RAY_ADDRESS is asked instead; with TIER0_DISCOVERY=hybrid both.

    Example: seedcore agent list --organ garden --output json

    Exit codes: 69 no database, or no cluster.
    """
    rows: dict[str, dict[str, Any]] = {}
    mode = _mode(cli.settings)
    if mode != "registry" and on is not Where.LOCAL and cli.settings.ray_address:
        rows = {row["agent_id"]: row for row in _with_manager(cli.settings, _scanned)}
    if mode != "ray":
        from seedcore.agent import service

        with cli.connect() as conn:
            found = service.list_agents(conn, organ=organ, where=on and on.value, every=every)
        rows |= {row["agent_id"]: row for row in found}
    chosen = [row for _, row in sorted(rows.items()) if organ is None or row["organ"] == organ]
    cli.printer.many(chosen, LIST)


@app.command("show")
@common
def show(cli: Cli, agent: Annotated[str, typer.Argument(metavar="AGENT", help="Its id.")]) -> None:
    """Show one agent: as it was at its last sign of life, and its heartbeat if it can be reached.

    Example: seedcore agent show scout-1 --output yaml

    Exit codes: 4 there is no such agent; 69 no database, or no cluster.
    """
    from seedcore.agent.naming import checked_id

    checked_id(agent)
    row: dict[str, Any] = {"agent_id": agent, "where": "ray", "status": "alive"}
    if _mode(cli.settings) != "ray":
        from seedcore.agent import service

        with cli.connect() as conn:
            row = service.show(conn, agent)
    beat = _heartbeat(cli.settings, row)
    if beat is None and "lifecycle" not in row:
        raise NotFound(
            f"no agent {agent} answers on the cluster",
            code="agent.not_found",
            hint="seedcore agent list",
        )
    cli.printer.one({**row, **_summary(beat), "heartbeat": beat}, SHOWN)


@app.command("stop")
@common(own_timeout=True)
def stop(
    cli: Cli,
    agents: Annotated[list[str] | None, typer.Argument(metavar="AGENT", help="Their ids.")] = None,
    *,
    organ: Organ = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until they have ended.")
    ] = True,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Let agents finish what they have and end, wherever they live.

    They are asked through the registry and learn it at their next beat. Where there is none
    (ENABLE_RUNTIME_REGISTRY=false, TIER0_DISCOVERY=ray) the cluster of RAY_ADDRESS is asked. An agent
    that fell silent is declared dead.

    Examples:
      seedcore agent stop scout-1
      seedcore agent stop --organ garden --yes

    Exit codes: 4 there is no such agent, or it does not run; 6 time-out; 10 not confirmed.
    """
    from seedcore.agent import service

    if bool(agents) == bool(organ):
        raise UsageError("give ids, or --organ, and not both")
    if _mode(cli.settings) == "ray":
        cli.printer.many(
            _with_manager(cli.settings, _stopping(cli, agents, organ, dry_run)), STOPPED
        )
        return
    with cli.connect() as conn:
        chosen = agents or [row["agent_id"] for row in service.list_agents(conn, organ=organ)]
        if not chosen:
            raise NotFound(f"no agent of organ {organ} runs", code="agent.not_running")
        rows = service.living(conn, list(dict.fromkeys(chosen)))
        if not agents:
            cli.confirm(level=1, summary=f"stop {count_of(len(rows), 'agent')}", yes=yes or dry_run)
        if not dry_run:
            rows = service.stop(conn, rows, wait=wait, timeout_s=cli.timeout_s)
    cli.printer.many(rows, STOPPED)


# -- here ---------------------------------------------------------------------------------------


def _require_free(cli: Cli, specs: list[AgentSpec], *, where: str | None = None) -> None:
    from seedcore.agent import service

    with cli.connect() as conn:
        service.require_free(conn, [spec.agent_id for spec in specs], where=where)


def _work(cli: Cli, specs: list[AgentSpec], types: list[str], *, until_empty: bool) -> None:
    """Be a queue worker whose tasks run in these agents."""
    from seedcore.telemetry import logs
    from seedcore_cli.commands.worker.group import log_level
    from seedcore_cli.commands.worker.queue import SUMMARY
    from workers.options import Options
    from workers.queue import leave, run

    settings = dataclasses.replace(cli.settings, dispatcher_count=1)
    logs.configure(log_level(cli), settings.log_format)
    ended = run(
        settings,
        Options(
            agents=tuple(specs),
            types=tuple(word.strip() for text in types for word in text.split(",") if word.strip()),
            until_empty=until_empty,
            timeout_s=cli.timeout_s,
        ),
    )
    if ended.summary is not None:
        cli.printer.one(ended.summary, SUMMARY)
    if ended.is_stuck:
        leave(ended.exit_code)
    raise typer.Exit(ended.exit_code)


# -- on a cluster -------------------------------------------------------------------------------


def _start_on_ray(cli: Cli, specs: list[AgentSpec], *, dry_run: bool) -> None:
    async def begin(manager: Tier0MemoryManager) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for spec in specs:
            created = not await manager.is_there(spec.agent_id)
            if not dry_run:
                await manager.create_agent(
                    spec.agent_id,
                    spec.organ_id,
                    specialization=spec.specialization,
                    capacity=spec.capacity,
                    allowed_tools=spec.allowed_tools,
                )
            rows.append(_started(spec, Where.RAY, created=created))
        return rows

    if _mode(cli.settings) != "ray":
        _require_free(cli, specs, where="local")
    rows = _with_manager(cli.settings, begin)
    cli.printer.many(rows, STARTED)
    if not dry_run:
        cli.hint("seedcore worker queue --executor agents")


def _with_manager(
    settings: Settings, work: Callable[[Tier0MemoryManager], Coroutine[Any, Any, list[Any]]]
) -> list[Any]:
    """Do something with the agents of the cluster.

    Raises:
        ConfigError: RAY_ADDRESS is not set.
        Unavailable: The cluster can't be reached.
    """
    import asyncio

    from seedcore.agent.tier0 import Tier0MemoryManager
    from seedcore.runtime import ray_session

    ray_session.connect(settings)
    try:
        return asyncio.run(work(Tier0MemoryManager(settings)))
    finally:
        ray_session.disconnect()


async def _scanned(manager: Tier0MemoryManager) -> list[dict[str, Any]]:
    await manager.discover_and_refresh_agents()
    beats = await manager.collect_heartbeats(older_than_s=5.0)
    return [
        {
            "agent_id": agent_id,
            "where": manager.where(agent_id),
            "status": "alive",
            **_summary(beat),
        }
        for agent_id, beat in beats.items()
    ]


def _stopping(
    cli: Cli, agents: list[str] | None, organ: str | None, dry_run: bool
) -> Callable[[Tier0MemoryManager], Coroutine[Any, Any, list[dict[str, Any]]]]:
    async def end(manager: Tier0MemoryManager) -> list[dict[str, Any]]:
        if agents:
            for agent_id in agents:
                await manager.attach(agent_id)
            chosen = list(dict.fromkeys(agents))
        else:
            rows = await _scanned(manager)
            chosen = [row["agent_id"] for row in rows if row["organ"] == organ]
        for agent_id in chosen if not dry_run else ():
            await manager.stop_agent(agent_id, cli.timeout_s)
        status = "alive" if dry_run else "dead"
        return [
            {"agent_id": agent_id, "where": "ray", "before": "alive", "status": status}
            for agent_id in chosen
        ]

    return end


def _heartbeat(settings: Settings, row: dict[str, Any]) -> dict[str, Any] | None:
    """Ask an agent how it is doing; None when it does not run or can't be reached from here."""
    if row["status"] not in ("alive", "starting", "draining"):
        return None
    if row["where"] == "ray":
        if not settings.ray_address:
            return None

        async def ask(manager: Tier0MemoryManager) -> list[Any]:
            await manager.attach(row["agent_id"])
            return [await manager.get_agent_heartbeat(row["agent_id"])]

        try:
            return _with_manager(settings, ask)[0]
        except NotFound:
            return None
    return _from_worker(row)


def _from_worker(row: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the process that an agent lives in, if it is one of this machine."""
    from pathlib import Path

    from workers import probe

    route = row["serve_route"] or ""
    if not route.startswith("unix:") or not os.path.exists(route.removeprefix("unix:")):  # noqa: PTH110
        return None
    try:
        said = probe.status(Path(route.removeprefix("unix:")))
    except SeedcoreError:
        return None
    beats: list[dict[str, Any]] = said.get("agents") or []
    return next((beat for beat in beats if beat["agent_id"] == row["agent_id"]), None)


def _summary(beat: Any) -> dict[str, Any]:
    """Return the columns that a heartbeat knows better than the database."""
    if beat is None:
        return {}
    done = beat["performance_metrics"]
    return {
        "organ": beat["organ_id"],
        "specialization": beat["specialization"],
        "lifecycle": beat["lifecycle"],
        "c": done["capability_score_c"],
        "mem_util": done["mem_util"],
        "load": beat["load"],
        "capacity": beat["capacity"],
        "tasks_processed": done["tasks_processed"],
        "successful_tasks": done["successful_tasks"],
        "role_probs": beat["role_probs"],
        "skill_deltas": beat["local_state"]["skill_deltas"],
    }


def _started(spec: AgentSpec, where: Where, *, created: bool) -> dict[str, Any]:
    return {
        "agent_id": spec.agent_id,
        "organ": spec.organ_id,
        "specialization": spec.specialization,
        "where": where.value,
        "created": created,
    }


def _mode(settings: Settings) -> str:
    return settings.tier0_discovery if settings.enable_runtime_registry else "ray"
