"""The agents that live in a queue worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from seedcore.agent.hosted import HostedExecutor
from seedcore.agent.placing import AgentSpec, make
from seedcore.agent.registry import ToolRegistry
from seedcore.agent.reporting import ReportDesk
from seedcore.capability.registry import CapabilityRegistry
from seedcore.config.settings import Settings


class Agents:
    """Starts and ends the agents of one worker.

    Args:
        specs: What they are to be.
        settings: Limits, grants, database.
        tools: The tools that they share.
        all_draining: Called, in another thread, when the last of them was asked to drain.
        capabilities: Those of the snapshot that is served.

    Raises:
        UsageError: An id can't be one.
        ConfigError: A pattern of tools is none.
    """

    def __init__(
        self,
        specs: Sequence[AgentSpec],
        settings: Settings,
        tools: ToolRegistry,
        *,
        all_draining: Callable[[], None],
        capabilities: CapabilityRegistry | None = None,
    ) -> None:
        self._tools = tools
        self._all_draining = all_draining
        self._agents = [
            make(
                spec,
                settings,
                tools=tools,
                on_drain=self._asked_to_drain,
                capabilities=capabilities,
            )
            for spec in specs
        ]

    def executor(self, desk: ReportDesk) -> HostedExecutor:
        """Return what runs tasks in them."""
        return HostedExecutor(self._agents, self._tools, desk)

    def begin(self, serve_route: str) -> None:
        """Start them; see `RayAgent.begin`."""
        for agent in self._agents:
            agent.begin(serve_route)

    async def end(self) -> None:
        """Stop them; the worker has drained before."""
        await asyncio.gather(*(agent.stop(0.0) for agent in self._agents))

    def _asked_to_drain(self) -> bool:
        """Take note that one of them drains; with the last one the worker ends, and stops them all."""
        is_last = all(agent.is_draining for agent in self._agents)
        if is_last:
            self._all_draining()
        return is_last
