"""Specializations: those that the program knows, and those that a policy brings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from seedcore.errors import Conflict


class Specialization(StrEnum):
    """The specializations that need no policy."""

    GENERALIST = "generalist"
    """Whoever names none."""


class DynamicSpecialization:
    """A specialization that a policy names. Equal ones differ at most in case.

    Args:
        name: As the policy writes it.
        source: The capability that names it.
    """

    __slots__ = ("name", "source")

    def __init__(self, name: str, source: str = "") -> None:
        self.name = name
        self.source = source

    @property
    def value(self) -> str:
        """Its name in lower case, by which it is compared."""
        return self.name.lower()

    def __eq__(self, other: object) -> bool:
        """Compare by name, also with text and with the program's own ones."""
        if isinstance(other, DynamicSpecialization):
            return self.value == other.value
        return isinstance(other, str) and self.value == str(other).lower()

    def __hash__(self) -> int:
        """Hash by name."""
        return hash(self.value)

    def __repr__(self) -> str:
        """Show the name."""
        return f"DynamicSpecialization({self.name!r})"


class SpecializationManager:
    """The specializations that this process knows."""

    def __init__(self) -> None:
        self._dynamic: dict[str, DynamicSpecialization] = {}

    def get(self, name: str | None) -> Specialization | DynamicSpecialization:
        """Return a specialization; GENERALIST for none, and for a name that nobody brought."""
        wanted = (name or "").lower()
        if wanted in list(Specialization):
            return Specialization(wanted)
        return self._dynamic.get(wanted, Specialization.GENERALIST)

    def is_known(self, name: str) -> bool:
        """Tell whether a name is one of ours, or was brought."""
        return name.lower() in list(Specialization) or name.lower() in self._dynamic

    def register(self, name: str, source: str = "") -> DynamicSpecialization:
        """Take on a specialization of a policy; again is no harm.

        Raises:
            Conflict: The program has one of that name, or it was brought in another spelling.
        """
        if name.lower() in list(Specialization):
            raise Conflict(
                f"{name} is a specialization of the program itself",
                code="capability.specialization_taken",
            )
        known = self._dynamic.get(name.lower())
        if known is not None and known.name != name:
            raise Conflict(
                f"{name} ({source}) and {known.name} ({known.source}) are one specialization in two"
                " spellings",
                code="capability.specialization_spelling",
                hint="write it the same way everywhere",
            )
        if known is None:
            known = self._dynamic[name.lower()] = DynamicSpecialization(name, source)
        return known

    def replace(self, named: Iterable[tuple[str, str]]) -> None:
        """Know these dynamic ones and no others: (name, source) pairs.

        Raises:
            Conflict: As `register`; what was known stays.
        """
        before, self._dynamic = self._dynamic, {}
        try:
            for name, source in named:
                if name.lower() not in list(Specialization):
                    self.register(name, source)
        except Conflict:
            self._dynamic = before
            raise

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, the program's own first."""
        yield from (one.value for one in Specialization)
        yield from sorted(one.name for one in self._dynamic.values())
