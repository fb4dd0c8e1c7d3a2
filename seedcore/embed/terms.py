"""The terms of a text: what the offline encoders count.

Changing anything here changes every vector they make: it needs a new version of the encoders.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from seedcore.embed.stem import stem

STOP_WORDS = frozenset((
    "a", "about", "after", "all", "also", "an", "and", "any", "are", "as", "at", "be",
    "because", "been", "before", "being", "between", "both", "but", "by", "can", "could", "did",
    "do", "does", "doing", "for", "from", "had", "has", "have", "having", "he", "her", "here",
    "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "me", "more",
    "most", "my", "no", "nor", "not", "of", "on", "only", "or", "other", "our", "out", "over",
    "own", "same", "she", "should", "so", "some", "such", "than", "that", "the", "their",
    "them", "then", "there", "these", "they", "this", "those", "through", "to", "too", "under",
    "until", "up", "us", "very", "was", "we", "were", "what", "when", "where", "which", "while",
    "who", "whom", "why", "will", "with", "would", "you", "your",
))  # fmt: skip

_WORD = re.compile(r"\w+")
_PARTS = re.compile(r"[^\W\d_]+|\d+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0e7f]")


def terms(text: str) -> list[str]:
    """Return the stems of a text's words in their order, without the commonest words.

    Names such as `user_id` give their parts and themselves; writing without blanks between words gives its
    pairs of characters; a text without any word its triples of characters.
    """
    folded = unicodedata.normalize("NFKC", text).lower()
    found: list[str] = []
    common: list[str] = []
    for word in _WORD.findall(folded):
        if _UNSPACED.search(word):
            found.extend(word[i : i + 2] for i in range(max(1, len(word) - 1)))
            continue
        parts = _PARTS.findall(word)
        if len(parts) > 1:
            found.append(word)
        for part in parts or [word]:
            (common if part in STOP_WORDS else found).append(stem(part))
    if found or common:
        # A question of common words alone is still a question.
        return found or common
    dense = "".join(folded.split())
    return [dense[i : i + 3] for i in range(max(1, len(dense) - 2))] if dense else []


def with_pairs(found: list[str]) -> list[str]:
    """Return terms together with the pairs of neighbours, which keep a little of the word order."""
    return found + [f"{a} {b}" for a, b in pairwise(found)]
