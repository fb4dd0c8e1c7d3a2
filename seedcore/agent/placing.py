"""Making agents where they are to live: in this process, or as named actors on a cluster."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seedcore.agent.naming import GENERALIST, checked_id
from seedcore.agent.ray_agent import RayAgent
from seedcore.agent.registry import ToolRegistry
from seedcore.capability import roles
from seedcore.config.settings import Settings
from seedcore.runtime import Handle, Runtime

if TYPE_CHECKING:
    from seedcore.capability.model import RoleProfile
    from seedcore.capability.registry import CapabilityRegistry

CPUS = 0.0
"""An agent mostly waits for its tools; `cpus` of a task's work is the operator's to reserve."""


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """What an agent is to be; see `RayAgent`.

    Attributes:
        agent_id: Its name.
        organ_id: Its organ.
        specialization: What it is for.
        capacity: Tasks at the same time.
        allowed_tools: Patterns of the tools that it may call, of its role's.
        role: The profile of its specialization. Default: as AGENT_ROLES has it where it is placed from.
    """

    agent_id: str
    organ_id: str | None = None
    specialization: str = GENERALIST
    capacity: int | None = None
    allowed_tools: str | None = None
    role: RoleProfile | None = None

    def check(self) -> None:
        """Refuse what can't be an agent.

        Raises:
            UsageError: An id can't be one.
            ConfigError: A pattern of tools is none.
        """
        from seedcore.agent.access import Grants

        checked_id(self.agent_id)
        checked_id(self.specialization, "specialization")
        if self.organ_id is not None:
            checked_id(self.organ_id, "organ")
        if self.allowed_tools is not None:
            Grants.parse(self.allowed_tools)


def make(
    spec: AgentSpec,
    settings: Settings,
    *,
    tools: ToolRegistry | None = None,
    on_drain: Callable[[], bool] = lambda: False,
    capabilities: CapabilityRegistry | None = None,
) -> RayAgent:
    """Return a new agent in this process, not started.

    Args:
        spec: What it is to be.
        settings: Limits, grants, database.
        tools: Default: the tools of this installation.
        on_drain: As `RayAgent` takes it.
        capabilities: As `RayAgent` takes them.

    Raises:
        UsageError, ConfigError: See `RayAgent`.
    """
    return RayAgent(
        spec.agent_id,
        spec.organ_id,
        specialization=spec.specialization,
        capacity=spec.capacity,
        allowed_tools=spec.allowed_tools,
        role=spec.role,
        capabilities=capabilities,
        settings=settings,
        tools=tools,
        on_drain=on_drain,
    )


class StartedRayAgent(RayAgent):
    """An agent that has started when it is made: one that the cluster makes anew has nobody to ask it.

    Args:
        spec: What it is to be.
        settings: Limits, grants, database.
        actor_name: Its name on Ray; None = it lives in this process.
    """

    def __init__(self, spec: AgentSpec, settings: Settings, actor_name: str | None) -> None:
        super().__init__(
            spec.agent_id,
            spec.organ_id,
            specialization=spec.specialization,
            capacity=spec.capacity,
            allowed_tools=spec.allowed_tools,
            role=spec.role,
            settings=settings,
            actor_name=actor_name,
        )
        self.begin()


def place(runtime: Runtime, spec: AgentSpec, settings: Settings) -> Handle:
    """Return the handle of an agent on a cluster, which is made there unless it lives already.

    Raises:
        SeedcoreError: The cluster can't be reached, or the agent could not be made.
        ConfigError: AGENT_ROLES can't be read.
    """
    if spec.role is None:
        # The file is here; the cluster's machines need not have it.
        spec = dataclasses.replace(spec, role=roles.load(settings).profile(spec.specialization))
    # Where the settings came from is no business of another machine's.
    sent = dataclasses.replace(settings, origins={})
    actor_name = spec.agent_id if runtime.kind == "ray" else None
    factory = functools.partial(StartedRayAgent, spec, sent, actor_name)
    return runtime.get_or_create(spec.agent_id, factory, CPUS)
