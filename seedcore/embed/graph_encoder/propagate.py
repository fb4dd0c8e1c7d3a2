"""Hops: what a node hears from its neighbours, as products of a sparse matrix with their features.

Sums run in a fixed order: scipy adds a row's neighbours one after the other, by ascending number, and
so are dense products made. So a row has the same bits whatever else is in the sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedcore.embed.graph_encoder.sample import OUT, Floats, Heard


@dataclass(frozen=True, slots=True)
class Operators:
    """Sums over neighbours, and how much weight each sum has.

    Attributes:
        out: Sparse (n, n): along edges.
        into: Sparse (n, n): against them.
        out_weight: Sum of each row of `out`, shape (n, 1), never 0.
        into_weight: Likewise of `into`.
        weight: Of both.
    """

    out: Any
    into: Any
    out_weight: Floats
    into_weight: Floats
    weight: Floats


def operators(heard: Heard, count: int, weights: Mapping[str, float] | None = None) -> Operators:
    """Lay out who hears whom as matrices.

    Args:
        heard: Entries in any order.
        count: How many nodes there are.
        weights: Weight of a relation; one that is not named counts 1.
    """
    by_name = np.array([(weights or {}).get(name, 1.0) for name in heard.names], dtype=np.float32)
    values = heard.weights * by_name[heard.relations] if len(by_name) else heard.weights
    order = _order(heard, count)
    rows, cols = heard.rows[order], heard.cols[order]
    values, is_out = values[order], heard.directions[order] == OUT
    found = [
        _csr(rows[chosen], cols[chosen], values[chosen], count) for chosen in (is_out, ~is_out)
    ]
    sums = [_sums(rows[chosen], values[chosen], count) for chosen in (is_out, ~is_out)]
    return Operators(
        found[0], found[1], _divisor(sums[0]), _divisor(sums[1]), _divisor(sums[0] + sums[1])
    )


def _order(heard: Heard, count: int) -> Any:
    """Return the order by row, neighbour, relation and direction."""
    ways = 2 * max(len(heard.names), 1)
    if count and count * count * ways < 2**62:
        keys = (heard.rows * count + heard.cols) * ways + heard.relations * 2 + heard.directions
        return np.argsort(keys, kind="stable")
    return np.lexsort((heard.directions, heard.relations, heard.cols, heard.rows))


def _csr(rows: Any, cols: Any, values: Floats, count: int) -> Any:
    from scipy.sparse import csr_array

    # A neighbour that is heard in several relations stands several times in its row, which is allowed.
    indptr = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=count), out=indptr[1:])
    narrow = np.int32 if max(count, len(rows)) < 2**31 else np.int64
    parts = (values, cols.astype(narrow), indptr.astype(narrow))
    return csr_array(parts, shape=(count, count))


def _sums(rows: Any, values: Floats, count: int) -> Any:
    return np.bincount(rows, weights=values, minlength=count)


def _divisor(sums: Any) -> Floats:
    return np.where(sums > 0, sums, 1.0).astype(np.float32)[:, None]


@dataclass(frozen=True, slots=True)
class Hops:
    """What nodes know after 0, 1, … hops, each of shape (n, d).

    Attributes:
        means: Own features, then the mean over all neighbours of the hop before.
        out: The first hop along edges only.
        into: The first hop against edges only.
    """

    means: list[Floats]
    out: Floats
    into: Floats


def hops(own: Floats, over: Operators, count: int) -> Hops:
    """Let nodes hear their neighbours so many times; a node without neighbours hears nothing, zeros."""
    out, into = over.out @ own, over.into @ own
    means = [own]
    if count:
        means.append((out + into) / over.weight)
    for _ in range(count - 1):
        means.append((over.out @ means[-1] + over.into @ means[-1]) / over.weight)
    return Hops(means, out / over.out_weight, into / over.into_weight)


def unit(rows: Floats) -> Floats:
    """Return rows of length 1; rows of zeros stay."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return (rows / np.where(lengths > 0, lengths, 1.0)[:, None]).astype(np.float32)


def product(rows: Floats, matrix: Floats) -> Floats:
    """Return a dense product whose rows do not depend on each other, nor on their number.

    A matrix library orders its sums by the shape, and by the row's place in it; einsum adds up row by
    row.
    """
    return np.einsum("ij,jk->ik", rows, matrix, optimize=False)
