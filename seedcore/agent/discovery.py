"""Finding agents: in the registry, on the cluster, in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from seedcore.agent.links import HereLink, Link, RuntimeLink, heartbeat
from seedcore.agent.naming import RESERVED
from seedcore.agent.ray_agent import agents_here
from seedcore.config.settings import Settings
from seedcore.errors import SeedcoreError
from seedcore.runtime import Runtime

log = logging.getLogger(__name__)

PING_S = 2.0
"""How long an agent may take to answer before it counts as silent."""


async def in_registry(settings: Settings, runtime: Runtime) -> dict[str, Link]:
    """Return the live agents that the registry names, by logical id.

    An instance that is no agent, or can't be reached from here (such as an agent of another process),
    is left out. A registry that can't be asked names nobody.
    """
    from seedcore.registry.client import list_active_instances

    try:
        rows = await list_active_instances(settings)
    except SeedcoreError as error:
        log.warning(
            "Lost the registry",
            extra={"event": "registry.lost", "error": error.message, "code": error.code},
        )
        return {}
    here = agents_here()
    names = {
        row["logical_id"]: row["actor_name"] or row["logical_id"]
        for row in rows
        if row["actor_name"] is not None or runtime.kind == "local"
    }
    found = await _on_runtime(runtime, names)
    for row in rows:
        logical_id = row["logical_id"]
        if logical_id not in found and logical_id in here:
            found[logical_id] = HereLink(here[logical_id])
    return found


async def by_scan(runtime: Runtime) -> dict[str, Link]:
    """Return the live agents of this process and of the cluster, by id; asks no database."""
    names = await asyncio.to_thread(runtime.list)
    found = await _on_runtime(runtime, {name: name for name in names})
    return {one: HereLink(agent) for one, agent in agents_here().items()} | found


async def named(runtime: Runtime, names: Iterable[str]) -> dict[str, Link]:
    """Return those of some actors that are live agents, by the ids that they give themselves."""
    return await _on_runtime(runtime, {name: name for name in names})


async def _on_runtime(runtime: Runtime, actors: dict[str, str]) -> dict[str, Link]:
    """Look actors up and keep those that answer as agents."""

    async def reached(agent_id: str, actor: str) -> tuple[str, Link] | None:
        if actor.startswith(RESERVED):
            return None
        try:
            handle = await asyncio.to_thread(runtime.lookup, actor)
        except SeedcoreError:
            return None
        if handle is None:
            return None
        link = RuntimeLink(runtime, handle)
        return None if await heartbeat(link, PING_S) is None else (agent_id, link)

    answers = await asyncio.gather(*(reached(*one) for one in actors.items()))
    return dict(answer for answer in answers if answer is not None)
