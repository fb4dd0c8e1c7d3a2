"""How a graph task fails: for good or not, with which of the fixed words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedcore.errors import (
    ConfigError,
    NotFound,
    SeedcoreError,
    Unavailable,
    UsageError,
    WaitTimeout,
)


class GraphTaskFailed(Exception):
    """The operation can't be done.

    Args:
        error_type: One of the fixed words, such as `no_start_nodes`.
        message: What was wrong, in a sentence.
        retryable: Whether another attempt may help.
        details: What the result shows beside it, such as `start_debug`.
    """

    def __init__(
        self,
        error_type: str,
        message: str,
        *,
        retryable: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.error_type = error_type
        self.message = message
        self.retryable = retryable
        self.details = dict(details or {})
        super().__init__(message)


class Abandoned(Exception):
    """The attempt is to stop: its lease is lost, its task was cancelled, or the worker ends."""


def translated(error: Exception) -> GraphTaskFailed:
    """Return the failure that an error of ours, or an unexpected one, stands for."""
    if isinstance(error, GraphTaskFailed):
        return error
    if isinstance(error, TimeoutError | WaitTimeout):
        return GraphTaskFailed("timeout", str(error) or "it took too long", retryable=True)
    if isinstance(error, UsageError | NotFound):
        return GraphTaskFailed("bad_payload", error.message)
    if isinstance(error, ConfigError):
        return GraphTaskFailed("bad_provider", error.message)
    if isinstance(error, Unavailable):
        is_database = error.code.startswith("db.")
        kind = "internal" if is_database else "encoder_unavailable"
        return GraphTaskFailed(kind, error.message, retryable=True)
    text = error.message if isinstance(error, SeedcoreError) else f"{type(error).__name__}: {error}"
    return GraphTaskFailed("internal", text, retryable=True)
