"""Where a new fact fits in time: beside what is known, in its place, or not at all.

At most one fact of a namespace, subject and predicate holds at any time. A line of a file meets what is
stored and what the lines before it would store; both are held here as intervals, so that a batch is
judged as if its lines came one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(slots=True)
class Span:
    """A fact as an interval [begin, end).

    Args:
        id: The fact.
        begin: None = it has always held.
        end: None = open.
        content: Digest of what it says, to tell a repetition from a contradiction.
        by: The fact that superseded it.
    """

    id: UUID
    begin: datetime | None
    end: datetime | None
    content: str
    by: UUID | None = None

    def overlaps(self, other: Span) -> bool:
        """Whether there is a moment at which both hold."""
        if self.is_empty or other.is_empty:
            return False
        return _before(self.begin, other.end) and _before(other.begin, self.end)

    def covers(self, other: Span) -> bool:
        """Whether it holds whenever the other does."""
        begins = self.begin is None or (other.begin is not None and self.begin <= other.begin)
        ends = self.end is None or (other.end is not None and other.end <= self.end)
        return begins and ends

    @property
    def is_empty(self) -> bool:
        """Whether it never holds."""
        return self.begin is not None and self.end is not None and self.end <= self.begin


def _before(begin: datetime | None, end: datetime | None) -> bool:
    return begin is None or end is None or begin < end


@dataclass(slots=True)
class Placed:
    """What became of a new fact.

    Attributes:
        known: The fact that says the same already.
        rival: The fact that stands in its way.
        superseded: Facts that end where it begins.
    """

    known: Span | None = None
    rival: Span | None = None
    superseded: tuple[Span, ...] = ()


class Timeline:
    """The facts of one namespace, subject and predicate, as far as a batch meets them."""

    def __init__(self) -> None:
        self._spans: dict[UUID, Span] = {}

    def add(self, span: Span) -> None:
        """Take in a stored fact, unless it is there."""
        self._spans.setdefault(span.id, span)

    def place(self, new: Span, *, supersede: bool) -> Placed:
        """Find a place for a fact, and take it in if there is one.

        Args:
            new: The fact.
            supersede: Whether those that began before it (or with it) end where it begins. One that
                begins later is no older fact, and stays in the way.
        """
        rivals = [span for span in self._spans.values() if span.overlaps(new)]
        for span in rivals:
            if span.content == new.content and span.covers(new):
                return Placed(known=span)
        for span in rivals:
            begins_later = span.begin is not None and (new.begin is None or span.begin > new.begin)
            endless = new.begin is None  # it would end before the beginning of time
            if not supersede or begins_later or endless:
                return Placed(rival=span)
        for span in rivals:
            span.end, span.by = new.begin, new.id
        self._spans[new.id] = new
        return Placed(superseded=tuple(rivals))
