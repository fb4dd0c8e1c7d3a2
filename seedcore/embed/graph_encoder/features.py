"""Features of a node: its kind, its words as signed hashes, its degree per relation, how recent it is.

The columns are part of the encoders' version: what stands where may never change under stored vectors.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np

from seedcore.embed.graph_encoder.sample import Floats, Ints
from seedcore.embed.terms import terms

TEXT = 2048
"""Columns of words, from 0 on."""

_KINDS = (
    "task", "artifact", "capability", "memory_cell", "fact", "instance", "agent", "organ", "model",
    "policy", "service", "skill",
)  # fmt: skip
_KIND_COLUMNS = 32
_RELATION_COLUMNS = 96
_RELATIONS = (
    "task__depends_on__task", "task__produces__artifact", "task__uses__capability",
    "task__reads__memory_cell", "task__writes__memory_cell", "task__executed_by__organ",
    "task__owned_by__agent", "organ__provides__capability", "agent__owns__memory_cell",
    "agent__member_of__organ", "agent__collab__agent", "organ__provides__skill",
    "organ__uses__service", "organ__governed_by__policy", "agent__uses__model", "task__reads__fact",
    "task__produces__fact",
)  # fmt: skip

KIND_AT = TEXT
DEGREE_AT = KIND_AT + _KIND_COLUMNS
RECENT_AT = DEGREE_AT + _RELATION_COLUMNS
WIDTH = RECENT_AT + 1

KIND_WEIGHT = 0.1
DEGREE_WEIGHT = 0.05
RECENT_WEIGHT = 0.1
"""How much these count beside the words, which have length 1."""

_MOST_TERMS = 2000
"""Terms of one node that are read; what is longer says nothing new about what it is."""


@lru_cache(maxsize=262_144)
def _place(term: str) -> tuple[int, int]:
    digest = blake2b(
        term.encode("utf-8", "replace"), digest_size=8, person=b"seedcore.graph"
    ).digest()
    number = int.from_bytes(digest, "little")
    return number % TEXT, 1 if number >> 63 else -1


def kind_column(kind: str) -> int:
    """Return the column of a kind; kinds that came later share the last ones by hash."""
    if kind in _KINDS:
        return KIND_AT + _KINDS.index(kind)
    return KIND_AT + len(_KINDS) + _place(kind)[0] % (_KIND_COLUMNS - len(_KINDS))


def degree_column(relation: str, direction: int) -> int:
    """Return the column of the degree in a relation and direction, likewise."""
    if relation in _RELATIONS:
        return DEGREE_AT + 2 * _RELATIONS.index(relation) + direction
    free = _RELATION_COLUMNS - 2 * len(_RELATIONS)
    return DEGREE_AT + 2 * len(_RELATIONS) + _place(f"{relation} {direction}")[0] % free


class Features:
    """Collects nodes, in ascending order of their numbers, and lays their features out.

    Args:
        half_life_s: Age at which a node is half as recent, in seconds.
    """

    def __init__(self, half_life_s: float = 86_400.0) -> None:
        self._half_life_s = half_life_s
        self._rows: list[int] = []
        self._columns: list[int] = []
        self._values: list[float] = []
        self._count = 0

    def __len__(self) -> int:
        """Count the nodes."""
        return self._count

    def add(self, kind: str, text: str, age_s: float | None = None) -> None:
        """Add the next node.

        Args:
            kind: Its kind.
            text: Its words and attributes.
            age_s: How old it is at the moment that counts, in seconds; None = no moment does.
        """
        row = self._count
        self._count += 1
        places: dict[int, float] = {}
        for term, count in Counter(terms(text)[:_MOST_TERMS]).items():
            column, sign = _place(term)
            places[column] = places.get(column, 0.0) + sign * (1 + math.log(count))
        for column in sorted(places):
            self._put(row, column, places[column])
        self._put(row, kind_column(kind), KIND_WEIGHT)
        if age_s is not None:
            recent = 0.5 ** (max(age_s, 0.0) / self._half_life_s)
            self._put(row, RECENT_AT, RECENT_WEIGHT * recent)

    def _put(self, row: int, column: int, value: float) -> None:
        if value:
            self._rows.append(row)
            self._columns.append(column)
            self._values.append(value)

    def matrix(self, degrees: Sequence[tuple[Ints, str, int, Floats]] = ()) -> Any:
        """Return the features, sparse, shape (nodes, `WIDTH`); words not yet weighted.

        Args:
            degrees: Positions of nodes, a relation, a direction, and their degrees in it.
        """
        from scipy.sparse import csr_array

        rows = [np.array(self._rows, dtype=np.int64)]
        columns = [np.array(self._columns, dtype=np.int64)]
        values = [np.array(self._values, dtype=np.float32)]
        for nodes, relation, direction, counts in degrees:
            rows.append(nodes)
            columns.append(np.full(len(nodes), degree_column(relation, direction), dtype=np.int64))
            values.append((DEGREE_WEIGHT * np.log1p(counts)).astype(np.float32))
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        found: Any = csr_array(entries, shape=(self._count, WIDTH), dtype=np.float32)
        found.sum_duplicates()
        return found


def weighted(features: Any, idf: Floats | None = None) -> Any:
    """Return features whose words have length 1, after weighting each column of words.

    Args:
        features: Of `Features.matrix`.
        idf: Weights of the columns of words, shape (`TEXT`,); None = all count the same.
    """
    from scipy.sparse import csr_array

    indices: Any = features.indices
    indptr: Any = features.indptr
    rows = int(features.shape[0])
    scale = np.ones(WIDTH, dtype=np.float32)
    if idf is not None:
        scale[:TEXT] = idf
    values: Any = features.data * scale[indices]
    is_text: Any = indices < TEXT
    sizes: Any = indptr[1:] - indptr[:-1]
    row_of: Any = np.arange(rows).repeat(sizes)
    squares = np.where(is_text, values.astype(np.float64) ** 2, 0.0)
    sums = np.bincount(row_of, weights=squares, minlength=rows)
    lengths = np.sqrt(np.where(sums > 0, sums, 1.0))
    parts: Any = (
        np.where(is_text, values / lengths[row_of], values).astype(np.float32),
        indices,
        indptr,
    )
    return csr_array(parts, shape=features.shape)


def idf_of(features: Any) -> Floats:
    """Return the weight of each column of words: rare ones count more, log(1 + n / (1 + df))."""
    words = features.indices[features.indices < TEXT]
    df = np.bincount(words, minlength=TEXT)
    return np.log(1 + features.shape[0] / (1 + df)).astype(np.float32)
