"""How one talks to an agent: directly where it lives in this process, else through the runtime."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any, Protocol, cast

from seedcore.agent.ray_agent import RayAgent
from seedcore.errors import SeedcoreError, WaitTimeout
from seedcore.runtime import Handle, Runtime


class Link(Protocol):
    """A way to one agent."""

    @property
    def where(self) -> str:
        """`local` or `ray`."""
        ...

    async def call(self, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        """Call a method of the agent.

        Raises:
            SeedcoreError: The agent raised it, or can't be reached, or did not answer in time.
        """
        ...

    def tell(self, method: str, *args: Any) -> None:
        """Call a method that is no coroutine, and do not wait for what becomes of it."""
        ...


class HereLink:
    """A way to an agent of this process.

    Args:
        agent: The agent.
    """

    where = "local"

    def __init__(self, agent: RayAgent) -> None:
        self.agent = agent

    async def call(self, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        """Call a method of the agent; see `Link`."""
        answer = getattr(self.agent, method)(*args)
        if not inspect.isawaitable(answer):
            return answer
        clock = asyncio.timeout(timeout_s)
        try:
            async with clock:
                return await answer
        except TimeoutError:
            if not clock.expired():
                raise  # the method's own
            raise _silent(self.agent.agent_id, timeout_s) from None

    def tell(self, method: str, *args: Any) -> None:
        """Call a method and forget it; see `Link`."""
        getattr(self.agent, method)(*args)


class RuntimeLink:
    """A way to an agent on the runtime.

    Args:
        runtime: Where it lives.
        name: Its name there.
        handle: What the runtime calls it by.
    """

    def __init__(self, runtime: Runtime, handle: Handle) -> None:
        self.handle = handle
        self._runtime = runtime

    @property
    def where(self) -> str:
        """`local` or `ray`."""
        return self._runtime.kind

    async def call(self, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        """Call a method of the agent; see `Link`."""
        asked = asyncio.wrap_future(self._runtime.submit(self.handle, method, *args))
        clock = asyncio.timeout(timeout_s)
        try:
            async with clock:
                return await asked
        except TimeoutError:
            if not clock.expired():
                raise  # the method's own
            raise _silent(self.handle.name, timeout_s) from None

    def tell(self, method: str, *args: Any) -> None:
        """Call a method and forget it; see `Link`."""
        self._runtime.submit(self.handle, method, *args)


async def heartbeat(link: Link, timeout_s: float) -> Mapping[str, Any] | None:
    """Ask for a heartbeat; None when there is no agent there, or it does not answer in time."""
    try:
        answer = await link.call("get_heartbeat", timeout_s=timeout_s)
    except (SeedcoreError, AttributeError):
        return None
    if not isinstance(answer, Mapping) or "agent_id" not in answer:
        return None
    return cast("Mapping[str, Any]", answer)


def _silent(agent_id: str, timeout_s: float | None) -> WaitTimeout:
    return WaitTimeout(
        f"agent {agent_id} did not answer within {timeout_s:g} s", code="agent.timeout"
    )
