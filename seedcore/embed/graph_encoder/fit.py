"""Fit the head on a graph, in closed form: which projections tell linked nodes from others.

Some edges are kept for supervision and are not heard along, as in inductive link prediction: a head
that hears the edge that it shall predict learns nothing. The basis is a truncated singular value
decomposition of what nodes know after all hops, found by random projection and power iterations
(Halko, Martinsson and Tropp, 2011) from sparse products alone. The head solves the generalised
eigenproblem S w = λ (C + ridge) w of the symmetrised second moment S of linked pairs against the
covariance C; directions count by √λ. Of a few heads, the one that predicts held-out edges best is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seedcore.embed.graph_encoder.encoders import (
    DEFAULT_HOPS,
    MOST_HOPS,
    GraphHead,
    GraphMean,
    Head,
    knowledge,
)
from seedcore.embed.graph_encoder.features import WIDTH, idf_of, weighted
from seedcore.embed.graph_encoder.propagate import Hops, Operators, hops, operators, product, unit
from seedcore.embed.graph_encoder.sample import Floats, Heard, Ints, Sample, both_ways, capped
from seedcore.embed.model import GRAPH_DIM
from seedcore.errors import UsageError

LEAST_NODES, LEAST_EDGES = 50, 100
"""Below that there is nothing to learn from, and `graph-mean` is as good."""

_RANK = 128
_RIDGES = (0.5, 2.0, 8.0, 32.0)
_MOST_PAIRS = 500_000
_POWER_ITERATIONS = 4


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges of a graph, by the positions of their ends.

    Attributes:
        src: Shape (m,).
        dst: Shape (m,).
        relations: Numbers into `names`, shape (m,).
        weights: Shape (m,).
        names: The relations.
    """

    src: Ints
    dst: Ints
    relations: Ints
    weights: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Count them."""
        return len(self.src)

    def only(self, chosen: Any) -> Edges:
        """Return some of them."""
        return Edges(
            self.src[chosen],
            self.dst[chosen],
            self.relations[chosen],
            self.weights[chosen],
            self.names,
        )

    def heard(self, node_ids: Ints) -> Heard:
        """Return who hears whom along them, within the cap."""
        whole = both_ways(self.src, self.dst, self.relations, self.weights, self.names)
        return capped(whole, node_ids)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit found.

    Attributes:
        head: The best head.
        auc: Link prediction on held-out edges, by the cosine of the vectors.
        mean_auc: That of `graph-mean` on the same edges.
        tried: AUC of each head that was tried, by name.
    """

    head: Head
    auc: float
    mean_auc: float
    tried: dict[str, float]


