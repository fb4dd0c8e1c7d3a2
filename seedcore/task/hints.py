"""The scheduling hints of the router inbox, `params.routing.hints`.

The linter asks that they are right; a submission reads what is readable and leaves the rest, because a
hint is advice and must not lose a task.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, cast

from seedcore.task.payload import at

DEFAULT_PRIORITY: Final = 5
MIN_PRIORITY: Final = 0
MAX_PRIORITY: Final = 10
MAX_SECONDS: Final = 100 * 366 * 86400
"""Longest time to live or time-out, a hundred years: far from where timestamps end."""


class Hints(NamedTuple):
    """The hints of one task; None where none is given or readable.

    Attributes:
        priority: 0..10, the higher the sooner.
        deadline_at: When the answer stops being useful; advisory.
        ttl_seconds: Seconds after creation from which the task is not started any more.
        timeout_s: Seconds that one attempt may take.
        min_capability: Least capability of an agent, 0..1.
        max_mem_util: Largest memory use of an agent, 0..1.
    """

    priority: int | None = None
    deadline_at: datetime | None = None
    ttl_seconds: float | None = None
    timeout_s: float | None = None
    min_capability: float | None = None
    max_mem_util: float | None = None


def read_priority(value: Any) -> int | None:
    """Return a priority from 0 to 10, or None for anything else."""
    return value if type(value) is int and MIN_PRIORITY <= value <= MAX_PRIORITY else None


def read_time(value: Any) -> datetime | None:
    """Return an ISO 8601 time that says its offset, or None for anything else."""
    if type(value) is not str:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def read_seconds(value: Any) -> float | None:
    """Return a positive number of seconds, or None for anything else."""
    if type(value) not in (int, float) or not math.isfinite(value):
        return None
    return value if 0 < value <= MAX_SECONDS else None


def read_share(value: Any) -> float | None:
    """Return a number from 0 to 1, or None for anything else."""
    return value if type(value) in (int, float) and 0 <= value <= 1 else None


READERS: Final[Mapping[str, tuple[Callable[[Any], Any], str]]] = {
    "priority": (read_priority, "a whole number from 0 to 10"),
    "deadline_at": (read_time, 'an ISO 8601 time with its offset, such as "2026-01-31T08:00:00Z"'),
    "ttl_seconds": (read_seconds, "a positive number of seconds"),
    "timeout_s": (read_seconds, "a positive number of seconds"),
    "min_capability": (read_share, "a number from 0 to 1"),
    "max_mem_util": (read_share, "a number from 0 to 1"),
}
"""For each hint: what reads it, and what it should be."""

_NONE: Final = Hints()


def read_hints(params: Mapping[str, Any]) -> Hints:
    """Return the readable hints; a priority out of range is taken as the nearest one in it."""
    hints = at(params, ("routing", "hints"))
    if not hints or not isinstance(hints, Mapping):
        return _NONE
    given = cast("Mapping[str, Any]", hints)
    read: dict[str, Any] = {
        name: reader(given[name]) for name, (reader, _) in READERS.items() if name in given
    }
    priority = given.get("priority")
    if type(priority) is int:
        read["priority"] = min(max(priority, MIN_PRIORITY), MAX_PRIORITY)
    return Hints(**read)
