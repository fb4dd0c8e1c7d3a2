"""The agents that this process knows: found, watched, chosen among, and given single tasks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from seedcore.agent import discovery, selection
from seedcore.agent.links import HereLink, Link, RuntimeLink, heartbeat
from seedcore.agent.naming import GENERALIST
from seedcore.agent.selection import Candidate, Wanted
from seedcore.agent.state import DIMENSIONS
from seedcore.config.settings import Settings
from seedcore.errors import NotFound, Unavailable, UsageError, WaitTimeout
from seedcore.runtime import Runtime, runtime_of

log = logging.getLogger(__name__)

HEARTBEAT_S = 10.0
"""Pause between two rounds of heartbeats."""
_MISSES = 3
"""Heartbeats in a row that an agent may miss before it is let go."""
_FRESH_S = 2.0
"""Age up to which a heartbeat is good enough for choosing an agent."""


@dataclass(slots=True)
class _Known:
    """One attached agent."""

    link: Link
    heartbeat: Mapping[str, Any] | None = None
    heard_at: float = -1e9
    misses: int = 0
    given: int = field(default=0)
    """Tasks that were given to it since its latest heartbeat."""


class Tier0MemoryManager:
    """Knows agents and gives them tasks. Belongs to one event loop.

    Args:
        settings: Default: those of the environment and the configuration files.
        runtime: Where agents live. Default: the Ray cluster when `RAY_ADDRESS` is set, else this
            process.
    """

    def __init__(self, settings: Settings | None = None, *, runtime: Runtime | None = None) -> None:
        from seedcore.config.loading import load

        self._settings = settings or load()
        self._its_runtime = runtime
        self._known: dict[str, _Known] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def mode(self) -> str:
        """How agents are found: `ray`, `hybrid` or `registry`."""
        if not self._settings.enable_runtime_registry:
            return "ray"
        return self._settings.tier0_discovery

    # -- finding ------------------------------------------------------------------------------

    async def discover_from_registry(self) -> list[str]:
        """Attach the live agents that the registry names, under their logical ids.

        When it can't be asked, or names none that answers, the cluster (or this process) is scanned.
        In the mode `ray` the registry is not asked at all.

        Returns:
            The ids of the agents found, in order.
        """
        return await self._discover(is_hybrid=False)

    async def discover_and_refresh_agents(self) -> list[str]:
        """Attach the agents that the registry and the cluster name, and let go who does not answer.

        In the mode `registry` the cluster is scanned only when the registry names none.

        Returns:
            The ids of all attached agents, in order.
        """
        await self._discover(is_hybrid=self.mode == "hybrid")
        await self.collect_heartbeats()
        for agent_id in [one for one, known in self._known.items() if known.misses]:
            self._let_go(agent_id, "it did not answer")
        return sorted(self._known)

    async def _discover(self, *, is_hybrid: bool) -> list[str]:
        runtime = await self._runtime()
        found: dict[str, Link] = {}
        if self.mode != "ray":
            found = await discovery.in_registry(self._settings, runtime)
        if is_hybrid or not found:
            found = await discovery.by_scan(runtime) | found
        extra = [name.strip() for name in self._settings.tier0_attach_actors.split(",")]
        found |= await discovery.named(runtime, filter(None, extra))
        for agent_id, link in found.items():
            self._attach(agent_id, link)
        return sorted(found)

    async def attach(self, agent_id: str, actor_name: str | None = None) -> None:
        """Attach one agent by its actor's name.

        Args:
            agent_id: Under which id.
            actor_name: Default: the id.

        Raises:
            NotFound: No such actor lives, or it is no agent.
        """
        runtime = await self._runtime()
        name = actor_name or agent_id
        link = (await discovery.named(runtime, [name])).get(name)
        if link is None:
            raise _unknown(agent_id)
        self._attach(agent_id, link)

    def _attach(self, agent_id: str, link: Link) -> None:
        known = self._known.get(agent_id)
        if known is None:
            self._known[agent_id] = _Known(link)
        elif not _is_same(known.link, link):
            known.link, known.misses = link, 0

    def _let_go(self, agent_id: str, reason: str) -> None:
        if self._known.pop(agent_id, None) is not None:
            log.warning(
                "Let an agent go",
                extra={"event": "agent.detached", "agent": agent_id, "reason": reason},
            )

    # -- making and ending --------------------------------------------------------------------

    async def create_agent(
        self,
        agent_id: str,
        organ_id: str | None = None,
        *,
        specialization: str = GENERALIST,
        capacity: int | None = None,
        allowed_tools: str | None = None,
    ) -> str:
        """Start an agent where agents live, or attach the one that is there, and return its id.

        Args:
            agent_id: Its id, also its actor's name.
            organ_id: Its organ.
            specialization: What it is for.
            capacity: Tasks at the same time.
            allowed_tools: Patterns of tools.

        Raises:
            UsageError: An id can't be one.
            SeedcoreError: The cluster can't be reached, or it could not be made there.
        """
        runtime = await self._runtime()
        from seedcore.agent.placing import AgentSpec, place

        spec = AgentSpec(agent_id, organ_id, specialization, capacity, allowed_tools)
        spec.check()
        handle = await asyncio.to_thread(place, runtime, spec, self._settings)
        self._attach(agent_id, RuntimeLink(runtime, handle))
        return agent_id

    async def is_there(self, agent_id: str) -> bool:
        """Tell whether something of that name lives where agents live, attached or not.

        Raises:
            SeedcoreError: The cluster can't be reached.
        """
        runtime = await self._runtime()
        return await asyncio.to_thread(runtime.lookup, agent_id) is not None

    async def stop_agent(self, agent_id: str, timeout_s: float | None = None) -> bool:
        """Let an agent finish what it has, and end it; see `RayAgent.stop`.

        Raises:
            NotFound: No such agent is attached.
        """
        link = self._link(agent_id)
        limit = self._settings.dispatcher_drain_s if timeout_s is None else timeout_s
        is_clean = bool(await link.call("stop", limit, timeout_s=limit + 5.0))
        if isinstance(link, RuntimeLink):
            runtime = await self._runtime()
            await asyncio.to_thread(runtime.kill, link.handle)
        self._known.pop(agent_id, None)
        return is_clean

    async def close(self) -> None:
        """Watch no longer, and stop the agents of this process that are attached."""
        await self.stop_heartbeat_monitoring()
        here = [one for one, known in self._known.items() if known.link.where == "local"]
        ended = await asyncio.gather(
            *(self.stop_agent(agent_id) for agent_id in here), return_exceptions=True
        )
        self._known.clear()
        for error in ended:
            if isinstance(error, BaseException) and not isinstance(error, Unavailable):
                raise error  # one that is gone already has stopped

    # -- watching -----------------------------------------------------------------------------

    def list_agents(self) -> list[str]:
        """Return the ids of the attached agents, in order."""
        return sorted(self._known)

    @property
    def answering(self) -> list[str]:
        """Ids of the attached agents that answered when they were last asked, in order."""
        return sorted(
            one
            for one, known in self._known.items()
            if known.heartbeat is not None and not known.misses
        )

    def where(self, agent_id: str) -> str:
        """Tell where an attached agent lives: `local` or `ray`."""
        return self._link(agent_id).where

    async def get_agent_heartbeat(self, agent_id: str) -> Mapping[str, Any]:
        """Ask one agent how it is doing.

        Raises:
            NotFound: No such agent is attached.
            Unavailable: It does not answer.
        """
        known = self._known.get(agent_id)
        if known is None:
            raise _unknown(agent_id)
        if not await self._ask(known):
            raise Unavailable(f"agent {agent_id} does not answer", code="agent.unavailable")
        assert known.heartbeat is not None  # noqa: S101 - it has just answered
        return known.heartbeat

    async def collect_heartbeats(
        self, *, older_than_s: float = 0.0
    ) -> dict[str, Mapping[str, Any]]:
        """Ask every agent how it is doing, and let go who missed three rounds.

        Args:
            older_than_s: Only those that were last heard longer ago.

        Returns:
            The latest heartbeats of those that answered, by id.
        """
        before = time.monotonic() - older_than_s
        asked = {one: known for one, known in self._known.items() if known.heard_at <= before}
        answers = await asyncio.gather(*(self._ask(known) for known in asked.values()))
        for agent_id, known, answered in zip(asked, asked.values(), answers, strict=True):
            if not answered and known.misses >= _MISSES:
                self._let_go(agent_id, f"it missed {_MISSES} heartbeats")
        return {
            agent_id: known.heartbeat
            for agent_id, known in sorted(self._known.items())
            if known.heartbeat is not None and not known.misses
        }

    async def get_system_summary(self) -> dict[str, Any]:
        """Return the whole in numbers: how many agents, what they did, how able they are."""
        beats = list((await self.collect_heartbeats()).values())
        done = [beat["performance_metrics"] for beat in beats]
        count = len(beats)
        tasks = sum(one["tasks_processed"] for one in done)
        return {
            "mode": self.mode,
            "agents": len(self._known),
            "answering": count,
            "organs": sorted({beat["organ_id"] for beat in beats if beat["organ_id"]}),
            "lifecycle": dict(Counter(beat["lifecycle"] for beat in beats)),
            "tasks_processed": tasks,
            "success_rate": sum(one["successful_tasks"] for one in done) / tasks if tasks else 0.0,
            "capability": sum(one["capability_score_c"] for one in done) / count if count else 0.0,
            "mem_util": sum(one["mem_util"] for one in done) / count if count else 0.0,
            "load": sum(beat["load"] for beat in beats) / count if count else 0.0,
        }

    def start_heartbeat_monitoring(self, interval_s: float = HEARTBEAT_S) -> None:
        """Collect heartbeats again and again, in the background, until `stop_heartbeat_monitoring`."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(interval_s))

    async def stop_heartbeat_monitoring(self) -> None:
        """End what `start_heartbeat_monitoring` began."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self, interval_s: float) -> None:
        while True:
            await self.collect_heartbeats()
            await asyncio.sleep(interval_s)

    async def _ask(self, known: _Known) -> bool:
        given = known.given
        answer = await heartbeat(known.link, discovery.PING_S)
        if answer is None:
            known.misses += 1
            return False
        known.heartbeat, known.heard_at, known.misses = answer, time.monotonic(), 0
        known.given -= given
        return True

    # -- choosing -----------------------------------------------------------------------------

    async def candidates(
        self, wanted: Wanted | None = None, *, among: Iterable[str] | None = None
    ) -> list[Candidate]:
        """Return the attached agents that may do a task, by their latest heartbeats.

        Args:
            wanted: What the task asks of them.
            among: Only these.

        Raises:
            NotFound: No attached agent may do it.
        """
        await self.collect_heartbeats(older_than_s=_FRESH_S)
        chosen = None if among is None else set(among)
        agents = [
            Candidate.of(known.heartbeat, extra_load=known.given / known.heartbeat["capacity"])
            for agent_id, known in self._known.items()
            if known.heartbeat is not None
            and not known.misses
            and (chosen is None or agent_id in chosen)
        ]
        able = selection.eligible(agents, wanted or Wanted())
        if not able:
            raise NotFound(
                f"none of {len(agents)} agents may do this task"
                if agents
                else "there is no agent that answers",
                code="agent.no_candidate",
                hint="seedcore agent list",
            )
        return able

    # -- single tasks -------------------------------------------------------------------------

    async def execute_task_on_agent(
        self, agent_id: str, task: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Have an agent run a task that is in no queue, and return what would be stored: the envelope.

        Args:
            agent_id: The agent.
            task: `type` and `params`; more in `seedcore.agent.wire`.
            timeout_s: Longest wait. Default: as the task and the settings say.

        Raises:
            NotFound: No such agent is attached.
            Unavailable: It drains, or can't be reached, or did not answer in time.
            UsageError: It is no task.
        """
        from seedcore.agent import wire
        from seedcore.agent.executor import time_limit

        sent = wire.SentTask.read(task)
        limit = time_limit(sent.params, self._settings) if timeout_s is None else timeout_s
        document = wire.task_document(sent, owner=sent.owner, limit_s=limit)
        answer = await self.send(agent_id, document, timeout_s=limit + 5.0)
        if "refused" in answer:
            raise Unavailable(
                f"agent {agent_id} did not take the task: {answer['refused']}",
                code="agent.refused",
                details={"agent_id": agent_id, "reason": answer["refused"]},
            )
        return wire.outcome_of(answer).envelope

    async def send(
        self, agent_id: str, document: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Send a task as it is to an agent and return the agent's answer; see `seedcore.agent.wire`.

        Raises:
            NotFound: No such agent is attached.
            SeedcoreError: It can't be reached, or did not answer in time; it then stops.
        """
        link = self._link(agent_id)
        self._known[agent_id].given += 1
        try:
            return await link.call("execute_task", dict(document), timeout_s=timeout_s)
        except (asyncio.CancelledError, WaitTimeout):
            # Nobody waits for it any more, and the agent can't see that by itself.
            link.tell("cancel_task", document["id"], document["attempts"])
            raise

    async def gone(self, agent_id: str, task_id: str, attempts: int) -> None:
        """Return when nothing of a task runs at an agent any more.

        Raises:
            NotFound: No such agent is attached.
            SeedcoreError: It is gone itself.
        """
        await self._link(agent_id).call("gone", task_id, attempts)

    async def execute_task_on_random_agent(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Have any agent that may do it run a task; see `execute_task_on_agent`."""
        able = await self.candidates(_wanted(task))
        return await self.execute_task_on_agent(selection.at_random(able).agent_id, task)

    async def execute_task_on_best_agent(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Have the agent that suits best run a task; see `execute_task_on_agent`."""
        able = await self.candidates(_wanted(task))
        return await self.execute_task_on_agent(selection.best(able).agent_id, task)

    async def execute_task_on_best_of(
        self, agent_ids: Sequence[str], task: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Have the best of some agents run a task; see `execute_task_on_agent`."""
        able = await self.candidates(_wanted(task), among=agent_ids)
        return await self.execute_task_on_agent(selection.best(able).agent_id, task)

    async def execute_task_on_organ_best(
        self, organ_id: str, task: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Have the best agent of an organ run a task; see `execute_task_on_agent`."""
        able = [one for one in await self.candidates(_wanted(task)) if one.organ_id == organ_id]
        if not able:
            raise NotFound(
                f"no agent of organ {organ_id} may do this task", code="agent.no_candidate"
            )
        return await self.execute_task_on_agent(selection.best(able).agent_id, task)

    async def execute_task_on_graph_best(
        self, task: Mapping[str, Any], vector: Sequence[float] | None = None
    ) -> dict[str, Any]:
        """Have the best of the agents nearest to a vector in the graph run a task.

        Raises:
            UsageError: The vector has the wrong length.
        """
        if vector is not None and len(vector) != DIMENSIONS:
            raise UsageError(
                f"a vector of the graph has {DIMENSIONS} numbers, not {len(vector)}",
                code="agent.bad_vector",
            )
        able = await self.candidates(_wanted(task))
        chosen = selection.graph_best(able, vector)
        return await self.execute_task_on_agent(chosen.agent_id, task)

    def _link(self, agent_id: str) -> Link:
        known = self._known.get(agent_id)
        if known is None:
            raise _unknown(agent_id)
        return known.link

    async def _runtime(self) -> Runtime:
        """Return where agents live; connects to a cluster when first asked.

        Raises:
            Unavailable: The cluster can't be reached.
            ConfigError: RAY_ADDRESS can't be read.
        """
        if self._its_runtime is None:
            self._its_runtime = await asyncio.to_thread(runtime_of, self._settings)
        return self._its_runtime


_manager: Tier0MemoryManager | None = None


def get_tier0_manager() -> Tier0MemoryManager:
    """Return the manager of this process, made when first asked for."""
    global _manager
    if _manager is None:
        _manager = Tier0MemoryManager()
    return _manager


def _wanted(task: Mapping[str, Any]) -> Wanted:
    params = task.get("params")
    return Wanted.of(cast("Mapping[str, Any]", params)) if isinstance(params, Mapping) else Wanted()


def _is_same(one: Link, other: Link) -> bool:
    if isinstance(one, HereLink) and isinstance(other, HereLink):
        return one.agent is other.agent
    if isinstance(one, RuntimeLink) and isinstance(other, RuntimeLink):
        return one.handle.where is other.handle.where
    return False


def _unknown(agent_id: str) -> NotFound:
    return NotFound(
        f"there is no agent {agent_id}", code="agent.not_found", hint="seedcore agent list"
    )
