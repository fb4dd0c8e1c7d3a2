"""What a graph encoder reads: some nodes, their features, and who hears whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float32]

OUT, IN = 0, 1
"""Directions in which a node hears another: along its edge, or against it."""

NEIGHBOUR_CAP = 64
"""Neighbours that a node hears per relation and direction: the heaviest, then those that `mix` puts first.

A cap per node, and not per request, so that a vector does not depend on what is embedded together.
"""

_MIX = 1_000_003


@dataclass(frozen=True, slots=True)
class Heard:
    """Who hears whom: an edge gives two entries, one for each end, unless a cap leaves one out.

    Attributes:
        rows: Positions of those who hear, shape (m,).
        cols: Positions of those who are heard, shape (m,).
        relations: Numbers into `names`, shape (m,).
        directions: `OUT` or `IN`, shape (m,).
        weights: Shape (m,).
        names: The relations.
    """

    rows: Ints
    cols: Ints
    relations: Ints
    directions: Ints
    weights: Floats
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A part of the graph that holds all that the vectors of some nodes depend on; or the whole graph.

    Attributes:
        node_ids: Numbers of the nodes, ascending, shape (n,). The order decides in which order
            neighbours are added up, so it must not depend on the request.
        features: Sparse, shape (n, `features.WIDTH`), before weighting.
        heard: Who hears whom.
        start: Positions of the nodes whose vectors are wanted.
    """

    node_ids: Ints
    features: Any
    heard: Heard
    start: Ints

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.node_ids)


def both_ways(
    src: Ints, dst: Ints, relations: Ints, weights: Floats, names: tuple[str, ...]
) -> Heard:
    """Return who hears whom along edges: the source its target, and the target its source."""
    edges = len(src)
    return Heard(
        rows=np.concatenate([src, dst]),
        cols=np.concatenate([dst, src]),
        relations=np.concatenate([relations, relations]),
        directions=np.repeat(np.array([OUT, IN], dtype=np.int64), edges),
        weights=np.concatenate([weights, weights]).astype(np.float32),
        names=names,
    )


def mix(node: Ints, other: Ints) -> Ints:
    """Return numbers that put a node's neighbours into an arbitrary, fixed order; SQL has the same."""
    return ((node % _MIX) * 7919 + (other % _MIX) * 104_729) % _MIX


def capped(heard: Heard, node_ids: Ints, cap: int = NEIGHBOUR_CAP) -> Heard:
    """Leave out what goes beyond the cap of a node, relation and direction."""
    groups = (heard.rows * len(heard.names) + heard.relations) * 2 + heard.directions
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    over = np.flatnonzero(sizes[group] > cap)
    if not len(over):
        return heard
    rows, cols = node_ids[heard.rows[over]], node_ids[heard.cols[over]]
    order = np.lexsort((cols, mix(rows, cols), -heard.weights[over], group[over]))
    of_group = group[over][order]
    begins = np.flatnonzero(np.r_[True, of_group[1:] != of_group[:-1]])
    lengths = np.diff(np.r_[begins, len(of_group)])
    place = np.arange(len(of_group)) - np.repeat(begins, lengths)
    keep = np.ones(len(heard.rows), dtype=bool)
    keep[over[order[place >= cap]]] = False
    return Heard(
        heard.rows[keep],
        heard.cols[keep],
        heard.relations[keep],
        heard.directions[keep],
        heard.weights[keep],
        heard.names,
    )
