"""`seedcore rag-query`, `seedcore memory`, and facts found by meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from seedcore.embed import run, selection
from tests.cli.conftest import Invoke
from tests.integration.memory.endpoint import DIM, Endpoint, concepts, said

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    server = Endpoint()
    for name, value in {
        "NIM_RETRIEVAL_BASE_URL": server.url,
        "NIM_RETRIEVAL_MODEL": "concepts",
        "NIM_RETRIEVAL_DIM": str(DIM),
        "LLM_BASE_URL": server.url,
        "LLM_MODEL_FAST": "talker",
    }.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


def test_a_question_is_answered_from_sources_that_say_why(
    cli: Invoke, conn: Conn, endpoint: Endpoint
) -> None:
    best = cli("fact", "add", "The lift stopped on Sunday", "-o", "name").out.strip()
    alike = cli("fact", "add", "An elevator got stuck", "--tag", "old", "-o", "name").out.strip()
    added = cli("fact", "add", "The bar serves drinks", "--embed")
    assert (added.code, "1 fact embedded by concepts" in added.err) == (0, True), added.err
    choice = selection.choose(conn, concepts(endpoint))
    run.run(conn, choice, run.FACTS, run.Wanted())
    endpoint.answers = [(200, said("On Sunday [1]."))]
    answered = cli("rag-query", "When was the lift halted?", "-o", "json", "--explain").json
    assert answered["answer"] == {
        "text": "On Sunday [1].", "citations": [best], "model": "talker",
    }  # fmt: skip
    assert [row["id"] for row in answered["context"]][:2] == [best, alike]
    assert [step["step"] for step in answered["plan"]] == [
        "index", "words", "vectors", "graph", "sources", "answer",
    ]  # fmt: skip
    assert set(answered["timings"]) == {step["step"] for step in answered["plan"]}
    endpoint.answers = [(200, said("On Sunday [9]."))]
    table = cli("rag-query", "-", "-o", "table", input=b"lift halted")
    assert table.out.startswith("On Sunday [9].\n\n")
    assert "warning: the answer cites sources that are none: [9]" in table.err
    names = cli("rag-query", "halted", "--context-only", "-k", "1", "-o", "name")
    assert names.out.split() == [best]
    by_meaning = cli(
        "fact", "search", "lift", "--mode", "vector", "--tag", "old", "-o", "json"
    ).json
    assert [row["id"] for row in by_meaning] == [alike]
    hybrid = cli("fact", "search", "the lift", "--mode", "hybrid", "-k", "2", "-o", "name")
    assert hybrid.out.split() == [best, alike]
    endpoint.answers = [(401, {})]
    refused = cli("rag-query", "lift", "-o", "json")
    assert (refused.code, refused.out, refused.error["code"]) == (78, "", "memory.generator_key")


def test_a_question_that_finds_nothing_says_so(cli: Invoke) -> None:
    for words, code, says in (
        (["the of and"], 3, "nothing but stop words"),
        (["unheard"], 3, "nothing was found"),
        ([""], 2, "the question is empty"),
        (["a\udcffb"], 2, "the question is binary"),
        (["x" * 1_000_000], 2, "at most 16,000"),
        (["x", "--snapshot", "v9"], 4, "no policy snapshot v9"),
        (["x", "--filter", "colour=red"], 2, 'can\'t filter by "colour"'),
        (["x", "--filter", "kind=tsak"], 2, 'no kind of node "tsak"'),
        (["x", "--mode", "vector"], 3, "nothing is embedded yet"),
        (["x", "--mode", "graph", "--hops", "0"], 2, "without hops"),
    ):
        refused = cli("rag-query", *words)
        assert (refused.code, refused.out) == (code, ""), words
        assert says in refused.err.splitlines()[0]
    cli("fact", "add", "Alone")
    assert cli("memory", "index", "--all", "-o", "json").json["indexed"] == 1
    assert cli("memory", "status", "-o", "json").json["facts"] == 1
    assert cli("rag-query", "alone", "--min-score", "0.5", "-o", "json").json["mode"] == "lexical"
