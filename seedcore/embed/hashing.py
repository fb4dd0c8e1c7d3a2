"""The encoder that needs nothing: signed hashes of stems and pairs of stems.

K. Weinberger and others, "Feature hashing for large scale multitask learning" (2009): each term adds ±1
times its weight to one place, so that collisions cancel out on average. It knows equal words, not
meaning. It serves as long as there are too few texts to fit anything on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from seedcore.embed.model import TEXT_DIM, EncoderIdentity, Purpose, Vectors, normalised
from seedcore.embed.terms import terms, with_pairs

_PAIR_WEIGHT = 0.5


@lru_cache(maxsize=262_144)
def _place(term: str, dim: int) -> tuple[int, int]:
    """Return the place of a term and its sign; the same in every process and on every machine."""
    number = int.from_bytes(
        blake2b(term.encode("utf-8", "replace"), digest_size=8).digest(), "little"
    )
    return number % dim, 1 if number >> 63 else -1


class HashEncoder:
    """Signed hashing of terms.

    Args:
        dim: Dimensions of its vectors.
    """

    is_lexical = True

    def __init__(self, dim: int = TEXT_DIM) -> None:
        self.identity = EncoderIdentity(name="hash", version=1, dim=dim, native_dim=dim)

    def encode(self, texts: Sequence[str], purpose: Purpose = Purpose.PASSAGE) -> Vectors:
        """See `TextEncoder`; questions and documents are the same to it."""
        del purpose
        dim = self.identity.native_dim
        vectors = np.zeros((len(texts), dim), dtype=np.float64)
        for row, text in zip(vectors, texts, strict=True):
            for term, count in Counter(with_pairs(terms(text))).items():
                place, sign = _place(term, dim)
                weight = (1 + math.log(count)) * (_PAIR_WEIGHT if " " in term else 1)
                row[place] += sign * weight
        return normalised(vectors)
