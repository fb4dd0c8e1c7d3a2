"""The words of schedules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""What a schedule may be called; the database checks the same."""


class Misfire(StrEnum):
    """What becomes of times that passed while nobody fired them."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Overlap(StrEnum):
    """Whether a time is fired while the task of the one before has not ended."""

    ALLOW = "allow"
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True)
class NewSchedule:
    """A schedule to be added.

    Args:
        name: Up to 63 letters, digits, `.`, `_` and `-`.
        cron: Five fields, or a word such as `@daily`.
        timezone: Whose clock they speak of.
        type: The type of its tasks; this and what follows is as in `NewTask`.
        params: Their payload.
        description: What to do, in words.
        domain: Namespace.
        priority: 0..10.
        max_attempts: Attempts before a task counts as failed.
        ttl_s: A task that has not started so many seconds after its fire is cancelled.
        misfire: What becomes of times that passed while nobody fired them.
        overlap: Whether to fire while the task before has not ended.
    """

    name: str
    cron: str
    type: str
    timezone: str = "UTC"
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    description: str | None = None
    domain: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    ttl_s: int | None = None
    misfire: Misfire = Misfire.ONCE
    overlap: Overlap = Overlap.ALLOW
