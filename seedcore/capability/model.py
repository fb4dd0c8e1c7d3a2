"""A capability as its subtask type declares it, and the orders in which declarations count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Capability:
    """What a subtask type says of who does it, and with what.

    Attributes:
        name: The subtask type.
        specialization: Whom it takes; None = anybody.
        behaviors: Names, in their order.
        behavior_config: By behaviour.
        tools: What its tasks may call: `executor.tools` and `routing.tools`.
        skills: By name, 0..1.
        tags: `routing.routing_tags`.
        zone_affinity: Where it is best done.
        environment_constraints: What it needs around it.
        default_params: The whole declaration.
    """

    name: str
    specialization: str | None = None
    behaviors: tuple[str, ...] = ()
    behavior_config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tools: tuple[str, ...] = ()
    skills: Mapping[str, float] = field(default_factory=dict[str, float])
    tags: tuple[str, ...] = ()
    zone_affinity: tuple[str, ...] = ()
    environment_constraints: Mapping[str, Any] = field(default_factory=dict[str, Any])
    default_params: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def of(cls, name: str, default_params: Mapping[str, Any] | None) -> Capability:
        """Read a declaration; what has another shape than it should counts as absent."""
        params = default_params or {}
        executor, routing = _object(params.get("executor")), _object(params.get("routing"))
        specialization = executor.get("specialization") or routing.get("required_specialization")
        legacy = params.get("agent_behavior")
        return cls(
            name=name,
            specialization=specialization if isinstance(specialization, str) else None,
            behaviors=first_behaviors(executor.get("behaviors"), legacy),
            behavior_config=_object(executor.get("behavior_config")),
            tools=_union(_words(executor.get("tools")), _words(routing.get("tools"))),
            skills=_skills(routing.get("skills")),
            tags=_words(routing.get("routing_tags")),
            zone_affinity=_words(routing.get("zone_affinity")),
            environment_constraints=_object(routing.get("environment_constraints")),
            default_params=params,
        )

    def row(self) -> dict[str, Any]:
        """Return it as it is shown."""
        return {
            "name": self.name,
            "specialization": self.specialization,
            "behaviors": list(self.behaviors),
            "behavior_config": dict(self.behavior_config),
            "tools": list(self.tools),
            "skills": dict(self.skills),
            "tags": list(self.tags),
            "zone_affinity": list(self.zone_affinity),
            "environment_constraints": dict(self.environment_constraints),
            "default_params": dict(self.default_params),
        }


@dataclass(frozen=True, slots=True)
class RoleProfile:
    """What an agent of a role has unless something nearer says otherwise.

    Attributes:
        default_skills: By name, 0..1.
        allowed_tools: Patterns of the tools that it may call.
        routing_tags: What it is found by.
        visibility_scopes: What it may see.
        safety_policies: Among them `denied_tools`, which nothing overrules.
        default_behaviors: Names, in their order.
        behavior_config: By behaviour.
        zone_affinity: Where it is at home.
        environment_constraints: What it needs around it.
    """

    default_skills: Mapping[str, float] = field(default_factory=dict[str, float])
    allowed_tools: tuple[str, ...] = ("*",)
    routing_tags: tuple[str, ...] = ()
    visibility_scopes: tuple[str, ...] = ()
    safety_policies: Mapping[str, Any] = field(default_factory=dict[str, Any])
    default_behaviors: tuple[str, ...] = ()
    behavior_config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    zone_affinity: tuple[str, ...] = ()
    environment_constraints: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def behaviors_for(
        self, capability: Capability | None = None, constructor: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Return the behaviours of an agent: its constructor's, else its type's, else the role's."""
        of_type = () if capability is None else capability.behaviors
        return first_behaviors(constructor, of_type, self.default_behaviors)

    def skills_for(
        self,
        capability: Capability | None = None,
        *,
        instance: Mapping[str, float] | None = None,
        learned: Mapping[str, float] | None = None,
    ) -> dict[str, float]:
        """Return an agent's skills: per name the task's, else the type's, else the role's.

        Args:
            capability: The task's type.
            instance: `routing.skills` of the task itself.
            learned: Deltas in -1..1, which are added to whatever holds; the sum stays within 0..1.
        """
        skills = dict(self.default_skills)
        if capability is not None:
            skills.update(capability.skills)
        skills.update(instance or {})
        for name, delta in (learned or {}).items():
            skills[name] = skills.get(name, 0.0) + max(-1.0, min(1.0, delta))
        return {name: max(0.0, min(1.0, level)) for name, level in skills.items()}

    def tools_for(self, capability: Capability | None = None) -> tuple[str, ...]:
        """Return patterns of the tools that a task may call: its type's when it names any, else the role's.

        What `denied_tools` names is for the caller to take away again; see `denied_tools`.
        """
        if capability is not None and capability.tools:
            return capability.tools
        return self.allowed_tools

    @property
    def denied_tools(self) -> tuple[str, ...]:
        """Patterns of tools that nothing grants."""
        return _words(self.safety_policies.get("denied_tools"))


def first_behaviors(*choices: object) -> tuple[str, ...]:
    """Return the first list of names that is not empty; a single name counts as a list of one."""
    for choice in choices:
        found = (choice,) if isinstance(choice, str) else _words(choice)
        if found:
            return found
    return ()


def _object(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        return ()
    return tuple(word for word in cast("list[Any]", value) if isinstance(word, str))


def _union(*lists: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for words in lists for word in words))


def _skills(value: object) -> dict[str, float]:
    return {
        name: float(level)
        for name, level in _object(value).items()
        if isinstance(level, (int, float)) and not isinstance(level, bool) and 0 <= level <= 1
    }
