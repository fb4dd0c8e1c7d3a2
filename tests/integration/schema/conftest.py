"""Two sessions, and waiting for one to block on the other, as for the queue's functions."""

from __future__ import annotations

from tests.integration.task.conftest import aside, blocked, other

__all__ = ["aside", "blocked", "other"]
