"""Which agent is to do a task: who may, and who of them suits best. Pure rules over heartbeats."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from seedcore.agent import state
from seedcore.agent.state import Lifecycle

NEAREST = 8
"""Agents whose vectors are nearest to a task's, of which the best is chosen."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a task asks of the agent that does it.

    Attributes:
        agent_id: This one only.
        specialization: It must have this one.
        preferred: One with this specialization if there is any.
        tools: It must be allowed to call all of these.
        calls: What the task calls; if nobody may call all of it, any agent can say so.
    """

    agent_id: str | None = None
    specialization: str | None = None
    preferred: str | None = None
    tools: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Wanted:
        """Read it from a task's payload: `interaction`, `routing` and the tools that it calls."""
        routing, interaction = _mapping(params.get("routing")), _mapping(params.get("interaction"))
        assigned = None
        if interaction.get("mode") == "agent_tunnel":
            assigned = interaction.get("assigned_agent_id")
        calls: Any = params.get("tool_calls")
        called: list[Any] = []
        if isinstance(calls, list):
            called = [_mapping(call).get("name") for call in cast("list[Any]", calls)]
        return cls(
            _text(assigned),
            _text(routing.get("required_specialization")),
            _text(routing.get("specialization")),
            tuple(_names(routing.get("tools"))),
            tuple(_names(called)),
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent as its latest heartbeat shows it.

    Attributes:
        agent_id: Its id.
        organ_id: Its organ.
        specialization: What it is for.
        c: Its capability.
        entropy: How undecided it is between roles, in nats.
        mem_util: How useful its memory is.
        h: Its vector.
        load: Tasks that it has, as a share of its places.
        lifecycle: Where it stands.
        tools: What it may call.
        draining: Whether it takes no more tasks.
        once: Tools of its that are called at most once.
        once_types: Task types that such tools serve.
    """

    agent_id: str
    organ_id: str | None
    specialization: str
    c: float
    entropy: float
    mem_util: float
    h: Sequence[float]
    load: float
    lifecycle: str
    tools: frozenset[str]
    draining: bool
    once: frozenset[str] = frozenset()
    once_types: frozenset[str] = frozenset()

    @classmethod
    def of(cls, heartbeat: Mapping[str, Any], *, extra_load: float = 0.0) -> Candidate:
        """Read a heartbeat.

        Args:
            heartbeat: As `RayAgent.get_heartbeat` returns it.
            extra_load: What was given to the agent since, as a share of its places.
        """
        energy = heartbeat["energy_state"]
        return cls(
            heartbeat["agent_id"],
            heartbeat.get("organ_id"),
            heartbeat["specialization"],
            energy["capability"],
            energy["entropy_contribution"],
            energy["mem_util"],
            heartbeat["state_embedding_h"],
            heartbeat["load"] + extra_load,
            heartbeat["lifecycle"],
            frozenset(heartbeat["tools"]),
            heartbeat["draining"],
            frozenset(heartbeat["at_most_once"]["tools"]),
            frozenset(heartbeat["at_most_once"]["types"]),
        )

    def makes_once(self, task_type: str, calls: Iterable[str]) -> bool:
        """Tell whether a task may lead to a call that is made at most once."""
        return task_type in self.once_types or not self.once.isdisjoint(calls)

    @property
    def cost(self) -> float:
        """How little it suits; see `state.cost`."""
        return state.cost(self.c, self.entropy, self.mem_util, math.hypot(*self.h))


def eligible(agents: Iterable[Candidate], wanted: Wanted) -> list[Candidate]:
    """Return the agents that may do a task, by id; of those, only the ones it prefers, if any."""
    able = sorted((a for a in agents if _may(a, wanted)), key=lambda a: a.agent_id)
    able = [a for a in able if a.tools.issuperset(wanted.calls)] or able
    if wanted.preferred is not None:
        special = [a for a in able if _same(a.specialization, wanted.preferred)]
        return special or able
    return able


def at_random(agents: Sequence[Candidate]) -> Candidate:
    """Return any of them."""
    return random.choice(agents)  # noqa: S311 - spreads work, keeps no secret


def best(agents: Sequence[Candidate]) -> Candidate:
    """Return the one with the least cost; archived ones only if there is no other.

    A full one is taken only when all are. Of equals the least loaded, then the first by id.
    """
    return min(
        agents,
        key=lambda a: (
            a.load >= 1,
            a.lifecycle == Lifecycle.ARCHIVED,
            round(a.cost, 9),
            a.load,
            a.agent_id,
        ),
    )


def graph_best(agents: Sequence[Candidate], vector: Sequence[float] | None) -> Candidate:
    """Return the best of the agents that are nearest to a vector in the graph, by cosine.

    Without a vector, or when no agent has one, all of them are near.
    """
    if vector is None or not any(vector):
        return best(agents)
    placed = [a for a in agents if any(a.h)]
    near = sorted(placed, key=lambda a: -_cosine(a.h, vector))[:NEAREST]
    return best(near or agents)


def _may(agent: Candidate, wanted: Wanted) -> bool:
    if agent.draining or (wanted.agent_id is not None and agent.agent_id != wanted.agent_id):
        return False
    if wanted.specialization is not None and not _same(agent.specialization, wanted.specialization):
        return False
    return agent.tools.issuperset(wanted.tools)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (
        math.hypot(*one) * math.hypot(*other)
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _names(value: object) -> list[str]:
    if not isinstance(value, list):
        return []
    return [name for name in cast("list[Any]", value) if isinstance(name, str)]
