"""The offline encoder: latent semantic analysis, fitted on the user's own texts.

S. Deerwester and others, "Indexing by latent semantic analysis" (1990): terms that stand in the same texts
lie near each other, so a text is found that shares no word with the question. The decomposition is the
randomised one of N. Halko, P. G. Martinsson and J. A. Tropp, "Finding structure with randomness" (2011),
algorithm 4.4 with two power iterations. A part of each vector is signed hashes, so that names and words
that the fit has never seen still count.
"""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from seedcore.embed.hashing import HashEncoder
from seedcore.embed.model import EncoderIdentity, Purpose, Vectors, normalised
from seedcore.embed.terms import terms
from seedcore.errors import Conflict

Matrix: TypeAlias = Any
"""A sparse matrix in rows; scipy ships no types for them."""

TOPICS = 512
"""Dimensions of the fitted part, at most."""

HASHED = 512
"""Dimensions of the hashed part."""

HASH_SHARE = 0.05
"""Share of a cosine that the hashed part decides."""

VOCABULARY = 50_000
"""Terms that are kept, at most: the most frequent ones."""

_OVERSAMPLED = 16
_POWER_ITERATIONS = 2
_SEED = 20_110


@dataclass(frozen=True, slots=True)
class Fit:
    """What the encoder learnt.

    Attributes:
        vocabulary: The terms, in alphabetical order.
        idf: Shape (terms,): how rare each is.
        topics: Shape (terms, dimensions): where each leads.
        texts: How many texts it was fitted on.
    """

    vocabulary: tuple[str, ...]
    idf: npt.NDArray[np.float32]
    topics: npt.NDArray[np.float32]
    texts: int


def fit(texts: Iterable[str], topics: int = TOPICS) -> Fit:
    """Fit on texts: the same texts in the same order give the same weights on one machine.

    Args:
        texts: Read once; what is kept of each are its terms and their counts.
        topics: Dimensions wanted; fewer where the texts hold fewer.

    Raises:
        Conflict: There is too little in them to fit anything on.
    """
    numbers: dict[str, int] = {}
    starts: list[int] = [0]
    places: list[int] = []
    counts: list[float] = []
    for text in texts:
        for term, count in Counter(terms(text)).items():
            places.append(numbers.setdefault(term, len(numbers)))
            counts.append(1 + math.log(count))
        starts.append(len(places))
    rows = len(starts) - 1
    matrix: Matrix = sparse.csr_matrix(
        (
            np.asarray(counts, dtype=np.float32),
            np.asarray(places, dtype=np.int32),
            np.asarray(starts, dtype=np.int64),
        ),
        shape=(rows, len(numbers)),
    )
    frequency = np.bincount(np.asarray(places, dtype=np.int64), minlength=len(numbers))
    names = np.array(list(numbers), dtype=object)
    # A term of a single text leads nowhere.
    often = np.flatnonzero(frequency >= 2)
    order = sorted(often.tolist(), key=lambda place: (-int(frequency[place]), str(names[place])))
    kept = sorted(order[:VOCABULARY], key=lambda place: str(names[place]))
    if len(kept) < 2 or rows < 2:
        raise Conflict(
            f"{rows} texts share {len(kept)} terms, which is too little to fit anything on",
            code="embed.too_few_texts",
            hint="the encoder hash serves meanwhile",
        )
    idf = (np.log((1 + rows) / (1 + frequency[kept])) + 1).astype(np.float32)
    weighted = _unit_rows(sparse.csr_matrix(matrix[:, kept].multiply(idf)))
    size = min(topics, len(kept) - 1, rows - 1)
    return Fit(
        vocabulary=tuple(str(names[place]) for place in kept),
        idf=idf,
        # As they will be stored, so that the encoder gives the same before and after.
        topics=_right_vectors(weighted, size).astype(np.float16).astype(np.float32),
        texts=rows,
    )


def _unit_rows(matrix: Matrix) -> Matrix:
    squares: npt.NDArray[np.float32] = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
    lengths = np.sqrt(squares)
    return sparse.csr_matrix(sparse.diags(1 / np.where(lengths > 0, lengths, 1)) @ matrix)


