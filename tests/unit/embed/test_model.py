"""What may be embedded, and what may be stored as a vector."""

from __future__ import annotations

import re

import numpy as np
import pytest

from seedcore.embed.hashing import HashEncoder
from seedcore.embed.model import (
    EncoderFault,
    Purpose,
    check_dim,
    check_text,
    check_vectors,
    padded,
)
from seedcore.embed.stem import stem
from seedcore.embed.terms import terms
from seedcore.errors import UsageError


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (" \n", "embed.empty_text", "query is empty"),
        ("a\0b", "embed.binary_text", "character 2 is U+0000"),
        ("caf\udce9", "embed.binary_text", "U+DCE9"),
        ("x" * 1_048_576, "embed.text_too_long", "1,048,576 characters; at most 16,000"),
    ],
)
def test_a_text_that_is_none_is_refused_in_one_line(text: str, code: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        check_text(text, "the query")
    assert caught.value.code == code
    assert len(caught.value.message) < 120


@pytest.mark.parametrize(
    ("vectors", "code"),
    [
        (np.zeros((2, 3)), "embed.dimension_mismatch"),
        (np.zeros((1, 4)), "embed.dimension_mismatch"),
        (np.array([[1, 0, 0, 0], [np.nan, 0, 0, 0]]), "embed.not_finite"),
        (np.array([[1, 0, 0, 0], [1e300, 0, 0, 0]]), "embed.not_finite"),
    ],
)
def test_what_is_no_vector_is_a_fault_of_the_encoder(vectors: np.ndarray, code: str) -> None:
    with pytest.raises(EncoderFault) as caught:
        check_vectors(vectors, 4, 2)
    assert caught.value.code == code


def test_zeros_fill_up_and_keep_every_cosine() -> None:
    generator = np.random.default_rng(7)
    vectors = generator.standard_normal((3, 384)).astype(np.float32)
    wide = padded(vectors, 1024)
    assert wide.shape == (3, 1024)
    assert np.allclose(wide @ wide.T, vectors @ vectors.T, rtol=1e-6)
    with pytest.raises(EncoderFault):
        padded(vectors, 128)
    with pytest.raises(UsageError, match="384"):
        check_dim(384)


@pytest.mark.parametrize(
    ("word", "expected"),
    [  # from the examples of Porter's paper
        ("caresses", "caress"), ("ponies", "poni"), ("agreed", "agre"), ("plastered", "plaster"),
        ("motoring", "motor"), ("sing", "sing"), ("conflated", "conflat"), ("hopping", "hop"),
        ("filing", "file"), ("happy", "happi"), ("relational", "relat"), ("vietnamization", "vietnam"),
        ("triplicate", "triplic"), ("hopefulness", "hope"), ("adjustment", "adjust"),
        ("adoption", "adopt"), ("controlling", "control"), ("generalizations", "gener"), ("sky", "sky"),
    ],
)  # fmt: skip
def test_words_are_stemmed_as_porter_says(word: str, expected: str) -> None:
    assert stem(word) == expected


def test_every_text_has_terms() -> None:
    assert terms("The pumps of user_id42 were FAILING") == [
        "pump", "user_id42", "user", "id", "42", "fail",
    ]  # fmt: skip
    assert terms("to be or not to be") == ["to", "be", "or", "not", "to", "be"]
    assert terms("水泵故障") == ["水泵", "泵故", "故障"]
    assert terms("?!?!") == ["?!?", "!?!"]
    assert terms(" ") == []


def test_the_hash_encoder_is_the_same_everywhere_and_finds_equal_words() -> None:
    encoder = HashEncoder()
    vectors = encoder.encode(["pump pressure is low", "low pumps pressure", "invoice overdue", ""])
    again = encoder.encode(["pump pressure is low"], Purpose.QUERY)
    assert np.array_equal(vectors[:1], again)
    assert vectors[0] @ vectors[1] > 0.6 > 0.2 > abs(float(vectors[0] @ vectors[2]))
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 0], atol=1e-6)
    # A change of these places is a change of every stored vector: give the encoder a new version.
    assert np.nonzero(encoder.encode(["pump"])[0])[0].tolist() == [222]
