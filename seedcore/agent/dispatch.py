"""Runs a worker's tasks in agents that live elsewhere: found in the registry or on the cluster."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from seedcore.agent import selection, wire
from seedcore.agent.attempt import ClaimedTask, OnProgress, Outcome
from seedcore.agent.completion import Settling
from seedcore.agent.context import Flag
from seedcore.agent.executor import HostLost, time_limit
from seedcore.agent.hosted import no_candidate
from seedcore.agent.selection import Candidate, Wanted
from seedcore.agent.tier0 import Tier0MemoryManager
from seedcore.config.settings import Settings
from seedcore.errors import NotFound, SeedcoreError, Unavailable, WaitTimeout

log = logging.getLogger(__name__)

_LOOK_S = 5.0
"""Pause between two looks at which agents there are."""
_FRESH_S = 1.0
"""Age up to which a look is not repeated for the sake of one task."""
_GRACE_S = 5.0
"""How long after its limit an agent may take to say how an attempt ended."""
_CHOICES = 3
"""Agents that are asked before the task goes back: each of them had begun to drain."""


@runtime_checkable
class Noting(Protocol):
    """A worker's lease that takes note of start marks stored elsewhere."""

    def noted(self) -> None:
        """Note that the task's row may hold a start mark."""
        ...


class AgentsExecutor:
    """Hands each attempt to the agent that suits it best.

    Start marks, progress and checkpoints go from the agent to the database under the worker's lease. An
    agent that is gone takes its attempts with it: `run` raises `HostLost`, and whoever holds the lease decides.

    Args:
        settings: The worker's.
        owner: Owner id of the leases.
        manager: Finds the agents. Default: a new one.
        changed: Called when the first agent is there again, or the last one is gone.
    """

    def __init__(
        self,
        settings: Settings,
        owner: str,
        *,
        manager: Tier0MemoryManager | None = None,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.calls: Counter[str] = Counter()
        """Calls since the start, by outcome: `ok`, `reused`, or an error type."""
        self._settings = settings
        self._owner = owner
        self._manager = manager or Tier0MemoryManager(settings)
        self._changed = changed
        self._has_agents = True
        self._looking = asyncio.Lock()
        self._looked_at = 0.0
        self._tools: frozenset[str] = frozenset()
        self._keeping: asyncio.Task[None] | None = None
        self._farewells: set[asyncio.Future[Any]] = set()

    @property
    def tools(self) -> int:
        """How many tools the agents have, all together."""
        return len(self._tools)

    @property
    def threads_abandoned(self) -> int:
        """Always 0: their threads are in their own processes."""
        return 0

    async def start(self) -> None:
        """Find the agents; having none is no error, they may come later.

        Raises:
            Unavailable: The cluster can't be reached.
        """
        await self._look()
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Look for agents no longer; they live on."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def run(
        self,
        task: ClaimedTask,
        *,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancelled: Flag | None = None,
        settling: Settling | None = None,
        left_running: Callable[[asyncio.Future[Any]], None] | None = None,
    ) -> Outcome:
        """Run one attempt in the agent that suits best; see `Executor.run`.

        Raises:
            HostLost: The agent is gone, or none is there.
            asyncio.CancelledError: The attempt was cancelled.
        """
        if deadline is None:
            deadline = time.monotonic() + time_limit(task.params, self._settings)
        wanted = Wanted.of(task.params)
        for _ in range(_CHOICES):
            able = await self._candidates(wanted)
            if not able:
                return no_candidate(task, len(self._manager.answering))
            chosen = selection.best(able)
            agent_id = chosen.agent_id
            if isinstance(settling, Noting) and chosen.makes_once(task.type, wanted.calls):
                # Should the agent be lost, or too late, a call may have been made that must not be
                # made again.
                settling.noted()
            limit = deadline - time.monotonic()
            document = wire.task_document(task, owner=self._owner, limit_s=limit)
            answer = await self._ask(agent_id, document, settling, left_running)
            if answer.get("refused") != "draining":
                return self._ended(agent_id, document, answer, settling, left_running)
        raise HostLost("every agent that was asked drains", was_begun=False)

    async def _candidates(self, wanted: Wanted) -> list[Candidate]:
        """Return the agents that may do a task; empty when others answer, but may not.

        Raises:
            HostLost: No agent answers.
        """
        try:
            return await self._manager.candidates(wanted)
        except NotFound:
            # Perhaps one has come since the last look, or the one that may do it was just lost.
            await self._look_again()
        try:
            return await self._manager.candidates(wanted)
        except NotFound as none:
            if self._manager.answering:
                return []
            self._tell_changed()
            raise HostLost("no agent answers", was_begun=False) from none

    async def _ask(
        self,
        agent_id: str,
        document: Mapping[str, Any],
        settling: Settling | None,
        left_running: Callable[[asyncio.Future[Any]], None] | None,
    ) -> Mapping[str, Any]:
        try:
            return await self._manager.send(
                agent_id, document, timeout_s=document["limit_s"] + _GRACE_S
            )
        except asyncio.CancelledError:
            self._settled(settling)
            if left_running is not None:
                left_running(self._gone(agent_id, document))
            raise
        except (Unavailable, NotFound, WaitTimeout) as error:
            self._settled(settling)
            log.warning(
                "An agent is gone",
                extra={"event": "agent.lost", "agent": agent_id, "error": error.message},
            )
            raise HostLost(error.message) from error

    def _ended(
        self,
        agent_id: str,
        document: Mapping[str, Any],
        answer: Mapping[str, Any],
        settling: Settling | None,
        left_running: Callable[[asyncio.Future[Any]], None] | None,
    ) -> Outcome:
        if "refused" in answer:
            self._settled(settling)
            raise HostLost(f"agent {agent_id} ended the attempt: {answer['refused']}")
        if answer["settled"]:
            self._settled(settling)
        if answer["still_runs"] and left_running is not None:
            left_running(self._gone(agent_id, document))
        outcome = wire.outcome_of(answer)
        for record in outcome.envelope["payload"].get("tool_results", ()):
            self.calls["reused" if record["reused"] else record["error_type"] or "ok"] += 1
        return outcome

    def _gone(self, agent_id: str, document: Mapping[str, Any]) -> asyncio.Future[Any]:
        """Return what is done when nothing of an attempt runs any more, or its agent is gone."""

        async def gone() -> None:
            try:
                await self._manager.gone(agent_id, document["id"], document["attempts"])
            except (SeedcoreError, AttributeError) as error:
                log.debug(
                    "Gone with its agent",
                    extra={"event": "agent.lost", "agent": agent_id, "error": str(error)},
                )

        waiting = asyncio.ensure_future(gone())
        self._farewells.add(waiting)
        waiting.add_done_callback(self._farewells.discard)
        return waiting

    @staticmethod
    def _settled(settling: Settling | None) -> None:
        """Have the database asked how the task ended: nobody knows what its tool had come to."""
        if settling is not None:
            settling.begun()

    # -- which agents there are ---------------------------------------------------------------

    async def _look_again(self) -> None:
        """Look for agents now, unless somebody just has."""
        async with self._looking:
            if time.monotonic() - self._looked_at > _FRESH_S:
                with contextlib.suppress(SeedcoreError):
                    await self._look()

    async def _look(self) -> None:
        self._looked_at = time.monotonic()
        await self._manager.discover_and_refresh_agents()
        beats = await self._manager.collect_heartbeats(older_than_s=_LOOK_S)
        self._tools = frozenset(name for beat in beats.values() for name in beat["tools"])
        self._tell_changed()

    def _tell_changed(self) -> None:
        has_agents = bool(self._manager.answering)
        if has_agents != self._has_agents:
            self._has_agents = has_agents
            self._changed(has_agents)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._look()
            except SeedcoreError as error:
                log.warning(
                    "The agents can't be looked for now",
                    extra={
                        "event": "agent.search_failed",
                        "error": error.message,
                        "code": error.code,
                    },
                )
