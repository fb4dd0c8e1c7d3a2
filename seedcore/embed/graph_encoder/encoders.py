"""The two encoders: `graph-mean`, which needs nothing, and `graph-head`, which was fitted on a graph."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256, shake_256
from typing import Any, Protocol

import numpy as np

from seedcore.embed.graph_encoder.features import TEXT, WIDTH, weighted
from seedcore.embed.graph_encoder.propagate import Hops, hops, operators, product, unit
from seedcore.embed.graph_encoder.sample import Floats, Sample
from seedcore.embed.model import GRAPH_DIM, EncoderFault, EncoderIdentity, Vectors
from seedcore.errors import UsageError

MEAN, HEAD = "graph-mean", "graph-head"
DEFAULT_HOPS = 2
MOST_HOPS = 4

_SEED = b"seedcore graph-mean-v1"
_MOST_WEIGHTS = 64 * 1024 * 1024


class GraphEncoder(Protocol):
    """What every encoder of graph nodes is."""

    @property
    def identity(self) -> EncoderIdentity:
        """What its vectors are stored under."""
        ...

    def hops_for(self, k: int | None) -> int:
        """Return how many hops it looks when asked for `k`; None = as many as suit it."""
        ...

    def encode(self, sample: Sample, k: int | None = None) -> Vectors:
        """Return the vectors of `sample.start`, in that order, of length 1.

        Args:
            sample: Has to hold every node within `hops_for(k)` hops, and whom those nearer than that hear.
            k: How many hops.

        Returns:
            Shape (len(start), 128). The same sample gives the same bits on one machine and set of
            libraries, and numbers within 1e-5 elsewhere.
        """
        ...


def check_hops(k: int | None) -> int | None:
    """Return the number of hops if it is allowed.

    Raises:
        UsageError: It is not 0 to 4.
    """
    if k is not None and not 0 <= k <= MOST_HOPS:
        raise UsageError(f"k can be 0 to {MOST_HOPS}, not {k}", code="graph.bad_k")
    return k


@lru_cache(maxsize=4)
def signs(width: int, dim: int, seed: bytes = _SEED) -> Floats:
    """Return a fixed matrix of ±1/√dim, the same on every machine and in every version of numpy.

    Random signs keep angles as well as a Gaussian matrix (Achlioptas, 2003).
    """
    bits = np.unpackbits(np.frombuffer(shake_256(seed).digest(width * dim // 8), dtype=np.uint8))
    return ((bits.astype(np.float32) * 2 - 1) / np.float32(np.sqrt(dim))).reshape(width, dim)


class GraphMean:
    """Features projected at random, and the mean of what each hop says. Works on an empty graph."""

    identity = EncoderIdentity(
        name=MEAN, version=1, kind="graph", dim=GRAPH_DIM, native_dim=GRAPH_DIM
    )

    def hops_for(self, k: int | None) -> int:
        """See `GraphEncoder`."""
        return DEFAULT_HOPS if k is None else k

    def encode(self, sample: Sample, k: int | None = None) -> Vectors:
        """See `GraphEncoder`."""
        own = unit(_projected(weighted(sample.features), signs(WIDTH, GRAPH_DIM)))
        heard = hops(own, operators(sample.heard, len(sample)), self.hops_for(k))
        total = np.zeros_like(own)
        for one in heard.means:
            total += unit(one)
        return _never_zero(unit(total[sample.start]))


@dataclass(frozen=True)
class Head:
    """What a fit learned.

    Attributes:
        idf: Weights of the columns of words, shape (TEXT,).
        basis: Projection of the features, shape (WIDTH, r).
        mean: Mean of what is known of a node, shape (f,).
        weights: The head, shape (f, 128).
        hops: How many it was fitted with.
        is_sum: Whether a node knows the sum over the hops (f = r), or each of them apart.
        auc: Link prediction on held-out edges when it was fitted.
        relations: Relations that it was fitted on.
    """

    idf: Floats
    basis: Floats
    mean: Floats
    weights: Floats
    hops: int
    is_sum: bool
    auc: float
    relations: tuple[str, ...]


class GraphHead:
    """Projections learned from a graph in closed form.

    Args:
        head: What was learned.
        version: The number of the fit.
        digest: SHA-256 of the stored weights.
    """

    def __init__(self, head: Head, version: int = 1, digest: str | None = None) -> None:
        self.head = head
        self.identity = EncoderIdentity(
            name=HEAD, version=version, kind="graph", dim=GRAPH_DIM,
            native_dim=head.weights.shape[1], digest=digest,
        )  # fmt: skip

    @classmethod
    def loaded(cls, identity: EncoderIdentity, weights: bytes) -> GraphHead:
        """Return the encoder of stored weights.

        Raises:
            EncoderFault: They are no weights of such an encoder.
        """
        return cls(unpack(weights), identity.version, identity.digest)

    def hops_for(self, k: int | None) -> int:
        """See `GraphEncoder`; further than it was fitted for says nothing to it."""
        return self.head.hops if k is None else min(k, self.head.hops)

    def encode(self, sample: Sample, k: int | None = None) -> Vectors:
        """See `GraphEncoder`."""
        own = _projected(weighted(sample.features, self.head.idf), self.head.basis)
        heard = hops(
            own, operators(sample.heard, len(sample), apart=not self.head.is_sum), self.hops_for(k)
        )
        known = knowledge(heard, self.head.hops, is_sum=self.head.is_sum)[sample.start]
        return _never_zero(unit(product(known - self.head.mean, self.head.weights)))


def knowledge(heard: Hops, count: int, *, is_sum: bool) -> Floats:
    """Return what is known of each node, for the head.

    Args:
        heard: What it heard.
        count: Hops that the head was fitted with; where fewer were made, the last one stands for the rest.
        is_sum: The sum over the hops; else each of them apart, and the first one by direction.
    """
    means = heard.means + [heard.means[-1]] * (count + 1 - len(heard.means))
    if is_sum:
        total = means[0].copy()
        for one in means[1:]:
            total += one
        return unit(total)
    return np.concatenate([unit(one) for one in [*means, *heard.sides]], axis=1)


def pack(head: Head) -> bytes:
    """Return weights as the bytes of an npz file; the same weights give the same bytes."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        "idf": head.idf,
        "basis": head.basis,
        "mean": head.mean,
        "weights": head.weights,
        "hops": np.int64(head.hops),
        "is_sum": np.bool_(head.is_sum),
        "auc": np.float64(head.auc),
        "relations": np.array(head.relations, dtype=np.str_),
    }
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(weights: bytes) -> Head:
    """Return what `pack` wrote.

    Raises:
        EncoderFault: It is something else.
    """
    try:
        with np.load(io.BytesIO(weights), allow_pickle=False, max_header_size=10_000) as stored:
            head = Head(
                idf=stored["idf"].astype(np.float32),
                basis=stored["basis"].astype(np.float32),
                mean=stored["mean"].astype(np.float32),
                weights=stored["weights"].astype(np.float32),
                hops=int(stored["hops"]),
                is_sum=bool(stored["is_sum"]),
                auc=float(stored["auc"]),
                relations=tuple(str(name) for name in stored["relations"]),
            )
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise EncoderFault(
            "these are no weights of a graph encoder",
            code="embed.bad_weights",
            hint="seedcore graph fit",
        ) from error
    width = (
        head.basis.shape[1] * (1 if head.is_sum else head.hops + 3) if head.basis.ndim == 2 else 0
    )
    arrays = (head.idf, head.basis, head.mean, head.weights)
    if (
        head.idf.shape != (TEXT,)
        or head.basis.shape[0] != WIDTH
        or head.mean.shape != (width,)
        or head.weights.ndim != 2
        or head.weights.shape[0] != width
        or not 1 <= head.weights.shape[1] <= GRAPH_DIM
        or not 1 <= head.hops <= MOST_HOPS
        or len(weights) > _MOST_WEIGHTS
        or not all(np.isfinite(one).all() for one in arrays)
    ):
        raise EncoderFault(
            "the weights of the graph encoder do not fit this program",
            code="embed.bad_weights",
            hint="seedcore graph fit",
        )
    return head


def digest_of(weights: bytes) -> str:
    """Return the SHA-256 of weights, in hexadecimal digits."""
    return sha256(weights).hexdigest()


def _projected(features: Any, basis: Floats) -> Floats:
    # A sparse product adds a row's entries one after the other, whatever the other rows are.
    return features @ basis


def _never_zero(rows: Floats) -> Floats:
    """Return rows with a fixed direction in place of one that says nothing, which is like no other."""
    empty = ~rows.any(axis=1)
    if empty.any():
        rows[empty] = np.float32(1 / np.sqrt(rows.shape[1]))
    return rows
