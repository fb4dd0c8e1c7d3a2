"""Just enough of English for matching: words, their stems, sentences, and words that say nothing."""

from __future__ import annotations

import re

_WORD = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'])")
_ENDINGS = ("ings", "ing", "edly", "ed", "ies", "es", "s", "ly")
_SHORTEST_STEM = 3

_STOP_WORDS = """
a about above after again all also am an and any are as at be because been before being but by can could
did do does doing down each few for from further get got had has have having he her here hers him his how
i if in into is it its itself just me more most my no nor not now of off on once only or other our ours
out over own please same she should so some such than that the their them then there these they this those
through to too under until up us very was we were what when where which while who whom why will with would
you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(text.lower())


def stem(word: str) -> str:
    """Return a word without the most common English endings, so that `towels` meets `towel`."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            stemmed = word[: -len(ending)]
            if ending == "ies":
                return stemmed + "y"
            # running -> run, but not falling -> fal
            if ending in ("ing", "ings", "ed") and stemmed[-1] == stemmed[-2] not in "ls":
                return stemmed[:-1]
            return stemmed.removesuffix("e")
    return word.removesuffix("e") if len(word) > _SHORTEST_STEM else word


def terms(text: str) -> list[str]:
    """Return the stems of the words that mean something; `check-out` also counts as `check`."""
    found: list[str] = []
    for word in words(text):
        parts = [word, *word.split("-")] if "-" in word else [word]
        found += [stem(part) for part in parts if part not in STOP_WORDS]
    return found


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, without blank ones."""
    return [part.strip() for part in _SENTENCE_END.split(text.strip()) if part.strip()]
