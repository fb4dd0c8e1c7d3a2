"""The words of retrieval: a question, its scope, and what is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

RRF_K: Final = 60
"""The constant of reciprocal rank fusion; 60 as Cormack, Clarke and Büttcher (SIGIR 2009) have it."""

DEPTH: Final = 100
"""How far down each list counts."""

SEEDS: Final = 5
"""How many of the best hits neighbours are looked for."""

HOP_DECAY: Final = 0.5
"""What a hop leaves of the score of the hit that it starts from."""

CHARS_PER_TOKEN: Final = 4
"""Characters of English text in a token, roughly; bounds are meant roughly, too."""

MOST_HITS: Final = 200
MOST_HOPS: Final = 4


class Mode(StrEnum):
    """By what something is found."""

    TEXT = "text"
    VECTOR = "vector"
    HYBRID = "hybrid"
    GRAPH = "graph"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is asked.

    Attributes:
        namespace: Facts of this namespace and tasks of this domain; entities of the graph belong to none.
        snapshot_id: What was made under this policy snapshot.
        at: Facts that held, and tasks and entities that were there; None = now.
        filter: `kind`, of facts `subject`, `predicate`, `rule` and `tags` (a list), of tasks `type`, `status` and
            `domain`; all must hold.
    """

    namespace: str | None = None
    snapshot_id: int | None = None
    at: datetime | None = None
    filter: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and how it is to be answered.

    Attributes:
        text: The question.
        k: How many sources are wanted, neighbours included.
        mode: By what they are found.
        hops: How many edges away neighbours of the best hits may be; 0 = none.
        scope: Among what.
        rerank: Prefer sources that don't say the same.
        min_score: Leave out what has less, from 0 to 1.
        max_tokens: About how long all sources together may be.
    """

    text: str
    k: int = 8
    mode: Mode = Mode.HYBRID
    hops: int = 2
    scope: Scope = field(default_factory=Scope)
    rerank: bool = False
    min_score: float = 0.0
    max_tokens: int = 2000


@dataclass(slots=True, kw_only=True)
class Hit:
    """Something found.

    Attributes:
        kind: `task`, `fact` or a type of entity.
        id: Its id.
        score: From 0 to 1: 1 is the first in every list that was asked.
        why: A phrase for each way on which it was found.
        text: Its words.
        node_id: Its node, if it has one.
        words: Its rank by words, from 1, if it was found so.
        bm25: Its score there.
        vectors: Its rank by vectors.
        similarity: Its cosine there.
        hops: Edges from the hit that it is a neighbour of; 0 = found itself.
    """

    kind: str
    id: str
    score: float = 0.0
    why: list[str] = field(default_factory=list[str])
    text: str = ""
    node_id: int | None = None
    words: int | None = None
    bm25: float | None = None
    vectors: int | None = None
    similarity: float | None = None
    hops: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What it is told by."""
        return self.kind, self.id


@dataclass(slots=True)
class Step:
    """A part of the work: what was done, how long it took, what came out."""

    name: str
    seconds: float
    result: str


@dataclass(slots=True, kw_only=True)
class Retrieval:
    """What a question found.

    Attributes:
        hits: Best first.
        mode: What it was found by: `lexical` when only equal words counted.
        steps: How.
    """

    hits: list[Hit]
    mode: str
    steps: list[Step]

    def timings(self) -> dict[str, float]:
        """Seconds by step."""
        return {step.name: round(step.seconds, 6) for step in self.steps}


def fused(lists: Sequence[Sequence[tuple[str, str]]]) -> dict[tuple[str, str], float]:
    """Fuse ranked lists by reciprocal rank: the sum of 1 / (60 + rank), as a share of the most possible.

    Args:
        lists: Keys, best first; each list counts the same.

    Returns:
        Key → score from 0 to 1. A key that is first in all lists has 1.
    """
    scores: dict[tuple[str, str], float] = {}
    for ranked in lists:
        for rank, key in enumerate(ranked, 1):
            scores[key] = scores.get(key, 0.0) + 1 / (RRF_K + rank)
    most = len(lists) / (RRF_K + 1)
    return {key: score / most for key, score in scores.items()}
