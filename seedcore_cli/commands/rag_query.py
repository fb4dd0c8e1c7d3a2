"""`seedcore rag-query`: a question to tasks, facts and the graph together."""

from __future__ import annotations

import time
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import CheckFailed, UsageError
from seedcore_cli.app import single
from seedcore_cli.humanize import seconds
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_pairs, parse_time, read_source

if TYPE_CHECKING:
    from seedcore.memory.generation import Answer
    from seedcore.memory.model import Question, Retrieval

command = single()


class By(StrEnum):
    """By what sources are found."""

    TEXT = "text"
    VECTOR = "vector"
    HYBRID = "hybrid"
    GRAPH = "graph"


_KEYS = ("kind", "subject", "predicate", "rule", "tag", "type", "status", "domain")

SOURCES = (
    Column("rank", align="right"),
    Column("score", align="right", format=lambda v: f"{float(v):.3f}"),
    Column("kind"),
    Column("id", id=True),
    Column("text"),
    Column("why", format=lambda v: "; ".join(v)),
)
STEPS = (
    Column("step"),
    Column("seconds", align="right", format=seconds),
    Column("result"),
)


@command.command("rag-query")
@common
def rag_query(
    cli: Cli,
    text: Annotated[
        str, typer.Argument(metavar="TEXT|-", help="The question; - reads standard input.")
    ],
    *,
    k: Annotated[int, typer.Option("-k", help="How many sources.", min=1, max=200)] = 8,
    mode: Annotated[
        By, typer.Option("--mode", help="By words, vectors, both, or edges from both.")
    ] = By.HYBRID,
    hops: Annotated[
        int,
        typer.Option("--hops", help="How far neighbours of the best hits may be.", min=0, max=4),
    ] = 2,
    at: Annotated[
        datetime | None,
        typer.Option(
            "--at", help="As things were then. Default: now.", metavar="TIME", parser=parse_time
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", help="Facts of it, and tasks of this domain.", metavar="NAME"),
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option("--snapshot", help="Of this policy snapshot.", metavar="[ENV/]VERSION"),
    ] = None,
    filter_: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", help=f"Repeat for more; keys: {', '.join(_KEYS)}.", metavar="KEY=VALUE"
        ),
    ] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Prefer sources that don't repeat each other.")
    ] = False,
    min_score: Annotated[
        float, typer.Option("--min-score", help="Leave out what scores less.", min=0.0, max=1.0)
    ] = 0.0,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", help="About how long all sources may be.", min=1)
    ] = 2000,
    context_only: Annotated[
        bool, typer.Option("--context-only", help="Only sources, though a generator is configured.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also what was done, and where the time went.")
    ] = False,
) -> None:
    """Ask tasks, facts and the graph a question; each source says why it was found.

    Words (BM25) and vectors are fused by reciprocal rank; neighbours of the best hits come in by edges, at half
    the score a hop. Score 1 is first in every list. With a language model configured (LLM_BASE_URL,
    LLM_MODEL_FAST) an answer that cites its sources comes first; without one the sources are the answer.

    Examples:
      seedcore rag-query "why did the lift stop on Sunday"
      seedcore rag-query "pool chemicals" --filter kind=fact --at 2031-05-17 --explain
      seedcore rag-query - --context-only -o json < question.txt

    Exit codes: 3 nothing was found, or nothing above --min-score; 4 no such snapshot; 6 time-out; 69 an
    endpoint can't be reached; 78 an endpoint refuses key or model.
    """
    from seedcore.fact.store import snapshot_id
    from seedcore.memory.generation import Generator
    from seedcore.memory.model import Mode, Question, Scope
    from seedcore.memory.retrieval import asks_anything, retrieve

    filters = _filters(filter_ or [])
    asked = read_source("-", "the question")[0] if text == "-" else text
    generator = None if context_only else Generator.configured(cli.settings)
    with cli.connect() as conn:
        scope = Scope(
            namespace=namespace,
            snapshot_id=None if snapshot is None else snapshot_id(conn, snapshot),
            at=at,
            filter=filters,
        )
        question = Question(
            text=asked,
            k=k,
            mode=Mode(mode.value),
            hops=hops,
            scope=scope,
            rerank=rerank,
            min_score=min_score,
            max_tokens=max_tokens,
        )
        found = retrieve(conn, question, cli.settings)
        if not found.hits:
            raise _nothing(asks_anything(conn, asked), min_score)
    answer = None
    if generator is not None:
        cli.printer.flush()
        begun = time.perf_counter()
        try:
            answer = generator.answer(question.text, found.hits)
        finally:
            generator.close()
        _add_step(found, f"{answer.model}, {len(answer.citations)} cited", begun)
        if not answer.citations:
            cli.warn("the answer cites no source")
        if answer.unknown:
            cli.warn(f"the answer cites sources that are none: {_numbers(answer.unknown)}")
    _print(cli, question, found, answer, explain=explain)