def fit(
    node_ids: Ints,
    features: Any,
    edges: Edges,
    *,
    hop_count: int = DEFAULT_HOPS,
    seed: int = 0,
) -> Fitted:
    """Fit a head.

    Args:
        node_ids: Numbers of the nodes, ascending, shape (n,).
        features: Sparse, shape (n, `WIDTH`).
        edges: All edges.
        hop_count: Hops that it will look, 1 to 4.
        seed: Of the split and the random projection.

    Raises:
        UsageError: The graph is too small, or so many hops are not allowed.
    """
    if not 1 <= hop_count <= MOST_HOPS:
        raise UsageError(f"a fit takes 1 to {MOST_HOPS} hops, not {hop_count}", code="graph.bad_k")
    nodes = len(node_ids)
    if nodes < LEAST_NODES or len(edges) < LEAST_EDGES:
        raise UsageError(
            f"a graph of {nodes} nodes and {len(edges)} edges is too small to learn from: it takes"
            f" {LEAST_NODES} and {LEAST_EDGES}",
            code="graph.too_small",
            hint="graph-mean-v1 needs no fit, and serves",
        )
    rng = np.random.default_rng(seed)
    lot = rng.random(len(edges))
    message, pairs, held = (
        edges.only(c) for c in (lot < 0.7, (lot >= 0.7) & (lot < 0.9), lot >= 0.9)
    )
    pairs = _some(pairs, _MOST_PAIRS, rng)
    held = _some(held, _MOST_PAIRS // 5, rng)
    wrong = _not_linked(edges, held, nodes, rng)
    idf = idf_of(features)
    whole = weighted(features, idf)
    base = Head(
        idf=idf, basis=np.zeros((WIDTH, 0), np.float32), mean=np.zeros(0, np.float32),
        weights=np.zeros((0, 0), np.float32), hops=hop_count, is_sum=True, auc=0.0,
        relations=tuple(sorted({edges.names[int(n)] for n in np.unique(edges.relations)})),
    )  # fmt: skip
    over = operators(message.heard(node_ids), nodes, apart=True)
    base = replace(base, basis=_basis(whole, over, hop_count, rng))
    learned = _heads(hops(whole @ base.basis, over, hop_count), base, pairs)
    # Held-out edges are predicted from all the others, those of the supervision included.
    later = edges.only(lot < 0.9).heard(node_ids)
    heard = hops(whole @ base.basis, operators(later, nodes, apart=True), hop_count)
    tried: dict[str, float] = {}
    best = base
    for name, head in learned.items():
        auc = _auc(_vectors(heard, head), held, wrong)
        tried[name] = auc
        if auc > best.auc:
            best = replace(head, auc=auc)
    everything = np.arange(nodes)
    plain = GraphMean().encode(Sample(node_ids, features, later, everything), hop_count)
    return Fitted(best, best.auc, _auc(plain, held, wrong), tried)


def _some(edges: Edges, most: int, rng: np.random.Generator) -> Edges:
    if len(edges) <= most:
        return edges
    return edges.only(np.sort(rng.choice(len(edges), most, replace=False)))


def _not_linked(
    edges: Edges, like: Edges, nodes: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Return pairs that no edge links: the same sources, and targets that such edges have."""
    known = np.unique(
        np.concatenate([edges.src * nodes + edges.dst, edges.dst * nodes + edges.src])
    )
    src, dst = np.zeros(0, np.int64), np.zeros(0, np.int64)
    # Targets of the same relation, so that kind alone does not tell them apart.
    targets = {n: np.unique(edges.dst[edges.relations == n]) for n in np.unique(like.relations)}
    for _ in range(20):
        for relation, possible in targets.items():
            first = like.src[like.relations == relation]
            second = possible[rng.integers(0, len(possible), len(first))]
            good = (first != second) & ~np.isin(first * nodes + second, known)
            src, dst = np.r_[src, first[good]], np.r_[dst, second[good]]
        if len(src) >= len(like):
            break
    return src[: len(like)], dst[: len(like)]


def _basis(features: Any, over: Operators, count: int, rng: np.random.Generator) -> Floats:
    """Return the right singular vectors of what nodes know after all hops, shape (WIDTH, r)."""

    def forward(matrix: Any) -> Any:
        own = features @ matrix
        total, last = own.copy(), own
        for _ in range(count):
            last = over.both @ last
            total += last
        return total

    def back(matrix: Any) -> Any:
        total, last = matrix.copy(), matrix
        for _ in range(count):
            last = over.both.T @ last
            total += last
        return features.T @ total

    rank = min(_RANK, features.shape[0])
    width = min(rank + 32, features.shape[0])
    found = rng.standard_normal((features.shape[1], width))
    for _ in range(_POWER_ITERATIONS):
        found, _ = np.linalg.qr(back(forward(found)))
    # Rotated so that the strongest directions come first.
    known = forward(found)
    _, turn = np.linalg.eigh(known.T @ known)
    return np.ascontiguousarray((found @ turn[:, ::-1])[:, :rank], dtype=np.float32)


def _heads(heard: Hops, base: Head, pairs: Edges) -> dict[str, Head]:
    heads: dict[str, Head] = {}
    for is_sum in (True, False):
        known = knowledge(heard, base.hops, is_sum=is_sum).astype(np.float64)
        mean = known.mean(axis=0)
        known -= mean
        covariance = known.T @ known / len(known)
        # Pair by pair would be as large as all pairs; in slices it is not.
        second = np.zeros_like(covariance)
        for begin in range(0, len(pairs), 50_000):
            part = slice(begin, begin + 50_000)
            second += known[pairs.src[part]].T @ known[pairs.dst[part]]
        second = (second + second.T) / (2 * max(len(pairs), 1))
        for ridge in _RIDGES:
            name = f"{'sum' if is_sum else 'apart'}, ridge {ridge:g}"
            weights = _solve(second, covariance, ridge)
            heads[name] = replace(
                base, mean=mean.astype(np.float32), weights=weights, is_sum=is_sum
            )
    return heads


def _solve(second: Any, covariance: Any, ridge: float) -> Floats:
    from scipy import linalg

    solver: Any = linalg
    size = len(covariance)
    level = float(np.trace(covariance)) / size
    full = covariance + (ridge * level + 1e-12) * np.eye(size)
    first = max(size - GRAPH_DIM, 0)
    values, vectors = solver.eigh(second, full, subset_by_index=[first, size - 1])
    scaled: Any = vectors * np.sqrt(np.clip(values, 0.0, None))
    # The sign of an eigenvector is free; fixed, two libraries agree on it.
    largest = np.abs(scaled).argmax(axis=0)
    flip = np.where(scaled[largest, np.arange(scaled.shape[1])] < 0, -1.0, 1.0)
    return np.ascontiguousarray((scaled * flip)[:, ::-1], dtype=np.float32)


def _vectors(heard: Hops, head: Head) -> Floats:
    known = knowledge(heard, head.hops, is_sum=head.is_sum)
    return unit(product(known - head.mean, head.weights))


def _auc(vectors: Floats, linked: Edges, wrong: tuple[Ints, Ints]) -> float:
    def similar(first: Ints, second: Ints) -> Any:
        return np.einsum("ij,ij->i", vectors[first], vectors[second])

    return auc(similar(linked.src, linked.dst), similar(*wrong))


def auc(positive: Any, negative: Any) -> float:
    """Return the chance that a positive scores higher than a negative; ties count half."""
    from scipy import stats

    ranking: Any = stats

    if not len(positive) or not len(negative):
        return 0.5
    ranks: Any = ranking.rankdata(np.concatenate([positive, negative]))
    above = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))


def encoder_of(fitted: Fitted, version: int) -> GraphHead:
    """Return the encoder of a fit."""
    return GraphHead(fitted.head, version)
