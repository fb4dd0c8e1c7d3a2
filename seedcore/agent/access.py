"""Which tools a role may call: names and wildcards of whole segments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from seedcore.agent.failure import Failure
from seedcore.capability.model import Capability
from seedcore.errors import ConfigError

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
