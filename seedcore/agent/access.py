"""Which tools a role may call: names and wildcards of whole segments, and whose word counts."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from seedcore.agent.failure import Failure
from seedcore.capability.model import Capability, RoleProfile
from seedcore.errors import ConfigError

if TYPE_CHECKING:
    from seedcore.capability.registry import CapabilityRegistry

_PATTERN = re.compile(r"(\*|[a-z][a-z0-9_]*)(\.(\*|[a-z][a-z0-9_]*))*")


class Grants:
    """What a list of patterns lets through.

    `*` stands for one whole segment, and as the last one for one or more: `fact.*` grants
    `fact.add` and `fact.index.build`, but neither `fact` nor `facts.add`; `*` grants everything.

    Args:
        patterns: Names or patterns.

    Raises:
        ConfigError: One of them is not made of whole segments (such as `fa*`).
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self._expression = re.compile("|".join(map(_expression, self.patterns)) or r"(?!)")

    @classmethod
    def parse(cls, text: str) -> Grants:
        """Read a comma-separated list, as in DEFAULT_ALLOWED_TOOLS."""
        return cls(part.strip() for part in text.split(",") if part.strip())

    def allows(self, name: str) -> bool:
        """Tell whether a tool of that name may be called."""
        return self._expression.fullmatch(name) is not None


class Permissions:
    """What an agent may call, by its role, and for a task of a capability by that capability.

    In this order, and the first that says no is named:

    1. the role's `denied_tools`, which nothing overrules;
    2. what the installation grants at all (DEFAULT_ALLOWED_TOOLS);
    3. what the agent was made with;
    4. the tools of the task's capability when it names any, else the role's `allowed_tools`;
    5. what the task's own payload says of its capability's tools, which only narrows.

    The fourth widens a role only on the word of a stored policy: the capability is looked up in the
    snapshot that the task was made by, and must be for this specialization or for any. A payload is
    written by whoever submits the task, and grants nothing.

    Args:
        role: The profile of its specialization.
        specialization: The name of its role.
        granted: What the installation grants.
        own: What the agent was made with; None = no limit of its own.
        holder: Who it is, for messages.
        capabilities: Those of the snapshot that is served; None = nobody knows them here.

    Raises:
        ConfigError: The profile holds something that is no pattern.
    """

    def __init__(
        self,
        role: RoleProfile,
        specialization: str,
        granted: Grants,
        *,
        own: Grants | None = None,
        holder: str = "this role",
        capabilities: CapabilityRegistry | None = None,
    ) -> None:
        self._role = role
        self._specialization = specialization
        self._granted = granted
        self._own = own
        self._holder = holder
        self._capabilities = capabilities
        self._allowed = Grants(role.allowed_tools)
        self._denied = Grants(role.denied_tools)

    def allows(self, name: str, params: Mapping[str, Any] | None = None) -> bool:
        """Tell whether a tool may be called: at all, or for a task."""
        return self._refusal(name, params or {}) is None

    def widens(self, params: Mapping[str, Any]) -> bool:
        """Tell whether a task's capability takes the place of what the role allows."""
        declared = self._declared(params)
        return declared is not None and bool(declared.tools)

    def check(self, name: str, params: Mapping[str, Any]) -> None:
        """Make sure that a task may call a tool.

        Raises:
            Failure: It may not; permanent.
        """
        refusal = self._refusal(name, params)
        if refusal is not None:
            raise Failure("not_permitted", refusal)
        check_capability(params, name)

    def _refusal(self, name: str, params: Mapping[str, Any]) -> str | None:
        if self._denied.allows(name):
            denied = ", ".join(self._denied.patterns)
            return f"{name} is denied to the role {self._specialization} (denied_tools: {denied})"
        if not self._granted.allows(name):
            return (
                f"{name} is not among the tools granted here"
                f" (DEFAULT_ALLOWED_TOOLS={','.join(self._granted.patterns)})"
            )
        if self._own is not None and not self._own.allows(name):
            said = ", ".join(self._own.patterns) or "none"
            return f"{name} is not among the tools granted to {self._holder} (its tools are {said})"
        declared = self._declared(params)
        if declared is not None and declared.tools:
            grants = _grants(self._role.tools_for(declared))
            if grants is not None and grants.allows(name):
                return None
            said = ", ".join(declared.tools)
            return f"{name} is not among the tools of the capability {declared.name} ({said})"
        if not self._allowed.allows(name):
            said = ", ".join(self._allowed.patterns) or "none"
            return (
                f"{name} is not among the tools of the role {self._specialization}"
                f" (allowed_tools: {said})"
            )
        return None

    def _declared(self, params: Mapping[str, Any]) -> Capability | None:
        """Return the capability of a task as the policy that made it declares it, if that is known."""
        known, name, made_by = self._capabilities, params.get("capability"), params.get("pkg")
        if known is None or not isinstance(name, str) or not isinstance(made_by, Mapping):
            return None
        snapshot_id = cast("Mapping[str, Any]", made_by).get("snapshot_id")
        if snapshot_id is None or snapshot_id != known.snapshot_id:
            return None
        declared = known.find(name)
        if declared is None or declared.specialization is None:
            return declared
        is_for_it = known.specializations.get(declared.specialization) == self._specialization
        return declared if is_for_it else None


@functools.lru_cache(maxsize=256)
def _grants(patterns: tuple[str, ...]) -> Grants | None:
    """Return grants of a stored policy; None when one of its patterns is none, and so grants nothing."""
    try:
        return Grants(patterns)
    except ConfigError:
        return None


def check_capability(params: Mapping[str, Any], tool: str) -> None:
    """Make sure that a task which policy called for stays within the tools of its capability.

    `executor.tools` and `routing.tools` of the subtask type narrow what is granted, and never widen it; a
    capability that names none leaves it as it is.

    Args:
        params: The task's payload.
        tool: What it is about to call.

    Raises:
        Failure: The capability names others; permanent.
    """
    if "capability" not in params:
        return
    capability = Capability.of(str(params["capability"]), params)
    if not capability.tools:
        return
    try:
        allowed = Grants(capability.tools).allows(tool)
    except ConfigError:
        allowed = False
    if not allowed:
        raise Failure(
            "not_permitted",
            f"{tool} is not among the tools of the capability {capability.name}"
            f" ({', '.join(capability.tools)})",
        )


def _expression(pattern: str) -> str:
    if not _PATTERN.fullmatch(pattern):
        raise ConfigError(
            f"{pattern!r} is no pattern for tool names",
            code="tool.pattern",
            hint="a '*' stands for a whole segment: 'fact.*', '*.read' or '*'",
        )
    *leading, last = pattern.split(".")
    segments = [r"[^.]+" if segment == "*" else re.escape(segment) for segment in leading]
    segments.append(r".+" if last == "*" else re.escape(last))
    return r"\.".join(segments)
