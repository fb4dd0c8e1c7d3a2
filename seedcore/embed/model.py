"""The words of embeddings: encoder, purpose, vectors; and what may be stored as a vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from seedcore.errors import SeedcoreError, UsageError

Vectors: TypeAlias = npt.NDArray[np.float32]
"""One vector a row, shape (n, dimensions)."""

TEXT_DIM = 1024
"""Dimensions in which vectors of texts are stored."""

GRAPH_DIM = 128
"""Dimensions in which vectors of the graph's shape are stored."""

DIMS = (GRAPH_DIM, TEXT_DIM)

TASK_LABEL = "task.primary"
FACT_LABEL = "fact.primary"

MAX_TEXT_CHARS = 16_000
"""Longest text that is embedded; `task_content_text` cuts what is stored at the same length."""


class EncoderFault(SeedcoreError):
    """An encoder gave something that is no vector."""

    code = "embed.bad_vector"


class SomeRefused(EncoderFault):
    """An encoder refuses some texts.

    Args:
        vectors: What it gave for the others; rows of zeros for those that it refuses.
        refused: Place → why.
    """

    code = "embed.text_refused"

    def __init__(self, vectors: Vectors, refused: Mapping[int, str]) -> None:
        self.vectors = vectors
        self.refused = dict(refused)
        place, reason = next(iter(self.refused.items()))
        alone = len(vectors) == 1
        of = "the text" if alone else f"text {place + 1} of {len(vectors)}"
        super().__init__(f"{of} is refused: {reason}")


class Purpose(StrEnum):
    """What a text is embedded for; some models read a question differently from a document."""

    QUERY = "query"
    PASSAGE = "passage"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderIdentity:
    """What made a vector.

    Attributes:
        name: The encoder's name, such as `lsa` or `nvidia/nv-embedqa-e5-v5`.
        version: 0 = not versioned by us: a model behind an endpoint.
        kind: `text`, `graph` or `multimodal`.
        dim: Dimensions in which its vectors are stored: 128 or 1024.
        native_dim: Dimensions that it gives; zeros fill up the rest, which keeps every cosine.
        digest: SHA-256 of its weights, in hexadecimal digits, where it has weights.
    """

    name: str
    version: int = 0
    kind: str = "text"
    dim: int = TEXT_DIM
    native_dim: int = TEXT_DIM
    digest: str | None = None

    @property
    def model(self) -> str:
        """The one word for it, as `encoder.model` has it."""
        return self.name if self.version == 0 else f"{self.name}-v{self.version}"


@dataclass(frozen=True, slots=True)
class StoredEncoder:
    """An encoder as the database knows it.

    Attributes:
        encoder_id: Its number, which every vector of its carries.
        identity: What it is.
        state: preparing, serving or retired.
    """

    encoder_id: int
    identity: EncoderIdentity
    state: str


class TextEncoder(Protocol):
    """What every text encoder is: the offline ones and the client of an endpoint."""

    @property
    def identity(self) -> EncoderIdentity:
        """What its vectors are stored under."""
        ...

    @property
    def is_lexical(self) -> bool:
        """Whether it finds equal words only, and no meaning."""
        ...

    def encode(self, texts: Sequence[str], purpose: Purpose) -> Vectors:
        """Return the vectors of texts, in their order, of length 1.

        Args:
            texts: Checked by `check_text`, or cut by the database.
            purpose: Whether they are documents or questions.

        Returns:
            Shape (len(texts), native_dim). A text in which there is nothing to embed has a row of zeros.

        Raises:
            EncoderFault: What came is no vectors.
            Unavailable: An endpoint can't be reached.
            ConfigError: An endpoint gives something else than is configured.
        """
        ...


def check_text(text: str, where: str = "the text") -> str:
    """Return a text that can be embedded, without blanks at its ends.

    Args:
        text: What somebody gave.
        where: How an error calls it.

    Raises:
        UsageError: It is empty, binary or too long.
    """
    stripped = text.strip()
    if not stripped:
        raise UsageError(f"{where} is empty", code="embed.empty_text")
    if len(stripped) > MAX_TEXT_CHARS:
        raise UsageError(
            f"{where} has {len(stripped):,} characters; at most {MAX_TEXT_CHARS:,} can be embedded",
            code="embed.text_too_long",
            hint="embed its parts, or its summary",
        )
    for place, character in enumerate(stripped):
        # Lone surrogates are what undecodable bytes of an argument become.
        if (character < " " and character not in "\t\n\r\f\v") or "\ud800" <= character <= "\udfff":
            raise UsageError(
                f"{where} is binary: character {place + 1} is U+{ord(character):04X}",
                code="embed.binary_text",
                hint="give plain text in UTF-8",
            )
    return stripped


def check_dim(dim: int) -> int:
    """Return the dimensions if vectors of so many can be stored.

    Raises:
        UsageError: They can't.
    """
    if dim not in DIMS:
        raise UsageError(
            f"vectors of {dim} dimensions can't be stored: 128 or 1024", code="embed.bad_dimension"
        )
    return dim


def check_vectors(vectors: npt.NDArray[np.floating], native_dim: int, count: int) -> Vectors:
    """Return vectors as float32 if they are what an encoder should give; rows of zeros are allowed.

    Args:
        vectors: Shape (count, native_dim).
        native_dim: Dimensions that the encoder says to give.
        count: How many there should be.

    Raises:
        EncoderFault: The shape is another one, or a number isn't finite.
    """
    if vectors.ndim != 2 or vectors.shape != (count, native_dim):
        raise EncoderFault(
            f"{count} vectors of {native_dim} dimensions were expected, got the shape {vectors.shape}",
            code="embed.dimension_mismatch",
        )
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(vectors, dtype=np.float32)
    finite = np.isfinite(single).all(axis=1)
    if not finite.all():
        raise EncoderFault(
            f"vector {int(np.argmin(finite)) + 1} of {count} holds NaN or infinity",
            code="embed.not_finite",
        )
    return single


def padded(vectors: Vectors, dim: int) -> Vectors:
    """Return vectors with zeros up to the stored dimensions, which keeps every cosine."""
    count, native = vectors.shape
    if native == dim:
        return vectors
    if native > dim:
        raise EncoderFault(
            f"vectors of {native} dimensions don't fit into {dim}", code="embed.dimension_mismatch"
        )
    wide = np.zeros((count, dim), dtype=np.float32)
    wide[:, :native] = vectors
    return wide


def parsed(text: str) -> Vectors:
    """Return one vector, shape (dim,), of pgvector's text form."""
    return np.array(text.strip("[]").split(","), dtype=np.float32)


def normalised(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Return vectors of length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
