#!/usr/bin/env python3
"""Measure how well questions find what they ask for, by words, by vectors, and by both.

    benchmarks/retrieval.py FOLDER [--quick] [--json FILE] [--write-docs]

FOLDER holds a labelled collection: docs.jsonl {id, title, text}, queries.jsonl {id, text}, qrels.tsv with
query, document and relevance. One throw-away PostgreSQL; the documents are loaded as facts, indexed, and
embedded by the offline encoder fitted on them. `--quick` asks every fourth question. `--write-docs` puts
table and plot into docs/.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Not this file's folder: its queue.py would hide the standard library's `queue`.
sys.path[0] = str(ROOT)

import argparse  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import math  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Mapping, Sequence  # noqa: E402
from typing import Any  # noqa: E402
from uuid import UUID, uuid5  # noqa: E402

PYTHON = ROOT / ".venv" / "bin" / "python"

try:
    import psycopg
except ModuleNotFoundError:
    if Path(sys.prefix) == PYTHON.parent.parent or not PYTHON.exists():
        raise
    os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])

from psycopg.rows import dict_row  # noqa: E402

from benchmarks.rig import report  # noqa: E402
from benchmarks.rig.machine import machine  # noqa: E402
from seedcore.config.settings import Settings  # noqa: E402
from seedcore.embed import fitting, run, selection  # noqa: E402
from seedcore.fact import service as facts  # noqa: E402
from seedcore.fact.bulk import Load  # noqa: E402
from seedcore.memory import indexing  # noqa: E402
from seedcore.memory.model import Mode, Question, Scope  # noqa: E402
from seedcore.memory.retrieval import retrieve  # noqa: E402

PAGE = ROOT / "docs" / "concepts" / "retrieval.md"
PLOT = ROOT / "docs" / "images" / "retrieval.svg"
SPACE = UUID("5eedc04e-0000-5000-8000-0000000c1510")
DEPTH = 100
Ranking = list[str]
METHODS = {
    "full": "full text alone (any stem, ts_rank)",
    "bm25": "words alone (BM25)",
    "vectors": "vectors alone",
    "fused": "words and vectors, fused",
    "reranked": "the same with --rerank",
}


def ndcg(ranking: Sequence[str], relevant: Mapping[str, float], k: int = 10) -> float:
    """Return the normalised discounted cumulative gain of the first k (Järvelin and Kekäläinen, 2002)."""
    gains = [relevant.get(one, 0.0) for one in ranking[:k]]
    best = sorted(relevant.values(), reverse=True)[:k]
    return _discounted(gains) / _discounted(best)


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def recall(ranking: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """Return the share of what is relevant that is among the first k."""
    return len(set(ranking[:k]) & set(relevant)) / len(relevant)


def interval(differences: Sequence[float], rounds: int = 10_000) -> tuple[float, float]:
    """Return the borders between which 95 % of the means of resampled differences lie (bootstrap)."""
    chance = random.Random(7)  # the same interval on every run
    means = sorted(
        statistics.fmean(chance.choices(differences, k=len(differences))) for _ in range(rounds)
    )
    return means[int(0.025 * rounds)], means[int(0.975 * rounds)]


def main() -> int:
    """Measure, print, and write; 1 if fusing does not pay."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write-docs", action="store_true")
    asked = parser.parse_args()
    questions, relevant = labelled(asked.folder)
    if asked.quick:
        questions = dict(list(questions.items())[::4])
    with (
        machine() as server,
        psycopg.Connection[dict[str, Any]].connect(
            server.migrated(), autocommit=True, row_factory=dict_row
        ) as conn,
    ):
        figures = filled(conn, asked.folder)
        figures |= measured(conn, questions, relevant)
    text = json.dumps(figures, indent=1)
    if asked.json:
        asked.json.write_text(text + "\n", encoding="utf-8")
    print(table(figures))
    if asked.write_docs:
        page = report.put_between(PAGE.read_text(encoding="utf-8"), "retrieval", table(figures))
        PAGE.write_text(page, encoding="utf-8")
        draw(figures)
    methods = figures["methods"]
    fused = methods["fused"]["ndcg10"]
    return int(fused <= max(methods[m]["ndcg10"] for m in ("full", "bm25", "vectors")))