def _right_vectors(matrix: Matrix, size: int) -> npt.NDArray[np.float32]:
    """Return the first right singular vectors, shape (columns, size), with fixed signs."""
    width = min(size + _OVERSAMPLED, *matrix.shape)
    start = np.random.default_rng(_SEED).standard_normal((matrix.shape[1], width))
    basis = np.linalg.qr(matrix @ start)[0]
    for _ in range(_POWER_ITERATIONS):
        basis = np.linalg.qr(matrix.T @ basis)[0]
        basis = np.linalg.qr(matrix @ basis)[0]
    small = (matrix.T @ basis).T
    right = np.linalg.svd(small, full_matrices=False)[2][:size]
    largest = np.abs(right).argmax(axis=1)
    signs = np.sign(right[np.arange(len(right)), largest])
    return np.ascontiguousarray((right * signs[:, None]).T, dtype=np.float32)


def texts_of_weights(weights: bytes) -> int:
    """Return how many texts stored weights were fitted on."""
    with np.load(io.BytesIO(weights), allow_pickle=False) as archive:
        return int(json.loads(archive["about"].tobytes())["texts"])


class LsaEncoder:
    """Topics of the fit, beside signed hashes.

    Args:
        learnt: What it learnt.
        version: Counts the fits.
    """

    is_lexical = False

    def __init__(self, learnt: Fit, version: int = 1) -> None:
        self.fit = learnt
        self._numbers = {term: place for place, term in enumerate(learnt.vocabulary)}
        self._hashes = HashEncoder(HASHED)
        self.identity = EncoderIdentity(
            name="lsa", version=version, native_dim=learnt.topics.shape[1] + HASHED
        )

    @classmethod
    def loaded(cls, identity: EncoderIdentity, weights: bytes) -> LsaEncoder:
        """Return the encoder of stored weights.

        Raises:
            Conflict: They are not what `weights` makes.
        """
        try:
            # Without pickles: what is loaded can't run anything.
            with np.load(io.BytesIO(weights), allow_pickle=False) as archive:
                about = json.loads(archive["about"].tobytes())
                learnt = Fit(
                    vocabulary=tuple(archive["vocabulary"].tobytes().decode().split("\n")),
                    idf=archive["idf"].astype(np.float32),
                    topics=archive["topics"].astype(np.float32),
                    texts=int(about["texts"]),
                )
        except (KeyError, ValueError, OSError, EOFError) as error:
            raise Conflict(
                f"the weights of {identity.model} can't be read: {error}",
                code="embed.bad_weights",
                hint="seedcore embed fit",
            ) from error
        encoder = cls(learnt, identity.version)
        if (
            learnt.topics.shape[0] != len(learnt.vocabulary)
            or encoder.identity.native_dim != identity.native_dim
        ):
            raise Conflict(
                f"the weights of {identity.model} are of another shape than its row says",
                code="embed.bad_weights",
                hint="seedcore embed fit",
            )
        return encoder

    def weights(self) -> bytes:
        """Return what it learnt as an npz archive; the same fit gives the same bytes.

        Half precision: a cosine differs by less than 1e-3, and the archive is half as large.
        """
        target = io.BytesIO()
        about = json.dumps({"texts": self.fit.texts, "hashed": HASHED}).encode()
        np.savez(
            target,
            about=np.frombuffer(about, dtype=np.uint8),
            vocabulary=np.frombuffer("\n".join(self.fit.vocabulary).encode(), dtype=np.uint8),
            idf=self.fit.idf,
            topics=self.fit.topics.astype(np.float16),
        )
        return target.getvalue()

    def encode(self, texts: Sequence[str], purpose: Purpose = Purpose.PASSAGE) -> Vectors:
        """See `TextEncoder`; questions and documents are the same to it."""
        topics = normalised(self._matrix(texts) @ self.fit.topics)
        hashed = self._hashes.encode(texts, purpose)
        both = np.hstack([math.sqrt(1 - HASH_SHARE) * topics, math.sqrt(HASH_SHARE) * hashed])
        return normalised(both)

    def _matrix(self, texts: Sequence[str]) -> Matrix:
        """Return tf-idf of the terms that are known, one row a text."""
        starts: list[int] = [0]
        places: list[int] = []
        values: list[float] = []
        for text in texts:
            for term, count in Counter(terms(text)).items():
                place = self._numbers.get(term)
                if place is not None:
                    places.append(place)
                    values.append((1 + math.log(count)) * float(self.fit.idf[place]))
            starts.append(len(places))
        return sparse.csr_matrix(
            (
                np.asarray(values, dtype=np.float32),
                np.asarray(places, dtype=np.int32),
                np.asarray(starts, dtype=np.int64),
            ),
            shape=(len(texts), len(self._numbers)),
        )
