"""Shortening a text to the sentences that say most of it."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import tool
from seedcore.examples.day.language import sentences, stem, terms, words

_FIRST_BONUS = 0.25  # the first sentence usually says what it is about
_NOVELTY = 0.7  # how much a sentence is held back by what the chosen ones say already


class Summary(TypedDict):
    """A text in short."""

    summary: str
    sentences: int
    kept: list[int]
    keywords: list[str]


@tool("text.summarise", timeout_s=20, handles=["summary"])
def summarise(
    text: Annotated[str, Field(min_length=1, max_length=100_000)],
    keep: Annotated[int, Field(ge=1, le=20)] = 3,
) -> Summary:
    """Choose the sentences whose words matter most in the text, without saying things twice.

    A sentence scores the mean frequency of its terms; each choice holds back the sentences that share
    its terms. The chosen ones keep their order.

    Args:
        text: The text.
        keep: How many sentences to keep at most.
    """
    found = sentences(text)
    spoken = [terms(sentence) for sentence in found]
    counts = Counter(term for said in spoken for term in said)
    scores = [_score(said, counts) for said in spoken]
    if scores:
        scores[0] *= 1 + _FIRST_BONUS
    chosen: list[int] = []
    while len(chosen) < min(keep, len(found)):
        open_ = [index for index in range(len(found)) if index not in chosen]
        chosen.append(
            max(
                open_,
                key=lambda index: (
                    scores[index] * (1 - _NOVELTY * _shared(spoken[index], chosen, spoken)),
                    -index,
                ),
            )
        )
    chosen.sort()
    return {
        "summary": " ".join(found[index] for index in chosen),
        "sentences": len(found),
        "kept": chosen,
        "keywords": _keywords(text, counts),
    }


def _keywords(text: str, counts: Counter[str]) -> list[str]:
    """Return up to six terms that occur more than once, each in the form that is used most."""
    forms: dict[str, Counter[str]] = {}
    for word in words(text):
        forms.setdefault(stem(word), Counter())[word] += 1
    often = sorted((-count, term) for term, count in counts.items() if count > 1)[:6]
    return [min(forms[term].items(), key=lambda form: (-form[1], form[0]))[0] for _, term in often]


def _score(said: list[str], counts: Counter[str]) -> float:
    if not said:
        return 0.0
    return sum(counts[term] for term in said) / (len(said) + 3)  # + 3: very short ones say little


def _shared(said: list[str], chosen: list[int], spoken: list[list[str]]) -> float:
    """Return the largest share of a sentence's terms that one chosen sentence has too."""
    own = set(said)
    if not own:
        return 1.0
    return max((len(own & set(spoken[index])) / len(own) for index in chosen), default=0.0)
