"""Runs a worker's tasks in agents of its own process: what `Executor` is, with agents in between."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seedcore.agent import envelope, selection
from seedcore.agent.attempt import ClaimedTask, OnProgress, Outcome
from seedcore.agent.completion import Settling
from seedcore.agent.context import Flag
from seedcore.agent.ray_agent import RayAgent
from seedcore.agent.registry import ToolRegistry
from seedcore.agent.reporting import ReportDesk
from seedcore.agent.selection import Candidate, Wanted


class HostedExecutor:
    """Gives each task to the agent that suits it best.

    Args:
        agents: At least one, all of this process; stopped by whoever started them.
        tools: The tools that they share.
        desk: Takes what tools report while they run; closed with the executor.
    """

    def __init__(
        self, agents: Sequence[RayAgent], tools: ToolRegistry, desk: ReportDesk | None = None
    ) -> None:
        self.registry = tools
        self.agents = {agent.agent_id: agent for agent in agents}
        self.calls: Counter[str] = Counter()
        """Calls since the start, by outcome, of all agents."""
        for agent in agents:
            agent.count_calls_in(self.calls)
        self._desk = desk

    @property
    def threads_abandoned(self) -> int:
        """Threads whose call was given up and that have not returned yet."""
        return sum(agent.threads_abandoned for agent in self.agents.values())

    @property
    def tools(self) -> int:
        """How many tools there are."""
        return len(self.registry)

    async def start(self) -> None:
        """Do nothing; the agents are started by whoever made them."""

    async def stop(self) -> None:
        """Write what was reported last."""
        if self._desk is not None:
            self._desk.close()

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
        """Run one attempt in the agent that suits best; see `Executor.run`."""
        agent = self._chosen(Wanted.of(task.params), task.params)
        if agent is None:
            return no_candidate(task, len(self.agents))
        return await agent.run(
            task,
            deadline=deadline,
            on_progress=on_progress,
            cancelled=cancelled,
            settling=settling,
            desk=self._desk,
            left_running=left_running,
        )

    def _chosen(self, wanted: Wanted, params: Mapping[str, Any]) -> RayAgent | None:
        agents = [
            dataclasses.replace(Candidate.of(agent.get_heartbeat()), tools=agent.tools_for(params))
            for agent in self.agents.values()
        ]
        able = selection.eligible(agents, wanted)
        if not able:
            # A task that was claimed before the last of them was asked to drain still runs.
            awake = [dataclasses.replace(agent, draining=False) for agent in agents]
            able = selection.eligible(awake, wanted)
        return self.agents[selection.best(able).agent_id] if able else None


def no_candidate(task: ClaimedTask, count: int) -> Outcome:
    """Return the outcome of a task that none of these agents may do; other workers may have others."""
    error = f"none of the {count} agents here may do this task"
    built = envelope.build(
        task_id=str(task.id),
        task_type=task.type,
        attempt=task.attempts,
        records=(),
        started_at=time.time(),
        latency_ms=0.0,
        error=error,
        error_type="no_candidate",
        retry=True,
    )
    document = json.dumps(built, ensure_ascii=False)
    return Outcome(False, built, document, error, "no_candidate", retryable=True)
