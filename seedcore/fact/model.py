"""The words of facts: what is added, what is asked for, and how much of it there may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

TEXT_MAX_BYTES: Final = 65_536
"""Longest text of a fact: a statement, no document; also far below what PostgreSQL's full text takes."""

OBJECT_MAX_BYTES: Final = 262_144
NAME_MAX_BYTES: Final = 512
"""Longest subject, predicate and namespace: three of them have to fit into one entry of an index."""

TAGS_MAX: Final = 64
LINE_MAX_BYTES: Final = 4 * (TEXT_MAX_BYTES + 2 * OBJECT_MAX_BYTES) + 65_536
"""Longest line worth reading: JSON may be written several times longer than it is kept."""

QUESTION_MAX_CHARS: Final = 16_384
"""Longest text to search for."""


@dataclass(slots=True, kw_only=True)
class NewFact:
    """A fact on its way in.

    Args:
        text: The statement in words. Default: the triple's parts in a row.
        subject: Of whom it speaks; with predicate and object, or none of the three.
        predicate: What it says of the subject.
        object: The value that it says, any JSON.
        tags: Words to find it by.
        namespace: Facts of different namespaces never contradict each other.
        valid_from: First moment at which it holds; None = it always has, if `has_beginning`.
        has_beginning: Whether `valid_from` was given; otherwise it holds from now on.
        valid_to: First moment at which it holds no more; None = open.
        for_s: How long it holds, in seconds, in place of `valid_to`.
        snapshot: Policy snapshot, `VERSION` or `ENV/VERSION`. Default: the active one.
        rule: Policy rule that governs it; needs a triple and a snapshot.
        provenance: How the rule came to it.
        meta: What else is to be kept with it.
        created_by: Who says so. Default: the actor.
        id: Its id, so that it can be added twice without doubling. Default: a new one.
    """

    text: str | None = None
    subject: str | None = None
    predicate: str | None = None
    object: Any = None
    has_object: bool = False
    tags: tuple[str, ...] = ()
    namespace: str = "default"
    valid_from: datetime | None = None
    has_beginning: bool = False
    valid_to: datetime | None = None
    for_s: float | None = None
    snapshot: str | None = None
    rule: str | None = None
    provenance: Any = None
    meta: dict[str, Any] = field(default_factory=dict[str, Any])
    created_by: str | None = None
    id: UUID | None = None

    @property
    def key(self) -> tuple[str, str, str] | None:
        """What only one fact at a time may speak of, or None for free text."""
        if self.subject is None or self.predicate is None:
            return None
        return self.namespace, self.subject, self.predicate


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which facts; conditions of different kinds must all hold.

    Args:
        namespace: Only this one.
        subject: Only of this one.
        predicate: Only these statements.
        tags: Bearing all of these.
        snapshot: Of this policy snapshot, `VERSION` or `ENV/VERSION`.
        at: Holding at this moment; None = whenever.
        holding: Holding now; `at` wins.
        limit: At most so many; 0 = all.
    """

    namespace: str | None = None
    subject: str | None = None
    predicate: str | None = None
    tags: tuple[str, ...] = ()
    snapshot: str | None = None
    at: datetime | None = None
    holding: bool = False
    limit: int = 50
