"""Find what answers a question: by words and by vectors, fused, with the neighbours of the best hits."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from seedcore.config.settings import Settings
from seedcore.embed import encoders, search, selection
from seedcore.embed.model import TEXT_DIM, Purpose, check_text
from seedcore.errors import CheckFailed, UsageError
from seedcore.memory import indexing, neighbours
from seedcore.memory.model import (
    CHARS_PER_TOKEN,
    DEPTH,
    MOST_HITS,
    MOST_HOPS,
    SEEDS,
    Hit,
    Mode,
    Question,
    Retrieval,
    Scope,
    Step,
    fused,
)
from seedcore.memory.reranking import diversified
from seedcore.memory.store import fetch, queries, scoped

_OVERFETCH: Final = 10
"""How many times the vectors wanted are asked for when the scope is too large to be listed."""

_GAIN: Final = 0.1
"""Share of a neighbour's score that a hit gains for being one as well."""

_SHOWN_WORDS: Final = 6

Key = tuple[str, str]


class _Clock:
    """Writes down what was done and how long it took."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    @contextmanager
    def step(self, name: str) -> Generator[Step]:
        begun = time.perf_counter()
        step = Step(name, 0.0, "")
        try:
            yield step
        finally:
            step.seconds = time.perf_counter() - begun
            self.steps.append(step)


def retrieve(
    conn: psycopg.Connection[Any],
    question: Question,
    settings: Settings,
    *,
    refresh: bool = True,
    choice: selection.Choice | None = None,
) -> Retrieval:
    """Return the sources that answer a question, best first.

    Args:
        conn: A connection in autocommit.
        question: What is asked, of what, and how.
        settings: Which encoder, and where it is.
        refresh: First index what is new, for a second at most.
        choice: The encoder, for who asks often. Default: the one whose vectors serve, loaded anew.

    Raises:
        UsageError: The question is empty, binary or too long; a number is out of bounds.
        CheckFailed: Only vectors were to be asked, and nothing is embedded.
        Unavailable, WaitTimeout, ConfigError: The encoder's endpoint does not answer.
    """
    text = _checked(question)
    clock = _Clock()
    if refresh and question.mode is not Mode.VECTOR:
        with clock.step("index") as step:
            step.result = _refreshed(conn)
    lists: list[list[Key]] = []
    hits: dict[Key, Hit] = {}
    mode = str(question.mode)
    if question.mode is not Mode.VECTOR:
        with clock.step("words") as step:
            lists.append(_by_words(conn, text, question.scope, hits))
            step.result = f"{len(lists[-1])} by BM25"
    if question.mode is not Mode.TEXT:
        with clock.step("vectors") as step:
            by_vectors, step.result = _by_vectors(conn, text, question, settings, hits, choice)
        if by_vectors is None:
            mode = "lexical" if question.mode is Mode.HYBRID else mode
        else:
            lists.append(by_vectors)
    for key, score in fused([ranked for ranked in lists if ranked]).items():
        hits[key].score = score
    ranked = sorted(hits.values(), key=lambda hit: -hit.score)
    if question.hops:
        with clock.step("graph") as step:
            found = neighbours.expand(conn, ranked[:SEEDS], question.hops, question.scope)
            ranked = _joined(ranked, found, only_neighbours=question.mode is Mode.GRAPH)
            step.result = f"{len(found)} within {question.hops} hops of {min(SEEDS, len(hits))}"
    ranked = [hit for hit in ranked if hit.score >= question.min_score]
    with clock.step("sources") as step:
        chosen = _chosen(conn, text, ranked, question)
        step.result = f"{len(chosen)} of {len(ranked)}"
    return Retrieval(hits=chosen, mode=mode, steps=clock.steps)


def asks_anything(conn: psycopg.Connection[Any], text: str) -> bool:
    """Whether a question is more than stop words."""
    return bool(fetch(conn, queries.asks_anything, {"question": text})[0]["asks"])


def _checked(question: Question) -> str:
    text = check_text(question.text, "the question")
    if not 1 <= question.k <= MOST_HITS:
        raise UsageError(f"between 1 and {MOST_HITS} sources can be asked for, not {question.k}")
    if not 0 <= question.hops <= MOST_HOPS:
        raise UsageError(f"hops lie between 0 and {MOST_HOPS}, not {question.hops}")
    if not 0 <= question.min_score <= 1:
        raise UsageError(f"a score lies between 0 and 1; {question.min_score} is none")
    if question.max_tokens < 1:
        raise UsageError("the context needs at least one token")
    if question.mode is Mode.GRAPH and not question.hops:
        raise UsageError("without hops nothing is found by the graph")
    return text


def _refreshed(conn: psycopg.Connection[Any]) -> str:
    done = indexing.refresh(conn)
    if done["read_only"]:
        return "not brought up to date: the database is read-only"
    more = "; more waits: seedcore memory index" if done["waiting"] else ""
    return f"{done['indexed']} brought up to date{more}"


def _by_words(
    conn: psycopg.Connection[Any], text: str, scope: Scope, hits: dict[Key, Hit]
) -> list[Key]:
    rows = fetch(conn, queries.words, scoped(scope, question=text, limit=DEPTH))
    for rank, row in enumerate(rows, 1):
        hit = hits.setdefault((row["kind"], row["id"]), Hit(kind=row["kind"], id=row["id"]))
        hit.words, hit.bm25 = rank, row["score"]
    return [(row["kind"], row["id"]) for row in rows]


def _by_vectors(
    conn: psycopg.Connection[Any],
    text: str,
    question: Question,
    settings: Settings,
    hits: dict[Key, Hit],
    choice: selection.Choice | None,
) -> tuple[list[Key] | None, str]:
    """Return what is near, best first, or None where vectors say no more than words; and a phrase."""
    only = question.mode is Mode.VECTOR
    if encoders.serving(conn, "text", TEXT_DIM) is None:
        if only:
            raise CheckFailed(
                "nothing is embedded yet",
                code="memory.nothing_embedded",
                hint="seedcore embed facts && seedcore embed tasks, or --mode text",
            )
        return None, "not asked: nothing is embedded yet"
    choice = choice or selection.for_questions(conn, settings)
    model = choice.stored.identity.model
    if choice.encoder.is_lexical and not only:
        return None, f"not asked: {model} knows equal words only, as the index of words does better"
    vector = choice.encoder.encode([text], Purpose.QUERY)[0]
    if not vector.any():
        return [], f"none: the question holds nothing that {model} knows"
    scope, nodes = question.scope, _candidates(conn, question.scope)
    if nodes == []:
        return [], "none: nothing is in scope"
    found = search.search(
        conn,
        choice.stored,
        vector,
        search.Scope(nodes=nodes, snapshot_id=None if nodes else scope.snapshot_id),
        k=DEPTH if nodes is not None else min(DEPTH * _OVERFETCH, 1000),
    )
    best: dict[int, float] = {}
    for row in found.hits:
        best.setdefault(row["node_id"], float(row["similarity"]))
    known = {
        row["node_id"]: row
        for row in fetch(conn, queries.of_nodes, scoped(scope, nodes=list(best)))
    }
    keys: list[Key] = []
    for node, similarity in best.items():
        # A vector at a right angle, or beyond, says that there is nothing in common.
        if node in known and similarity > 0 and len(keys) < DEPTH:
            key = (str(known[node]["kind"]), str(known[node]["id"]))
            hit = hits.setdefault(key, Hit(kind=key[0], id=key[1]))
            keys.append(key)
            hit.vectors, hit.similarity, hit.node_id = len(keys), similarity, node
    return keys, f"{len(keys)} by {model}, {found.method} ({found.why})"


def _candidates(conn: psycopg.Connection[Any], scope: Scope) -> list[int] | None:
    """Return the nodes in a narrow scope, which are compared one by one; None where there are too many.

    Without it a filter that leaves one row in a thousand would leave nothing of the nearest thousand.
    """
    if not (scope.namespace or scope.snapshot_id or scope.filter or scope.at):
        return None
    most = search.EXACT_CANDIDATES
    rows = fetch(conn, queries.candidates, scoped(scope, limit=most + 1))
    return None if len(rows) > most else [row["node_id"] for row in rows]


def _joined(ranked: Sequence[Hit], found: Sequence[Hit], *, only_neighbours: bool) -> list[Hit]:
    """Put neighbours among the hits; what is both gains from it."""
    known = {hit.key: hit for hit in ranked}
    more: list[Hit] = []
    for neighbour in found:
        hit = known.get(neighbour.key)
        if hit is None:
            more.append(neighbour)
        else:
            hit.score = min(1.0, hit.score + neighbour.score * _GAIN)
            hit.why += neighbour.why
            if only_neighbours:
                more.append(hit)
    together = more if only_neighbours else [*ranked, *more]
    return sorted(together, key=lambda hit: (-hit.score, hit.hops))


def _chosen(
    conn: psycopg.Connection[Any], text: str, ranked: Sequence[Hit], question: Question
) -> list[Hit]:
    """Return the k best with their words and reasons, cut to what the context may hold."""
    most = question.k if not question.rerank else min(len(ranked), 5 * question.k)
    candidates = list(ranked[:most])
    parameters = {
        "kinds": [hit.kind for hit in candidates],
        "ids": [hit.id for hit in candidates],
        "question": text,
    }
    rows = {(row["kind"], row["id"]): row for row in fetch(conn, queries.terms, parameters)}
    if question.rerank:
        terms = {key: frozenset(row["terms"]) for key, row in rows.items()}
        candidates = diversified(candidates, terms, question.k)
    _explain(candidates, {key: row["shared"] or [] for key, row in rows.items()})
    _read(conn, candidates)
    return _cut(candidates, question.max_tokens * CHARS_PER_TOKEN)


def _explain(hits: Sequence[Hit], shared: Mapping[Key, Sequence[str]]) -> None:
    for hit in hits:
        why: list[str] = []
        if hit.words is not None:
            words = list(shared.get(hit.key, ()))
            more = ", …" if len(words) > _SHOWN_WORDS else ""
            why.append(f"words: rank {hit.words} ({', '.join(words[:_SHOWN_WORDS])}{more})")
        if hit.vectors is not None:
            why.append(f"vectors: rank {hit.vectors}, similarity {hit.similarity:.3f}")
        hit.why = why + [_ended(way, hit) for way in hit.why]


def _ended(way: str, hit: Hit) -> str:
    return f"{way} {hit.kind} {hit.id[:8]}"


def _read(conn: psycopg.Connection[Any], hits: Sequence[Hit]) -> None:
    by_kind: dict[str, dict[str, Hit]] = {}
    for hit in hits:
        by_kind.setdefault(hit.kind, {})[hit.id] = hit
    for kind, wanted in by_kind.items():
        statement = queries.fact_texts if kind == "fact" else queries.texts
        for row in fetch(conn, statement, {"kind": kind, "ids": list(wanted)}):
            wanted[row["id"]].text = row["content"]


def _cut(hits: Sequence[Hit], chars: int) -> list[Hit]:
    """Return the hits whose texts fit; the last of them is cut, and what follows left out.

    What was deleted since it was found has no text, and is left out as well.
    """
    kept: list[Hit] = []
    for hit in hits:
        if not hit.text:
            continue
        if chars <= 0:
            break
        if len(hit.text) > chars:
            hit.text = hit.text[: max(chars - 1, 1)] + "…"
        chars -= len(hit.text)
        kept.append(hit)
    return kept
