"""Whether the worker may claim: several parts have a veto, each for a reason of its own."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Veto(StrEnum):
    """Why nothing is claimed."""

    STOPPING = "stopping"
    """The worker ends."""
    MEMORY = "memory"
    """Resident memory is above the soft limit."""
    FENCED = "fenced"
    """Leases could not be renewed."""
    NO_HOST = "no_host"
    """No machine of the cluster runs tools."""
    LIMIT = "limit"
    """`--max-tasks` is reached."""


class Gate:
    """Open unless somebody objects.

    Args:
        nudge: Wakes the claimer when the gate opens or closes.
    """

    def __init__(self, nudge: Callable[[], None]) -> None:
        self._vetoes: set[Veto] = set()
        self._nudge = nudge

    @property
    def is_open(self) -> bool:
        """Whether claiming is allowed."""
        return not self._vetoes

    @property
    def is_stopping(self) -> bool:
        """Whether the worker ends."""
        return Veto.STOPPING in self._vetoes or Veto.LIMIT in self._vetoes

    @property
    def vetoes(self) -> list[str]:
        """The reasons against claiming, for `/status`."""
        return sorted(self._vetoes)

    def close(self, veto: Veto) -> None:
        """Object."""
        self._vetoes.add(veto)
        self._nudge()

    def lift(self, veto: Veto) -> None:
        """Object no longer."""
        self._vetoes.discard(veto)
        self._nudge()
