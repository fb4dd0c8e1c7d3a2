"""The words of the list: which test shows what of a function."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Nothing:
    """Why there is nothing to test."""

    reason: str


@dataclass(frozen=True)
class Cover:
    """The tests of one function.

    rule: it does what its comment says. edge: at the limits of that. refusal: what it turns down, by an
    error or by doing nothing for whom it isn't meant. two: two sessions at once.
    """

    rule: str
    edge: str | Nothing
    refusal: str | Nothing
    two: str | Nothing

    def tests(self) -> set[str]:
        """All tests that it names."""
        return {
            found
            for found in (self.rule, self.edge, self.refusal, self.two)
            if isinstance(found, str)
        }


READS = Nothing("reads only")
TOTAL = Nothing("has a value for every argument")
ANY_ROW = Nothing("takes every row")
