"""Answering questions at the desk from a small knowledge base, ranked by BM25."""

from __future__ import annotations

import functools
import math
from collections import Counter
from typing import Annotated, NamedTuple

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import tool
from seedcore.examples.day.house import text
from seedcore.examples.day.language import sentences, terms

K1 = 1.2
"""How soon more of the same word stops counting."""
B = 0.6
"""How much long articles are held back."""
TITLE_WEIGHT = 3
"""A word in the title counts as often."""
CONFIDENT = 2.5
"""Below this score nothing in the knowledge base is about the question."""


class Article(NamedTuple):
    """One article of the knowledge base."""

    title: str
    body: str


class Source(TypedDict):
    """An article that fits, and how well."""

    title: str
    score: float


class Answer(TypedDict):
    """What the desk can say."""

    answered: bool
    answer: str
    sources: list[Source]


class Ranking:
    """BM25 over a fixed set of articles.

    Args:
        articles: The articles.
    """

    def __init__(self, articles: list[Article]) -> None:
        self.articles = articles
        self._counts = [
            Counter(terms(f"{article.title} " * TITLE_WEIGHT + article.body))
            for article in articles
        ]
        self._lengths = [counts.total() for counts in self._counts]
        self._mean_length = sum(self._lengths) / len(self._lengths)
        self._holders = Counter(term for counts in self._counts for term in counts)

    def idf(self, term: str) -> float:
        """Return how much a term tells apart: the rarer, the more; 0 for one that nobody has."""
        holders = self._holders[term]
        if not holders:
            return 0.0
        return math.log(1 + (len(self.articles) - holders + 0.5) / (holders + 0.5))

    def best(self, question: str, limit: int) -> list[tuple[float, Article]]:
        """Return the articles that share a term with the question, best first."""
        asked = set(terms(question))
        scored = [
            (self._score(asked, index), -index, article)
            for index, article in enumerate(self.articles)
        ]
        scored.sort(reverse=True)
        return [(score, article) for score, _, article in scored[:limit] if score > 0]

    def _score(self, asked: set[str], index: int) -> float:
        counts = self._counts[index]
        held_back = K1 * (1 - B + B * self._lengths[index] / self._mean_length)
        # Sorted, so that equal questions add up in the same order and give the same last digit.
        return sum(
            self.idf(term) * counts[term] * (K1 + 1) / (counts[term] + held_back)
            for term in sorted(asked)
            if counts[term]
        )


@functools.cache
def knowledge() -> Ranking:
    """Return the ranking over the knowledge base that ships with the plugin."""
    articles: list[Article] = []
    for block in text("knowledge.md").split("# ")[1:]:
        title, _, body = block.partition("\n")
        articles.append(Article(title.strip(), body.strip()))
    return Ranking(articles)


@tool("desk.answer", timeout_s=10, handles=["query"])
def answer(
    question: Annotated[str, Field(min_length=1, max_length=2000)],
    sources: Annotated[int, Field(ge=1, le=10)] = 3,
) -> Answer:
    """Answer a guest's question from the knowledge base.

    The answer is the best article's sentences, those first that share most with the question. When
    nothing fits well enough it says so, and the question goes to a person.
    """
    found = knowledge().best(question, sources)
    if not found or found[0][0] < CONFIDENT:
        return {"answered": False, "answer": "", "sources": _sources(found)}
    asked = set(terms(question))
    said = sentences(found[0][1].body)
    said.sort(key=lambda sentence: len(asked & set(terms(sentence))), reverse=True)
    return {"answered": True, "answer": " ".join(said[:2]), "sources": _sources(found)}


def _sources(found: list[tuple[float, Article]]) -> list[Source]:
    return [{"title": article.title, "score": round(score, 3)} for score, article in found]
