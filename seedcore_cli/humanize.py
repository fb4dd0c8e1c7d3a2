"""Values as a person reads them; only tables use these."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_UNITS = (("w", 604800.0), ("d", 86400.0), ("h", 3600.0), ("m", 60.0))


def seconds(value: Any) -> str:
    """Return a duration with one unit: `250ms`, `7.5s`, `90s`, `5m`, `3h`, `2d`."""
    number = float(value)
    size = abs(number)
    if size < 1:
        return f"{number * 1000:.0f}ms"
    if size < 10:
        return f"{number:.1f}s"
    if size < 120:
        return f"{number:.0f}s"
    for unit, length in _UNITS:
        if size >= 2 * length or unit == "m":
            return f"{number / length:.0f}{unit}"
    raise AssertionError(value)


def moment(value: Any) -> str:
    """Return a time as how long ago it was, or in how long it comes (`in 5m`)."""
    if not isinstance(value, datetime):
        return str(value)
    distance = (datetime.now(UTC) - value).total_seconds()
    return f"in {seconds(-distance)}" if distance < 0 else seconds(distance)


def count_of(number: int, noun: str = "task") -> str:
    """Return a number with its noun: `1 task`, `2 tasks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def progress(value: Any) -> str:
    """Return how far a task is: `40 of 100 (40%), reading page 7`."""
    done, total, message = value["done"], value.get("total"), value.get("message")
    shown = f"{done:g}"
    if total is not None:
        shown += f" of {total:g}"
        if total > 0:
            shown += f" ({min(done / total, 1):.0%})"
    return f"{shown}, {message}" if message else shown
