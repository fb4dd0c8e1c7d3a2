"""The role profiles of this installation: a file of them, and what holds for whoever has none."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from seedcore.capability.model import RoleProfile
from seedcore.capability.specialization import Specialization
from seedcore.config.settings import Settings
from seedcore.errors import ConfigError

_WORDS = frozenset(
    {"allowed_tools", "routing_tags", "visibility_scopes", "default_behaviors", "zone_affinity"}
)
_TABLES = frozenset(
    {"default_skills", "safety_policies", "behavior_config", "environment_constraints"}
)


class Roles:
    """Role profiles by specialization, whatever its case.

    Args:
        profiles: By specialization.
    """

    def __init__(self, profiles: Mapping[str, RoleProfile] | None = None) -> None:
        self._profiles = {name.lower(): profile for name, profile in (profiles or {}).items()}

    def profile(self, specialization: str) -> RoleProfile:
        """Return the profile of a specialization: its own, else the generalist's."""
        fallback = self._profiles.get(Specialization.GENERALIST.value, RoleProfile())
        return self._profiles.get(specialization.lower(), fallback)


def load(settings: Settings) -> Roles:
    """Read the file that AGENT_ROLES names; without one every role is the generalist's.

    Raises:
        ConfigError: It can't be read, or holds something that is no profile.
    """
    if not settings.agent_roles:
        return Roles()
    path = Path(settings.agent_roles)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise _fault(f"AGENT_ROLES: {path} can't be read: {said}") from None
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _fault(f"{path}: {error}") from None
    profiles: dict[str, RoleProfile] = {}
    for name, content in found.items():
        profile = _profile(path, name, content)
        if any(name.lower() == other.lower() for other in profiles):
            raise _fault(f"{path}: [{name}] is there twice, in two spellings")
        profiles[name] = profile
    return Roles(profiles)


def _profile(path: Path, name: str, content: object) -> RoleProfile:
    if not isinstance(content, dict):
        raise _fault(f"{path}: {name} is no table of a role: write [{name}]")
    values: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", content).items():
        if key in _WORDS:
            values[key] = _words(path, f"{name}.{key}", value)
        elif key in _TABLES and isinstance(value, dict):
            values[key] = value
        else:
            known = ", ".join(sorted(_WORDS | _TABLES))
            raise _fault(f"{path}: {name}.{key} is nothing of a role, or no table; known: {known}")
    safety = values.get("safety_policies", {})
    if "denied_tools" in safety:
        _words(path, f"{name}.safety_policies.denied_tools", safety["denied_tools"])
    for skill, level in values.get("default_skills", {}).items():
        if not isinstance(level, (int, float)) or isinstance(level, bool) or not 0 <= level <= 1:
            raise _fault(f"{path}: {name}.default_skills.{skill} is no number from 0 to 1")
    return RoleProfile(**values)


def _words(path: Path, where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(word, str) and word for word in cast("list[Any]", value)
    ):
        # A deny list that is read as empty would permit what it was written to forbid.
        raise _fault(f'{path}: {where} is no list of texts, such as ["fact.*", "echo"]')
    return tuple(cast("list[str]", value))


def _fault(message: str) -> ConfigError:
    return ConfigError(message, code="agent.roles", hint="see docs/how-to/run-agents.md, Roles")