def _filters(words: list[str]) -> dict[str, Any]:
    from seedcore.graph.model import kind_of

    pairs: dict[str, Any] = {}
    tags: list[str] = []
    for word in words:
        for key, value in parse_pairs([word]).items():
            if key not in _KEYS:
                raise UsageError(
                    f'can\'t filter by "{key}"',
                    code="memory.bad_filter",
                    hint=f"keys: {', '.join(_KEYS)}",
                )
            if key == "tag":
                tags.append(value)
            elif key in pairs:
                raise UsageError(f'"{key}" is given twice', code="memory.bad_filter")
            else:
                pairs[key] = kind_of(value).name if key == "kind" else value
    return pairs | {"tags": tags} if tags else pairs


def _nothing(asks: bool, min_score: float) -> CheckFailed:
    if not asks:
        return CheckFailed(
            "the question holds nothing but stop words", code="memory.no_words", hint="name things"
        )
    above = f" with a score of {min_score:g} or more" if min_score else ""
    return CheckFailed(f"nothing was found{above}", code="memory.none_found")


def _add_step(found: Retrieval, result: str, begun: float) -> None:
    from seedcore.memory.model import Step

    found.steps.append(Step("answer", time.perf_counter() - begun, result))


def _print(
    cli: Cli, question: Question, found: Retrieval, answer: Answer | None, *, explain: bool
) -> None:
    rows: list[dict[str, Any]] = [
        {
            "rank": rank,
            "score": hit.score,
            "kind": hit.kind,
            "id": hit.id,
            "text": hit.text,
            "why": hit.why,
            "hops": hit.hops,
            "bm25": hit.bm25,
            "similarity": hit.similarity,
        }
        for rank, hit in enumerate(found.hits, 1)
    ]
    printer = cli.printer
    steps = [
        {"step": step.name, "seconds": step.seconds, "result": step.result} for step in found.steps
    ]
    if cli.format in ("json", "yaml"):
        document: dict[str, Any] = {"query": question.text, "mode": found.mode, "context": rows}
        if answer is not None:
            document["answer"] = {
                "text": answer.text,
                "citations": [rows[n - 1]["id"] for n in answer.citations],
                "model": answer.model,
            }
        document["timings"] = found.timings()
        if explain:
            document["plan"] = steps
        printer.one(document, [Column(key) for key in document])
        return
    if answer is not None and cli.format in ("table", "wide"):
        printer.text(answer.text + "\n\n")
    elif answer is not None:
        cli.note(answer.text)
    if found.mode == "lexical":
        cli.note("only equal words counted; 'seedcore embed facts' and 'embed tasks' add meaning")
    printer.many(rows, SOURCES)
    if explain and cli.format in ("table", "wide"):
        printer.text("\n")
        printer.many(steps, STEPS)
    elif explain:
        for step in steps:
            cli.note(f"{step['step']}: {step['seconds']:.4f} s, {step['result']}")


def _numbers(numbers: tuple[int, ...]) -> str:
    return ", ".join(f"[{number}]" for number in numbers)
