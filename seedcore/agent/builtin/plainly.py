"""Rows of the database as values that a task's result can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast


def plainly(value: Any) -> Any:
    """Return a value with times in ISO 8601 and ids as text, also inside of objects and lists."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plainly(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [plainly(item) for item in cast("list[Any]", value)]
    isoformat: Callable[[], str] | None = getattr(value, "isoformat", None)
    return str(value) if isoformat is None else isoformat()
