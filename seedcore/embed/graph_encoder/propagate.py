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
    """Means over neighbours, as sparse matrices of shape (n, n) whose rows add up to 1, or to 0.

    Attributes:
        both: Over all neighbours.
        out: Along edges only; None unless asked for.
        into: Against them only, likewise.
    """

    both: Any
    out: Any = None
    into: Any = None


def operators(
    heard: Heard,
    count: int,
    weights: Mapping[str, float] | None = None,
    *,
    apart: bool = False,
) -> Operators:
    """Lay out who hears whom as matrices.

    Args:
        heard: Entries in any order.
        count: How many nodes there are.
        weights: Weight of a relation; one that is not named counts 1.
        apart: Also each direction by itself.
    """
    by_name = np.array([(weights or {}).get(name, 1.0) for name in heard.names], dtype=np.float32)
    values = heard.weights * by_name[heard.relations] if weights and len(by_name) else heard.weights
    order = _order(heard, count)
    rows, cols, values = heard.rows[order], heard.cols[order], values[order]
    both = _csr(rows, cols, values, count)
    if not apart:
        return Operators(both)
    is_out = heard.directions[order] == OUT
    parts = [_csr(rows[one], cols[one], values[one], count) for one in (is_out, ~is_out)]
    return Operators(both, *parts)


def _order(heard: Heard, count: int) -> Any:
    """Return the order by row, neighbour, relation and direction."""
    ways = 2 * max(len(heard.names), 1)
    if count and count * count * ways < 2**62:
        keys = (heard.rows * count + heard.cols) * ways + heard.relations * 2 + heard.directions
        return np.argsort(keys, kind="stable")
    return np.lexsort((heard.directions, heard.relations, heard.cols, heard.rows))


def _csr(rows: Any, cols: Any, values: Floats, count: int) -> Any:
    from scipy.sparse import csr_array

    sums = np.bincount(rows, weights=values, minlength=count)
    shares = (values / np.where(sums > 0, sums, 1.0)[rows]).astype(np.float32)
    # A neighbour that is heard in several relations stands several times in its row, which is allowed.
    indptr = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=count), out=indptr[1:])
    narrow = np.int32 if max(count, len(rows)) < 2**31 else np.int64
    parts = (shares, cols.astype(narrow), indptr.astype(narrow))
    return csr_array(parts, shape=(count, count))


@dataclass(frozen=True, slots=True)
class Hops:
    """What nodes know after 0, 1, … hops, each of shape (n, d).

    Attributes:
        means: Own features, then the mean over all neighbours of the hop before.
        sides: The first hop along edges only, and against them only; empty unless asked for.
    """

    means: list[Floats]
    sides: list[Floats]


def hops(own: Floats, over: Operators, count: int) -> Hops:
    """Let nodes hear their neighbours so many times; a node without neighbours hears nothing, zeros."""
    means = [own]
    for _ in range(count):
        means.append(over.both @ means[-1])
    sides = [side for side in (over.out, over.into) if side is not None]
    # Who does not listen hears no side either.
    return Hops(means, [side @ own if count else np.zeros_like(own) for side in sides])


def unit(rows: Floats) -> Floats:
    """Return rows of length 1; rows of zeros stay."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    scale = (1 / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return rows * scale[:, None]


def product(rows: Floats, matrix: Floats) -> Floats:
    """Return a dense product whose rows do not depend on each other, nor on their number.

    A matrix library orders its sums by the shape, and by the row's place in it; einsum adds up row by
    row.
    """
    return np.einsum("ij,jk->ik", rows, matrix, optimize=False)