def labelled(folder: Path) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    """Return the questions that have judgements, and the relevant documents of each."""
    relevant: dict[str, dict[str, float]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines():
        query, document, gain = line.split("\t")[:3]
        if float(gain) > 0:
            relevant.setdefault(query, {})[document] = float(gain)
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    queries = {str(q["id"]): str(q["text"]) for q in map(json.loads, lines)}
    return {one: text for one, text in queries.items() if one in relevant}, relevant


def filled(conn: psycopg.Connection[Any], folder: Path) -> dict[str, Any]:
    """Load, index, fit and embed; return how long each took."""
    documents = list(map(json.loads, (folder / "docs.jsonl").read_text("utf-8").splitlines()))
    lines = [
        {
            "id": str(uuid5(SPACE, str(d["id"]))),
            "text": f"{d['title']}\n{d['text']}",
            "meta": {"doc": str(d["id"])},
        }
        for d in documents
    ]
    text = "\n".join(map(json.dumps, lines)).encode()
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        done = work()
        seconds[name] = round(time.perf_counter() - begun, 3)
        return done

    load = Load(conn, io.BytesIO(text), actor="benchmark")
    timed("load", lambda: list(load))
    if load.summary.created != len(documents):
        raise RuntimeError(f"{load.summary.created} of {len(documents)} documents were loaded")
    timed("index", lambda: indexing.refresh(conn, longest_s=None))
    settings = Settings(text_encoder="offline")
    fit = timed("fit", lambda: fitting.fit(conn))
    choice = selection.choose(conn, settings)
    timed("embed", lambda: run.run(conn, choice, run.FACTS, run.Wanted()))
    conn.execute("ANALYZE")
    return {"documents": len(documents), "encoder": fit["model"], "seconds": seconds}


def measured(
    conn: psycopg.Connection[Any],
    questions: Mapping[str, str],
    relevant: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """Ask every question in every way."""
    settings = Settings(text_encoder="offline")
    choice = selection.for_questions(conn, settings)
    rows = conn.execute("SELECT id::text AS id, meta_data ->> 'doc' AS doc FROM facts").fetchall()
    documents = {row["id"]: row["doc"] for row in rows}
    holding = facts.Selection(holding=True, limit=DEPTH)

    def full(text: str) -> list[str]:
        return [str(row["id"]) for row in facts.search(conn, text, holding)]

    def by(mode: Mode, **more: Any) -> Callable[[str], list[str]]:
        def ask(text: str) -> list[str]:
            question = Question(
                text=text, k=DEPTH, mode=mode, hops=0, scope=Scope(), max_tokens=10**7, **more
            )
            found = retrieve(conn, question, settings, refresh=False, choice=choice)
            return [hit.id for hit in found.hits]

        return ask

    ways: dict[str, Callable[[str], list[str]]] = {
        "full": full,
        "bm25": by(Mode.TEXT),
        "vectors": by(Mode.VECTOR),
        "fused": by(Mode.HYBRID),
        "reranked": by(Mode.HYBRID, rerank=True),
    }
    scores: dict[str, list[float]] = {}
    methods: dict[str, Any] = {}
    for name, ask in ways.items():
        times: list[float] = []
        rankings: dict[str, Ranking] = {}
        for query, text in questions.items():
            begun = time.perf_counter()
            rankings[query] = [documents[one] for one in ask(text)]
            times.append(time.perf_counter() - begun)
        scores[name] = [ndcg(rankings[q], relevant[q]) for q in questions]
        methods[name] = {
            "ndcg10": statistics.fmean(scores[name]),
            "recall10": statistics.fmean(recall(rankings[q], relevant[q], 10) for q in questions),
            "recall100": statistics.fmean(recall(rankings[q], relevant[q], 100) for q in questions),
            "p50_ms": 1000 * statistics.median(times),
        }
    pairs = {
        name: interval([a - b for a, b in zip(scores["fused"], scores[name], strict=True)])
        for name in ("full", "bm25", "vectors")
    }
    return {"questions": len(questions), "methods": methods, "fused_minus": pairs}


def table(figures: Mapping[str, Any]) -> str:
    """Return the figures in Markdown."""
    lines = [
        "| found by | nDCG@10 | recall@10 | recall@100 | a question takes (p50) |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, title in METHODS.items():
        m = figures["methods"][name]
        lines.append(
            f"| {title} | {m['ndcg10']:.3f} | {m['recall10']:.3f} | {m['recall100']:.3f} "
            f"| {m['p50_ms']:.0f} ms |"
        )
    borders = {
        name: f"{low:+.3f} to {high:+.3f}" for name, (low, high) in figures["fused_minus"].items()
    }
    spent = figures["seconds"]
    summary = (
        f"{figures['documents']:,} documents, {figures['questions']} questions, encoder "
        f"{figures['encoder']}. Gain of fusing in nDCG@10, 95 % of bootstrap samples: "
        f"{borders['full']} over full text, {borders['bm25']} over BM25, {borders['vectors']} over "
        f"vectors. Loading took {spent['load']:.1f} s, indexing {spent['index']:.1f} s, fitting "
        f"{spent['fit']:.1f} s, embedding {spent['embed']:.1f} s."
    )
    return "\n".join([*lines, "", summary])


def draw(figures: Mapping[str, Any]) -> None:
    """Draw nDCG@10 and recall@10 of each method."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "seedcore"
    from matplotlib import pyplot

    names = list(METHODS)[:4][::-1]
    figure, axes = pyplot.subplots(figsize=(8, 2.8))
    for offset, key, title, colour in (
        (0.2, "ndcg10", "nDCG@10", "#1f6f8b"),
        (-0.2, "recall10", "recall@10", "#99a8b2"),
    ):
        drawn = axes.barh(
            [n + offset for n in range(len(names))],
            [figures["methods"][name][key] for name in names],
            height=0.36,
            color=colour,
            label=title,
        )
        axes.bar_label(drawn, fmt="%.3f", padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), [METHODS[name] for name in names])
    axes.tick_params(labelsize=8)
    axes.margins(x=0.12)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    raise SystemExit(main())
