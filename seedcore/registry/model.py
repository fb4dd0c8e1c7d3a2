"""The words of the registry: states of an instance, and what a beat answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid5

_NAMESPACE = UUID("5eedc04e-0000-5000-8000-000000000000")
"""Names that are no UUID, such as `epoch_123`, are mapped to one under this namespace."""


class InstanceStatus(StrEnum):
    """Where an instance stands in its life, which has no way back but registering again."""

    STARTING = "starting"
    ALIVE = "alive"
    DRAINING = "draining"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Beat:
    """What the database answers to a sign of life.

    Attributes:
        status: The instance's status; None = it is unknown, and must register again.
        epoch_current: Whether the epoch that it registered for is still the current one.
    """

    status: InstanceStatus | None
    epoch_current: bool

    @property
    def must_register(self) -> bool:
        """Whether it is no longer on the books: unknown, declared dead, or of an old epoch."""
        return self.status in (None, InstanceStatus.DEAD) or not self.epoch_current


def epoch_id(text: str) -> UUID:
    """Return the epoch that a text names: a UUID as it is, any other name by UUIDv5."""
    try:
        return UUID(text)
    except ValueError:
        return uuid5(_NAMESPACE, text)
