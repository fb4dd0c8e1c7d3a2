"""What a long-running process needs of the runtime registry, whoever provides it.

The queue worker reports its life through this port. `Unregistered` does nothing, so a worker
behaves the same with and without a registry.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID, uuid4


class Instance(Protocol):
    """One registered incarnation of a process: starting → alive → draining → dead."""

    @property
    def instance_id(self) -> UUID:
        """New at each start of a process; owner ids of its leases carry its first digits."""
        ...

    @property
    def epoch(self) -> str | None:
        """The cluster epoch it is registered for; None = none."""
        ...

    def start(self, serve_route: str | None = None) -> None:
        """Register as starting, and where it answers. Never waits, never raises."""
        ...

    def alive(self) -> None:
        """Say that work is taken on."""
        ...

    def draining(self) -> None:
        """Say that no more work is taken on."""
        ...

    def dead(self) -> None:
        """Say good-bye; the last call."""
        ...


class Unregistered:
    """The instance of a process that reports to no registry."""

    def __init__(self) -> None:
        self.instance_id = uuid4()

    @property
    def epoch(self) -> str | None:
        """Always None."""
        return None

    def start(self, serve_route: str | None = None) -> None:
        """Do nothing."""

    def alive(self) -> None:
        """Do nothing."""

    def draining(self) -> None:
        """Do nothing."""

    def dead(self) -> None:
        """Do nothing."""
