"""Put sources in an order in which they don't repeat each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from seedcore.memory.model import Hit

RELEVANCE: Final = 0.7
"""Share of the score against that of being new."""


def diversified(
    hits: Sequence[Hit], terms: Mapping[tuple[str, str], frozenset[str]], k: int
) -> list[Hit]:
    """Return k hits by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    Each next one has the most of `0.7 score - 0.3 likeness`, where likeness is the largest share of stems that it
    has in common with one that was chosen before (Jaccard).

    Args:
        hits: Best first.
        terms: The stems of each.
        k: How many.
    """
    left = list(hits)
    alike = [0.0] * len(left)  # of each to what was chosen, kept up with every choice
    chosen: list[Hit] = []
    while left and len(chosen) < k:
        worth = [
            RELEVANCE * hit.score - (1 - RELEVANCE) * same
            for hit, same in zip(left, alike, strict=True)
        ]
        best = max(range(len(left)), key=lambda n: (worth[n], -n))
        hit = left.pop(best)
        del alike[best]
        chosen.append(hit)
        own = terms.get(hit.key, frozenset())
        alike = [
            max(same, _jaccard(own, terms.get(other.key, frozenset())))
            for other, same in zip(left, alike, strict=True)
        ]
    return chosen


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a and b else 0.0
